"""How an image is swept: in pieces that take over from their neighbours what they need of them.

A tile reads a halo, and computes it for nothing. A *piece* reads no halo: what it needs of the maps
to its left and above it was computed already, and is handed on. To its right and below nothing is
computed yet. So what a piece gives lies a little further up and to the left than what it reads,
and with each stage of the network further, by as much as that stage looks around::

    image    |-------- piece 0 --------|-------- piece 1 --------|-------- piece 2 --------|
    ...      |------ piece 0 ------|-------- piece 1 --------|---------- piece 2 ----------|
    result   |---- piece 0 ----|-------- piece 1 --------|------------ piece 2 ------------|

A stage is an RRDB, or all that comes after the last one. Within a stage that looks ``r`` pixels
far, a piece is computed together with ``2 r`` columns and rows of the maps that were handed on. No
other pixel is computed twice, and nothing is left out: pieces give exactly what the whole would.
Inside an image what a cut has spoilt is let go after each dense block already. Along its borders it
is kept until the end of a stage: kernels are prepared for each size, and sizes are many there.

Pieces come from left to right and from top to bottom, one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from napari_semnet.network import Architecture
from napari_semnet.restoration.narrowing import TAIL
from napari_semnet.restoration.runtime import Precision
from napari_semnet.restoration.tile_size import WidthCost
from napari_semnet.restoration.tiles import Box, Surround, Tile

__all__ = [
    "WIDEST",
    "Part",
    "Piece",
    "PieceKind",
    "Stages",
    "Sweep",
    "SweptTile",
    "choose_piece",
    "edges",
    "handed_on_bytes",
    "stages_of",
]

_ROWS = 192
"""Rows of a piece for each thread, about. Two threads took as long for a pixel from 225 to 400
rows and 2 to 4 % longer from 450 to 640, one a quarter longer for 480 than for 240."""
_MOST_ROWS = 480
"""However many threads there are, so that pieces appear soon."""
_SIDES = range(96, 280)
"""Columns of a piece that are tried."""
_GAIN = 1.05
"""How much longer tiles must take, as far as the pixels tell that are computed, for an image to be
swept. To join, cut and hand on maps takes a tenth of the time of a piece, and its graph longer to
prepare; how many pixels are computed twice in tiles of the best size, on the other hand, is what
they save."""
WIDEST = 8192
"""Columns that are swept at once at most: the maps that are handed down take 48 kB for each."""

_Span: TypeAlias = tuple[int, int]


class Stages(NamedTuple):
    """What a network is computed in."""

    reaches: tuple[int, ...]
    """Pixels that each stage looks far."""
    block: int
    """Pixels that a dense block looks far; the stages but the last are made of these."""


class Part(NamedTuple):
    """A stage of a piece, in coordinates of its own."""

    new: tuple[int, int]
    """Rows and columns of the maps that the stage before gives."""
    above: int
    """Rows that were handed on by the pieces above, which come before those; 0 at the top."""
    before: int
    """Columns that were handed on by the piece to the left; 0 at the left."""
    below: int
    """Rows, the last of the new ones, that the pieces below need; 0 at the bottom."""
    after: int
    """Columns, the last of the new ones, that the piece to the right needs; 0 at the right."""
    given: Box
    """Of the new maps together with what was handed on, what the stage gives."""
    spoilt: int
    """Pixels along each side that are let go after a dense block, since a cut has spoilt them; 0
    where they are kept until the end of the stage."""

    @property
    def seen(self) -> tuple[int, int]:
        """Rows and columns of the new maps together with what was handed on."""
        return self.above + self.new[0], self.before + self.new[1]


class PieceKind(NamedTuple):
    """What a network has to know of a piece to be prepared for it."""

    window: tuple[int, int]
    """Rows and columns of the image that the first convolution sees."""
    first: Box
    """Of the window, the pixels of the new maps of the first stage."""
    skipping: Box
    """Of the window, the pixels that the last stage sees."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """One step of a sweep, in pixels of the image."""

    number: int
    """Counted from 0."""
    row: int
    column: int
    window: Box
    """What is read."""
    new: tuple[Box, ...]
    """The new maps of each stage."""
    given: Box
    """Input pixels whose output it gives."""
    kind: PieceKind


@dataclass(frozen=True)
class Sweep:
    """All pieces of a slice, or of a part of it.

    Parameters
    ----------
    read : Box
        What is read.
    core : Box
        What is wanted of it.
    stages : tuple
        See `stages_of`.
    piece : (int, int)
        Rows and columns of a piece.
    """

    read: Box
    core: Box
    stages: Stages
    piece: tuple[int, int]

    @cached_property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """Where pieces begin and end along Y, at each stage and in the result."""
        read, core = self.read, self.core
        spans = (read.top, read.bottom), (core.top, core.bottom)
        return edges(*spans, self.stages, self.piece[0])

    @cached_property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        """Where they do along X."""
        read, core = self.read, self.core
        spans = (read.left, read.right), (core.left, core.right)
        return edges(*spans, self.stages, self.piece[1])

    def __len__(self) -> int:
        return (len(self.rows[0]) - 1) * (len(self.columns[0]) - 1)

    def time(self, width_cost: WidthCost) -> float:
        """Give the time that the RRDBs take, in the unit of `tile_size.time_of`."""
        block = self.stages.block
        sides = [
            [side - 2 * part.spoilt * number for side in part.seen]
            for piece in self
            for part, reach in zip(piece.kind.parts[:-1], self.stages.reaches, strict=False)
            for number in range(reach // block)
        ]
        rows, columns = np.array(sides).T
        blocks = self.stages.reaches[0] // block
        return float((rows * columns) @ width_cost.at(columns)) / blocks

    def __iter__(self) -> Iterator[Piece]:
        for row in range(len(self.rows[0]) - 1):
            for column in range(len(self.columns[0]) - 1):
                yield self._piece(row, column)

    def tiles(self, index: tuple[int, ...], surround: Surround) -> Iterator[Tile]:
        """Give the pieces as tiles of a slice, with what is read around those that are alone."""
        if len(self) == 1:
            yield surround.tile(index, self.core)
            return
        for piece in self:
            core = piece.given.shared_with(self.core)
            alone = surround.tile(index, core)
            read = piece.window.joined_with(alone.read)
            yield SweptTile(index, core, read, sweep=self, piece=piece, alone=alone)

    def _piece(self, row: int, column: int) -> Piece:
        boxes = [
            Box(rows[row], rows[row + 1], columns[column], columns[column + 1])
            for rows, columns in zip(self.rows, self.columns, strict=True)
        ]
        lowest, last = row == len(self.rows[0]) - 2, column == len(self.columns[0]) - 2
        parts, seen = [], boxes[0]
        for reach, (new, given) in zip(self.stages.reaches, pairwise(boxes), strict=True):
            kept = 2 * reach
            above, before = kept * (row > 0), kept * (column > 0)
            seen = Box(new.top - above, new.bottom, new.left - before, new.right)
            handed_on = kept * (not lowest), kept * (not last)
            spoilt = self.stages.block if above and before and all(handed_on) else 0
            parts.append(Part(new.shape, above, before, *handed_on, given.within(seen), spoilt))
        first = boxes[0]
        # The first convolution is done again where the last stage adds to what it gave.
        window = Box(
            max(self.read.top, min(first.top, seen.top) - 1),
            min(self.read.bottom, first.bottom + 1),
            max(self.read.left, min(first.left, seen.left) - 1),
            min(self.read.right, first.right + 1),
        )
        kind = PieceKind(window.shape, first.within(window), seen.within(window), tuple(parts))
        number = row * (len(self.columns[0]) - 1) + column
        return Piece(number, row, column, window, tuple(boxes[:-1]), boxes[-1], kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptTile(Tile):
    """A tile that is a piece of a sweep."""

    sweep: Sweep
    piece: Piece
    alone: Tile
    """The tile of the same core that needs no other."""

    @property
    def kind(self) -> PieceKind:
        """See `Tile.kind`."""
        return self.piece.kind


def stages_of(architecture: Architecture) -> Stages:
    """Say how far each RRDB looks, and what comes after them."""
    block = architecture.conv_per_rdb
    each = block * architecture.rdb_per_block
    return Stages((each,) * architecture.blocks + (TAIL,), block)


def handed_on_bytes(architecture: Architecture, precision: Precision, columns: int) -> int:
    """Say what the maps take that are handed down, in rows of so many columns."""
    rows = 2 * 2 * sum(stages_of(architecture).reaches)  # of the pieces above, and of those below
    return rows * columns * architecture.features * (4 if precision == "fp32" else 2)


def edges(read: _Span, core: _Span, stages: Stages, side: int) -> tuple[tuple[int, ...], ...]:
    """Cut an axis into pieces, at each stage of the network.

    Parameters
    ----------
    read, core : (int, int)
        First pixel, and the one after the last, of what is read and of what is wanted.
    stages : tuple
        See `stages_of`.
    side : int
        How long pieces between the first and the last are. The first is longer by what nobody
        hands on to it. The last is what is left, and no longer than that it sees as much, with all
        that is handed on to it, as the others.

    Returns
    -------
    tuple of tuple of int
        For each stage and the result. Where pieces would be too short to hand on what others need,
        there is one.
    """
    start, end = read
    moved = [0, *accumulate(stages.reaches)]
    kept = 2 * max(stages.reaches)
    first, last = side + kept, max(1, side - moved[-3])
    count = max(0, 1 - (first + last - (end - start)) // side) if end - start > first else 0
    cuts = [start + first + side * i for i in range(count)]
    while cuts and min(end, core[1] + moved[-1]) <= cuts[-1]:
        cuts.pop()
    handed_on = ((2 * reach, by) for reach, by in zip(stages.reaches, moved, strict=False))
    shortest = max(core[0] - start + 1 + moved[-1], *(n + by for n, by in handed_on))
    if first < shortest or side < kept:
        cuts = []
    return tuple((start, *(cut - by for cut in cuts), end) for by in moved)


def choose_piece(
    read: Box, core: Box, stages: Stages, width_cost: WidthCost, by_tiles: float = math.inf
) -> tuple[int, int] | None:
    """Choose rows and columns of the pieces that take the least time.

    None where tiles are hardly slower.

    Parameters
    ----------
    read, core, stages
        See `Sweep`.
    width_cost : WidthCost
        What width costs.
    by_tiles : float
        Time that the best tiles take; see `tile_size.time_of`.
    """
    rows = read.shape[0]
    bands = max(1, round(rows / min(_MOST_ROWS, _ROWS * torch.get_num_threads())))
    first_and_last = sum(stages.reaches[:-2]) - 2 * max(stages.reaches)
    height = rows if bands == 1 else math.ceil((rows + first_and_last) / bands)
    spans = (read.left, read.right), (core.left, core.right)
    costs = {side: _cost(edges(*spans, stages, side), stages, width_cost) for side in _SIDES}
    piece = height, min(costs, key=lambda side: (costs[side], side))
    sweep = Sweep(read, core, stages, piece)
    return piece if len(sweep) > 1 and _GAIN * sweep.time(width_cost) < by_tiles else None


def _cost(columns: Sequence[Sequence[int]], stages: Stages, width_cost: WidthCost) -> float:
    """Time of a row of all pieces: each dense block takes as long for a pixel as the others."""
    widths: list[int] = []
    for reach, row in zip(stages.reaches[:-1], columns, strict=False):
        blocks = reach // stages.block
        for number, (left, right) in enumerate(pairwise(row)):
            seen = right - left + 2 * reach * (number > 0)
            let_go = 2 * stages.block * (0 < number < len(row) - 2)
            widths += (seen - let_go * block for block in range(blocks))
    seen_widths = np.array(widths)
    return float((seen_widths * width_cost.at(seen_widths)).sum())
