"""A part of an image that is read in pieces, for as long as the image is there."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import Region

__all__ = ["PartOf", "full_key"]


class PartOf:
    """A region of an image, of which nothing is read before it is asked for.

    A Zarr array whose folder was deleted gives zeros, without complaint. So it is looked whether
    what the image is read from is still there, after each piece.

    Parameters
    ----------
    image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
    region : Region
        Of its axes but the last where that holds colours.
    path : Path, optional
        What the image is read from.
    """

    def __init__(self, image: Any, region: Region, path: Path | None = None) -> None:
        self._image = image
        self._region = region
        self._path = path
        self.shape = (*region.shape, *(int(n) for n in image.shape[len(region.shape) :]))
        self.dtype = np.dtype(image.dtype)
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return np.asarray(self[()], dtype)

    def __getitem__(self, key: Any) -> Any:
        keys = full_key(key, self.ndim)
        starts = (*self._region.start, *(0 for _ in self.shape[len(self._region.start) :]))
        piece = np.asarray(
            self._image[
                tuple(
                    _moved(part, start, length)
                    for part, start, length in zip(keys, starts, self.shape, strict=True)
                )
            ]
        )
        self.check_there()
        return piece

    def through(self, reader: Callable[[Any], Any]) -> PartOf:
        """Give the same part, read from what `reader` makes of the image."""
        return PartOf(reader(self._image), self._region, self._path)

    def check_there(self) -> None:
        """Refuse to go on where what the image is read from is gone.

        Raises
        ------
        ImageError
            It is.
        """
        if self._path is not None and not self._path.exists():
            raise ImageError(
                f"{self._path.name} is no longer where it was, so nothing more of it can be "
                "restored. Put it back and restore it again: what is finished on disk is kept."
            )


def full_key(key: Any, ndim: int) -> tuple[Any, ...]:
    """Turn a key of an array into one integer or slice for each of its axes."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (ndim - len(keys) + 1)
    return (*keys, *[slice(None)] * (ndim - len(keys)))


def _moved(part: Any, start: int, length: int) -> Any:
    if not isinstance(part, slice):
        if not -length <= part < length:
            # Also what ends a loop over the first axis.
            raise IndexError(f"There is no place {part} along an axis of {length}.")
        return start + part % length
    first, stop, step = part.indices(length)
    if step < 0:
        raise IndexError("Parts of images are not read backwards.")
    return slice(start + first, start + max(first, stop), step)
