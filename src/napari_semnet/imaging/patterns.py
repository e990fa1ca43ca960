"""Patterns that repeat through a picture, such as a network or its tiles could draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.quality import single_plane, windowed_power

__all__ = ["Pattern", "periodic_pattern"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How far a periodic pattern stands out of a picture's spectrum."""

    pitch: int
    """Period in pixels."""
    peak: float
    """Power at the pitch's harmonics over that of the frequencies around them. Around 2 without
    any pattern, seldom above 8 as chance has it; a grid that can be seen gives tens to thousands.
    The quieter a picture, the weaker the patterns that stand out of it."""
    amplitude: float
    """Root mean square of the pattern, in grey levels; what the frequencies around would give by
    chance is taken off."""


def periodic_pattern(image: NDArray[Any], pitch: int) -> Pattern:
    """Look for a pattern that repeats every `pitch` pixels, such as a grid or a checkerboard.

    The power at the harmonics of a square grid of the pitch, up to the fourth order along both
    axes, is divided by the mean power of the frequencies around each. These ratios are averaged
    for rows, for columns and for patterns along both, and the largest of the three is the peak.
    The harmonic at half the sampling rate belongs to the pitch of 2 pixels only.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        At least 8 periods each way; it is cut to whole periods.
    pitch : int
        Period in pixels, 2 or more.

    Returns
    -------
    Pattern
        A picture with real structure of that pitch has a pattern too, so compare with the
        input's.

    Raises
    ------
    ImageError
        The picture holds fewer than 8 periods.
    """
    if pitch < 2:
        raise ValueError(f"A pattern repeats after 2 pixels or more, not {pitch}.")
    plane = single_plane(image)
    periods = [size // pitch for size in plane.shape]
    if min(periods) < 8:
        raise ImageError(
            f"A pitch of {pitch} pixels needs a picture of at least {8 * pitch} x {8 * pitch} "
            "pixels."
        )
    # Whole periods put each harmonic on one frequency of the transform.
    power = windowed_power(plane[: periods[0] * pitch, : periods[1] * pitch])
    orders = range(1, max(1, min(4, (pitch - 1) // 2)) + 1)
    rows = [(k, 0) for k in orders]
    columns = [(0, j) for j in orders]
    both = [(k, j) for k in orders for j in orders]
    # The other half plane holds the same numbers; at half the sampling rate it is this one.
    both += [(k, -j) for k in orders for j in orders if pitch > 2]
    ratios, square = [], 0.0
    for group in (rows, columns, both):
        found = [_stand_out(power, (k * periods[0], j * periods[1])) for k, j in group]
        ratios.append(float(np.mean([peak / max(around, 1e-300) for peak, around in found])))
        square += sum((1 if pitch == 2 else 2) * (peak - around) for peak, around in found)
    # A Hann window of n pixels sums to n/2 and its squares to 3n/8, along each axis.
    in_grey_levels = square * (3 / 2) ** 2 / power.size
    return Pattern(pitch, max(ratios), math.sqrt(max(in_grey_levels, 0.0)))


def _stand_out(power: Floats, place: tuple[int, int]) -> tuple[float, float]:
    """Power at one frequency, and the mean around it, up to 6 steps away."""
    steps = np.arange(-6, 7)
    rows = (place[0] + steps) % power.shape[0]
    columns = (place[1] + steps) % power.shape[1]
    around = power[np.ix_(rows, columns)].copy()
    peak = float(around[6, 6])
    # The Hann window spreads a peak over its next neighbours.
    around[5:8, 5:8] = np.nan
    # Frequency 0 of either axis carries what the picture has along its borders; where the
    # harmonic lies on such an axis it must be compared with that axis only.
    for axis, offset in enumerate(place):
        if offset == 0:
            return peak, float(np.nanmean(np.take(around, 6, axis=axis)))
    return peak, float(np.nanmean(around))
