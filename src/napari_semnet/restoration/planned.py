"""A restoration of which all is settled, and any part of which can be computed at any time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.intensity import ArrayLike, from_unit
from napari_semnet.restoration.attempts import Attempts
from napari_semnet.restoration.events import Notice, RunPlan
from napari_semnet.restoration.host import TileReader
from napari_semnet.restoration.masking import mark_missing
from napari_semnet.restoration.runtime import Device
from napari_semnet.restoration.saturation import range_ends, with_saturation
from napari_semnet.restoration.strength import weakened
from napari_semnet.restoration.sweep import WIDEST, Stages, Sweep
from napari_semnet.restoration.tiles import Box, Surround, Tile, count_tiles, plan_tiles

__all__ = ["PlannedRun", "Seen"]

_LOOKED_AT = 1000
"""Tiles among which it is looked for kinds of them; later ones are prepared for when they come."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a tile."""

    tile: Tile
    values: NDArray[np.float32]
    """Intensities in [0, 1] of what the tile reads."""
    missing: NDArray[np.bool_] | None
    """Pixels of the core without a value."""


class PlannedRun:
    """What `Restorer.begin` gives: an image, and how it is going to be restored.

    Parameters
    ----------
    plan : RunPlan
    image : array-like, shape (..., Y, X)
    surround : Surround
        What is read around each core.
    reader : TileReader
    attempts : Attempts
    stages : tuple
        See `napari_semnet.restoration.sweep.stages_of`.
    strength : float
        See `napari_semnet.restoration.strength.weakened`.
    notices : tuple of Notice
        What went otherwise than asked while it was planned.
    """

    def __init__(
        self,
        plan: RunPlan,
        image: ArrayLike,
        surround: Surround,
        reader: TileReader,
        attempts: Attempts,
        stages: Stages,
        strength: float,
        notices: tuple[Notice, ...] = (),
    ) -> None:
        self.plan = plan
        self.shape = tuple(image.shape)
        self.dtype: np.dtype[Any] = np.dtype(image.dtype)
        self.notices = notices
        self._surround = surround
        self._reader = reader
        self._attempts = attempts
        self._stages = stages
        self._slice = Box(0, self.shape[-2], 0, self.shape[-1])
        self._strength = strength
        self._ends = range_ends(plan.intensity, self.dtype)

    @property
    def device(self) -> Device:
        """What computes; another one than planned where that does not hold the network."""
        return self._attempts.backend.device

    @property
    def backend_name(self) -> str:
        """What computes; another one than planned where that has failed."""
        return self._attempts.backend.name

    def tiles(self) -> Iterator[Tile]:
        """Tiles of the whole image, in reading order."""
        for index in np.ndindex(*self.shape[:-2]):
            yield from self.tiles_of(index, self._slice)

    def tiles_of(self, index: tuple[int, ...], box: Box) -> Iterator[Tile]:
        """Tiles of a part of a slice, in the order in which they are to be restored."""
        if self.plan.swept:
            for sweep in self._sweeps(box):
                yield from sweep.tiles(index, self._surround)
            return
        # Cores at the border of a slice are larger by the halo that they have none of there, and
        # those of a part that goes on beside it are not.
        is_slice = box.shape == self._slice.shape
        for part in plan_tiles(box.shape, self.plan.tile, self._surround.halo if is_slice else 0):
            yield self._surround.tile(index, part.core.moved(box.top, box.left))

    def _sweeps(self, box: Box) -> Iterator[Sweep]:
        """Cut a part of a slice into as few as can be swept."""
        parts = math.ceil(box.shape[1] / WIDEST)
        for part in range(parts):
            left, right = (box.left + box.shape[1] * n // parts for n in (part, part + 1))
            core = Box(box.top, box.bottom, left, right)
            read = self._surround.tile((), core).read
            yield Sweep(read, core, self._stages, self.plan.tile)

    def __len__(self) -> int:
        """How many tiles there are."""
        if not self.plan.swept:
            return count_tiles(self.shape, self.plan.tile, self._surround.halo)
        return math.prod(self.shape[:-2]) * sum(len(sweep) for sweep in self._sweeps(self._slice))

    def prepare(self) -> None:
        """Have what computes prepared for the tiles of the whole image, while the first is read."""
        of_a_slice = self.tiles_of((0,) * (len(self.shape) - 2), self._slice)
        kinds = dict.fromkeys(tile.kind for tile in islice(of_a_slice, _LOOKED_AT))
        self._attempts.backend.expect(tuple(kinds))

    def read(self, tile: Tile) -> Seen:
        """Read what a tile sees; may run in another thread than `restore`.

        Raises
        ------
        ImageError
            There are pixels that are not finite, and the settings refuse them.
        """
        return Seen(tile, *self._reader.read(tile))

    def restore(self, seen: Seen) -> Generator[Notice | float, None, NDArray[Any]]:
        """Compute the output of a tile's core, (2Y, 2X) in the image's data type.

        Yields and raises what `Attempts.restore` does.
        """
        restored = yield from self._attempts.restore(seen.tile, seen.values)
        restored = with_saturation(restored, seen.values, seen.tile, self._ends)
        restored = weakened(restored, seen.values, seen.tile, self._strength)
        pixels = from_unit(restored, self.plan.intensity, self.dtype)
        if seen.missing is not None:
            mark_missing(pixels, seen.missing)
        return pixels
