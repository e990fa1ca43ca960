"""Grey levels along a line across the specimen, and how sharp the edge is that it crosses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Plane

__all__ = ["EDGE_WIDTHS_PER_SIGMA", "Edge", "Profile", "fit_edge", "line_profile"]

EDGE_WIDTHS_PER_SIGMA = 2 * float(special.ndtri(0.8))
"""From 20 % to 80 % of a step that was blurred by a Gaussian of standard deviation 1."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """Grey levels along a line.

    Attributes
    ----------
    name : str
        The picture that they come from.
    distance : ndarray of float64, (N,)
        Distance from the start of the line, in `unit`.
    values : ndarray of float64, (N,)
        Grey levels; NaN where the line runs outside the picture.
    spacing : float
        Size of the picture's pixels along the line, in `unit`.
    unit : str
        ``"nm"`` or ``"px"``.
    """

    name: str
    distance: NDArray[np.float64]
    values: NDArray[np.float64]
    spacing: float
    unit: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A step from one grey level to another, blurred by a Gaussian.

    Attributes
    ----------
    position : float
        Place of the half level, from the start of the line, in the profile's unit.
    width : float
        Distance from 20 % to 80 % of the step.
    width_error : float
        Standard error of `width` by the fit.
    before, after : float
        Grey levels on the two sides.
    explained : float
        Part of the profile's variance that the step explains, 0 to 1.
    """

    position: float
    width: float
    width_error: float
    before: float
    after: float
    explained: float


