"""How a picture too large for memory is cut: blocks that are finished, written and noted as one.

A block holds whole chunks of the output and one tile or more. Blocks depend on the image's size
and the model's appetite alone, never on who restores them, so that any number of processes can
share them out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_semnet.errors import SemnetError
from napari_semnet.restoration.tiles import Box

__all__ = ["Block", "BlockGrid", "Shard", "block_sides"]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the image that is read, restored and written as one."""

    number: int
    """Counted from 0 in reading order."""
    index: tuple[int, ...]
    """Place along the leading axes; empty for a plain image."""
    core: Box
    """Input pixels whose output it gives."""

    @property
    def where(self) -> tuple[slice, ...]:
        """Place in the output, one slice for each axis."""
        leading = (slice(i, i + 1) for i in self.index)
        return (*leading, *self.core.enlarged().slices)


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """All blocks of an image."""

    shape: tuple[int, ...]
    """Of the image, (..., Y, X)."""
    block: tuple[int, int]
    """(Y, X) of a block in input pixels; those at the ends may be smaller."""

    @property
    def counts(self) -> tuple[int, int]:
        """Blocks along Y and X of a slice."""
        rows, columns = (
            math.ceil(n / side) for n, side in zip(self.shape[-2:], self.block, strict=True)
        )
        return rows, columns

    def __len__(self) -> int:
        return math.prod(self.shape[:-2]) * math.prod(self.counts)

    def __getitem__(self, number: int) -> Block:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows, columns = self.counts
        rest, column = divmod(number, columns)
        rest, row = divmod(rest, rows)
        index: list[int] = []
        for length in reversed(self.shape[:-2]):
            rest, place = divmod(rest, length)
            index.insert(0, place)
        (height, width), (tall, wide) = self.shape[-2:], self.block
        box = Box(
            row * tall,
            min(height, (row + 1) * tall),
            column * wide,
            min(width, (column + 1) * wide),
        )
        return Block(number, tuple(index), box)

    def number(self, index: Sequence[int], row: int, column: int) -> int:
        """Give the number of the block that lies at a place of a slice, counted in blocks."""
        number = 0
        for place, length in zip(index, self.shape[:-2], strict=True):
            number = number * length + place
        rows, columns = self.counts
        return (number * rows + row) * columns + column


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a job that several processes share without talking to each other."""

    number: int = 1
    """Counted from 1."""
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise SemnetError(
                f"There is no part {self.number} of {self.of}; parts are counted from 1."
            )

    def share(self, total: int) -> range:
        """Give the numbers that fall to this part; neighbours stay together."""
        return range(
            total * (self.number - 1) // self.of,
            total * self.number // self.of,
        )

    def __iter__(self) -> Iterator[int]:
        yield from (self.number, self.of)


def block_sides(plane: tuple[int, int], side: int) -> tuple[int, int]:
    """Choose (Y, X) of the blocks of a slice.

    An axis that is at most twice `side` long is not cut, so that no sliver is left of it.
    """
    height, width = (length if length <= 2 * side else side for length in plane)
    return height, width
