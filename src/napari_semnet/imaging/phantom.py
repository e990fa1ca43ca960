"""Synthetic SEM specimens whose truth is known to the pixel.

A specimen is drawn on the grid of the *restored* image, twice as fine as the acquired one, and
`acquire` takes a noisy picture of it the way a microscope does. Outlines are drawn by the area
that they cover of each pixel, in closed form, so that an edge lies where its numbers say to a
small fraction of a pixel. Straight edges are exact; curved ones are taken as straight within one
pixel.

Positions are in pixels of the truth: pixel ``i`` is centred on ``i`` and covers ``i ± 1/2``, so
the upper left corner of the picture is ``(-1/2, -1/2)``. Angles are in degrees, from the x axis
towards the y axis (clockwise on the screen).

The same arguments give the same picture. Truths are rounded to steps of 2**-16, which takes up
the last-digit differences between the mathematics libraries of different processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.drawing import (
    Floats,
    blurred,
    draw_fibre,
    draw_particle,
    edge_coverage,
    rotated,
    texture,
)
from napari_semnet.imaging.plane import block_mean

__all__ = [
    "SPECIMENS",
    "Specimen",
    "acquire",
    "edge_coverage",
    "fibres",
    "grating",
    "particles",
    "step_edge",
]


_STEPS = 2**16


@dataclass(frozen=True, slots=True)
class Specimen:
    """A specimen and all that is known about it."""

    name: str
    truth: NDArray[np.float32]
    """Noise-free picture, ``(2Y, 2X)``, in [0, 1]; the acquired image has ``(Y, X)`` pixels."""
    pixel_size_nm: float
    """Side of one pixel of the truth, in nanometres; that of the acquired image is twice this."""
    known: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """What can be measured on it, by name; the unit is the end of the name (``_nm``, ``_px`` of
    the truth, ``_deg``), grey values are fractions of white."""


def step_edge(
    shape: tuple[int, int] = (480, 640),
    seed: int = 0,
    *,
    angle_deg: float = 5.0,
    position_px: float | None = None,
    low: float = 0.25,
    high: float = 0.75,
    pixel_size_nm: float = 1.0,
) -> Specimen:
    """Two flat areas that meet in one straight, slanted edge, as for measuring sharpness.

    Parameters
    ----------
    shape : (int, int)
        Pixels ``(Y, X)`` of the acquired image; the truth has twice as many each way.
    seed : int
        Chooses where within a pixel the edge passes, if `position_px` is not given.
    angle_deg : float
        Direction of the edge's normal; 0 is a vertical edge, bright on the right.
    position_px : float, optional
        Offset of the edge from the centre of the picture along its normal, in truth pixels.
    low, high : float
        Grey values of the two sides, as fractions of white.
    pixel_size_nm : float
        Side of a truth pixel.

    Returns
    -------
    Specimen
        `Specimen.known` has ``angle_deg``, ``position_px``, ``low`` and ``high``.
    """
    if position_px is None:
        position_px = float(_generator(1, seed).uniform(-1.0, 1.0))
    place, _ = rotated(_truth_shape(shape), angle_deg)
    truth = low + (high - low) * edge_coverage(place - position_px, angle_deg)
    known = {"angle_deg": angle_deg, "position_px": position_px, "low": low, "high": high}
    return _specimen("step_edge", truth, pixel_size_nm, known)


def grating(
    shape: tuple[int, int] = (480, 640),
    seed: int = 0,
    *,
    pitch_nm: float = 24.0,
    duty: float = 0.5,
    angle_deg: float | None = None,
    low: float = 0.25,
    high: float = 0.65,
    rim: float = 0.2,
    rim_nm: float = 2.0,
    pixel_size_nm: float = 1.0,
) -> Specimen:
    """Parallel lines of known pitch with bright edges, as on a calibration standard.

    Parameters
    ----------
    shape : (int, int)
        Pixels ``(Y, X)`` of the acquired image; the truth has twice as many each way.
    seed : int
        Chooses the phase and, if `angle_deg` is not given, an angle from -10° to 10°.
    pitch_nm : float
        Distance from line to line.
    duty : float
        Width of a line as a fraction of the pitch.
    angle_deg : float, optional
        Direction across the lines; 0 gives vertical lines.
    low, high : float
        Grey values between and on the lines, as fractions of white.
    rim, rim_nm : float
        Additional brightness and width of the edge brightening, which lies inside the line.
    pixel_size_nm : float
        Side of a truth pixel.

    Returns
    -------
    Specimen
        `Specimen.known` has ``pitch_nm``, ``line_width_nm``, ``angle_deg`` and ``phase_px``, the
        position of the first edge of one line, from the centre of the picture across the lines.
    """
    generator = _generator(2, seed)
    pitch = pitch_nm / pixel_size_nm
    phase = float(generator.uniform(0.0, pitch))
    drawn_angle = float(generator.uniform(-10.0, 10.0))
    angle = drawn_angle if angle_deg is None else angle_deg
    width, rim_width = duty * pitch, min(rim_nm / pixel_size_nm, duty * pitch / 2)

    place = rotated(_truth_shape(shape), angle)[0] - phase
    # One period around the nearest line; its neighbours' edges still reach into these pixels.
    place -= pitch * np.rint(place / pitch)
    truth = np.full(place.shape, low)
    for line in (-pitch, 0.0, pitch):
        outer = _strip(place - line, 0.0, width, angle)
        inner = _strip(place - line, rim_width, width - rim_width, angle)
        truth += (high - low + rim) * outer - rim * inner
    known = {
        "pitch_nm": pitch_nm,
        "line_width_nm": duty * pitch_nm,
        "angle_deg": angle,
        "phase_px": phase,
    }
    return _specimen("grating", truth, pixel_size_nm, known)


def _strip(place: Floats, first: float, last: float, angle_deg: float) -> Floats:
    """Area of each pixel between two parallel edges."""
    return edge_coverage(place - first, angle_deg) - edge_coverage(place - last, angle_deg)


def particles(
    shape: tuple[int, int] = (480, 640),
    seed: int = 0,
    *,
    median_diameter_nm: float = 26.0,
    spread: float = 0.55,
    cover: float = 0.45,
    beam_px: float = 0.8,
    pixel_size_nm: float = 1.0,
) -> Specimen:
    """Bright islands with brighter edges on a dark, grainy film, like gold on carbon.

    Parameters
    ----------
    shape : (int, int)
        Pixels ``(Y, X)`` of the acquired image; the truth has twice as many each way.
    seed : int
        Chooses sizes, places, outlines and texture.
    median_diameter_nm, spread : float
        Median and standard deviation of the logarithm of the (log-normal) diameters.
    cover : float
        Part of the area that particles should cover; those that find no room are left out.
    beam_px : float
        Standard deviation of the Gaussian beam, in truth pixels; 0 leaves outlines sharp.
    pixel_size_nm : float
        Side of a truth pixel.

    Returns
    -------
    Specimen
        `Specimen.known` has ``count``, and ``cover``, the part of the area that is covered.
    """
    generator = _generator(3, seed)
    size = _truth_shape(shape)
    truth = 0.2 + 0.03 * texture(generator, size, 1.6) + 0.02 * texture(generator, size, 12.0)
    covered = np.zeros(size)
    placed = _places(generator, size, median_diameter_nm / pixel_size_nm, spread, cover)
    for y, x, radius in placed:
        draw_particle(generator, truth, covered, (y, x), radius)
    truth *= 1 + 0.05 * texture(generator, size, max(size) / 5)
    known = {"count": float(len(placed)), "cover": float(covered.mean())}
    return _specimen("particles", blurred(truth, beam_px), pixel_size_nm, known)


def _places(
    generator: np.random.Generator,
    shape: tuple[int, int],
    median: float,
    spread: float,
    cover: float,
) -> list[tuple[float, float, float]]:
    """Centres and radii of discs that do not touch, the largest placed first."""
    # One huge draw must not fill a small picture.
    largest = max(min(shape) / 6, 2.0)
    radii, area = [], 0.0
    while area < cover * shape[0] * shape[1]:
        radius = median / 2 * math.exp(spread * generator.standard_normal())
        radii.append(min(max(radius, 1.5), largest))
        area += math.pi * radii[-1] ** 2
    centres = np.empty((0, 3))
    for radius in sorted(radii, reverse=True):
        for _ in range(50):
            y, x = generator.uniform(-0.5, shape[0] - 0.5), generator.uniform(-0.5, shape[1] - 0.5)
            gap = np.hypot(centres[:, 0] - y, centres[:, 1] - x) - centres[:, 2] - radius
            if (gap > 0.1 * radius + 1.5).all():
                centres = np.vstack([centres, [y, x, radius]])
                break
    return [(float(y), float(x), float(r)) for y, x, r in centres]


def fibres(
    shape: tuple[int, int] = (480, 640),
    seed: int = 0,
    *,
    diameter_nm: float = 22.0,
    spread: float = 0.35,
    count: int | None = None,
    beam_px: float = 0.8,
    pixel_size_nm: float = 1.0,
) -> Specimen:
    """Gently curved fibres that lie over one another, the lower ones darker, like a filter mat.

    Parameters
    ----------
    shape : (int, int)
        Pixels ``(Y, X)`` of the acquired image; the truth has twice as many each way.
    seed : int
        Chooses diameters, courses and texture.
    diameter_nm, spread : float
        Median and standard deviation of the logarithm of the (log-normal) diameters.
    count : int, optional
        Number of fibres; by default as many as fill the picture loosely.
    beam_px : float
        Standard deviation of the Gaussian beam, in truth pixels; 0 leaves outlines sharp.
    pixel_size_nm : float
        Side of a truth pixel.

    Returns
    -------
    Specimen
        `Specimen.known` has ``count``.
    """
    generator = _generator(4, seed)
    size = _truth_shape(shape)
    diameter = diameter_nm / pixel_size_nm
    if count is None:
        count = max(3, round(1.3 * math.sqrt(size[0] * size[1]) / diameter))
    diameters = diameter * np.exp(spread * generator.standard_normal(count))
    grain = texture(generator, size, 1.5)
    truth = 0.13 + 0.02 * texture(generator, size, 3.0)
    for number, width in enumerate(diameters):
        height = number / max(count - 1, 1)
        draw_fibre(generator, truth, grain, max(float(width) / 2, 1.5), height)
    truth *= 1 + 0.04 * texture(generator, size, max(size) / 5)
    return _specimen("fibres", blurred(truth, beam_px), pixel_size_nm, {"count": float(count)})


def acquire(
    specimen: Specimen,
    electrons: float = 100.0,
    read_noise: float = 3.0,
    seed: int = 0,
    *,
    blur: float = 0.0,
) -> NDArray[np.uint8]:
    """Take a noisy 8-bit picture of a specimen, at half the resolution of its truth.

    Each acquired pixel is the mean of 2 x 2 truth pixels, counted in electrons.

    Parameters
    ----------
    specimen : Specimen
    electrons : float
        Detected electrons per acquired pixel at full white: the Poisson noise. 20 is a fast
        scan, 1000 a slow one.
    read_noise : float
        Standard deviation of the Gaussian noise of the electronics, in grey levels of 255.
    seed : int
        Chooses the noise.
    blur : float
        Standard deviation of an additional Gaussian blur before sampling, in truth pixels.

    Returns
    -------
    ndarray of uint8
        ``(Y, X)``; its pixel size is twice the specimen's.

    Raises
    ------
    ValueError
        `electrons` is not positive, or `read_noise` or `blur` is negative.
    """
    if electrons <= 0 or read_noise < 0 or blur < 0:
        raise ValueError("electrons must be positive; read_noise and blur must not be negative.")
    generator = _generator(5, seed)
    signal = block_mean(blurred(specimen.truth.astype(np.float64), blur), dtype=np.float64)
    counted = generator.poisson(signal * electrons) / electrons
    grey = 255 * counted + read_noise * generator.standard_normal(signal.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _generator(purpose: int, seed: int) -> np.random.Generator:
    """Random numbers for one purpose; equal seeds do not make two purposes alike."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([purpose, seed])))


def _truth_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if min(shape) < 1:
        raise ValueError(f"A specimen needs at least one pixel each way, not {shape}.")
    return 2 * shape[0], 2 * shape[1]


def _specimen(
    name: str, truth: Floats, pixel_size_nm: float, known: Mapping[str, float]
) -> Specimen:
    rounded = np.rint(np.clip(truth, 0, 1) * _STEPS) / _STEPS
    return Specimen(name, rounded.astype(np.float32), pixel_size_nm, MappingProxyType(dict(known)))


SPECIMENS: Mapping[str, Callable[[tuple[int, int], int], Specimen]] = MappingProxyType(
    {"particles": particles, "fibres": fibres, "grating": grating, "step_edge": step_edge}
)
"""Specimens by name; each is called with the acquired shape and a seed."""
