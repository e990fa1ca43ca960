"""Which parts of an image are read, computed and written together.

A tile is a *core*, which is written, and a *halo* around it, which is only read. A tile at the
border of an image ends where the image does, so that the network's own zero padding acts on it
exactly as on the whole. It has no halo there, and so its core is larger by as much. Cores meet
without overlap and nothing is blended, so with a halo as wide as the network's reach the tiles of
an image cannot be told from the whole.

The further the network is, the less of the halo it still needs. So a tile is *narrowed* after each
RRDB: maps of pixels that are no longer needed are let go, and nobody computes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.geometry import FACTOR

if TYPE_CHECKING:
    from napari_semnet.restoration.sweep import PieceKind

__all__ = [
    "SMALLEST_CORE",
    "Box",
    "Surround",
    "Tile",
    "TileKind",
    "count_tiles",
    "halves",
    "part_count",
    "part_length",
    "plan_tiles",
]

SCALE = FACTOR
"""Output pixels per input pixel along each axis."""

SMALLEST_CORE = 16
"""Pixels along each side below which a tile is not made smaller."""

_NEARLY = 7 / 8
"""Part of a tile's side from which on a shorter one is computed as long."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows `top` to before `bottom`, columns `left` to before `right`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice]:
        """It as an index into the last two axes of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, margin: int, shape: tuple[int, int]) -> Box:
        """Give the box with `margin` more on each side, clipped to an image of `shape` (Y, X)."""
        return Box(
            max(0, self.top - margin),
            min(shape[0], self.bottom + margin),
            max(0, self.left - margin),
            min(shape[1], self.right + margin),
        )

    def shared_with(self, other: Box) -> Box:
        """Give the pixels that both hold."""
        return Box(
            max(self.top, other.top),
            min(self.bottom, other.bottom),
            max(self.left, other.left),
            min(self.right, other.right),
        )

    def joined_with(self, other: Box) -> Box:
        """Give the smallest rectangle that holds both."""
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def within(self, outer: Box) -> Box:
        """Give the same rectangle in coordinates that start at `outer`'s first pixel."""
        return Box(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )

    def moved(self, down: int, right: int) -> Box:
        """Give the same rectangle, shifted by so many pixels."""
        return Box(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def enlarged(self) -> Box:
        """Give the same rectangle in output pixels."""
        return Box(SCALE * self.top, SCALE * self.bottom, SCALE * self.left, SCALE * self.right)


TileKind: TypeAlias = tuple[int, int, tuple[Box, ...]]
"""Rows and columns of a tile, and what is kept of it after each RRDB."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work: read `read`, compute, keep `core`."""

    index: tuple[int, ...]
    """Place along the leading axes; empty for a plain image."""
    core: Box
    """Input pixels whose output this tile gives."""
    read: Box
    """Input pixels that the network sees."""
    narrowed: tuple[Box, ...] = ()
    """Pixels whose maps are kept after each RRDB, each within the one before; empty: all."""

    @property
    def kept_maps(self) -> tuple[Box, ...]:
        """What is kept after each RRDB, in coordinates of what is read."""
        return tuple(box.within(self.read) for box in self.narrowed)

    @property
    def kind(self) -> TileKind | PieceKind:
        """What a network has to know of it to be prepared for it."""
        return *self.read.shape, self.kept_maps

    @property
    def where(self) -> tuple[slice, ...]:
        """What to write, as slices into the output, one for each axis."""
        leading = (slice(i, i + 1) for i in self.index)
        return (*leading, *self.core.enlarged().slices)

    @property
    def kept(self) -> tuple[slice, slice]:
        """The core's output within the output of the tile."""
        last = self.narrowed[-1] if self.narrowed else self.read
        return self.core.within(last).enlarged().slices


@dataclass(frozen=True, slots=True)
class Surround:
    """What is read around a core."""

    plane: tuple[int, int]
    """(Y, X) of a slice of the image, or of a part of it."""
    halo: int
    """Pixels around a core, where the tile was cut."""
    later: tuple[int, ...] = ()
    """What is kept of the halo after each RRDB, never more than before; empty: all."""
    core: tuple[int, int] = (0, 0)
    """Rows and columns of most cores. A little less is computed as if it were as many: kernels are
    chosen and prepared for each new shape."""
    around: int = 0
    """Pixels beyond the plane that can be read as well; none where the image ends with it."""

    @property
    def wider(self) -> int:
        """Pixels by which cores at the border are larger, so that all tiles read alike."""
        return max(0, self.halo - self.around)

    def tile(self, index: tuple[int, ...], core: Box) -> Tile:
        """Give the tile of a core: with its halo, as far as there is image."""
        computed = self._evened(core)
        narrowed = (self._grown(computed, halo) for halo in self.later)
        return Tile(index, core, self._grown(computed, self.halo), tuple(narrowed))

    def _evened(self, core: Box) -> Box:
        (tall, wide), (height, width) = self.core, self.plane
        return Box(
            *_evened(core.top, core.bottom, tall, height),
            *_evened(core.left, core.right, wide, width),
        )

    def _grown(self, core: Box, halo: int) -> Box:
        def along(first: int, last: int, length: int) -> tuple[int, int]:
            return max(-self.around, first - halo), min(length + self.around, last + halo)

        height, width = self.plane
        return Box(*along(core.top, core.bottom, height), *along(core.left, core.right, width))

    def spans(self, axis: int, part: int) -> NDArray[np.intp]:
        """Lengths that tiles of cores of at most `part` have along an axis, of Y (0) and X (1).

        Returns
        -------
        ndarray, shape (1 or RRDBs, tiles)
            As they are read, and as the RRDBs after the first see them. What little comes after
            the last one is left out.
        """
        length = self.plane[axis]
        usual = part_length(length, part, self.wider)
        edges = pairwise(_edges(length, part, self.wider))
        sides = [_evened(*side, usual, length) for side in edges]
        first, last = np.array(sides).T
        halo = np.array((self.halo, *self.later[:-1]))[:, None]
        before = np.minimum(halo, first + self.around)
        after = np.minimum(halo, length + self.around - last)
        spans: NDArray[np.intp] = last - first + before + after
        return spans


def _edges(length: int, core: int, wider: int) -> list[int]:
    """Cut a length into the fewest parts of at most `core`: all alike, but for a shorter last.

    The first and the last are longer by `wider` than they would be.
    """
    part = part_length(length, core, wider)
    inner = [wider + part * i for i in range(1, part_count(length, part, wider))]
    return [0, *inner, length]


def part_count(length: int, core: int, wider: int) -> int:
    """How many parts a length is cut into."""
    return max(1, math.ceil((length - 2 * wider) / core))


def part_length(length: int, core: int, wider: int) -> int:
    """How long the parts between the first and the last are."""
    count = part_count(length, core, wider)
    return length if count == 1 else math.ceil((length - 2 * wider) / count)


def _evened(first: int, last: int, usual: int, length: int) -> tuple[int, int]:
    """Give a side that is a little shorter than usual the usual length, within 0 to `length`."""
    if _NEARLY * usual <= last - first < usual <= length:
        first = min(first, length - usual)
        last = first + usual
    return first, last


def plan_tiles(
    shape: tuple[int, ...],
    core: tuple[int, int],
    halo: int,
    later: tuple[int, ...] = (),
) -> Iterator[Tile]:
    """Cut an image or stack into tiles, in reading order.

    Parameters
    ----------
    shape : tuple of int
        Of the image, (..., Y, X).
    core : tuple of int
        Largest core inside the image, (Y, X); those at its border are larger by the halo that they
        have none of there. Cores are made equal rather than leaving a small rest.
    halo : int
        Input pixels to read around each core, where it was cut.
    later : tuple of int
        See `Surround.later`.

    Yields
    ------
    Tile
        Slice by slice, from top to bottom, from left to right. Cores cover each pixel once. A last
        core that is a little smaller than the others is computed as if it were as large.
    """
    plane = (shape[-2], shape[-1])
    usual = part_length(plane[0], core[0], halo), part_length(plane[1], core[1], halo)
    surround = Surround(plane, halo, later, usual)
    rows, columns = _edges(plane[0], core[0], halo), _edges(plane[1], core[1], halo)
    for index in np.ndindex(*shape[:-2]):
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                yield surround.tile(index, Box(top, bottom, left, right))


def count_tiles(shape: tuple[int, ...], core: tuple[int, int], halo: int) -> int:
    """How many tiles `plan_tiles` gives."""
    return math.prod(shape[:-2]) * math.prod(
        part_count(length, part_length(length, side, halo), halo)
        for length, side in zip(shape[-2:], core, strict=True)
    )


def halves(tile: Tile, surround: Surround) -> tuple[Tile, Tile] | None:
    """Cut a tile in two across its longer side, or None where its core is too small for that."""
    height, width = tile.core.shape
    if max(height, width) < 2 * SMALLEST_CORE:
        return None
    core = tile.core
    if height >= width:
        middle = core.top + height // 2
        one = Box(core.top, middle, core.left, core.right)
        other = Box(middle, core.bottom, core.left, core.right)
    else:
        middle = core.left + width // 2
        one = Box(core.top, core.bottom, core.left, middle)
        other = Box(core.top, core.bottom, middle, core.right)
    around = replace(surround, core=(0, 0))
    return around.tile(tile.index, one), around.tile(tile.index, other)
