"""Two pictures of one field, laid over one another: registered, matched in grey level, or refused.

Two scans of a field are never quite the same: the stage drifts between them and within them, and
brightness and contrast are set anew. A network that is trained on pairs learns each of these as if
it were a property of the noise, so they are taken away where that is possible, and the pair is
refused, with the reason, where it is not.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError, TrainingError

__all__ = ["Pair", "join_pair", "seems_swapped"]

LARGEST_DRIFT = 1.0
"""Pixels of the poor picture by which the shifts of its quarters may differ."""
LEAST_CORRELATION = 0.5
"""Correlation of the smoothed pictures below which they do not show the same."""
STILL = 0.05
"""Shift in pixels of the poor picture that is not worth resampling the good one for."""
SMOOTHING = 2.0
"""Standard deviation, in pixels, of the Gaussian that takes most of the noise away first."""
_SMALLEST_QUARTER = 64
_NOISIER = 1.5
"""Times the noise of the poor picture from which on the good one is the noisier of the two."""
_NOISE_SIDE = 1024
"""Pixels in the middle of which noise is measured; more tell nothing new."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """A poor and a good picture of the same field.

    Attributes
    ----------
    low : ndarray of float32, (Y, X)
    high : ndarray of float32, (2Y, 2X)
        Each 2 x 2 of its pixels cover one of `low`.
    shift : (float, float)
        By how much the good picture lay beside the poor one, (y, x) in pixels of the poor one.
    drift : float
        Largest difference of that between the picture's quarters; NaN where they are too small,
        or too few of them show enough to tell.
    gain, offset : float
        The good picture was multiplied and shifted by these to match the poor one.
    """

    low: Floats
    high: Floats
    shift: tuple[float, float]
    drift: float
    gain: float
    offset: float


def join_pair(low: NDArray[Any], high: NDArray[Any], *, equally_noisy: bool = False) -> Pair:
    """Lay a good picture over a poor one of the same field.

    Parameters
    ----------
    low : ndarray of floating-point numbers, (Y, X)
        Values in 0 ... 1.
    high : ndarray of floating-point numbers
        Of twice the pixels, (2Y, 2X); or of as many, (Y, X): then the mean of 2 x 2 pixels of
        `low` becomes the poor picture, so that the good one, as it is, has twice its pixels.
        The mean halves white noise; a network trained on such pairs alone expects that.
    equally_noisy : bool
        Whether `high` is a second frame of the same noise as `low`, not a better picture.

    Returns
    -------
    Pair
        The part that both show. The poor picture is not resampled; the good one is moved by
        cubic splines, and fitted in gain and offset on smoothed copies: by least squares, or,
        where both are equally noisy, so that their standard deviations agree.

    Raises
    ------
    TrainingError
        The sizes do not fit, or the two drift, or do not show the same, or are inverted.
    """
    poor, good = _at_two_to_one(low, high)
    small = _halved(good)
    shift = _shift(small, poor)
    drift = _drift(small, poor)
    if drift > LARGEST_DRIFT:
        raise TrainingError(
            f"the picture drifted while it was taken: its quarters lie {drift:.1f} pixels apart "
            f"(allowed: {LARGEST_DRIFT:g})"
        )
    poor, good = _overlaid(poor, good, shift)
    gain, offset = _matched(poor, _halved(good), equally_noisy)
    return Pair(poor, (gain * good + offset).astype(np.float32), shift, drift, gain, offset)


def seems_swapped(low: NDArray[Any], high: NDArray[Any]) -> bool:
    """Tell whether the good picture of a pair is noisier than the poor one.

    Parameters
    ----------
    low : ndarray, (Y, X)
    high : ndarray, (2Y, 2X)
        As `join_pair` gave them, in the same unit. Its noise is measured on means of 2 x 2 pixels.

    Returns
    -------
    bool
        So it is where the two were given the wrong way round, and also where the poor one is
        blurred rather than noisy. False where either is too small to tell, or saturated.
    """
    from napari_semnet.imaging.quality import noise_sigma

    top, left = (max(0, (n - _NOISE_SIDE) // 2) for n in low.shape)
    poor = low[top : top + _NOISE_SIDE, left : left + _NOISE_SIDE]
    rows, columns = poor.shape
    good = high[2 * top : 2 * (top + rows), 2 * left : 2 * (left + columns)]
    try:
        of_poor, of_good = (noise_sigma(part.astype(np.float32)) for part in (poor, _halved(good)))
    except ImageError:
        return False
    return of_good > _NOISIER * of_poor


def _at_two_to_one(low: NDArray[Any], high: NDArray[Any]) -> tuple[Floats, Floats]:
    poor, good = low.astype(np.float32), high.astype(np.float32)
    if poor.shape == good.shape:
        rows, columns = (n - n % 2 for n in poor.shape)
        return _halved(poor[:rows, :columns]), good[:rows, :columns]
    if good.shape == (2 * poor.shape[0], 2 * poor.shape[1]):
        return poor, good
    sizes = [f"{shape[1]} x {shape[0]}" for shape in (low.shape, high.shape)]
    raise TrainingError(
        f"the sizes do not fit: {sizes[0]} and {sizes[1]} pixels, where the second must have as "
        "many or twice as many each way"
    )


def _halved(pixels: Floats) -> Floats:
    rows, columns = pixels.shape
    mean: Floats = pixels.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return mean


def _shift(moving: Floats, reference: Floats) -> tuple[float, float]:
    """Shift in pixels that brings the moving picture onto the reference."""
    from napari_semnet.imaging.registration import register

    try:
        return register(moving, reference)
    except ImageError as error:
        raise TrainingError(f"the two could not be laid over one another: {error}") from error


def _drift(moving: Floats, reference: Floats) -> float:
    rows, columns = (n // 2 for n in reference.shape)
    if min(rows, columns) < _SMALLEST_QUARTER:
        return float("nan")
    parts = product((slice(0, rows), slice(rows, None)), (slice(0, columns), slice(columns, None)))
    shifts = []
    for part in parts:
        # A quarter of bare resin tells nothing of drift; the others, and the whole, still do.
        with suppress(TrainingError):
            shifts.append(_shift(_smooth(moving[part]), _smooth(reference[part])))
    return float(np.ptp(shifts, axis=0).max()) if len(shifts) > 1 else float("nan")


def _overlaid(poor: Floats, good: Floats, shift: tuple[float, float]) -> tuple[Floats, Floats]:
    from scipy import ndimage

    if max(map(abs, shift)) < STILL:
        return poor, good
    moved = ndimage.shift(good, [2 * s for s in shift], order=3, mode="nearest")
    parts = []
    for distance, length in zip(shift, poor.shape, strict=True):
        margin = int(np.ceil(abs(distance))) + (2 if distance else 0)
        parts.append(slice(margin if distance > 0 else 0, length - (margin if distance < 0 else 0)))
    y, x = parts
    twice = (slice(2 * y.start, 2 * y.stop), slice(2 * x.start, 2 * x.stop))
    return poor[y, x], moved[twice].astype(np.float32)


def _smooth(pixels: Floats) -> Floats:
    from scipy import ndimage

    smooth: Floats = ndimage.gaussian_filter(pixels, SMOOTHING)
    return smooth


def _matched(poor: Floats, good: Floats, equally_noisy: bool) -> tuple[float, float]:
    one, other = (_smooth(part).astype(np.float64) for part in (poor, good))
    spreads = float(one.std()), float(other.std())
    if min(spreads) == 0:
        raise TrainingError("one of the two shows nothing: all its grey values are the same")
    covariance = float(((one - one.mean()) * (other - other.mean())).mean())
    correlation = covariance / (spreads[0] * spreads[1])
    if correlation < LEAST_CORRELATION:
        inverted = " (their contrast is inverted)" if correlation < -LEAST_CORRELATION else ""
        raise TrainingError(
            f"the two do not show the same{inverted}: their correlation is {correlation:.2f} "
            f"(needed: {LEAST_CORRELATION:g})"
        )
    # What is left of the noise after smoothing is in the poor picture, so the good one is the
    # regressor: its slope is then not flattened by noise. Where both are noisy it would be, and
    # the network would learn to take contrast away.
    gain = spreads[0] / spreads[1] if equally_noisy else covariance / spreads[1] ** 2
    return gain, float(one.mean() - gain * other.mean())
