"""Lay one picture over another to a fraction of a pixel, and take the figures only there.

Stages and beams drift: a reference that was taken a minute later lies a few pixels beside the
image. PSNR and SSIM of pictures that are not registered measure the drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage
from skimage.registration import phase_cross_correlation

from napari_semnet.errors import ImageError
from napari_semnet.imaging.comparison import common_grid
from napari_semnet.imaging.plane import Grid, Plane, onto_grid

__all__ = ["Registered", "fit_intensity", "register", "registered_pair"]

_LARGEST = 1024
"""Side of the central part that a shift is measured on; more pixels do not make it better."""

_SMALLEST = 32
_STEPS = 100
"""Fractions of a pixel that a shift is measured in."""

_BLUR = 1.0
"""Pixels; halves the error of the shift at 12 % noise against none, and 2 px gain nothing more."""

_ALIKE = 0.25
"""Correlation below which two pictures are not taken for the same place."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Registered:
    """A picture and a reference on one grid, registered.

    Attributes
    ----------
    image, reference : ndarray of float32, (Y, X)
        The same part of the specimen, without the border that one of the two does not show.
    shift : (float, float)
        By how much the image lay beside the reference (y, x), in `unit`.
    grid : Grid
        The pixels' places; those of the reference where the two differ.
    """

    image: Pixels
    reference: Pixels
    shift: tuple[float, float]
    grid: Grid


def register(moving: ArrayLike, reference: ArrayLike) -> tuple[float, float]:
    """Shift in pixels (y, x) that brings a picture onto a reference of the same shape.

    The maximum of the cross-correlation of the pictures, first to the pixel, then on the part
    that both show to 1/100 pixel (Guizar-Sicairos et al. 2008). Both are blurred by one pixel and
    faded out towards the borders first. Phases are not whitened, as that would weight the
    frequencies that hold only noise as much as the others.

    Parameters
    ----------
    moving, reference : array-like, (Y, X)
        At least 32 pixels each way, without NaN.

    Returns
    -------
    (float, float)

    Raises
    ------
    ImageError
        The pictures are too small, too unlike, or match best at a shift of a third of their size.
    """
    one, two = _central(np.asarray(moving)), _central(np.asarray(reference))
    if one.shape != two.shape or min(one.shape) < _SMALLEST:
        raise ImageError(
            f"Two pictures must share at least {_SMALLEST} × {_SMALLEST} pixels to be laid over "
            "one another. Choose pictures that overlap more."
        )
    y, x = _whole_shift(one, two)
    rows, columns = one.shape
    here = two[max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)]
    there = one[max(-y, 0) : rows - max(y, 0), max(-x, 0) : columns - max(x, 0)]
    if min(here.shape) < min(one.shape) * 2 / 3 or _likeness(there, here) < _ALIKE:
        raise ImageError(
            "The two pictures do not seem to show the same place of the specimen. "
            "Choose two that overlap by more than two thirds."
        )
    fine, _, _ = phase_cross_correlation(
        _faded(here), _faded(there), upsample_factor=_STEPS, normalization=None
    )
    return float(y + fine[0]), float(x + fine[1])


def registered_pair(image: Plane, reference: Plane, grid: Grid) -> Registered:
    """Bring a picture and a reference onto one grid and register them.

    Parameters
    ----------
    image, reference : Plane
    grid : Grid
        Usually the grid of the reference; only the part that both cover is used.

    Returns
    -------
    Registered
        The image is moved onto the reference by cubic splines; the reference is never moved.

    Raises
    ------
    ImageError
        The two do not overlap, lie rotated to one another, or do not show the same place.
    """
    shared = common_grid(common_grid(grid, image.grid), reference.grid)
    moving, fixed = onto_grid(image, shared), onto_grid(reference, shared)
    if not (np.isfinite(moving).all() and np.isfinite(fixed).all()):
        raise ImageError(
            f"“{image.name}” and “{reference.name}” lie rotated to one another, or have pixels "
            "that are not numbers. Compare pictures that lie along the same axes."
        )
    step = register(moving, fixed)
    moved = ndimage.shift(moving, step, order=3, mode="nearest")
    rows, columns = (_valid(distance, n) for distance, n in zip(step, shared.shape, strict=True))
    y, x = shared.matrix[:2, :2] @ np.array(step)
    return Registered(
        moved[rows, columns],
        fixed[rows, columns],
        (-float(y), -float(x)),
        shared.crop(rows, columns),
    )


def fit_intensity(image: ArrayLike, reference: ArrayLike) -> Pixels:
    """Brightness and contrast of a picture fitted to a reference by least squares.

    Two scans of one place with other settings of the amplifier differ by a gain and an offset,
    which say nothing of the picture's quality.

    Parameters
    ----------
    image, reference : array-like, (Y, X)

    Returns
    -------
    ndarray of float32, (Y, X)
    """
    pixels = np.asarray(image, dtype=np.float32)
    known = np.asarray(reference, dtype=np.float64)
    mean, spread = float(pixels.mean(dtype=np.float64)), float(pixels.var(dtype=np.float64))
    if spread == 0:
        return np.full_like(pixels, known.mean())
    gain = float(((pixels - mean) * (known - known.mean())).mean()) / spread
    fitted: Pixels = (gain * (pixels - mean) + known.mean()).astype(np.float32)
    return fitted


def _central(pixels: NDArray[np.generic]) -> Pixels:
    rows, columns = ((max(n - _LARGEST, 0) // 2, min(n, _LARGEST)) for n in pixels.shape)
    part = pixels[rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]
    return np.asarray(ndimage.gaussian_filter(part.astype(np.float32), _BLUR))


def _faded(pixels: Pixels) -> Pixels:
    window = np.outer(np.hanning(pixels.shape[0]), np.hanning(pixels.shape[1]))
    return np.asarray((pixels - pixels.mean()) * window, dtype=np.float32)


def _whole_shift(moving: Pixels, reference: Pixels) -> tuple[int, int]:
    """Largest correlation, to the pixel; its sign counts, so that no negative is matched."""
    spectrum = fft.rfft2(_faded(reference)) * fft.rfft2(_faded(moving)).conj()
    correlation = fft.irfft2(spectrum, moving.shape)
    peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
    y, x = (
        int(step) - (n if step > n // 2 else 0)
        for step, n in zip(peak, correlation.shape, strict=True)
    )
    return y, x


def _likeness(one: Pixels, other: Pixels) -> float:
    """Correlation coefficient; 0 where one of the two is flat."""
    faded = (_faded(one), _faded(other))
    energy = float(np.prod([np.square(part, dtype=np.float64).sum() for part in faded]))
    return float((faded[0] * faded[1]).sum(dtype=np.float64)) / energy**0.5 if energy else 0.0


def _valid(distance: float, length: int) -> slice:
    """Pixels that a shift leaves untouched by what lies beyond the border."""
    margin = int(np.ceil(abs(distance))) + (0 if abs(distance) < 1e-9 else 2)
    first = margin if distance > 0 else 0
    last = margin if distance < 0 else 0
    return slice(first, length - last)
