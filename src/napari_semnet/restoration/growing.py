"""A restoration on the disk as it looks while it grows: not a number wherever nothing is yet.

Whoever looks at a picture that is half done must be able to tell the two halves apart. So what is
not computed is neither black nor an enlarged source, either of which could be taken for a result:
it is NaN, which viewers draw in a colour of its own, and which no measurement takes for a value.

Levels of which each chunk belongs to one block are on the disk as soon as the block is. The coarser
ones are not written before the end; here they are made in memory, for slices that are looked at.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.files.pyramid import halved
from napari_semnet.files.tile_store import TileStore
from napari_semnet.restoration.blocks import BlockGrid
from napari_semnet.restoration.part import full_key

__all__ = ["GrowingLevel", "GrowingPicture"]

MOST_COARSE = 2**28
"""Bytes of coarse levels that are kept in memory; those of one slice are kept in any case."""
PATIENCE = 0.05
"""Seconds that may go by while a slice's coarse levels are made for somebody who waits."""


class GrowingPicture:
    """All levels of a restoration that is not finished.

    Parameters
    ----------
    store : TileStore
    grid : BlockGrid
        Its blocks, in pixels of the source.
    """

    def __init__(self, store: TileStore, grid: BlockGrid) -> None:
        self.store = store
        self.grid = grid
        self.done = np.zeros((*grid.shape[:-2], *grid.counts), bool)
        """Which blocks are on the disk; the last two axes count blocks."""
        self.done.ravel()[list(store.finished())] = True
        self._coarse: OrderedDict[tuple[int, ...], _CoarseLevels] = OrderedDict()
        self._changing = threading.RLock()
        levels = [GrowingLevel(self, n) for n in range(len(store.layout.shapes))]
        self._overview = None if grid.shape[:-2] else _Overview(levels[-1], self.done.shape)
        self.levels: tuple[GrowingLevel | NDArray[Any], ...] = (
            tuple(levels) if self._overview is None else (*levels[:-1], self._overview.pixels)
        )
        """The finest first. napari keeps the coarsest of a plain image in memory for good: that
        one is an array that fills up."""

    @property
    def part(self) -> float:
        """How much is there, from 0 to 1."""
        return float(self.done.mean())

    def note(self, where: Sequence[slice]) -> None:
        """Show a block from now on, which is on the disk.

        Parameters
        ----------
        where : sequence of slice
            Its place in the finest level.
        """
        *leading, row, column = (part.start for part in where)
        height, width = self.store.layout.block
        place = (*leading, row // height, column // width)
        self.done[place] = True
        with self._changing:
            coarse = self._coarse.get(place[:-2])
            if coarse is not None:
                coarse.take(place[-2], place[-1])
            if self._overview is not None:
                self._show(place[-2], place[-1])

    def catch_up(self, index: tuple[int, ...], seconds: float) -> bool:
        """Make what is there of a slice's coarse levels, or as much as the time allows.

        Returns
        -------
        bool
            Whether anything was made.
        """
        end = time.monotonic() + seconds
        made = False
        with self._changing:
            for row, column in self._missing(index):
                if self._overview is not None:
                    self._show(row, column)
                else:
                    self._coarse_of(index).take(row, column)
                made = True
                if time.monotonic() > end:
                    break
        return made

    def made(self, index: tuple[int, ...]) -> _CoarseLevels | None:
        """Give what was made of a slice's coarse levels."""
        return self._coarse.get(index)

    def _missing(self, index: tuple[int, ...]) -> list[tuple[int, int]]:
        """Blocks of a slice that are done, and not in its coarse levels."""
        if self._overview is not None:
            there = self._overview.there
        elif self.store.layout.own_levels < len(self.levels):
            there = self._coarse_of(index).there
        else:
            return []
        return [(int(row), int(column)) for row, column in np.argwhere(self.done[index] & ~there)]

    def _show(self, row: int, column: int) -> None:
        """Put a block of a plain image into its coarsest level, and into those on the way there."""
        assert self._overview is not None
        if self.store.layout.own_levels < len(self.levels):
            self._coarse_of(()).take(row, column)
        self._overview.take(self.grid[self.grid.number((), row, column)].where, row, column)

    def _coarse_of(self, index: tuple[int, ...]) -> _CoarseLevels:
        with self._changing:
            if index not in self._coarse:
                self._coarse[index] = _CoarseLevels(self, index)
            self._coarse.move_to_end(index)
            size = sum(each.nbytes for each in self._coarse.values())
            while size > MOST_COARSE and len(self._coarse) > 1:
                _, oldest = self._coarse.popitem(last=False)
                size -= oldest.nbytes
            return self._coarse[index]


class _Overview:
    """The coarsest level of a plain image, as an array that fills up."""

    def __init__(self, level: GrowingLevel, blocks: tuple[int, ...]) -> None:
        self._level = level
        self.pixels = np.full(level.shape, np.nan, level.dtype)
        self.there = np.zeros(blocks, bool)

    def take(self, where: Sequence[slice], row: int, column: int) -> None:
        """Read a block, of which `where` is the place in the finest level."""
        part = tuple(self._level.coarser(side) for side in where)
        self.pixels[part] = self._level[part]
        self.there[row, column] = True


class _CoarseLevels:
    """The levels of one slice that are coarser than a block's own."""

    def __init__(self, picture: GrowingPicture, index: tuple[int, ...]) -> None:
        layout = picture.store.layout
        self._picture = picture
        self._index = index
        self._first = layout.own_levels
        self.arrays = [np.zeros(shape[-2:], layout.dtype) for shape in layout.shapes[self._first :]]
        self.there = np.zeros(picture.grid.counts, bool)
        """Which blocks these levels hold."""
        self.nbytes = sum(array.nbytes for array in self.arrays)

    def take(self, row: int, column: int) -> None:
        """Make what they have of a block that is on the disk."""
        grid, store = self._picture.grid, self._picture.store
        where = grid[grid.number(self._index, row, column)].where[-2:]
        finer = tuple(slice(s.start >> self._first - 1, s.stop >> self._first - 1) for s in where)
        pixels = np.asarray(store.level(self._first - 1)[(*self._index, *finer)])
        for level, array in enumerate(self.arrays, self._first):
            pixels = halved(pixels)
            top, left = (s.start >> level for s in where)
            part = array[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            part[...] = pixels[: part.shape[0], : part.shape[1]]
        self.there[row, column] = True


class GrowingLevel:
    """One level of a `GrowingPicture`: an array that is read in pieces, NaN where nothing is."""

    def __init__(self, picture: GrowingPicture, number: int) -> None:
        self._picture = picture
        self._number = number
        layout = picture.store.layout
        self.shape = layout.shapes[number]
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)
        # Holds every value of the result, and NaN as well.
        self.dtype = np.result_type(np.dtype(layout.dtype), np.float32)

    def coarser(self, part: slice) -> slice:
        """Give what a part of the finest level is in this one, along Y or X."""
        return slice(part.start >> self._number, part.stop >> self._number)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self[()], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = full_key(key, self.ndim)
        places = [np.arange(n)[part] for n, part in zip(self.shape, keys, strict=True)]
        shape = tuple(len(place) for place in places if place.ndim)
        blocks = [np.atleast_1d(place) for place in places]
        sides = self._picture.store.layout.block
        for axis, side, count in zip((-2, -1), sides, self._picture.grid.counts, strict=True):
            blocks[axis] = np.minimum((blocks[axis] << self._number) // side, count - 1)
        is_coarse = self._number >= self._picture.store.layout.own_levels
        read = self._read_coarse if is_coarse else self._read
        return read(keys, places, blocks).reshape(shape)

    def _read(self, keys: Any, places: Any, blocks: list[NDArray[Any]]) -> NDArray[Any]:
        there = self._picture.done[np.ix_(*blocks)]
        if not there.any():
            return np.full(there.shape, np.nan, self.dtype)
        pixels = np.asarray(self._picture.store.level(self._number)[keys])
        seen: NDArray[Any] = pixels.astype(self.dtype).reshape(there.shape)
        seen[~there] = np.nan
        return seen

    def _read_coarse(self, keys: Any, places: Any, blocks: list[NDArray[Any]]) -> NDArray[Any]:
        *leading, rows, columns = blocks
        counts = [len(part) for part in leading]
        seen = np.full((*counts, len(rows), len(columns)), np.nan, self.dtype)
        if min(seen.shape) == 0:
            return seen
        one = all(count == 1 for count in counts)
        level = self._number - self._picture.store.layout.own_levels
        for at in product(*(range(count) for count in counts)):
            index = tuple(int(part[i]) for part, i in zip(leading, at, strict=True))
            if one and index:
                self._picture.catch_up(index, PATIENCE)
            coarse = self._picture.made(index)
            if coarse is not None:
                there = coarse.there[np.ix_(rows, columns)]
                pixels = coarse.arrays[level][np.ix_(*map(np.atleast_1d, places[-2:]))]
                seen[at] = np.where(there, pixels, np.nan)
        return seen
