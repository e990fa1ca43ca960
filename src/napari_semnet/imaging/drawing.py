"""Outlines, islands, fibres and textures, drawn into an array of grey values.

The building blocks of `napari_semnet.imaging.phantom`, which says what positions and angles mean.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "Floats",
    "blurred",
    "draw_fibre",
    "draw_particle",
    "edge_coverage",
    "rotated",
    "texture",
]

Floats: TypeAlias = NDArray[np.float64]


def edge_coverage(distance: Floats, angle_deg: float | Floats) -> Floats:
    """Area of each pixel that lies on one side of a straight edge.

    Parameters
    ----------
    distance : ndarray of float
        Signed distance of the pixel's centre from the edge, in pixels; positive inside.
    angle_deg : float or ndarray
        Direction of the edge's normal, in degrees; its sign does not matter.

    Returns
    -------
    ndarray of float64
        Covered fraction in [0, 1], exact for a straight edge.

    Notes
    -----
    A unit square seen along the normal ``(cos a, sin a)`` has a trapezoidal profile, the
    convolution of boxes of widths ``|cos a|`` and ``|sin a|``; the covered area is its integral.
    """
    angle = np.deg2rad(angle_deg)
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    return _coverage(np.asarray(distance, np.float64), cos, sin)


def _coverage(distance: Floats, cos: float | Floats, sin: float | Floats) -> Floats:
    wide, narrow = np.maximum(cos, sin), np.minimum(cos, sin)
    away = np.abs(distance)
    middle = 0.5 + away / wide
    missing = np.maximum((wide + narrow) / 2 - away, 0.0)
    corner = 1 - missing**2 / (2 * wide * np.maximum(narrow, 1e-12))
    inside = np.where(away <= (wide - narrow) / 2, middle, corner)
    return np.where(distance >= 0, inside, 1 - inside)


def draw_particle(
    generator: np.random.Generator,
    truth: Floats,
    covered: Floats,
    centre: tuple[float, float],
    radius: float,
) -> None:
    """Add one island with a wavy outline, bright edges and a shadow on the film around it.

    Parameters
    ----------
    generator : Generator
        Chooses outline, brightness and the side it is lit from.
    truth, covered : ndarray, changed in place
        The picture, and the covered part of each of its pixels.
    centre : (float, float)
        Row and column.
    radius : float
        In pixels, without the waves.
    """
    orders = np.arange(2, 7)
    amplitudes = 0.16 / orders * generator.standard_normal(orders.size).clip(-2, 2)
    phases = generator.uniform(0, 2 * math.pi, orders.size)
    brightness, light = generator.uniform(0.52, 0.66), generator.uniform(0, 2 * math.pi)

    margin = 1.6 * radius + 8
    part = tuple(
        slice(max(0, math.floor(c - margin)), min(n, math.ceil(c + margin) + 1))
        for c, n in zip(centre, truth.shape, strict=True)
    )
    dy, dx = np.ogrid[part]
    dy, dx = dy - centre[0], dx - centre[1]
    away, angle = np.hypot(dy, dx), np.arctan2(dy, dx)
    waves = orders[:, None, None] * angle + phases[:, None, None]
    outline = radius * (1 + np.tensordot(amplitudes, np.cos(waves), 1))
    slope = radius * np.tensordot(-amplitudes * orders, np.sin(waves), 1)
    # Distance to the outline r(angle), and its normal, both to first order; not near the centre,
    # where neither matters and the angle is undefined.
    steep = slope / np.maximum(away, radius / 2)
    depth = (outline - away) / np.hypot(1, steep)
    normal = angle - np.arctan(steep)
    alpha = _coverage(depth, np.abs(np.cos(normal)), np.abs(np.sin(normal)))

    rim = 0.26 * np.exp(-np.maximum(depth, 0) / (1.2 + 0.07 * radius))
    dome = 0.05 * np.cos(angle - light) * np.minimum(away / radius, 1)
    shadow = 1 - 0.3 * np.exp(-np.maximum(-depth, 0) / (2 + 0.1 * radius))
    truth[part] = alpha * (brightness + rim + dome) + (1 - alpha) * truth[part] * shadow
    covered[part] = np.maximum(covered[part], alpha)


def draw_fibre(
    generator: np.random.Generator,
    truth: Floats,
    grain: Floats,
    radius: float,
    height: float,
) -> None:
    """Lay one fibre over a picture.

    Parameters
    ----------
    generator : Generator
        Chooses direction, place and bends.
    truth : ndarray, changed in place
    grain : ndarray
        Surface texture of the same shape.
    radius : float
        In pixels.
    height : float
        0 at the bottom of the mat, which is dark, to 1 on top.
    """
    angle = float(generator.uniform(0, 180))
    across, along = rotated(truth.shape, angle)
    reach = math.hypot(*truth.shape) / 2
    bend, length = generator.uniform(0.01, 0.05) * reach, generator.uniform(0.8, 2.5) * reach
    phase = generator.uniform(0, 2 * math.pi)
    across -= generator.uniform(-0.8, 0.8) * reach
    fade = 0.6 * radius + 2
    near = np.abs(across) < bend + radius + 6 * fade
    across, along, below = across[near], along[near], truth[near]

    course = 2 * math.pi * along / length + phase
    slope = bend * 2 * math.pi / length * np.cos(course)
    away = (across - bend * np.sin(course)) / np.hypot(1, slope)
    depth = radius - np.abs(away)
    normal = math.radians(angle) - np.arctan(slope)
    alpha = _coverage(depth, np.abs(np.cos(normal)), np.abs(np.sin(normal)))

    # Secondary electrons leave a tilted surface more easily: yield grows as 1 / cos(tilt).
    tilt = np.minimum(np.abs(away) / radius, 0.97)
    body = (0.24 + 0.2 * height) * (1 + 0.32 * (1 / np.sqrt(1 - tilt**2) - 1))
    body += 0.02 * np.roll(grain, generator.integers(0, grain.shape[0]), axis=0)[near]
    shadow = 1 - 0.45 * np.exp(-np.maximum(-depth, 0) / fade)
    truth[near] = alpha * body + (1 - alpha) * below * shadow


def rotated(shape: tuple[int, ...], angle_deg: float) -> tuple[Floats, Floats]:
    """Place of each pixel, from the centre of the picture, along an angle and at right angles.

    Parameters
    ----------
    shape : (int, int)
    angle_deg : float

    Returns
    -------
    along, beside : ndarray of float64
    """
    rows, columns = np.mgrid[0.0 : shape[0], 0.0 : shape[1]]
    dy, dx = rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return dx * cos + dy * sin, dy * cos - dx * sin


def texture(generator: np.random.Generator, shape: tuple[int, ...], grain: float) -> Floats:
    """Smooth random field of mean 0 and standard deviation 1; `grain` in pixels."""
    # Coarse fields are drawn coarse and enlarged, or wide filters would take all the time.
    step = max(1, int(grain / 3))
    small = tuple(-(-n // step) + 2 for n in shape)
    values = ndimage.gaussian_filter(generator.standard_normal(small), grain / step, mode="wrap")
    if step > 1:
        at = np.meshgrid(*(np.arange(n) / step for n in shape), indexing="ij")
        values = ndimage.map_coordinates(values, at, order=1, mode="nearest")
    values = values[: shape[0], : shape[1]]
    deviation = float(values.std())
    normal: Floats = (values - values.mean()) / (deviation if deviation > 0 else 1.0)
    return normal


def blurred(image: Floats, sigma: float) -> Floats:
    """Convolve with a Gaussian of standard deviation `sigma` pixels; edges are continued flat."""
    if sigma == 0:
        return image
    blurred: Floats = ndimage.gaussian_filter(image, sigma, mode="nearest")
    return blurred
