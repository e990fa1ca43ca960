"""What a restoration changed: differences on the raw grid and on the restored one.

On the raw grid the restored picture is averaged over the pixels in each raw pixel, so that the
difference is what was taken away as noise; structure in it is structure that was lost or
invented. On the restored grid the raw picture is interpolated, which shows where detail was
added between the measured pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Grid, Plane, bicubic_double, onto_grid, overlap

__all__ = [
    "Band",
    "classical",
    "classical_bands",
    "common_grid",
    "difference",
    "difference_bands",
    "symmetric_limit",
]

_BAND_PIXELS = 2**20


@dataclass(frozen=True, slots=True)
class Band:
    """Some finished rows of a larger picture."""

    rows: slice
    pixels: NDArray[np.float32]
    done: int
    """Rows that are finished with this band."""
    total: int
    """Rows of the whole picture."""


def common_grid(grid: Grid, other: Grid) -> Grid:
    """Part of `grid` that `other` covers.

    Raises
    ------
    ImageError
        The two share no pixel.
    """
    return grid.crop(*overlap(grid, other))


def difference_bands(minuend: Plane, subtrahend: Plane, grid: Grid) -> Iterator[Band]:
    """Difference of two pictures on a grid, some rows at a time.

    Parameters
    ----------
    minuend, subtrahend : Plane
        Grey levels of the same scale.
    grid : Grid
        The grid of one of the two, or `common_grid` of both.

    Yields
    ------
    Band
        ``minuend - subtrahend`` in grey levels; NaN where one of the two has no pixels.
    """
    total, width = grid.shape
    step = max(32, _BAND_PIXELS // max(width, 1) // 2 * 2)
    for start in range(0, total, step):
        rows = slice(start, min(start + step, total))
        part = grid.crop(rows, slice(0, width))
        yield Band(rows, onto_grid(minuend, part) - onto_grid(subtrahend, part), rows.stop, total)


def difference(minuend: Plane, subtrahend: Plane, grid: Grid) -> Plane:
    """Difference of two pictures on a grid, all at once; see `difference_bands`."""
    pixels = np.empty(grid.shape, dtype=np.float32)
    for band in difference_bands(minuend, subtrahend, grid):
        pixels[band.rows] = band.pixels
    return Plane(f"{minuend.name} − {subtrahend.name}", pixels, grid)


def symmetric_limit(values: ArrayLike, percentile: float = 99.5) -> float:
    """Grey levels at which a map that is centred on 0 should end.

    Parameters
    ----------
    values : array-like
        Differences; NaN are left out.
    percentile : float
        Share of the values that stays within the limit, in per cent.

    Returns
    -------
    float
        Positive; 1 where all values are 0.
    """
    sizes = np.abs(np.asarray(values, dtype=np.float32))
    sizes = sizes[np.isfinite(sizes)]
    limit = float(np.percentile(sizes, percentile)) if sizes.size else 0.0
    return limit if limit > 0 else max(float(sizes.max(initial=0.0)), 0.0) or 1.0


def classical(image: ArrayLike, sigma: float = 1.0) -> NDArray[np.float32]:
    """Restore without a network: Gaussian blur against the noise, bicubic doubling of pixels.

    Parameters
    ----------
    image : array-like, (Y, X)
    sigma : float
        Standard deviation of the blur, in pixels of `image`; 0 only interpolates.

    Returns
    -------
    ndarray of float32, (2Y, 2X)
        Grey levels of `image`.

    Raises
    ------
    ImageError
        `sigma` is negative.
    """
    if not sigma >= 0:
        raise ImageError(f"A blur of {sigma} px does not exist. Choose 0 px or more.")
    pixels = np.asarray(image).astype(np.float32, copy=False)
    return bicubic_double(ndimage.gaussian_filter(pixels, sigma, mode="reflect"))


def classical_bands(image: Any, sigma: float = 1.0) -> Iterator[Band]:
    """Restore as `classical` does, some rows at a time.

    Parameters
    ----------
    image : array-like, (Y, X)
        Anything that can be sliced; a lazy picture is never in memory as a whole.
    sigma : float
        As for `classical`.

    Yields
    ------
    Band
        Rows of the result, with the values of the whole.
    """
    length, width = image.shape
    # Where SciPy cuts the Gaussian off, and two pixels more for the interpolation.
    margin = int(4 * sigma + 0.5) + 2
    step = max(32, _BAND_PIXELS // max(4 * width, 1))
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = max(start - margin, 0), min(stop + margin, length)
        pixels = classical(image[first:last], sigma)[2 * (start - first) :][: 2 * (stop - start)]
        yield Band(slice(2 * start, 2 * stop), pixels, 2 * stop, 2 * length)
