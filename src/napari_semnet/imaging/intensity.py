"""From any image to the network's grey scale and back, with one range for the whole image.

The network works on intensities in [0, 1]. Which values of an image become 0 and 1 is decided
once for an image or stack and never for a tile, because a tile with a range of its own shows.
Only ``shape``, ``dtype`` and slicing are asked of an image, so that NumPy, dask, zarr and
tifffile's zarr stores all serve; nothing here reads a lazy image as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_semnet.errors import ImageError

__all__ = [
    "ArrayLike",
    "IntensityRange",
    "as_grey",
    "bands",
    "check_finite",
    "from_unit",
    "given_range",
    "is_finite",
    "is_in_memory",
    "measure_range",
    "to_unit",
]

_COLOUR_LENGTHS = (3, 4)
_BAND_PIXELS = 2**22
_SAMPLED_BAND_PIXELS = 2**20
_SAMPLED_BANDS = 32
_SAMPLED_VALUES = 2**22
_TAILS = (0.1, 99.9)
_MARGIN = 0.1


@runtime_checkable
class ArrayLike(Protocol):
    """What is asked of an image: a shape, a data type, and slices that become NumPy arrays."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> Any:
        """NumPy data type of the pixels."""

    def __getitem__(self, key: Any) -> Any:
        """Part of the image; ``numpy.asarray`` of it gives its pixels."""


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """Which values of an image stand for 0 and 1.

    Values outside are not clipped: they become less than 0 or more than 1, and come back.
    """

    low: float
    """Value that becomes 0, in units of the image."""
    high: float
    """Value that becomes 1, in units of the image."""
    source: str
    """``dtype`` (all an 8-bit image can hold), ``measured`` (from the pixels) or ``given``."""

    def __post_init__(self) -> None:
        span = self.high - self.low
        if not (math.isfinite(self.low) and math.isfinite(self.high) and math.isfinite(span)):
            raise ImageError(
                f"An intensity range needs two finite numbers, not {self.low:g} and {self.high:g}."
            )
        if span <= 0:
            raise ImageError(
                f"The intensity range {self.low:g} to {self.high:g} is empty. "
                "Give the darker value first and a larger one second."
            )


class _GreyOfColour:
    """An image whose colour channels hold the same grey, seen without its last axis.

    Equality is checked on whatever is read, so that a lazy image stays lazy.
    """

    def __init__(self, colour: ArrayLike) -> None:
        self._colour = colour
        self.shape = tuple(colour.shape[:-1])
        self.dtype = np.dtype(colour.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        index = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in index:
            index = (*index, Ellipsis)
        pixels = np.asarray(self._colour[(*index, slice(None))])
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        if not (_same(red, green) and _same(red, blue)):
            raise ImageError(
                "The image is in colour, and SEMNet restores grey images. Convert it to grey "
                "first, or pass one channel, such as image[..., 0]."
            )
        return red


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    may_hold_nan = one.dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=may_hold_nan))


def as_grey(image: Any) -> ArrayLike:
    """Check that an image can be restored, and see it as grey.

    Parameters
    ----------
    image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
        Integers of up to 32 bits or floating-point numbers of up to 64. A last axis of length 3
        or 4 after at least two others is taken for RGB or RGBA; its alpha is dropped.

    Returns
    -------
    array-like, shape (..., Y, X)
        The same object where it is grey already; else a view that checks, on what is read from
        it, that the colour channels are equal. NumPy images are checked at once.

    Raises
    ------
    ImageError
        The image is empty, has fewer than two axes, is in colour, or holds no grey values
        (booleans, complex numbers, integers of 64 bits, text).
    """
    grey = image if isinstance(image, ArrayLike) else np.asarray(image)
    try:
        dtype = np.dtype(grey.dtype)
    except TypeError:  # such as a torch tensor
        grey = np.asarray(image)
        dtype = grey.dtype
    _check_dtype(dtype)
    if len(grey.shape) < 2:
        raise ImageError(
            f"An image needs at least two axes, (..., Y, X); this one has {len(grey.shape)}."
        )
    if 0 in grey.shape:
        raise ImageError(f"The image is empty: its shape is {tuple(grey.shape)}.")
    if len(grey.shape) > 2 and grey.shape[-1] in _COLOUR_LENGTHS:
        view = _GreyOfColour(grey)
        if isinstance(grey, np.ndarray):
            for _ in bands(view):
                pass
        return view
    return grey


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind == "b":
        raise ImageError(
            "The image is a mask of true and false, which has no grey levels to restore. "
            "Pass the image that the mask was made from."
        )
    if dtype.kind == "c":
        raise ImageError("The image holds complex numbers. Pass its magnitude or its real part.")
    if dtype.kind in "iu" and dtype.itemsize > 4:
        raise ImageError(
            f"The image holds integers of 64 bits ({dtype}), as label images do. "
            "If these are grey levels, convert them to uint16 or float32 first."
        )
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ImageError(
            f"Pixels of type {dtype} cannot be restored. Convert the image to uint8, uint16, "
            "int16, float32 or float64."
        )


def bands(image: ArrayLike, largest: int = _BAND_PIXELS) -> Iterator[NDArray[Any]]:
    """Read an image from top to bottom, slice by slice, in bands of full-width rows.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        The image.
    largest : int
        Pixels in a band, at most; one row where a row holds more.

    Yields
    ------
    ndarray, shape (rows, X)
        In the image's data type.
    """
    for index, first, last in _band_places(image.shape, largest):
        yield np.asarray(image[(*index, slice(first, last))])


