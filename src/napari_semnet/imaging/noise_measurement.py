"""Measure the noise of a picture from the picture itself, or from two frames of one field.

Noise is looked at through the vertical filter (1, -4, 6, -4, 1), scaled so that white noise keeps
its variance. It is blind to slopes and to all but the finest texture; rows are independent in a
scanned picture, so it sees the whole variance of the noise however the detector correlates it
along x; and the offset of a row stays constant along that row. What texture is left is kept out
by using only pixels whose surroundings, after smoothing, are not more curved than the noise alone
would make them. That limit depends on the noise, so both are found in turn.

All figures are in grey levels of 255, whatever the data type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range, to_unit
from napari_semnet.imaging.noise_correlation import (
    correlation_along_x,
    row_variance_of,
    spread,
    vertical_lag_one_of,
    without_rows,
)
from napari_semnet.imaging.noise_table import (
    CLIPPED,
    FEWEST,
    FILTER,
    NoiseTable,
    fit_line,
    tabulate,
)
from napari_semnet.imaging.registration import register

__all__ = ["measure_pair", "measure_picture", "measure_residual"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WHITE = 255.0
_REACH = len(FILTER) // 2

_MEAN_BLUR = 2.0
"""Sigma in pixels of the local mean that the variance is plotted against."""
_CURVATURE_BLUR = 1.5
_CURVATURE_LIMIT = 3.0
"""Largest curvature of a flat place, in what noise alone would make."""
_CURVATURE_LIMIT_OF_PAIRS = 6.0
"""Structure drops out of the difference of frames, but not out of the local mean: at edges it is
a mixture of grey levels, which would bend the line of variance against mean."""

_AROUND = np.ones((5, 5), bool)
_ROUNDS = 5
_LARGEST_SIDE = 1536
"""Pixels; of larger pictures the central part is measured."""
_SMALLEST_SIDE = 64


@dataclass(frozen=True, slots=True)
class _View:
    """What the measurement looks at.

    `noisy` holds the noise, `guide` the structure (the same picture, or the mean of two frames,
    whose noise has `guide_share` of the variance).
    """

    noisy: Floats
    guide: Floats
    guide_share: float
    limit: float
    clipped: Mask
    ends: tuple[float, float]
    rounding: float


def measure_picture(pixels: Any, intensity: IntensityRange | None = None) -> NoiseTable:
    """Measure the noise of one ordinary picture.

    Parameters
    ----------
    pixels : array-like, shape (Y, X)
        Specimen only, without the databar; at least 64 pixels each way.
    intensity : IntensityRange, optional
        Black and white; measured by default.

    Returns
    -------
    NoiseTable

    Raises
    ------
    ImageError
        The picture is too small, has no flat places, or is black or white where it is flat.
    """
    plane = _central(_plane(pixels))
    grey, clipped, ends, step = _grey_levels(plane, intensity or measure_range(plane))
    return _measure(_View(grey, grey, 1.0, _CURVATURE_LIMIT, clipped, ends, step**2 / 12))


def measure_pair(first: Any, second: Any, intensity: IntensityRange | None = None) -> NoiseTable:
    """Measure the noise of two frames of one field, taken with equal settings.

    The frames are laid over one another by whole pixels; the structure drops out of their
    difference, so that rougher places can be used than in a single picture.

    Parameters
    ----------
    first, second : array-like, shape (Y, X)
        At least 64 pixels each way.
    intensity : IntensityRange, optional
        Black and white of both; measured by default.

    Returns
    -------
    NoiseTable
        Of one frame.

    Raises
    ------
    ImageError
        The frames differ in shape or type, or do not show the same place.
    """
    one, two = _plane(first), _plane(second)
    if one.shape != two.shape or one.dtype != two.dtype:
        raise ImageError(
            f"Frames of one field must be alike, not {one.shape} {one.dtype} and {two.shape} "
            f"{two.dtype}. Give frames from one recording."
        )
    if np.array_equal(one, two):
        raise ImageError("The two frames are one and the same picture. Give different frames.")
    shift = register(two, one)
    one, two = _overlaid(one, two, (round(shift[0]), round(shift[1])))
    one, two = _central(one), _central(two)
    intensity = intensity or measure_range(np.stack([one, two]))
    grey_one, clipped_one, ends, step = _grey_levels(one, intensity)
    grey_two, clipped_two, _, _ = _grey_levels(two, intensity)
    view = _View(
        (grey_one - grey_two) / np.sqrt(2.0),
        (grey_one + grey_two) / 2,
        0.5,
        _CURVATURE_LIMIT_OF_PAIRS,
        clipped_one | clipped_two,
        ends,
        step**2 / 12,
    )
    return _measure(view, shift)


def measure_residual(residual: Floats, guide: Floats, usable: Mask) -> NoiseTable:
    """Measure the noise of a picture in what a restoration took away from it.

    For pictures that have no flat places: their structure is in `guide`, and drops out.

    Parameters
    ----------
    residual : ndarray, shape (Y, X)
        Picture less its restoration, grey levels of 255; at least 64 pixels each way.
    guide : ndarray, shape (Y, X)
        The restoration on the picture's pixels.
    usable : ndarray of bool, shape (Y, X)
        Pixels that are neither black, white, nor without a value.

    Returns
    -------
    NoiseTable
        Of the residual, rounding included. Detail that was removed counts as noise as far as it
        changes from row to row.

    Raises
    ------
    ImageError
        The residual is too small, or too little of it is usable.
    """
    if min(residual.shape) < _SMALLEST_SIDE:
        raise ImageError(_NOT_FLAT)
    residual, guide, usable = _central(residual), _central(guide), _central(usable)
    inner = np.s_[_REACH:-_REACH, :]
    values = np.where(usable, residual, 0.0)
    filtered = ndimage.correlate1d(values, FILTER, axis=0)[inner]
    flat = ndimage.binary_erosion(usable, np.ones((2 * _REACH + 1, 1), bool))[inner]
    if flat.sum() < 6 * FEWEST:
        raise ImageError(CLIPPED)
    sigma = np.full(filtered.shape, spread(filtered[flat]))
    row_variance, row_error = row_variance_of(filtered, flat, sigma)
    noise = without_rows(filtered, flat, sigma)
    table = tabulate(
        noise, guide[inner], flat, mean_share=0.0, ends=(-np.inf, np.inf), rounding=0.0
    )
    gain, floor = fit_line(table)[0] if len(table.mean) > 2 else (0.0, table.variance.mean())
    variance = np.maximum(gain * guide[inner] + floor, 0.25 * float(table.variance.min()))
    return replace(
        table,
        row_variance=row_variance,
        row_error=row_error,
        vertical_lag_one=vertical_lag_one_of(values, np.pad(flat, ((_REACH, _REACH), (0, 0)))),
        flat_share=float(flat.mean()),
        along_x=correlation_along_x(noise / np.sqrt(variance), flat),
    )


def _plane(pixels: Any) -> NDArray[Any]:
    plane = np.asarray(as_grey(pixels))
    if plane.ndim != 2 or min(plane.shape) < _SMALLEST_SIDE:
        raise ImageError(
            f"Noise is measured on single pictures of at least {_SMALLEST_SIDE} × "
            f"{_SMALLEST_SIDE} pixels, not on an array of shape {plane.shape}."
        )
    return plane


def _central(plane: NDArray[Any]) -> NDArray[Any]:
    starts = [max(size - _LARGEST_SIDE, 0) // 2 for size in plane.shape]
    return plane[starts[0] : starts[0] + _LARGEST_SIDE, starts[1] : starts[1] + _LARGEST_SIDE]


def _overlaid(
    one: NDArray[Any], two: NDArray[Any], shift: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Parts of the frames that show the same, after moving the second by `shift`."""
    here = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(shift, one.shape, strict=True))
    there = tuple(slice(max(-s, 0), n + min(-s, 0)) for s, n in zip(shift, two.shape, strict=True))
    return one[here], two[there]


