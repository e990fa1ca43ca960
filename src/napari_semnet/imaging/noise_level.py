"""How strong the noise of one picture is at each grey level, in the form that checks need.

`measure_noise` looks at flat places first (`napari_semnet.imaging.noise_measurement`). Where a
picture has none, only one rough figure for the whole of it is left, and the result says so.

All figures are in grey levels of 255, whatever the data type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import IntensityRange, measure_range, to_unit
from napari_semnet.imaging.noise_correlation import LAGS
from napari_semnet.imaging.noise_measurement import (
    WHITE,
    measure_picture,
    measure_residual,
)
from napari_semnet.imaging.noise_table import NoiseTable, fit_line
from napari_semnet.imaging.quality import noise_sigma

__all__ = ["NoiseLevel", "measure_noise", "noise_of_residual"]

Floats = NDArray[np.float64]

_LEAST_VARIANCE = 0.05
"""Variance, grey levels squared, that is taken for less: no picture has none at all."""
_LEAST_ERROR = 0.02
_ROUGH_ERROR = 0.25
"""Relative error that a variance is given which was not measured on flat places."""
_LARGEST_SIDE = 1536


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """Noise of one picture: ``variance = gain * grey level + floor``, and how it is correlated.

    Attributes
    ----------
    gain, floor : float
        Growth of the variance with the grey level, and the variance at black; rounding to whole
        grey levels is part of the floor, offsets of rows are not.
    darkest, brightest : float
        Grey levels between which it was measured.
    row_sigma : float
        Standard deviation of the offsets of rows.
    along_x : tuple of float
        Correlation of pixels 0, 1, ... apart along a row; the first is 1.
    between_rows : float
        Correlation of neighbouring rows; near 0 unless the picture was filtered after scanning.
    covariance : (float, float, float)
        Of the errors of gain and floor: variance of the gain, covariance, variance of the floor.
    source : str
        ``flat`` places of the picture; the ``residual`` of a restoration, where removed detail may
        count as noise; or ``whole``: one rough figure for all of the picture, where fine texture
        counts as noise and nothing is known of rows and correlation.
    """

    gain: float
    floor: float
    darkest: float
    brightest: float
    row_sigma: float
    along_x: tuple[float, ...]
    between_rows: float
    covariance: tuple[float, float, float]
    source: Literal["flat", "residual", "whole"]

    def variance(self, grey: NDArray[Any]) -> Floats:
        """Variance of the noise where the noise-free picture has these grey levels."""
        # A growth with brightness is physics and may be extrapolated; its opposite is a fit.
        within = grey if self.gain > 0 else np.clip(grey, self.darkest, self.brightest)
        least = max(0.25 * (self.gain * self.darkest + self.floor), _LEAST_VARIANCE)
        return np.maximum(self.gain * np.asarray(within, np.float64) + self.floor, least)

    def error(self, grey: NDArray[Any]) -> Floats:
        """Relative standard error of `variance`; it grows away from where it was measured."""
        at = np.asarray(grey, np.float64)
        of_gain, of_both, of_floor = self.covariance
        square = of_gain * at**2 + 2 * of_both * at + of_floor
        return np.hypot(np.sqrt(np.maximum(square, 0.0)) / self.variance(at), _LEAST_ERROR)

    @property
    def sigma(self) -> float:
        """Standard deviation at the middle of the grey levels where it was measured."""
        middle = np.array((self.darkest + self.brightest) / 2)
        return math.sqrt(float(self.variance(middle)))

    @property
    def lag_one(self) -> float:
        """Correlation of neighbours along a row."""
        return self.along_x[1]


def measure_noise(pixels: Any, intensity: IntensityRange | None = None) -> NoiseLevel:
    """Measure the noise of one picture, as well as it allows.

    Parameters
    ----------
    pixels : array-like, shape (Y, X)
        Specimen only, without the databar. Of large pictures the middle is looked at.
    intensity : IntensityRange, optional
        Black and white; measured by default.

    Returns
    -------
    NoiseLevel

    Raises
    ------
    ImageError
        The picture is smaller than 8 pixels, or all of it is black or white.
    """
    plane = np.asarray(pixels)
    intensity = intensity or measure_range(plane)
    step = WHITE / (intensity.high - intensity.low) if plane.dtype.kind in "iu" else 0.0
    try:
        table = measure_picture(plane, intensity)
    except ImageError:
        return _rough(plane, intensity)
    return _from_table(table, step**2 / 12, "flat")


def noise_of_residual(
    residual: Floats, guide: Floats, usable: NDArray[np.bool_]
) -> NoiseLevel | None:
    """Measure the noise of a picture in what a restoration took away from it.

    Parameters
    ----------
    residual, guide, usable
        See `napari_semnet.imaging.noise_measurement.measure_residual`.

    Returns
    -------
    NoiseLevel or None
        None where too little of the residual can be used.
    """
    try:
        return _from_table(measure_residual(residual, guide, usable), 0.0, "residual")
    except ImageError:
        return None


def _from_table(
    table: NoiseTable, rounding: float, source: Literal["flat", "residual"]
) -> NoiseLevel:
    (gain, floor), covariance = fit_line(table)
    if np.isfinite(covariance).all():
        errors = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    else:
        # All that is known of the gain is that electrons could make all of this noise.
        middle = float(table.mean.mean())
        slope = (floor / max(middle, 1.0)) ** 2
        errors = slope, -slope * middle, covariance[1, 1] + slope * middle**2
    return NoiseLevel(
        gain=float(gain),
        floor=float(floor) + rounding,
        darkest=float(table.mean.min()),
        brightest=float(table.mean.max()),
        row_sigma=math.sqrt(table.row_variance),
        along_x=tuple(float(value) for value in table.along_x),
        between_rows=table.vertical_lag_one,
        covariance=(float(errors[0]), float(errors[1]), float(errors[2])),
        source=source,
    )


def _rough(plane: NDArray[Any], intensity: IntensityRange) -> NoiseLevel:
    starts = [max(size - _LARGEST_SIDE, 0) // 2 for size in plane.shape]
    middle = plane[tuple(slice(first, first + _LARGEST_SIDE) for first in starts)]
    if not np.isfinite(middle).all():
        middle = np.where(np.isfinite(middle), middle, np.median(middle[np.isfinite(middle)]))
    sigma = noise_sigma(middle) * WHITE / (intensity.high - intensity.low)
    grey = WHITE * to_unit(middle, intensity)
    darkest, brightest = (float(v) for v in np.percentile(grey, (5, 95)))
    return NoiseLevel(
        gain=0.0,
        floor=sigma**2,
        darkest=darkest,
        brightest=brightest,
        row_sigma=0.0,
        along_x=(1.0, *(0.0,) * (LAGS - 1)),
        between_rows=0.0,
        covariance=(0.0, 0.0, (_ROUGH_ERROR * sigma**2) ** 2),
        source="whole",
    )
