"""How wide the edges of a picture are: a bound on the width of the beam that took it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["edge_blur"]

_SCALES = (1.0, 2.0)
"""Sigmas in pixels of the two Gaussians that edges are looked at with."""
_SHARE = 0.01
"""Share of the pixels, by steepness, that are looked at."""
_FEWEST = 60
_OVER_NOISE = 6.0
_BORDER = 8

_PIXEL = 2 / 12
"""Variance in square pixels that two boxes of one pixel add: the detector's, and the sampling's."""


def edge_blur(image: NDArray[Any], noise: float) -> float | None:
    """Estimate the blur of the steepest edges of a picture.

    A step that is blurred by s has, seen with a Gaussian of scale t, its steepest slope in
    proportion to ``1 / sqrt(s^2 + t^2)``. The ratio of the slopes at two scales tells s (Zhuo and
    Sim, "Defocus map estimation from a single image", Pattern Recognition 44 (2011) 1852). The
    median is taken over the steepest edge pixels, chosen at the coarser scale.

    Parameters
    ----------
    image : ndarray, shape (Y, X)
        Grey levels of 255.
    noise : float
        Typical standard deviation of its noise, grey levels.

    Returns
    -------
    float or None
        Standard deviation in pixels, without the blur that the pixels themselves make; None when
        no edges stand out of the noise. Right for steps that lie more than about 6 pixels apart.
        A bright rim makes an edge look up to 0.7 pixels sharper than the beam is; structures
        without sharp edges make it look wider.
    """
    plane = np.asarray(image, dtype=np.float64)
    (fine_y, fine_x), (coarse_y, coarse_x) = (_slopes(plane, scale) for scale in _SCALES)
    steepness = np.hypot(coarse_y, coarse_x)
    inner = np.zeros(plane.shape, bool)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    # Slope of white noise behind a Gaussian derivative of scale t: sigma / (sqrt(8 pi) t^2).
    loudest = _OVER_NOISE * noise / (math.sqrt(8 * math.pi) * _SCALES[1] ** 2)
    threshold = max(float(np.quantile(steepness, 1 - _SHARE)), loudest)
    y, x = np.nonzero(inner & (steepness >= threshold))
    if len(y) < _FEWEST:
        return None
    here = steepness[y, x]
    normal_y, normal_x = coarse_y[y, x] / here, coarse_x[y, x] / here
    ahead = ndimage.map_coordinates(steepness, [y + normal_y, x + normal_x], order=1)
    behind = ndimage.map_coordinates(steepness, [y - normal_y, x - normal_x], order=1)
    crest = (here >= ahead) & (here >= behind)
    if crest.sum() < _FEWEST:
        return None
    # The slope along the coarse normal, not its magnitude, which noise would enlarge.
    fine = fine_y[y, x] * normal_y + fine_x[y, x] * normal_x
    ratio = float(np.median(fine[crest] / here[crest]))
    low, high = (scale**2 for scale in _SCALES)
    if ratio <= 1:
        return None
    return math.sqrt(max((high - ratio**2 * low) / (ratio**2 - 1) - _PIXEL, 0.0))


def _slopes(plane: NDArray[Any], scale: float) -> tuple[NDArray[Any], NDArray[Any]]:
    return (
        ndimage.gaussian_filter(plane, scale, order=(1, 0)),
        ndimage.gaussian_filter(plane, scale, order=(0, 1)),
    )