def _grey_levels(
    plane: NDArray[Any], intensity: IntensityRange
) -> tuple[Floats, Mask, tuple[float, float], float]:
    """Grey levels of 255, where they are clipped, at which values, and the rounding step."""
    grey = to_unit(plane, intensity).astype(np.float64) * WHITE
    whole = plane.dtype.kind in "iu"
    limits = np.iinfo(plane.dtype) if whole else None
    # A pixel without a value is as useless as one that is black.
    clipped = ~np.isfinite(grey)
    if clipped.all():
        raise ImageError(CLIPPED)
    known = plane[~clipped]
    if known.min() == known.max():
        raise ImageError(
            "All grey values of the picture are the same, so it shows neither specimen nor noise. "
            "Give pictures as the microscope saves them."
        )
    grey[clipped] = np.median(grey[~clipped])
    ends = [-np.inf, np.inf]
    for side, extreme in enumerate((known.min(), known.max())):
        here = plane == extreme
        # Twelve bits in sixteen end at a value of their own; a pile there shows it.
        at_limit = limits is not None and extreme in (limits.min, limits.max)
        if at_limit or here.mean() > 1e-3:
            clipped |= here
            ends[side] = float(grey[here][0])
    if limits is not None:
        edge = to_unit(np.array([limits.min, limits.max], plane.dtype), intensity) * WHITE
        ends = [max(ends[0], float(edge[0])), min(ends[1], float(edge[1]))]
    step = WHITE / (intensity.high - intensity.low) if whole else 0.0
    return grey, clipped, (ends[0], ends[1]), step


