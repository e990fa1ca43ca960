"""Which parts of an image are read, computed and written together.

A tile is a *core*, which is written, and a *halo* around it, which is only read. Beyond its border
the image goes on, mirrored, for a *margin*; tiles see of it what the whole image would, and beyond
it nothing, so that the network's own zero padding acts on a tile exactly as on the whole. Cores
meet without overlap and nothing is blended, so with a halo as wide as the network's reach the
tiles of an image cannot be told from the whole.

The further the network is, the less of the halo it still needs. So a tile is *narrowed* after each
RRDB: maps of pixels that are no longer needed are let go, and nobody computes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.geometry import FACTOR

__all__ = [
    "Box",
    "Surround",
    "Tile",
    "WidthCost",
    "choose_tile",
    "count_tiles",
    "halves",
    "largest_read",
    "plan_tiles",
]

SCALE = FACTOR
"""Output pixels per input pixel along each axis."""

_SMALLEST_CORE = 16
_SMALLEST_USEFUL = 2**17
"""Pixels below which tiles are not made smaller on purpose: a few seconds on a slow CPU."""
_NEARLY = 7 / 8
"""Part of a tile's side from which on a shorter one is computed as long."""
_TOLERATED_WORK = 1.05
_TOLERATED_TIME = 1.01
_SIDES = (48, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
"""Sides that are tried where narrow tiles are faster."""
_WIDTHS = (*_SIDES, *range(100, 300, 4))
"""Widths that are: a few pixels more can cost a quarter."""


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


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work: read `read`, compute, keep `core`."""

    index: tuple[int, ...]
    """Place along the leading axes; empty for a plain image."""
    core: Box
    """Input pixels whose output this tile gives."""
    read: Box
    """Input pixels that the network sees; those outside the image are mirrored ones."""
    narrowed: tuple[Box, ...] = ()
    """Pixels whose maps are kept after each RRDB, each within the one before; empty: all."""

    @property
    def kept_maps(self) -> tuple[Box, ...]:
        """What is kept after each RRDB, in coordinates of what is read."""
        return tuple(box.within(self.read) for box in self.narrowed)

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
    """(Y, X) of a slice of the image."""
    halo: int
    """Pixels around a core, where the tile was cut."""
    margin: int = 0
    """Pixels around the image that are mirrored ones."""
    later: tuple[tuple[int, int], ...] = ()
    """What is kept of halo and margin after each RRDB, never more than before; empty: all."""
    core: tuple[int, int] = (0, 0)
    """Rows and columns of most cores. A little less is computed as if it were as many: kernels are
    chosen and prepared for each new shape."""

    def tile(self, index: tuple[int, ...], core: Box) -> Tile:
        """Give the tile of a core.

        A cut is followed by the halo, the image's border by the margin, and beyond the margin
        there is nothing.
        """
        computed = self._evened(core)
        narrowed = (self._around(computed, halo, margin) for halo, margin in self.later)
        return Tile(index, core, self._around(computed, self.halo, self.margin), tuple(narrowed))

    def _evened(self, core: Box) -> Box:
        (tall, wide), (height, width) = self.core, self.plane
        return Box(
            *_evened(core.top, core.bottom, tall, height),
            *_evened(core.left, core.right, wide, width),
        )

    def _around(self, core: Box, halo: int, margin: int) -> Box:
        def along(first: int, last: int, length: int) -> tuple[int, int]:
            before = margin if first == 0 else min(halo, first + margin)
            after = margin if last == length else min(halo, length + margin - last)
            return first - before, last + after

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
        usual = _part(length, part)
        sides = [_evened(*side, usual, length) for side in pairwise(_edges(length, part))]
        first, last = np.array(sides).T
        halo, margin = np.array(((self.halo, self.margin), *self.later[:-1])).T[..., None]
        before = np.where(first == 0, margin, np.minimum(halo, first + margin))
        after = np.where(last == length, margin, np.minimum(halo, length + margin - last))
        spans: NDArray[np.intp] = last - first + before + after
        return spans


@dataclass(frozen=True, slots=True)
class WidthCost:
    """What a pixel takes in tiles of different widths: what a CPU's caches make of it."""

    widths: tuple[int, ...]
    """Of tiles as they are read, in rising order, at least two."""
    times: tuple[float, ...]
    """For each pixel, in any unit."""

    def at(self, widths: NDArray[np.intp]) -> NDArray[np.float64]:
        """Time for each pixel in tiles of some widths: measured, between measured ones, or beyond.

        Beyond the widest it goes on as it did between the last two.
        """
        (near, far), (before, last) = self.widths[-2:], self.times[-2:]
        slope = max(0.0, (last - before) / (far - near))
        within = np.interp(widths.ravel(), self.widths, self.times).reshape(widths.shape)
        times: NDArray[np.float64] = within + slope * np.maximum(0, widths - far)
        return times


def _edges(length: int, core: int) -> list[int]:
    """Cut a length into the fewest parts of at most `core`: all alike, but for a shorter last."""
    part = _part(length, core)
    return [min(length, part * i) for i in range(math.ceil(length / part) + 1)]


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
    margin: int = 0,
    later: tuple[tuple[int, int], ...] = (),
) -> Iterator[Tile]:
    """Cut an image or stack into tiles, in reading order.

    Parameters
    ----------
    shape : tuple of int
        Of the image, (..., Y, X).
    core : tuple of int
        Largest core, (Y, X). Cores are made equal rather than leaving a small rest.
    halo : int
        Input pixels to read around each core, where it was cut.
    margin : int
        Input pixels to read beyond the image's border.
    later : tuple of (int, int)
        See `Surround.later`.

    Yields
    ------
    Tile
        Slice by slice, from top to bottom, from left to right. Cores cover each pixel once. A last
        core that is a little smaller than the others is computed as if it were as large.
    """
    plane = (shape[-2], shape[-1])
    usual = _part(plane[0], core[0]), _part(plane[1], core[1])
    surround = Surround(plane, halo, margin, later, usual)
    rows, columns = _edges(plane[0], core[0]), _edges(plane[1], core[1])
    for index in np.ndindex(*shape[:-2]):
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                yield surround.tile(index, Box(top, bottom, left, right))


