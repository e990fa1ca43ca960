"""How the noise of a picture hangs together: offsets of rows, correlation along x and across rows.

`filtered` is a picture seen through the vertical filter of `noise_table.FILTER`, `flat` the pixels
that show noise alone, `sigma` what the noise is expected to be there; all of shape (Y, X).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.imaging.noise_table import FEWEST, FILTER, INDEPENDENT

__all__ = [
    "LAGS",
    "correlation_along_x",
    "row_variance_of",
    "spread",
    "vertical_lag_one_of",
    "without_rows",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LAGS = 16
"""Distances along x, 0 included, at which the correlation of noise is measured."""

_MEDIAN_TO_SIGMA = 1.4826

_SEEN = 2.5
"""Standard errors from which a correlation counts as seen."""

_BEYOND_FILTERS = 8
"""Rows over which no filter reaches that leaves noise to be measured."""


def spread(values: Floats) -> float:
    """Estimate the standard deviation by the median, which a few outliers do not change."""
    return float(_MEDIAN_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def row_variance_of(filtered: Floats, flat: Mask, sigma: Floats) -> tuple[float, float]:
    """Variance of the row offsets: what two halves of each row, in turns of 32 px, share."""
    bounded = np.clip(filtered, -3.5 * sigma, 3.5 * sigma)
    turns = (np.arange(flat.shape[1]) // 32) % 2 == 0
    means, counts = [], []
    for columns in (turns, ~turns):
        used = flat & columns
        counts.append(used.sum(axis=1))
        means.append((bounded * used).sum(axis=1) / np.maximum(counts[-1], 1))
    known = np.minimum(*counts) >= 8
    if known.sum() < 16:
        return 0.0, float("inf")
    one, two = means[0][known], means[1][known]
    together, apart = spread(one + two) ** 2, spread(one - two) ** 2
    # A variance from medians of n values has the relative error sqrt(2 / n) / 0.61.
    relative = np.sqrt(2 / (known.sum() * INDEPENDENT)) / 0.61
    error = relative * np.hypot(together, apart) / 4
    return max((together - apart) / 4, 0.0), float(error)


def without_rows(filtered: Floats, flat: Mask, sigma: Floats) -> Floats:
    """Take the mean of its flat pixels from each row, and bound what is left to 4 sigma."""
    bounded = np.clip(filtered, -4 * sigma, 4 * sigma)
    count = np.maximum(flat.sum(axis=1, keepdims=True), 1)
    centred = filtered - (bounded * flat).sum(axis=1, keepdims=True) / count
    return np.asarray(np.clip(centred, -4 * sigma, 4 * sigma), dtype=np.float64)


def correlation_along_x(noise: Floats, flat: Mask) -> Floats:
    """Correlation of flat pixels along x by their distance, from 0 on.

    It is taken as 0 from the first distance on at which it does not stand out of its error.
    """
    values = np.where(flat, noise, 0.0)
    products, errors = np.zeros(LAGS), np.full(LAGS, np.inf)
    for lag in range(min(LAGS, flat.shape[1])):
        stop = flat.shape[1] - lag
        pairs = np.count_nonzero(flat[:, lag:] & flat[:, :stop])
        if pairs >= FEWEST:
            products[lag] = (values[:, lag:] * values[:, :stop]).sum() / pairs
            errors[lag] = 1 / np.sqrt(INDEPENDENT * pairs)
    # What the mean of a row of n values takes away with it, as in `tabulate`.
    count = flat.sum(axis=1)
    share = np.count_nonzero(count) / max(int(count.sum()), 1)
    first = float(np.clip(products[1] / products[0], 0.0, 0.9))
    products += products[0] * share * (1 + first) / (1 - first)
    correlation = products / products[0]
    lost = np.flatnonzero(np.abs(correlation) < _SEEN * errors)
    correlation[lost[0] if len(lost) else LAGS :] = 0.0
    return np.asarray(correlation, dtype=np.float64)


def vertical_lag_one_of(noisy: Floats, flat: Mask) -> float:
    """Correlation of rows, seen through the filter along x, which takes row offsets away.

    Fine upright structure correlates rows as well, but over any distance; a filter's reach ends.
    """
    across = ndimage.correlate1d(noisy, FILTER, axis=1)

    def products(distance: int) -> float:
        both = flat[distance:] & flat[:-distance]
        if both.sum() < FEWEST:
            return 0.0
        return float((across[distance:] * across[:-distance])[both].mean())

    structure = max(products(_BEYOND_FILTERS), 0.0)
    power = float(np.square(across[flat]).mean())
    return (products(1) - structure) / power if power > structure else 0.0