def _measure(view: _View, shift: tuple[float, float] | None = None) -> NoiseTable:
    inner = np.s_[_REACH:-_REACH, :]
    filtered = ndimage.correlate1d(view.noisy, FILTER, axis=0)[inner]
    local = ndimage.gaussian_filter(view.guide, _MEAN_BLUR)
    curvature = _curvature(view.guide)
    cut = ndimage.binary_dilation(view.clipped, np.ones((2 * _REACH + 1, 3), bool))
    variance = np.full(local.shape, spread(filtered) ** 2)
    # A Gaussian of sigma s leaves 1 / (4 pi s^2) of the variance of white noise.
    mean_share = view.guide_share / (4 * np.pi * _MEAN_BLUR**2)
    lag_one, row_variance, row_error = 0.0, 0.0, 0.0
    for _ in range(_ROUNDS):
        white, rows = _curvature_of_noise(lag_one)
        expected = view.guide_share * (white * variance + rows * row_variance)
        rough = ndimage.binary_dilation(curvature > view.limit**2 * expected, _AROUND)
        flat = ~(rough | cut)[inner]
        if flat.sum() < 6 * FEWEST:
            raise ImageError(CLIPPED if cut.mean() > rough.mean() else _NOT_FLAT)
        sigma = np.sqrt(variance[inner] + row_variance)
        row_variance, row_error = row_variance_of(filtered, flat, sigma)
        noise = without_rows(filtered, flat, sigma)
        table = tabulate(
            noise,
            local[inner],
            flat,
            mean_share=mean_share,
            ends=view.ends,
            rounding=view.rounding,
        )
        gain, floor = fit_line(table)[0] if len(table.mean) > 2 else (0.0, table.variance.mean())
        lowest = 0.25 * float(table.variance.min())
        variance = np.maximum(gain * local + floor + view.rounding, max(lowest, 1e-3))
        lag_one = float(np.clip((table.covariance / table.variance).mean(), 0.0, 0.9))
    return NoiseTable(
        mean=table.mean,
        mean_error=table.mean_error,
        variance=table.variance,
        covariance=table.covariance,
        error=table.error,
        row_variance=row_variance,
        row_error=row_error,
        vertical_lag_one=vertical_lag_one_of(view.noisy, np.pad(flat, ((_REACH, _REACH), (0, 0)))),
        flat_share=float(flat.mean()),
        shift=shift,
        along_x=correlation_along_x(noise / np.sqrt(variance[inner]), flat),
    )


_NOT_FLAT = (
    "The picture has too few flat places to tell its noise from its texture, or its noise was "
    "smoothed away. Give unprocessed pictures with smoother areas, or repeated frames of one field."
)


_SECOND = (((2, 0), 1.0), ((0, 2), 1.0), ((1, 1), 2.0))


def _curvature(image: Floats) -> Floats:
    """Squared norm of the matrix of second derivatives of the smoothed picture."""
    total = np.zeros(image.shape)
    for order, weight in _SECOND:
        total += weight * ndimage.gaussian_filter(image, _CURVATURE_BLUR, order=order) ** 2
    return total


def _curvature_of_noise(lag_one: float, size: int = 64) -> tuple[float, float]:
    """Mean of `_curvature` of noise of variance 1: correlated along x, and constant along rows."""
    point = np.zeros((size, size))
    point[0, 0] = 1.0
    power = np.zeros((size, size))
    for order, weight in _SECOND:
        response = ndimage.gaussian_filter(point, _CURVATURE_BLUR, order=order, mode="wrap")
        power += weight * np.abs(np.fft.fft2(response)) ** 2
    along_x = 2 * np.pi * np.fft.fftfreq(size)
    spectrum = (1 - lag_one**2) / (1 - 2 * lag_one * np.cos(along_x) + lag_one**2)
    return float((power * spectrum).mean()), float(power[:, 0].mean())