def count_tiles(shape: tuple[int, ...], core: tuple[int, int]) -> int:
    """How many tiles `plan_tiles` gives."""
    per_slice = math.ceil(shape[-2] / core[0]) * math.ceil(shape[-1] / core[1])
    return math.prod(shape[:-2]) * per_slice


def halves(tile: Tile, surround: Surround) -> tuple[Tile, Tile] | None:
    """Cut a tile in two across its longer side, or None where its core is too small for that."""
    height, width = tile.core.shape
    if max(height, width) < 2 * _SMALLEST_CORE:
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


def largest_read(surround: Surround, core: tuple[int, int]) -> int:
    """Pixels that the largest tile of a plan reads, halo and margin included."""
    rows, columns = (surround.spans(axis, part)[0].max() for axis, part in enumerate(core))
    return int(rows * columns)


def choose_tile(
    surround: Surround, largest: int, width_cost: WidthCost | None = None
) -> tuple[int, int]:
    """Choose the core of the tiles of an image.

    Parameters
    ----------
    surround : Surround
        The image's size, and what is read around each core.
    largest : int
        Pixels that a tile may read, halo included.
    width_cost : WidthCost, optional
        What width costs, where it costs something.

    Returns
    -------
    tuple of int
        Where width costs nothing the whole slice if it fits, else full-width strips or square
        tiles: of all that fit, the smallest that computes at most 5 % more than the best, so that
        results appear soon and little memory is taken. Where it does, the smallest tiles that are
        at most 1 % slower than the fastest. Where nothing fits, the smallest core there is.
    """
    plane = surround.plane
    if width_cost is not None:
        cores = _grid(plane)
    elif largest_read(surround, plane) <= largest:
        return plane
    else:
        sizes = {largest}
        while max(sizes) >= 2 * _SMALLEST_USEFUL and min(sizes) >= 2 * _SMALLEST_USEFUL:
            sizes.add(min(sizes) // 2)
        cores = [core for size in sizes for core in _candidates(surround, size)]
    heights, widths = (
        {part: surround.spans(axis, part) for part in {core[axis] for core in cores}}
        for axis in range(2)
    )
    reads = {(y, x): int(heights[y][0].max() * widths[x][0].max()) for y, x in cores}
    # Each RRDB takes as long for a pixel as the others.
    columns = {
        part: (spans if width_cost is None else spans * width_cost.at(spans)).sum(1)
        for part, spans in widths.items()
    }
    costs = {
        (y, x): float(heights[y].sum(1) @ columns[x]) for y, x in cores if reads[y, x] <= largest
    }
    if not costs:
        return min(plane[0], _SMALLEST_CORE), min(plane[1], _SMALLEST_CORE)
    bound = (_TOLERATED_WORK if width_cost is None else _TOLERATED_TIME) * min(costs.values())
    return min(
        (core for core, cost in costs.items() if cost <= bound),
        key=lambda core: (reads[core], costs[core], core),
    )


def _grid(plane: tuple[int, int]) -> list[tuple[int, int]]:
    """Give all cores of the sides that are tried, made equal, and the whole sides of the image."""
    heights, widths = (
        {_part(n, side) for side in (*sides, n)}
        for n, sides in zip(plane, (_SIDES, _WIDTHS), strict=True)
    )
    return sorted(product(heights, widths))


def _candidates(surround: Surround, largest: int) -> list[tuple[int, int]]:
    """Find strips and square tiles that read at most `largest` pixels, of equal parts each."""
    plane = surround.plane
    around = 2 * max(surround.halo, surround.margin)
    rows = largest // (plane[1] + 2 * surround.margin) - around
    side = math.isqrt(largest) - around
    wanted = [(rows, plane[1])] if rows >= 1 else []
    if side >= _SMALLEST_CORE:
        # A side longer than the image leaves room that the other side can use.
        height = min(side, plane[0])
        tallest = min(height + around, plane[0] + 2 * surround.margin)
        wanted.append((height, largest // tallest - around))
    equal = [(_part(plane[0], y), _part(plane[1], x)) for y, x in wanted]
    return [core for core in equal if largest_read(surround, core) <= largest]


def _part(length: int, core: int) -> int:
    return math.ceil(length / math.ceil(length / min(core, length)))