def line_profile(plane: Plane, start: Point, stop: Point, width: float = 0.0) -> Profile:
    """Sample a picture along a line of the specimen.

    Parameters
    ----------
    plane : Plane
    start, stop : (float, float)
        Ends of the line ``(y, x)``, in the unit of the plane's grid.
    width : float
        Breadth of the strip that is averaged across the line, in the same unit; 0 takes the line
        itself.

    Returns
    -------
    Profile
        Two samples a pixel, interpolated linearly.

    Raises
    ------
    ImageError
        The line is shorter than a pixel or runs wholly outside the picture.
    """
    begin, end = np.asarray(start, dtype=np.float64), np.asarray(stop, dtype=np.float64)
    length = float(np.hypot(*(end - begin)))
    step = _pixel_along(plane, end - begin)
    if not length > step:
        raise ImageError("The line is shorter than one pixel. Draw a longer one.")
    along = (end - begin) / length
    across = np.array([-along[1], along[0]])
    distance = np.linspace(0.0, length, 2 * math.ceil(length / step) + 1)
    lines = 1 + 2 * math.floor(width / 2 / _pixel_along(plane, across))
    offsets = np.linspace(-width / 2, width / 2, lines) if lines > 1 else np.zeros(1)

    places = begin + distance[:, None, None] * along + offsets[None, :, None] * across
    indices = plane.grid.indices(places.reshape(-1, 2)).T
    values = _sampled(plane, indices).reshape(len(distance), lines)
    inside = np.isfinite(values)
    if not inside.any():
        raise ImageError(f"The line does not touch “{plane.name}”. Draw it across the picture.")
    count = inside.sum(axis=1)
    means = np.where(inside, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    means[count == 0] = np.nan
    return Profile(plane.name, distance, means, step, plane.grid.unit)


def fit_edge(profile: Profile) -> Edge:
    """Fit one blurred step to a profile by least squares.

    A fit uses every sample, so that noise widens the error of the width and not the width itself,
    as it does when the first samples beyond 20 % and 80 % are taken.

    Parameters
    ----------
    profile : Profile
        Across one edge, with some of the flat area on both sides.

    Returns
    -------
    Edge

    Raises
    ------
    ImageError
        No single edge stands out: too few samples, or a step explains less than half of the
        variance, or it lies at an end of the line, or something else on the line is more than half
        as strong.
    """
    known = np.isfinite(profile.values)
    place, value = profile.distance[known], profile.values[known]
    if len(value) < 8 or np.ptp(value) == 0:
        raise _no_edge(profile)
    scale = float(np.ptp(value))
    # A step can be no sharper than the sampling shows; without a floor the fit has no minimum.
    floor = profile.spacing / 20
    guess = _first_guess(place, value, profile.spacing)
    try:
        found, covariance = optimize.curve_fit(
            _blurred_step,
            place,
            value,
            p0=guess,
            bounds=(
                [place[0], floor, value.min() - scale, value.min() - scale],
                [place[-1], float(np.ptp(place)), value.max() + scale, value.max() + scale],
            ),
            x_scale=[np.ptp(place), profile.spacing, scale, scale],
        )
    except (RuntimeError, optimize.OptimizeWarning) as error:
        raise _no_edge(profile) from error
    residual = value - _blurred_step(place, *found)
    explained = 1.0 - float(residual.var() / value.var())
    position, sigma, before, after = (float(number) for number in found)
    margin = min(position - place[0], place[-1] - position)
    left = _largest_run(residual) / max(abs(after - before), 1e-12)
    if explained < 0.5 or margin < sigma or left > 0.5:
        raise _no_edge(profile)
    # Two samples share each pixel, so there are half as many independent ones as the fit counts.
    deviation = math.sqrt(max(2 * float(covariance[1, 1]), 0.0))
    widths = EDGE_WIDTHS_PER_SIGMA
    return Edge(position, widths * sigma, widths * deviation, before, after, explained)


def _pixel_along(plane: Plane, direction: NDArray[np.float64]) -> float:
    """Length of one pixel step in a direction of the specimen."""
    turned = np.linalg.inv(plane.grid.matrix)[:2, :2] @ (direction / np.hypot(*direction))
    return 1.0 / float(np.abs(turned).max())


def _sampled(plane: Plane, indices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at indices ``(2, N)``, NaN outside; reads only the rectangle around them."""
    limit = np.array(plane.grid.shape)[:, None] - 0.5
    inside = ((indices >= -0.5) & (indices <= limit)).all(axis=0)
    values = np.full(indices.shape[1], np.nan)
    if not inside.any():
        return values
    taken = indices[:, inside]
    first = np.maximum(np.floor(taken.min(axis=1)).astype(int), 0)
    stop = np.ceil(taken.max(axis=1)).astype(int) + 2
    pixels = np.asarray(plane.pixels[first[0] : stop[0], first[1] : stop[1]])
    values[inside] = ndimage.map_coordinates(
        pixels, taken - first[:, None], output=np.float64, order=1, mode="nearest"
    )
    return values


def _blurred_step(
    place: NDArray[np.float64], position: float, sigma: float, before: float, after: float
) -> NDArray[np.float64]:
    step: NDArray[np.float64] = special.ndtr((place - position) / sigma)
    return before + (after - before) * step


def _first_guess(
    place: NDArray[np.float64], value: NDArray[np.float64], spacing: float
) -> list[float]:
    """Position, blur and levels of the sharp step that explains most of the variance."""
    total, before = np.cumsum(value), np.arange(1, len(value))
    after = len(value) - before
    gap = total[:-1] / before - (total[-1] - total[:-1]) / after
    best = int((before * after * gap**2).argmax())
    position = (place[best] + place[best + 1]) / 2
    levels = value[: best + 1].mean(), value[best + 1 :].mean()
    return [float(position), spacing, float(levels[0]), float(levels[1])]


def _largest_run(residual: NDArray[np.float64]) -> float:
    """Largest mean of what a fit leaves over a run of samples: noise averages out, edges do not."""
    run = max(5, len(residual) // 20)
    return float(np.abs(ndimage.uniform_filter1d(residual, run, mode="nearest")).max())


def _no_edge(profile: Profile) -> ImageError:
    return ImageError(
        f"No single edge stands out along the line in “{profile.name}”. "
        "Draw the line across one edge, with flat ground on both sides."
    )
