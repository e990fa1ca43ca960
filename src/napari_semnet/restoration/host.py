"""The image and its result, which stay where they are: only a tile is read or written at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import ArrayLike, IntensityRange, check_finite, to_unit
from napari_semnet.restoration.masking import FILL_REACH, fill_missing
from napari_semnet.restoration.tiles import Tile

__all__ = ["TileReader", "output_for"]


class TileReader:
    """Reads tiles of an image as intensities in [0, 1]."""

    def __init__(self, image: ArrayLike, intensity: IntensityRange, non_finite: str) -> None:
        self._image = image
        self._intensity = intensity
        self._plane = (image.shape[-2], image.shape[-1])
        self._may_miss = np.dtype(image.dtype).kind == "f"
        self._masks = non_finite == "mask"

    def read(self, tile: Tile) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Intensities of what the tile reads, and which pixels of its core have no value."""
        if not (self._may_miss and self._masks):
            pixels = np.asarray(self._image[(*tile.index, *tile.read.slices)])
            if self._may_miss:
                check_finite(pixels)
            return to_unit(pixels, self._intensity), None
        wide = tile.read.grown(FILL_REACH, self._plane)
        pixels = np.asarray(self._image[(*tile.index, *wide.slices)])
        missing = ~np.isfinite(pixels)
        values = to_unit(np.where(missing, self._intensity.low, pixels), self._intensity)
        filled = fill_missing(values, missing)[tile.read.within(wide).slices]
        return filled, missing[tile.core.within(wide).slices]


def output_for(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Make the array to write to, or check the one that was given.

    Raises
    ------
    ImageError
        It has another shape or data type, or memory does not hold it.
    """
    if out is None:
        try:
            return np.empty(shape, dtype)
        except MemoryError as error:
            size = math.prod(shape) * dtype.itemsize / 2**30
            raise ImageError(
                f"There is not enough memory for the result of {size:.1f} GiB. "
                "Give an array on disk as `out`, or restore a part of the image."
            ) from error
    if tuple(out.shape) != shape or np.dtype(out.dtype) != dtype:
        raise ImageError(
            f"The array to write to must have shape {shape} and type {dtype}; "
            f"it has {tuple(out.shape)} and {out.dtype}."
        )
    return out
