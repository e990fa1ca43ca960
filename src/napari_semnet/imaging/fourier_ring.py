"""Fourier ring correlation: down to which size two acquisitions of one place agree.

The method needs two pictures with *independent* noise. Two halves of one picture, or a picture
and its own restoration, share their noise, or lose it in the same way; their correlation rises
when a picture is merely blurred, and says nothing of resolution. So one picture is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal.windows import tukey

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Plane
from napari_semnet.imaging.registration import registered_pair

__all__ = ["ONE_SEVENTH", "RingCorrelation", "fourier_ring_correlation"]

ONE_SEVENTH = 1 / 7
"""The usual fixed threshold (Rosenthal and Henderson 2003; Nieuwenhuizen et al. 2013)."""

_SHARED = 0.9
"""Mean correlation next to the Nyquist frequency above which two pictures share their noise."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RingCorrelation:
    """Correlation of two pictures by spatial frequency.

    Attributes
    ----------
    frequency : ndarray of float64, (N,)
        Cycles per `unit`, ring by ring, up to the Nyquist frequency.
    correlation : ndarray of float64, (N,)
        -1 to 1.
    half_bit : ndarray of float64, (N,)
        Correlation at which a ring carries half a bit of information per pixel (van Heel and
        Schatz 2005).
    finest : float or None
        Length of the period at which the correlation first falls below 1/7, in `unit`; None
        where it never does.
    shift : (float, float)
        By how much the first picture lay beside the second one (y, x), in `unit`; taken out
        before correlating.
    unit : str
        ``"nm"`` or ``"px"``.
    """

    frequency: Floats
    correlation: Floats
    half_bit: Floats
    finest: float | None
    shift: tuple[float, float]
    unit: str


def fourier_ring_correlation(first: Plane, second: Plane) -> RingCorrelation:
    """Correlate two acquisitions of one place, ring by ring of spatial frequency.

    The finer picture is averaged onto the coarser grid, the first one is moved onto the second
    to a fraction of a pixel, and both are faded out over an eighth of their size at each border.

    Parameters
    ----------
    first, second : Plane
        Pictures of one place with independent noise.

    Returns
    -------
    RingCorrelation

    Raises
    ------
    ImageError
        The two come from one acquisition, as far as their pixels tell, or do not overlap, or
        overlap in less than 32 pixels.
    """
    if _is_same(first, second):
        raise _one_picture(first, second)
    coarse = max(first, second, key=lambda plane: plane.grid.pixel_size)
    pair = registered_pair(first, second, coarse.grid)
    size = pair.grid.pixel_size
    window = np.outer(*(tukey(length, 0.25) for length in pair.image.shape))
    spectra = [fft.rfft2((part - part.mean()) * window) for part in (pair.image, pair.reference)]
    frequency, counts, (cross, one, two) = _rings(
        [
            (spectra[0] * spectra[1].conj()).real,
            np.abs(spectra[0]) ** 2,
            np.abs(spectra[1]) ** 2,
        ],
        pair.image.shape,
        size,
    )
    correlation = cross / np.maximum(np.sqrt(one * two), np.finfo(float).tiny)
    outer = frequency > 0.75 * frequency[-1]
    if correlation[outer].mean() > _SHARED:
        raise _one_picture(first, second)
    # The window makes neighbouring frequencies dependent; each pair ±f is one measurement.
    independent = counts / 2 * float((window**2).mean() ** 2 / (window**4).mean())
    return RingCorrelation(
        frequency,
        correlation,
        _half_bit(independent),
        _crossing(frequency, correlation, counts),
        pair.shift,
        pair.grid.unit,
    )


def _is_same(first: Plane, second: Plane) -> bool:
    if first.pixels is second.pixels:
        return True
    # A shifted or filtered copy is found by its correlation instead.
    return bool(np.array_equal(first.floats(), second.floats()))


def _one_picture(first: Plane, second: Plane) -> ImageError:
    return ImageError(
        "Fourier ring correlation needs two separate acquisitions of one place. "
        f"“{first.name}” and “{second.name}” agree in their noise, as a picture does with itself "
        "or with a filtered copy, and that says nothing of resolution: it even rises when a "
        "picture is blurred. Take a second picture of the same place and choose it."
    )


def _rings(
    powers: list[Floats], shape: tuple[int, int], size: tuple[float, float]
) -> tuple[Floats, Floats, list[Floats]]:
    """Sum over rings as wide as one step of the coarser frequency axis.

    Gives the middle frequency of each ring, the number of Fourier coefficients in it, and the
    sums of each of `powers`, which are given for the half plane of real pictures.
    """
    rows, columns = fft.fftfreq(shape[0], size[0]), fft.rfftfreq(shape[1], size[1])
    radius = np.hypot(rows[:, None], columns)
    step = max(rows[1], columns[1])
    nyquist = 0.5 / max(size)
    number = np.rint(radius / step).astype(int).ravel()
    rings = int(nyquist / step) + 1
    # Coefficients off the axis stand for their mirror images as well.
    twice = np.full(radius.shape, 2.0)
    twice[:, 0] = 1.0
    if shape[1] % 2 == 0:
        twice[:, -1] = 1.0

    def total(values: Floats) -> Floats:
        sums = np.bincount(number, (values * twice).ravel(), minlength=rings)
        return np.asarray(sums[1:rings], dtype=np.float64)

    counts = total(np.ones_like(radius))
    frequency = total(radius) / counts
    return frequency, counts, [total(power) for power in powers]


def _half_bit(independent: Floats) -> Floats:
    root = np.sqrt(np.maximum(independent, 1.0))
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def _crossing(frequency: Floats, correlation: Floats, counts: Floats) -> float | None:
    """Period at which the correlation, smoothed over three rings, first falls below 1/7."""
    kernel = np.ones(3)
    smooth = np.convolve(correlation * counts, kernel, "same") / np.convolve(counts, kernel, "same")
    below = np.flatnonzero(smooth < ONE_SEVENTH)
    if below.size == 0:
        return None
    last = int(below[0])
    if last == 0:
        return 1.0 / float(frequency[0])
    part = (smooth[last - 1] - ONE_SEVENTH) / (smooth[last - 1] - smooth[last])
    return 1.0 / float(frequency[last - 1] + part * (frequency[last] - frequency[last - 1]))
