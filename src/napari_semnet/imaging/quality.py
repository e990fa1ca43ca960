"""Figures that say how good a picture is, with and without a reference.

Every function states its definition, because figures by different definitions cannot be
compared. Pictures are single planes ``(Y, X)`` of any real data type; nothing is rescaled, so
grey levels are those of the input. Computations are in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special
from skimage.metrics import structural_similarity

from napari_semnet.errors import ImageError

__all__ = [
    "PSNR_DEFINITION",
    "SSIM_DEFINITION",
    "edge_width",
    "mean_bias",
    "noise_sigma",
    "psnr",
    "radial_power_spectrum",
    "single_plane",
    "ssim",
    "windowed_power",
]

Floats = NDArray[np.float64]

PSNR_DEFINITION = (
    "10 log10(R^2 / MSE) in dB over all pixels, R the data range; no border is cut off"
)
SSIM_DEFINITION = (
    "mean over the picture of Wang et al. 2004 with a Gaussian window of sigma 1.5 px cut at 11 x "
    "11 px, K1 0.01, K2 0.03, population covariance; 5 px of border are left out, as "
    "scikit-image does"
)

# (1, -2, 1) along both axes: blind to constants, ramps and straight edges along the axes. White
# noise of deviation s leaves it with deviation 6 s.
_HIGH_PASS = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0])
_HIGH_PASS_GAIN = 6.0
_MEDIAN_OF_ABSOLUTE_NORMAL = float(special.ndtri(0.75))
_CALM_SHARE = 0.25
_FITTED_PIXELS = 10_000


def psnr(image: NDArray[Any], reference: NDArray[Any], data_range: float) -> float:
    """Peak signal-to-noise ratio.

    Parameters
    ----------
    image, reference : ndarray, shape (Y, X)
    data_range : float
        Grey levels from black to white: 255 for 8-bit pictures. Never guessed, because a guess
        would make figures of two pictures differ by definition.

    Returns
    -------
    float
        In dB, see `PSNR_DEFINITION`; infinite for equal pictures.

    Raises
    ------
    ImageError
        The pictures differ in shape or are no planes.
    """
    difference = single_plane(image) - single_plane(reference, like=image)
    error = float(np.mean(np.square(difference)))
    return 10 * math.log10(data_range**2 / error) if error > 0 else math.inf


def ssim(image: NDArray[Any], reference: NDArray[Any], data_range: float) -> float:
    """Structural similarity.

    Parameters
    ----------
    image, reference : ndarray, shape (Y, X)
        At least 11 pixels each way.
    data_range : float
        Grey levels from black to white.

    Returns
    -------
    float
        1 for equal pictures; see `SSIM_DEFINITION`.

    Raises
    ------
    ImageError
        The pictures differ in shape, or are smaller than the window.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", IEEE Trans. Image Process. 13 (2004) 600-612.
    """
    one, other = single_plane(image), single_plane(reference, like=image)
    if min(one.shape) < 11:
        raise ImageError("SSIM needs pictures of at least 11 x 11 pixels.")
    return float(
        structural_similarity(
            one,
            other,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def mean_bias(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Mean of a picture less the mean of its reference, in grey levels.

    The two may have different numbers of pixels, so that a restoration can be compared with its
    input.
    """
    return float(single_plane(image).mean() - single_plane(reference).mean())


def noise_sigma(image: NDArray[Any]) -> float:
    """Estimate the standard deviation of the pixel noise of one picture.

    The picture is high-pass filtered by (1, -2, 1) along both axes, and the median absolute value
    is taken over the quarter of the pixels where a smoothed copy is flattest, so that texture and
    edges count as little as possible. Smoothing and high-pass share next to no frequencies, so
    that the choice of pixels does not select weak noise.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        At least 8 pixels each way.

    Returns
    -------
    float
        In grey levels of the input. Noise that is correlated between neighbours (slow detectors,
        JPEG, resized pictures) is underestimated; fine texture everywhere is taken for noise.

    Raises
    ------
    ImageError
        The picture is too small, or all of it is saturated.
    """
    plane = single_plane(image)
    if min(plane.shape) < 8:
        raise ImageError("The noise of a picture needs at least 8 x 8 pixels.")
    high = ndimage.convolve(plane, _HIGH_PASS, mode="reflect")[1:-1, 1:-1]
    smooth = ndimage.gaussian_filter(plane, 2.0)
    steepness = np.hypot(*np.gradient(smooth))[1:-1, 1:-1]
    usable = _unsaturated(plane, np.asarray(image).dtype)[1:-1, 1:-1]
    if not usable.any():
        raise ImageError("All of the picture is black or white, so its noise cannot be seen.")
    high, steepness = high[usable], steepness[usable]
    calm = np.abs(high[steepness <= np.quantile(steepness, _CALM_SHARE)])
    # Whole grey levels leave whole filtered values: a plain median would come in steps of 1/4.
    is_whole = np.asarray(image).dtype.kind in "iu"
    median = _grouped_median(calm) if is_whole else float(np.median(calm))
    return median / (_MEDIAN_OF_ABSOLUTE_NORMAL * _HIGH_PASS_GAIN)


