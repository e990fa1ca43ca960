"""Which parts of an image are read, computed and written together.

A tile is a *core*, which is written, and a *halo* around it, which is only read. The halo is real
image, clipped at the image's border and never padded: there the network's own zero padding acts on
the tile exactly as on the whole image. Cores meet without overlap and nothing is blended, so with
a halo as wide as the network's reach the tiles of an image cannot be told from the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["Box", "Tile", "choose_tile", "count_tiles", "halves", "largest_read", "plan_tiles"]

SCALE = 2
"""Output pixels per input pixel along each axis."""

_SMALLEST_CORE = 16
_SMALLEST_USEFUL = 2**17
"""Pixels below which tiles are not made smaller on purpose: a few seconds on a slow CPU."""
_TOLERATED_WORK = 1.05


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
    """Input pixels that the network sees."""

    @property
    def source(self) -> tuple[int | slice, ...]:
        """What to read, as an index into the image; gives two axes."""
        return (*self.index, *self.read.slices)

    @property
    def where(self) -> tuple[slice, ...]:
        """What to write, as slices into the output, one for each axis."""
        leading = (slice(i, i + 1) for i in self.index)
        return (*leading, *self.core.enlarged().slices)

    @property
    def kept(self) -> tuple[slice, slice]:
        """The core's output within the output of `read`."""
        return self.core.within(self.read).enlarged().slices


def _edges(length: int, core: int) -> list[int]:
    """Cut a length into the fewest parts of at most `core`: all the same, but for a shorter last.

    The same, because kernels are chosen and prepared for each new shape.
    """
    part = _part(length, core)
    return [min(length, part * i) for i in range(math.ceil(length / part) + 1)]


def plan_tiles(shape: tuple[int, ...], core: tuple[int, int], halo: int) -> Iterator[Tile]:
    """Cut an image or stack into tiles, in reading order.

    Parameters
    ----------
    shape : tuple of int
        Of the image, (..., Y, X).
    core : tuple of int
        Largest core, (Y, X). Cores are made equal rather than leaving a small rest.
    halo : int
        Input pixels to read around each core.

    Yields
    ------
    Tile
        Slice by slice, from top to bottom, from left to right. Cores cover each pixel once.
    """
    plane = (shape[-2], shape[-1])
    rows, columns = _edges(plane[0], core[0]), _edges(plane[1], core[1])
    for index in np.ndindex(*shape[:-2]):
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                box = Box(top, bottom, left, right)
                yield Tile(index, box, box.grown(halo, plane))


def count_tiles(shape: tuple[int, ...], core: tuple[int, int]) -> int:
    """How many tiles `plan_tiles` gives."""
    per_slice = math.ceil(shape[-2] / core[0]) * math.ceil(shape[-1] / core[1])
    return math.prod(shape[:-2]) * per_slice


def halves(tile: Tile, halo: int, plane: tuple[int, int]) -> tuple[Tile, Tile] | None:
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
    return (
        Tile(tile.index, one, one.grown(halo, plane)),
        Tile(tile.index, other, other.grown(halo, plane)),
    )


def _spans(length: int, core: int, halo: int) -> list[int]:
    """Lengths that the tiles along one axis read."""
    edges = _edges(length, core)
    return [min(length, last + halo) - max(0, first - halo) for first, last in pairwise(edges)]


def largest_read(plane: tuple[int, int], core: tuple[int, int], halo: int) -> int:
    """Pixels that the largest tile of a plan reads, halo included."""
    return max(_spans(plane[0], core[0], halo)) * max(_spans(plane[1], core[1], halo))


def _work(plane: tuple[int, int], core: tuple[int, int], halo: int) -> int:
    """Pixels that all tiles of a slice read together."""
    return sum(_spans(plane[0], core[0], halo)) * sum(_spans(plane[1], core[1], halo))


def choose_tile(plane: tuple[int, int], halo: int, largest: int) -> tuple[int, int]:
    """Choose the core of the tiles of an image.

    Parameters
    ----------
    plane : tuple of int
        Of a slice of the image, (Y, X).
    halo : int
        Input pixels that are read around each core.
    largest : int
        Pixels that a tile may read, halo included.

    Returns
    -------
    tuple of int
        The whole slice if it fits. Else full-width strips or square tiles: of all that fit,
        the smallest that computes at most 5 % more than the best, so that results appear soon
        and little memory is taken. Where nothing fits, the smallest core there is.
    """
    if math.prod(plane) <= largest:
        return plane
    sizes = {largest}
    while max(sizes) >= 2 * _SMALLEST_USEFUL and min(sizes) >= 2 * _SMALLEST_USEFUL:
        sizes.add(min(sizes) // 2)
    cores = [core for size in sizes for core in _candidates(plane, halo, size)]
    if not cores:
        return min(plane[0], _SMALLEST_CORE), min(plane[1], _SMALLEST_CORE)
    work = {core: _work(plane, core, halo) for core in cores}
    bound = _TOLERATED_WORK * min(work.values())
    return min(
        (core for core in cores if work[core] <= bound),
        key=lambda core: (largest_read(plane, core, halo), work[core], core),
    )


def _candidates(plane: tuple[int, int], halo: int, largest: int) -> list[tuple[int, int]]:
    """Find strips and square tiles that read at most `largest` pixels, of equal parts each."""
    rows = largest // plane[1] - 2 * halo
    side = math.isqrt(largest) - 2 * halo
    wanted = [(rows, plane[1])] if rows >= 1 else []
    if side >= _SMALLEST_CORE:
        # A side longer than the image leaves room that the other side can use.
        height = min(side, plane[0])
        width = largest // min(height + 2 * halo, plane[0]) - 2 * halo
        wanted.append((height, width))
    equal = [(_part(plane[0], y), _part(plane[1], x)) for y, x in wanted]
    return [core for core in equal if largest_read(plane, core, halo) <= largest]


def _part(length: int, core: int) -> int:
    return math.ceil(length / math.ceil(length / min(core, length)))
