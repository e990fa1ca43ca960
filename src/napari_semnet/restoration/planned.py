"""A restoration of which all is settled, and any part of which can be computed at any time."""

from __future__ import annotations

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
from napari_semnet.restoration.tiles import Box, Surround, Tile, plan_tiles

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
        return plan_tiles(self.shape, self.plan.tile, self._surround.halo, self._surround.later)

    def prepare(self) -> None:
        """Have what computes prepared for the tiles of the whole image, while the first is read."""
        around = self._surround
        tiles = plan_tiles(around.plane, self.plan.tile, around.halo, around.later)
        kinds = dict.fromkeys(tile.kind for tile in islice(tiles, _LOOKED_AT))
        self._attempts.backend.expect(tuple(kinds))

    def tile(self, index: tuple[int, ...], core: Box) -> Tile:
        """Give the tile that restores a part of a slice."""
        return self._surround.tile(index, core)

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
