"""Grey levels within drawn regions, and how well two regions stand apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.draw import polygon2mask

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Plane

__all__ = ["RegionStatistics", "contrast_to_noise", "ellipse_outline", "region_statistics"]


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """Grey levels of the pixels whose centres lie in a region.

    Attributes
    ----------
    name : str
        The picture.
    mean, deviation : float
        Mean and standard deviation, in grey levels.
    count : int
        Pixels.
    area : float
        Of those pixels, in `unit` squared.
    unit : str
        ``"nm"`` or ``"px"``.
    """

    name: str
    mean: float
    deviation: float
    count: int
    area: float
    unit: str


def region_statistics(plane: Plane, outline: ArrayLike) -> RegionStatistics:
    """Measure a picture within a polygon.

    Parameters
    ----------
    plane : Plane
    outline : array-like, (N, 2)
        Corners ``(y, x)`` in the unit of the plane's grid.

    Returns
    -------
    RegionStatistics

    Raises
    ------
    ImageError
        The region holds fewer than four pixels of the picture.
    """
    corners = plane.grid.indices(outline)
    first = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    stop = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, plane.grid.shape)
    values = np.empty(0)
    if (stop > first).all():
        part = np.asarray(plane.pixels[first[0] : stop[0], first[1] : stop[1]], dtype=np.float64)
        values = part[polygon2mask(part.shape, corners - first)]
        values = values[np.isfinite(values)]
    if values.size < 4:
        raise ImageError(
            f"The region holds fewer than four pixels of “{plane.name}”. Draw a larger one on it."
        )
    area = values.size * abs(float(np.linalg.det(plane.grid.matrix[:2, :2])))
    return RegionStatistics(
        plane.name,
        float(values.mean()),
        float(values.std(ddof=1)),
        int(values.size),
        area,
        plane.grid.unit,
    )


def contrast_to_noise(one: RegionStatistics, other: RegionStatistics) -> float:
    """Difference of two means over the root mean square of the two deviations.

    Smoothing raises this figure whether or not anything can be seen better; it is for comparing
    pictures of equal sharpness.

    Returns
    -------
    float
        Without unit; infinite where both regions are flat and differ, 0 where they are equal.
    """
    contrast = abs(one.mean - other.mean)
    noise = math.sqrt((one.deviation**2 + other.deviation**2) / 2)
    if noise == 0:
        return math.inf if contrast else 0.0
    return contrast / noise


def ellipse_outline(corners: ArrayLike, points: int = 72) -> NDArray[np.float64]:
    """Polygon around an ellipse.

    Parameters
    ----------
    corners : array-like, (4, 2)
        Of the rectangle (or parallelogram) that the ellipse touches, in order around it.
    points : int

    Returns
    -------
    ndarray of float64, (points, 2)
    """
    box = np.asarray(corners, dtype=np.float64)
    centre = box.mean(axis=0)
    half_one, half_two = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * half_one + np.sin(angle) * half_two)
