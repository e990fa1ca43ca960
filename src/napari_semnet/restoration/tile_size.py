"""How large tiles are: as few pixels computed twice as possible, in what memory and caches hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_semnet.restoration.tiles import SMALLEST_CORE, Surround, part_count, part_length

__all__ = ["WidthCost", "choose_tile", "largest_read", "suited", "time_of"]

_SMALLEST_USEFUL = 2**17
"""Pixels below which tiles are not made smaller on purpose: a few seconds on a slow CPU."""
_TOLERATED_WORK = 1.05
_TOLERATED_TIME = 1.01
_SIDES = (48, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
"""Sides that are tried where narrow tiles are faster."""
_WIDTHS = (*_SIDES, *range(100, 300, 4))
"""Widths that are: a few pixels more can cost a quarter."""


@dataclass(frozen=True, slots=True)
class WidthCost:
    """What a pixel takes in tiles of different widths: what a CPU's caches make of it."""

    widths: tuple[int, ...]
    """Of tiles as they are read, in rising order, at least two."""
    times: tuple[float, ...]
    """For each pixel, in any unit."""

    def at(self, widths: NDArray[np.intp]) -> NDArray[np.float64]:
        """Time for each pixel in tiles of some widths.

        Times rise and fall in steps. Between two widths that were measured it is taken to be what
        the slower one has, below the narrowest what that has, and beyond the widest it goes on as
        it did between the last two.
        """
        (near, far), (before, last) = self.widths[-2:], self.times[-2:]
        slope = max(0.0, (last - before) / (far - near))
        times = np.array(self.times)
        above = np.searchsorted(self.widths, widths).clip(0, len(times) - 1)
        below = (np.searchsorted(self.widths, widths, "right") - 1).clip(0, None)
        steps: NDArray[np.float64] = np.maximum(times[above], times[below])
        return steps + slope * np.maximum(0, widths - far)


def largest_read(surround: Surround, core: tuple[int, int]) -> int:
    """Pixels that the largest tile of a plan reads, halo included."""
    rows, columns = (surround.spans(axis, part)[0].max() for axis, part in enumerate(core))
    return int(rows * columns)


def suited(surround: Surround, core: int, width_cost: WidthCost) -> Surround:
    """Keep more of the halo where RRDBs are computed sooner for it: a wider tile can be faster.

    Parameters
    ----------
    surround : Surround
        What is read around each core, and what has to be kept of it.
    core : int
        Columns of a core.
    width_cost : WidthCost
        What width costs.
    """
    kept: list[int] = []
    for least in surround.later[:-1]:
        halos = np.arange(least, (kept[-1] if kept else surround.halo) + 1)
        widths = core + 2 * halos
        kept.append(int(halos[np.argmin(widths * width_cost.at(widths))]))
    # After the last RRDB little is computed.
    return replace(surround, later=(*kept, *surround.later[-1:]))


def time_of(surround: Surround, core: tuple[int, int], width_cost: WidthCost) -> float:
    """Give the time that the RRDBs take in all tiles of a plane, in the unit of `width_cost`."""
    rows = surround.spans(0, core[0]).sum(1)
    spans = suited(surround, core[1], width_cost).spans(1, core[1])
    return float(rows @ (spans * width_cost.at(spans)).sum(1))


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
        results appear soon and little memory is taken. Where it does, the tiles of the fewest
        kinds that are at most 5 % slower than the fastest, since something is prepared for each
        kind; of these the smallest that are at most 1 % slower than the fastest of them. Where
        nothing fits, the smallest core there is.
    """
    plane = surround.plane
    if width_cost is not None:
        cores = _grid(surround)
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
    columns = {part: spans.sum(1) for part, spans in widths.items()}
    if width_cost is not None:
        for part in widths:
            spans = suited(surround, part, width_cost).spans(1, part)
            columns[part] = (spans * width_cost.at(spans)).sum(1)
    costs = {
        (y, x): float(heights[y].sum(1) @ columns[x]) for y, x in cores if reads[y, x] <= largest
    }
    if not costs:
        return min(plane[0], SMALLEST_CORE), min(plane[1], SMALLEST_CORE)
    tolerated = _TOLERATED_WORK
    if width_cost is not None:
        kinds = {core: _kinds(surround, core) for core in _cheap(costs, _TOLERATED_WORK)}
        costs = {core: costs[core] for core, n in kinds.items() if n == min(kinds.values())}
        tolerated = _TOLERATED_TIME
    return min(_cheap(costs, tolerated), key=lambda core: (reads[core], costs[core], core))


def _cheap(costs: dict[tuple[int, int], float], factor: float) -> list[tuple[int, int]]:
    """Give the cores that cost at most so many times what the cheapest does."""
    bound = factor * min(costs.values())
    return [core for core, cost in costs.items() if cost <= bound]


def _kinds(surround: Surround, core: tuple[int, int]) -> int:
    """How many kinds of tiles there are: in corners, along borders and inside."""
    if not surround.wider:
        return 1  # All have their halo, or none has any.
    pairs = zip(surround.plane, core, strict=True)
    return math.prod(min(3, part_count(*pair, surround.wider)) for pair in pairs)


def _grid(surround: Surround) -> list[tuple[int, int]]:
    """Give all cores of the sides that are tried, made equal, and the whole sides of the image."""
    heights, widths = (
        {part_length(n, side, surround.wider) for side in (*sides, n)}
        for n, sides in zip(surround.plane, (_SIDES, _WIDTHS), strict=True)
    )
    return sorted(product(heights, widths))


def _candidates(surround: Surround, largest: int) -> list[tuple[int, int]]:
    """Find strips and square tiles that read at most `largest` pixels, of equal parts each."""
    plane = surround.plane
    halos = 2 * surround.halo
    rows = largest // (plane[1] + 2 * surround.around) - halos
    side = math.isqrt(largest) - halos
    wanted = [(rows, plane[1])] if rows >= 1 else []
    if side >= SMALLEST_CORE:
        # A side longer than the image leaves room that the other side can use.
        height = min(side, plane[0])
        tallest = min(height + halos, plane[0] + 2 * surround.around)
        wanted.append((height, largest // tallest - halos))
    wider = surround.wider
    equal = [(part_length(plane[0], y, wider), part_length(plane[1], x, wider)) for y, x in wanted]
    return [core for core in equal if largest_read(surround, core) <= largest]
