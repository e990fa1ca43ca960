"""The pictures of an evaluation: read, freed of databars, and turned to 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.intensity import (
    IntensityRange,
    as_grey,
    from_unit,
    is_finite,
    measure_range,
    to_unit,
)

__all__ = [
    "SMALLEST",
    "Grey",
    "cut",
    "even_pair",
    "read_even",
    "read_levels",
    "read_plane",
    "to_levels",
]

Grey = NDArray[np.uint8]

SMALLEST = 32
"""Pixels of a reference along its shorter side that every method can work with."""


def read_even(path: Path) -> tuple[Grey, tuple[str, ...]]:
    """As `read_levels`, with even sides."""
    grey, notes = read_levels(path)
    even, left_out = _even(grey)
    return even, (*notes, *left_out)


def read_levels(path: Path) -> tuple[Grey, tuple[str, ...]]:
    """Read a picture and turn it to 8 bits by its own range.

    Returns
    -------
    levels : numpy.ndarray, uint8, (Y, X)
        Without a databar.
    notes : tuple of str
        What was done to it.

    Raises
    ------
    SemnetError
        As `read_plane` and `to_levels`.
    """
    pixels, notes = read_plane(path)
    grey, more = to_levels(pixels, measure_range(pixels))
    return grey, (*notes, *more)


def read_plane(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read the grey values of the specimen, as the file has them.

    Returns
    -------
    values : numpy.ndarray, (Y, X)
        Without a databar.
    notes : tuple of str
        What was done to it.

    Raises
    ------
    SemnetError
        It cannot be read, is in colour, holds several planes, or values that are not finite.
    """
    from napari_semnet.files.reader import read_whole

    image = read_whole(path)
    if "S" in image.axes:
        raise SemnetError("it is in colour; convert it to grey first")
    pixels = np.asarray(as_grey(image.pixels))
    if pixels.ndim > 2 and max(pixels.shape[:-2]) > 1:
        raise SemnetError(f"it holds {pixels.size // (pixels.shape[-1] * pixels.shape[-2])} planes")
    pixels = pixels.reshape(pixels.shape[-2:])
    if not is_finite(pixels):
        raise SemnetError("it has pixels that are NaN or infinite; fill them first")
    if image.specimen_rows_from == "uncertain":
        return pixels, ("it may have a databar or a label, which was measured on as well",)
    if image.specimen_rows is None or image.specimen_rows == (0, len(pixels)):
        return pixels, ()
    return pixels[slice(*image.specimen_rows)], ("its databar was cut off",)


def to_levels(pixels: NDArray[Any], intensity: IntensityRange) -> tuple[Grey, tuple[str, ...]]:
    """Turn grey values to 8 bits.

    Parameters
    ----------
    pixels : numpy.ndarray, (Y, X)
    intensity : IntensityRange
        What becomes 0 and 255; not used where they are 8 bits already.

    Returns
    -------
    levels : numpy.ndarray, uint8, (Y, X)
    notes : tuple of str
        What was done to them.

    Raises
    ------
    SemnetError
        There are too few pixels, or all have the same value.
    """
    notes = []
    if pixels.dtype != np.uint8:
        notes.append(f"its grey levels {intensity.low:g} to {intensity.high:g} became 0 to 255")
        eight_bits = measure_range(np.zeros((1, 1), np.uint8))
        pixels = from_unit(to_unit(pixels, intensity), eight_bits, np.uint8)
    rows, columns = pixels.shape
    if min(rows, columns) < SMALLEST:
        raise SemnetError(
            f"it is too small: {columns} x {rows} pixels, needed are {SMALLEST} each way"
        )
    if pixels.min() == pixels.max():
        raise SemnetError("all its pixels have the same value")
    return np.ascontiguousarray(pixels), tuple(notes)


def _even(pixels: Grey) -> tuple[Grey, tuple[str, ...]]:
    """Leave out an odd last row or column of a reference, which no poor pixel can cover."""
    rows, columns = (n - n % 2 for n in pixels.shape)
    if (rows, columns) == pixels.shape:
        return pixels, ()
    even = np.ascontiguousarray(pixels[:rows, :columns])
    return even, ("its odd last row or column was left out",)


def even_pair(high: Grey, low: Grey) -> tuple[Grey, Grey, tuple[str, ...]]:
    """Cut a reference to even sides, and with it a poor picture of as many pixels."""
    even, cut = _even(high)
    return even, _even(low)[0] if low.shape == high.shape else low, cut


def cut(pixels: Grey, shape: tuple[int, int] | None) -> Grey:
    """Cut a picture around its middle to ``(Y, X)`` pixels; None leaves it whole.

    Raises
    ------
    SemnetError
        It has fewer.
    """
    if shape is None:
        return pixels
    if pixels.shape[0] < shape[0] or pixels.shape[1] < shape[1]:
        raise SemnetError(
            f"it has {pixels.shape[1]} x {pixels.shape[0]} pixels, fewer than the "
            f"{shape[1]} x {shape[0]} of this comparison"
        )
    top, left = ((have - want) // 2 for have, want in zip(pixels.shape, shape, strict=True))
    return np.ascontiguousarray(pixels[top : top + shape[0], left : left + shape[1]])
