"""Panels of a figure: pictures of any pixel size on one grid, and scale bars of round length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semnet.imaging.plane import Grid, Plane, onto_grid

__all__ = [
    "DIVERGING",
    "ScaleBar",
    "colour_table",
    "error_text",
    "length_text",
    "nearest",
    "panel_grid",
    "panel_pixels",
    "scale_bar",
    "tinted",
]

LARGEST = 4096
"""Pixels of a panel's longer side, at most; a figure has no use for more."""

_MICROMETRE = 1000.0

DIVERGING: NDArray[np.float64] = np.array(
    [
        (0.02, 0.19, 0.38),
        (0.13, 0.40, 0.67),
        (0.57, 0.77, 0.87),
        (0.97, 0.97, 0.97),
        (0.96, 0.65, 0.51),
        (0.70, 0.09, 0.17),
        (0.40, 0.00, 0.12),
    ]
)
"""Colours (red, green, blue) from negative to positive, evenly spaced, white in the middle."""


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """Length of a bar, in the unit of places, and how it is written."""

    length: float
    text: str


def scale_bar(width: float, unit: str = "nm", share: float = 0.3) -> ScaleBar:
    """Choose the longest round length that fits.

    Parameters
    ----------
    width : float
        Of the picture, in `unit`.
    unit : str
        ``"nm"`` or ``"px"``.
    share : float
        Part of the width that the bar may take.

    Returns
    -------
    ScaleBar
        1, 2 or 5 times a power of ten.
    """
    longest = share * width
    power = 10.0 ** math.floor(math.log10(longest))
    length = power * max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))
    return ScaleBar(length, length_text(length, unit))


def length_text(length: float, unit: str = "nm", digits: int = 4) -> str:
    """Write a length with its unit; a micrometre and more of nanometres in µm."""
    if unit == "nm" and abs(length) >= _MICROMETRE:
        return f"{length / _MICROMETRE:.{digits}g} µm"
    return f"{length:.{digits}g} {unit}"


def error_text(value: float, error: float, unit: str) -> str:
    """Write a value with its standard error, both to the error's second digit."""
    if not (math.isfinite(error) and error > 0):
        return f"{value:.3g} {unit}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f} {unit}"


def panel_grid(place: Grid, planes: list[Plane], largest: int = LARGEST) -> Grid:
    """Choose the pixels that all panels of a figure share.

    Parameters
    ----------
    place : Grid
        Part of the specimen to show; the panels lie along its axes.
    planes : list of Plane
        The finest of them decides.
    largest : int
        Pixels of the longer side, at most.

    Returns
    -------
    Grid
        As fine as the finest plane, or as coarse as `largest` asks for.
    """
    size = place.pixel_size
    finest = min(min(plane.grid.pixel_size) for plane in planes)
    extent = [n * s for n, s in zip(place.shape, size, strict=True)]
    step = max(finest, max(extent) / largest)
    shape = tuple(max(1, round(length / step)) for length in extent)
    scale = np.diag([extent[0] / shape[0] / size[0], extent[1] / shape[1] / size[1], 1.0])
    # The outer corners coincide: the first pixel is centred half a step inside.
    scale[:2, 2] = np.diag(scale)[:2] / 2 - 0.5
    return Grid((shape[0], shape[1]), place.matrix @ scale, place.unit)


def panel_pixels(plane: Plane, grid: Grid) -> NDArray[np.float32]:
    """Bring a picture onto a panel's grid, pixels shown as what they are where there is room.

    Parameters
    ----------
    plane : Plane
    grid : Grid

    Returns
    -------
    ndarray of float32
        Pixels that are larger than the panel's become squares; smaller ones are averaged. NaN
        where the picture does not reach.
    """
    if min(grid.pixel_size) > 1.01 * max(plane.grid.pixel_size):
        return onto_grid(plane, grid)
    return nearest(plane, grid)


def nearest(plane: Plane, grid: Grid) -> NDArray[np.float32]:
    """Take the pixel of a picture that lies under each pixel of a grid; NaN where there is none."""
    matrix = np.linalg.inv(plane.grid.matrix) @ grid.matrix
    rows, columns = np.ogrid[: grid.shape[0], : grid.shape[1]]
    y, x = (
        np.floor(m[0] * rows + m[1] * columns + m[2] + 0.5 + 1e-6).astype(np.intp)
        for m in matrix[:2]
    )
    inside = (y >= 0) & (y < plane.grid.shape[0]) & (x >= 0) & (x < plane.grid.shape[1])
    values = np.full(grid.shape, np.nan, dtype=np.float32)
    if inside.any():
        first = max(int(y.min()), 0), max(int(x.min()), 0)
        part = np.asarray(plane.pixels[first[0] : int(y.max()) + 1, first[1] : int(x.max()) + 1])
        values[inside] = part[(y - first[0])[inside], (x - first[1])[inside]]
    return values


def colour_table(stops: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Interpolate evenly spaced colours ``(N, 3)`` in [0, 1] to a table ``(256, 3)``."""
    places = np.linspace(0, 1, len(stops))
    table = [np.interp(np.linspace(0, 1, 256), places, channel) for channel in stops.T]
    return np.asarray(np.rint(255 * np.stack(table, axis=1)), dtype=np.uint8)


def tinted(
    values: ArrayLike, limits: tuple[float, float], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Show grey levels in the colours of a map.

    Parameters
    ----------
    values : array-like, (Y, X)
        NaN become mid-grey.
    limits : (float, float)
        Levels that get the first and the last colour; what lies outside gets these as well.
    colours : ndarray of uint8, (N, 3)

    Returns
    -------
    ndarray of uint8, (Y, X, 3)
    """
    levels = np.asarray(values, dtype=np.float32)
    low, high = limits
    part = (levels - low) / max(high - low, 1e-12)
    unknown = ~np.isfinite(part)
    steps = len(colours) - 1
    index = np.rint(np.clip(np.where(unknown, 0, part), 0, 1) * steps).astype(np.intp)
    picture = colours[index]
    picture[unknown] = 128
    return np.asarray(picture, dtype=np.uint8)
