"""What is looked at comes first: in which order the blocks of a volume are restored.

Around what is in view lie rings of blocks, as around the middle of a target: a step to the next
block is worth as much as a step to the next slice, for nobody knows where somebody will look next.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_semnet.imaging.geometry import Region
from napari_semnet.restoration.blocks import BlockGrid
from napari_semnet.restoration.tiles import Box

__all__ = ["View", "ViewedFirst", "nearest_first", "view_of"]


@dataclass(frozen=True, slots=True)
class View:
    """The part of an image that somebody looks at."""

    index: tuple[int, ...]
    """Slice, along the leading axes; empty for a plain image."""
    window: Box
    """Pixels of the slice; one at least."""

    def meets(self, where: Sequence[slice], scale: int = 1) -> bool:
        """Whether a part of an image with `scale` times the pixels along Y and X is in view."""
        *leading, rows, columns = where
        box = self.window
        return (
            all(part.start <= i < part.stop for part, i in zip(leading, self.index, strict=True))
            and rows.start < scale * box.bottom
            and rows.stop > scale * box.top
            and columns.start < scale * box.right
            and columns.stop > scale * box.left
        )


def view_of(seen: Region, within: Region) -> View:
    """Give the view of a region of an image, in the region's own pixels.

    Parameters
    ----------
    seen : Region
        What is in view of the whole image: a part of one slice.
    within : Region
        The part of the image that is restored. Where nothing of it is in view, the pixels of it
        that are nearest to the view are given.
    """
    index, sides = [], []
    for first, start, length in zip(seen.start[:-2], within.start, within.shape[:-2], strict=False):
        index.append(min(max(first - start, 0), length - 1))
    for axis in (-2, -1):
        start, length = within.start[axis], within.shape[axis]
        first = min(max(seen.start[axis] - start, 0), length - 1)
        sides += [first, max(first + 1, min(seen.stop[axis] - start, length))]
    return View(tuple(index), Box(*sides))


def nearest_first(grid: BlockGrid, view: View) -> Iterator[int]:
    """Give the number of every block, what is in view first, then ring by ring around it.

    Within a ring the slice in view comes first, and in each slice what is nearest to the middle of
    the view. Little is worked out before it is asked for, since a volume may have millions of
    blocks and a view may last a second.

    Parameters
    ----------
    grid : BlockGrid
    view : View
        Of the image that `grid` cuts.
    """
    rings = _rings(grid, view.window)
    furthest = sum(
        max(place, length - 1 - place)
        for place, length in zip(view.index, grid.shape[:-2], strict=True)
    )
    for ring in range(furthest + len(rings)):
        for away in range(max(0, ring - len(rings) + 1), min(ring, furthest) + 1):
            for index in _indices(view.index, grid.shape[:-2], away):
                first = grid.number(index, 0, 0)
                for place in rings[ring - away]:
                    yield first + place


def _rings(grid: BlockGrid, window: Box) -> list[list[int]]:
    """Places of a slice's blocks, counted in reading order: those in view, then ring by ring."""
    gaps, distances = [], []
    spans = ((window.top, window.bottom), (window.left, window.right))
    for (start, stop), side, count in zip(spans, grid.block, grid.counts, strict=True):
        places = np.arange(count)
        first, last = start // side, (stop - 1) // side
        gaps.append(np.maximum(first - places, places - last).clip(0))
        distances.append(((places + 0.5) * side - (start + stop) / 2) ** 2)
    gap = np.maximum.outer(*gaps).ravel()
    distance = np.add.outer(*distances).ravel()
    order = np.lexsort((distance, gap))
    borders = np.searchsorted(gap[order], np.arange(1, gap.max() + 1))
    return [part.tolist() for part in np.split(order, borders)]


def _indices(centre: Sequence[int], lengths: Sequence[int], away: int) -> Iterator[tuple[int, ...]]:
    """Give the indices of slices that are so many steps away, along all axes together."""
    if not centre:
        if away == 0:
            yield ()
        return
    for step in range(away + 1):
        for place in {centre[0] + step, centre[0] - step}:
            if 0 <= place < lengths[0]:
                for rest in _indices(centre[1:], lengths[1:], away - step):
                    yield (place, *rest)


class ViewedFirst:
    """An iterator over the numbers of blocks, which follows the view as that moves.

    Parameters
    ----------
    grid : BlockGrid
    left : collection of int
        The blocks to give, each once.
    view : View
        What is looked at in the beginning.
    """

    def __init__(self, grid: BlockGrid, left: Collection[int], view: View) -> None:
        self._grid = grid
        self._left = set(left)
        self._looking = threading.Lock()
        self._view = view
        self._order = nearest_first(grid, view)

    @property
    def view(self) -> View:
        """What is looked at."""
        return self._view

    def look(self, view: View) -> None:
        """Go on from here with what is nearest to this view; may be called by any thread."""
        with self._looking:
            if view != self._view:
                self._view = view
                self._order = nearest_first(self._grid, view)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._looking:
            if not self._left:
                raise StopIteration
            number = next(number for number in self._order if number in self._left)
            self._left.remove(number)
            return number