def _unsaturated(plane: Floats, dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Pixels whose neighbourhood is not cut off at black or white."""
    if dtype.kind not in "iu":
        return np.ones(plane.shape, bool)
    limits = np.iinfo(dtype)
    cut_off = (plane <= limits.min) | (plane >= limits.max)
    usable: NDArray[np.bool_] = ~ndimage.binary_dilation(cut_off, np.ones((3, 3), bool))
    return usable


def _grouped_median(values: Floats) -> float:
    """Median of rounded magnitudes, taken as spread evenly over half a step each side."""
    levels = np.rint(values)
    level = float(np.partition(levels, levels.size // 2)[levels.size // 2])
    below, there = np.count_nonzero(levels < level), np.count_nonzero(levels == level)
    # A magnitude of 0 stands for both signs of half a step.
    low, high = max(level - 0.5, 0.0), level + 0.5
    return low + (levels.size / 2 - below) * ((high - low) / there)


def edge_width(
    image: NDArray[Any],
    *,
    angle_deg: float | None = None,
    levels: tuple[float, float] = (0.2, 0.8),
) -> float:
    """Width of the one straight edge in a picture, from its averaged edge profile.

    All pixels are laid side by side by their distance from the edge and averaged in bins of a
    quarter pixel; the width is the distance between the places where that profile passes the two
    levels. Black and white of the profile are its means far from the edge.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Two flat areas that meet in one straight edge, some degrees off the pixel grid.
    angle_deg : float, optional
        Direction of the edge's normal, from the x axis towards the y axis; fitted if not given.
        Give it where it is known: a wrong angle widens the profile.
    levels : (float, float)
        Shares of the step, such as 20 % to 80 % or 10 % to 90 %.

    Returns
    -------
    float
        In pixels of the picture. A Gaussian blur of standard deviation s gives 1.683 s from
        20 % to 80 %, and 2.563 s from 10 % to 90 %.

    Raises
    ------
    ImageError
        There is no single straight edge.
    """
    plane = single_plane(image)
    angle, position = _locate_edge(plane, angle_deg)
    distance = _along_normal(plane.shape, angle) - position
    reach = min(float(distance.max()), float(-distance.min()))
    if reach < 4:
        raise _no_edge()
    bins = np.floor(4 * (distance + reach)).astype(np.int64).ravel()
    inside = (bins >= 0) & (bins < int(8 * reach))
    count = np.bincount(bins[inside])
    total = np.bincount(bins[inside], plane.ravel()[inside])
    known = count > 0
    profile = total[known] / count[known]
    place = (np.flatnonzero(known) + 0.5) / 4 - reach
    far = np.abs(place) > 0.6 * reach
    low = float(np.average(profile[far & (place < 0)], weights=count[known][far & (place < 0)]))
    high = float(np.average(profile[far & (place > 0)], weights=count[known][far & (place > 0)]))
    share = (profile - low) / (high - low)
    first, last = (_crossing(place, share, level) for level in levels)
    return last - first


def _crossing(place: Floats, share: Floats, level: float) -> float:
    """Place where a noisy rising profile passes a level: the middle of all its passages."""
    passes = np.flatnonzero((share[:-1] < level) != (share[1:] < level))
    near = passes[np.abs(place[passes]) < 0.6 * np.abs(place).max()]
    if not len(near):
        raise _no_edge()
    part = (level - share[near]) / (share[near + 1] - share[near])
    return float(np.mean(place[near] + part * (place[near + 1] - place[near])))


def _along_normal(shape: tuple[int, ...], angle_deg: float) -> Floats:
    """Distance of each pixel from the picture's centre along a direction, in pixels."""
    y, x = (np.arange(size, dtype=np.float64) - (size - 1) / 2 for size in shape)
    angle = math.radians(angle_deg)
    return x[None, :] * math.cos(angle) + y[:, None] * math.sin(angle)


def _locate_edge(plane: Floats, angle_deg: float | None) -> tuple[float, float]:
    """Angle of the normal in degrees, dark to bright, and place along it."""
    gy, gx = np.gradient(ndimage.gaussian_filter(plane, 2.0))
    strength = np.hypot(gy, gx)
    strong = strength > 0.5 * strength.max()
    if strength.max() == 0:
        raise _no_edge()
    angle = math.degrees(math.atan2(float(gy[strong].sum()), float(gx[strong].sum())))
    if angle_deg is not None:
        # The caller may mean the same line by its opposite normal.
        opposite = math.cos(math.radians(angle_deg - angle)) < 0
        angle = angle_deg + 180.0 * opposite
    distance = _along_normal(plane.shape, angle).ravel()
    # Of all places for a sharp step, the one that explains most of the variance.
    first = math.floor(4 * float(distance.min()))
    bins = np.floor(4 * distance).astype(np.int64) - first
    count, total = np.bincount(bins), np.bincount(bins, plane.ravel())
    # The first and the last bin hold a pixel, so neither side is ever empty.
    before, sum_before = np.cumsum(count)[:-1], np.cumsum(total)[:-1]
    after, sum_after = plane.size - before, total.sum() - sum_before
    step = sum_after / after - sum_before / before
    between = before * after * np.square(step) / plane.size**2
    best = int(between.argmax())
    if between[best] < 0.3 * plane.var() or step[best] <= 0:
        raise _no_edge()
    position = (best + 1 + first) / 4
    if angle_deg is not None:
        return angle, position
    return _fitted_edge(plane, (position, 1.5, *np.percentile(plane, (5, 95)), angle))


def _fitted_edge(plane: Floats, start: tuple[float, ...]) -> tuple[float, float]:
    """Angle and place of a blurred step: position, sigma, both levels and angle, fitted."""
    # Five numbers are well known from some ten thousand pixels.
    stride = max(1, math.isqrt(plane.size // _FITTED_PIXELS))
    sample = np.s_[::stride, ::stride]
    taken = plane[sample]

    def residual(values: Floats) -> Floats:
        distance = _along_normal(plane.shape, values[4])[sample] - values[0]
        step = special.ndtr(distance / max(abs(values[1]), 0.05))
        left: Floats = (values[2] + (values[3] - values[2]) * step - taken).ravel()
        return left

    found = optimize.least_squares(residual, start, x_scale=[1, 1, 10, 10, 1], max_nfev=40)
    return float(found.x[4]), float(found.x[0])


def _no_edge() -> ImageError:
    return ImageError(
        "No single straight edge stands out in the picture. Give two flat areas that meet in one "
        "edge."
    )


def radial_power_spectrum(image: NDArray[Any]) -> tuple[Floats, Floats]:
    """Power of a picture by spatial frequency, averaged over directions.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        At least 8 pixels each way.

    Returns
    -------
    frequency : ndarray of float64
        In cycles per pixel, from one cycle in the shorter side to 0.5.
    power : ndarray of float64
        In squared grey levels: white noise of deviation s gives s squared at every frequency.
        A Hann window keeps the picture's borders out of it.

    Raises
    ------
    ImageError
        The picture is too small.
    """
    plane = single_plane(image)
    if min(plane.shape) < 8:
        raise ImageError("A power spectrum needs at least 8 x 8 pixels.")
    power = windowed_power(plane)
    fy, fx = np.fft.fftfreq(plane.shape[0]), np.fft.fftfreq(plane.shape[1])
    radius = np.hypot(fy[:, None], fx[None, :])
    shortest = min(plane.shape)
    ring = np.rint(radius * shortest).astype(np.int64)
    counted = ring <= shortest // 2
    count = np.bincount(ring[counted])
    total = np.bincount(ring[counted], power[counted])
    # The window carries the mean into the ring around it.
    rings = np.flatnonzero(count)[1:]
    return rings / shortest, total[rings] / count[rings]


def windowed_power(plane: Floats) -> Floats:
    """Squared magnitude of the Fourier transform under a Hann window.

    White noise has its variance at every frequency; the weighted mean is taken off first.
    """
    window = np.outer(*(np.hanning(size + 1)[:-1] for size in plane.shape))
    values = (plane - np.average(plane, weights=window)) * window
    power: Floats = np.abs(np.fft.fft2(values)) ** 2 / np.sum(window**2)
    return power


def single_plane(image: NDArray[Any], like: NDArray[Any] | None = None) -> Floats:
    """Check that a picture is one grey plane, and of another's size if one is given.

    Raises
    ------
    ImageError
        It is not.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 2 or 0 in pixels.shape or pixels.dtype.kind not in "iuf":
        raise ImageError(
            f"Quality is measured on single grey pictures (Y, X), not on shape {pixels.shape} of "
            f"{pixels.dtype}."
        )
    if like is not None and pixels.shape != np.asarray(like).shape:
        raise ImageError(
            f"The pictures have different sizes, {np.asarray(like).shape} and {pixels.shape} "
            "pixels (Y, X), so they cannot be compared."
        )
    return pixels.astype(np.float64)