def _band_places(
    shape: tuple[int, ...], largest: int
) -> Iterator[tuple[tuple[int, ...], int, int]]:
    height, width = shape[-2:]
    rows = max(1, min(height, largest // width))
    for index in np.ndindex(*shape[:-2]):
        for first in range(0, height, rows):
            yield index, first, min(first + rows, height)


def is_in_memory(image: Any) -> bool:
    """Whether an image's pixels are all in memory, so that looking at each takes a moment."""
    return isinstance(image, np.ndarray) and not isinstance(image, np.memmap)


def is_finite(image: ArrayLike) -> bool:
    """Whether no pixel is NaN or infinite; read band by band."""
    if np.dtype(image.dtype).kind != "f":
        return True
    return all(np.isfinite(band).all() for band in bands(image))


def check_finite(image: ArrayLike) -> None:
    """Refuse to restore an image with NaN or infinite pixels.

    Raises
    ------
    ImageError
        A pixel is not a finite number.
    """
    if not is_finite(image):
        raise ImageError(
            "The image has pixels that are NaN or infinite. Fill them first, or choose to mask "
            "them (in napari: NaN pixels, under Advanced; on the command line: --non-finite mask; "
            "in Python: non_finite='mask'): they are then left as NaN and do not touch their "
            "surroundings."
        )


def given_range(low: float, high: float) -> IntensityRange:
    """Range that a person chose, in units of the image."""
    return IntensityRange(float(low), float(high), "given")


def measure_range(image: ArrayLike) -> IntensityRange:
    """Choose one intensity range for a whole image or stack.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        The image. Of a large one, evenly spaced bands of rows are read.

    Returns
    -------
    IntensityRange
        Of 8-bit images all that the type can hold, which is how the microscope displayed them.
        Of others the least to the greatest value, except that a few outliers (hot pixels) do not
        stretch it: it ends a tenth of the span between the 0.1th and the 99.9th percentile
        beyond these. A constant image lies in the middle of its range.

    Raises
    ------
    ImageError
        No pixel is a finite number.
    """
    dtype = np.dtype(image.dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return IntensityRange(float(limits.min), float(limits.max), "dtype")
    values, least, greatest = _sample(image)
    below, above = (float(v) for v in np.percentile(values, _TAILS))
    margin = _MARGIN * (above - below)
    low, high = max(least, below - margin), min(greatest, above + margin)
    resolution = 8 * float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    if high - low <= resolution * max(abs(low), abs(high)):
        centre = (low + high) / 2
        low, high = (min(0.0, 2 * centre), max(0.0, 2 * centre)) if centre else (0.0, 1.0)
    return IntensityRange(low, high, "measured")


def _sample(image: ArrayLike) -> tuple[NDArray[np.float64], float, float]:
    """Finite values of evenly spaced bands, and the least and greatest of all that was read."""
    places = list(_band_places(image.shape, _SAMPLED_BAND_PIXELS))
    numbers = np.unique(np.linspace(0, len(places) - 1, _SAMPLED_BANDS).round().astype(int))
    chosen = [places[number] for number in numbers]
    read = sum(last - first for _, first, last in chosen) * image.shape[-1]
    stride = math.ceil(read / _SAMPLED_VALUES)
    parts, least, greatest = [], math.inf, -math.inf
    for index, first, last in chosen:
        band = np.asarray(image[(*index, slice(first, last))])
        values = band[np.isfinite(band)].astype(np.float64)
        if values.size:
            parts.append(values[::stride])
            least, greatest = min(least, float(values.min())), max(greatest, float(values.max()))
    if not parts:
        raise ImageError(
            "The image has no pixel that is a finite number, so there is nothing to restore."
        )
    return np.concatenate(parts), least, greatest


def to_unit(pixels: NDArray[Any], intensity: IntensityRange) -> NDArray[np.float32]:
    """Map pixels to the network's scale.

    Parameters
    ----------
    pixels : ndarray
        Any accepted data type.
    intensity : IntensityRange
        What becomes 0 and 1.

    Returns
    -------
    ndarray of float32
        Same shape, not clipped.
    """
    # In float64, so that a small contrast on a large offset survives the subtraction.
    values = pixels.astype(np.float64)
    values -= intensity.low
    values /= intensity.high - intensity.low
    with np.errstate(over="ignore"):  # what the network then makes of infinity is refused
        return values.astype(np.float32)


def from_unit(
    values: NDArray[np.float32], intensity: IntensityRange, dtype: DTypeLike
) -> NDArray[Any]:
    """Map the network's scale back to pixels; the inverse of `to_unit`.

    Parameters
    ----------
    values : ndarray of float32
        On the network's scale.
    intensity : IntensityRange
        What 0 and 1 stand for.
    dtype : data type
        Of the result. Integers are rounded to the nearest, halves to even.

    Returns
    -------
    ndarray of `dtype`
        Same shape, clipped at what the type can hold and nowhere else.
    """
    target = np.dtype(dtype)
    pixels = values.astype(np.float64)
    pixels *= intensity.high - intensity.low
    pixels += intensity.low
    limits = np.iinfo(target) if target.kind in "iu" else np.finfo(target)
    if target.kind in "iu":
        np.rint(pixels, out=pixels)
    np.clip(pixels, float(limits.min), float(limits.max), out=pixels)
    return pixels.astype(target)
