"""One level of a Zarr picture, read when it is asked for; damage is then said in a sentence."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from napari_semnet.errors import FileFormatError, lacks_memory

__all__ = ["lazy_level"]


class _Level:
    """What dask reads from: the Zarr array, whose codecs fail in their own ways."""

    def __init__(self, array: Any, picture: str) -> None:
        self._array, self._picture = array, picture
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._array[index]
        except Exception as error:
            if lacks_memory(error):
                raise
            raise FileFormatError(
                f"A part of {self._picture} cannot be read ({error!s:.100}). Copy it again from "
                "where it was made, or restore what is left of it."
            ) from error


def lazy_level(array: Any, picture: str) -> Any:
    """Wrap a Zarr array so that nothing is read before it is needed.

    Parameters
    ----------
    array : zarr.Array
    picture : str
        Name of the picture, for complaints.

    Returns
    -------
    dask.array.Array
        In the array's own chunks. Computing it raises `FileFormatError` where a chunk is damaged.

    Raises
    ------
    FileFormatError
        The array has no pixels.
    """
    import dask.array

    if 0 in array.shape:
        raise FileFormatError(f"{picture} is empty: its shape is {tuple(array.shape)}.")

    # Caches, such as napari's, know pixels by this name: a picture that was written anew in the
    # same place must not get that of the old one.
    name = f"zarr-{uuid4().hex}"
    return dask.array.from_array(_Level(array, picture), chunks=array.chunks, name=name)
