"""Noise by grey value: the table that pictures are measured into, and the line through it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError

__all__ = [
    "CLIPPED",
    "FEWEST",
    "FILTER",
    "INDEPENDENT",
    "NoiseTable",
    "fit_line",
    "tabulate",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FILTER: Floats = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)
"""The filter through which noise is looked at, along one axis; it keeps white noise's variance."""
INDEPENDENT = 0.49
"""Share of independent values among filtered ones."""

CLIPPED = (
    "The flat places of the picture are so close to black or white that their noise is clipped. "
    "Give pictures with other brightness and contrast."
)

_NO_NOISE = (
    "The picture has no noise where it is flat: it was drawn by a program, or its noise was taken "
    "away. Give pictures as the microscope saves them."
)

_BINS = 12
FEWEST = 300
"""Pixels that a bin needs; of a picture, six times as many."""
_LEVERAGE = 10.0
"""How many times the variance of the bins' means must exceed that which noise alone gives."""
_SILENT = 1e-12
"""Variance up to which there is no noise; rounding to 16 bits makes a million times as much."""
_TAIL = 3.0
"""Sigmas that must fit between a bin's mean and black or white, or clipping hides noise."""


@dataclass(frozen=True, slots=True)
class NoiseTable:
    """Noise of one picture by grey value, on its flat places.

    Attributes
    ----------
    mean : ndarray, shape (B,)
        Grey value of each bin.
    mean_error : ndarray, shape (B,)
        Noise of the local means by which pixels were sorted into bins.
    variance : ndarray, shape (B,)
        Variance without row offsets and rounding.
    covariance : ndarray, shape (B,)
        Covariance of neighbours along x.
    error : ndarray, shape (B,)
        Standard error of `variance`, and nearly of `covariance`.
    row_variance : float
        Variance of the offsets of rows.
    row_error : float
        Standard error of `row_variance`.
    vertical_lag_one : float
        Correlation of neighbours along y; 0 in a scanned picture that nobody has filtered.
    flat_share : float
        Share of the pixels that were flat enough to be used.
    shift : (float, float), optional
        Drift (y, x) between the two frames, pixels.
    along_x : ndarray, shape (L,)
        Correlation of pixels 0, 1, ... L - 1 apart along x, all grey values together, without row
        offsets; the first is 1. Empty where it was not measured.
    """

    mean: Floats
    mean_error: Floats
    variance: Floats
    covariance: Floats
    error: Floats
    row_variance: float
    row_error: float
    vertical_lag_one: float
    flat_share: float
    shift: tuple[float, float] | None = None
    along_x: Floats = field(default_factory=lambda: np.empty(0))


def fit_line(table: NoiseTable) -> tuple[Floats, Floats]:
    """Fit ``variance = gain mean + floor`` by weighted least squares.

    Where the means differ by little more than their own noise, the gain is not known: its
    variance is then given as infinite, and the floor is the mean variance.

    Returns
    -------
    values : ndarray, shape (2,)
        Gain and floor.
    covariance : ndarray, shape (2, 2)
        Of the two; enlarged where the points scatter more than their errors allow.
    """
    weight = 1.0 / table.error
    centre = np.average(table.mean, weights=weight**2)
    spread = float(np.average(np.square(table.mean - centre), weights=weight**2))
    if spread < _LEVERAGE * np.average(np.square(table.mean_error), weights=weight**2):
        floor = np.average(table.variance, weights=weight**2)
        known = 1 / float(np.square(weight).sum())
        return np.array([0.0, float(floor)]), np.array([[np.inf, 0.0], [0.0, known]])
    design: Floats = np.stack([table.mean * weight, weight], axis=1)
    solved = np.linalg.lstsq(design, table.variance * weight, rcond=None)[0]
    values: Floats = solved.astype(np.float64)
    freedom = max(len(weight) - 2, 1)
    scatter = float(np.square(table.variance * weight - design @ values).sum()) / freedom
    inverse: Floats = np.asarray(np.linalg.pinv(design.T @ design), dtype=np.float64)
    return values, inverse * max(scatter, 1.0)


def tabulate(
    noise: Floats,
    local: Floats,
    flat: Mask,
    *,
    mean_share: float,
    ends: tuple[float, float],
    rounding: float,
) -> NoiseTable:
    """Sort flat pixels by their local mean and take the noise of each bin.

    Parameters
    ----------
    noise : ndarray, shape (Y, X)
        Filtered noise, without row offsets.
    local : ndarray, shape (Y, X)
        Local mean, grey levels.
    flat : ndarray of bool, shape (Y, X)
        Pixels to use.
    mean_share : float
        Variance of `local`, in that of the noise.
    ends : (float, float)
        Grey values at which the picture is clipped.
    rounding : float
        Variance that rounding to whole values of the data type adds.

    Returns
    -------
    NoiseTable
        Of what concerns bins; the rest is zero.

    Raises
    ------
    ImageError
        No bin is far enough from black and white, or none has any noise.
    """
    count = min(_BINS, int(flat.sum()) // (2 * FEWEST))
    edges = np.quantile(local[flat], np.linspace(0, 1, count + 1))
    index = np.where(
        flat, np.clip(np.searchsorted(edges, local, side="right") - 1, 0, count - 1), -1
    )
    pixels, mean, variance = _means(index[flat], count, local[flat], np.square(noise[flat]))
    is_pair = flat[:, 1:] & (index[:, 1:] == index[:, :-1])
    pairs, covariance = _means(
        index[:, 1:][is_pair], count, (noise[:, 1:] * noise[:, :-1])[is_pair]
    )
    # A bin without any noise would count as known without any error.
    is_noisy = variance > _SILENT
    if not is_noisy.any():
        raise ImageError(_NO_NOISE)
    # What the mean of a row of n independent values takes away with it; more where they are not.
    taken = np.broadcast_to(1 / np.maximum(flat.sum(axis=1, keepdims=True), 1), flat.shape)
    share = _means(index[flat], count, taken[flat])[1]
    lag = np.clip(covariance / np.maximum(variance, 1e-12), 0.0, 0.9)
    lost = variance * share * (1 + lag) / (1 - lag)
    variance, covariance = variance + lost, covariance + lost
    independent = pixels * INDEPENDENT * (1 - lag**2) / (1 + lag**2)
    error = variance * np.sqrt(2 / np.maximum(independent, 1))
    reach = _TAIL * np.sqrt(variance)
    usable = (mean - reach >= ends[0]) & (mean + reach <= ends[1])
    usable &= is_noisy & (pixels >= FEWEST) & (pairs >= FEWEST // 4)
    if not usable.any():
        raise ImageError(CLIPPED)
    return NoiseTable(
        mean=mean[usable],
        mean_error=np.sqrt(variance[usable] * mean_share),
        variance=np.maximum(variance[usable] - rounding, 1e-6),
        covariance=covariance[usable],
        error=error[usable],
        row_variance=0.0,
        row_error=0.0,
        vertical_lag_one=0.0,
        flat_share=0.0,
    )


def _means(index: NDArray[np.intp], count: int, *values: Floats) -> tuple[Floats, ...]:
    """Count the entries in each of `count` groups, and take the means of `values` in them."""
    number = np.bincount(index, minlength=count).astype(np.float64)
    sums = (np.bincount(index, weights=one, minlength=count) for one in values)
    return (number, *(total / np.maximum(number, 1) for total in sums))
