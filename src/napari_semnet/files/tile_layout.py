"""How an OME-Zarr that grows block by block is cut: no chunk belongs to two blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_semnet.files.ome_metadata import storage_order
from napari_semnet.files.pyramid import level_shapes

__all__ = ["Layout"]

_CHUNK = 1024
_SMALLEST_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """How a picture is cut into blocks and chunks."""

    shape: tuple[int, ...]
    """(..., Y, X) of the finest level."""
    dtype: str
    block: tuple[int, int]
    """(Y, X) of a block in pixels of the finest level; those at the end are smaller."""
    axes: str
    """A letter an axis, as `napari_semnet.files.ome_metadata.axis_letters` gives them. On the disk
    they come in the order that the format wants; everywhere else in this one."""

    @property
    def stored_axes(self) -> str:
        """The letters in the order of the disk."""
        return "".join(self.axes[axis] for axis in storage_order(self.axes))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        *leading, height, width = self.shape
        tall, wide = self.block
        return math.prod(leading) * math.ceil(height / tall) * math.ceil(width / wide)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all levels, the finest first."""
        return level_shapes(self.shape)

    @property
    def _grid(self) -> tuple[int, int]:
        """Largest chunk, along Y and X, that no border of a block cuts."""
        y, x = (
            _CHUNK if block >= length else min(_CHUNK, block & -block)
            for block, length in zip(self.block, self.shape[-2:], strict=True)
        )
        return y, x

    @property
    def own_levels(self) -> int:
        """How many levels, from the finest, are made of blocks alone.

        Chunks get smaller with each of them, so that they too belong to one block.
        """
        levels = 1
        while min(self._grid) >> levels >= _SMALLEST_CHUNK:
            levels += 1
        return min(levels, len(self.shapes))

    def chunk(self, level: int) -> tuple[int, int]:
        """(Y, X) of the chunks of a level."""
        y, x = self._grid if level < self.own_levels else (_CHUNK, _CHUNK)
        shift = level if level < self.own_levels else 0
        height, width = self.shapes[level][-2:]
        return min(y >> shift, height), min(x >> shift, width)
