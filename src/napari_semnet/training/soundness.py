"""Check whether a model invents, widens edges, shifts grey levels or draws a grid.

The checks are made on synthetic specimens whose truth is known, so that they can be repeated
anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.patterns import Pattern, periodic_pattern
from napari_semnet.imaging.phantom import acquire, step_edge
from napari_semnet.imaging.quality import edge_width
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.training.baselines import bicubic

__all__ = [
    "FLAT_NOISE",
    "Checking",
    "EdgeCheck",
    "FlatCheck",
    "PatternCheck",
    "Soundness",
    "check_soundness",
]

Grey = NDArray[np.uint8]

FLAT_NOISE = 15.0
"""Standard deviation of the noise on the flat fields, in grey levels."""
_FLAT_GREYS = (64, 128, 192)
_FIELD = (256, 256)
_TILE = 32
_EDGE_SHAPE = (96, 128)
_EDGE_ELECTRONS = (400.0, 100.0, 30.0)
_EDGE_ANGLES = (5.0, 40.0, 85.0)
_READ_NOISE = 3.0


@dataclass(frozen=True, slots=True)
class FlatCheck:
    """What becomes of a flat field with noise of `FLAT_NOISE`."""

    grey: int
    """Grey level of the field, of 255."""
    deviation: float
    """Standard deviation of the restored field, in grey levels."""
    bias: float
    """Mean of the restored field less that of its noisy input, in grey levels."""


@dataclass(frozen=True, slots=True)
class EdgeCheck:
    """How wide a straight edge is after restoration, from 20 % to 80 %, in restored pixels."""

    electrons: float
    """Electrons per pixel at white: how noisy the picture is."""
    width: float
    """Mean over three directions of the edge; not a number where no edge is left."""
    bicubic: float
    """The same of the bicubically enlarged pictures."""
    truth: float
    """The same of the specimen."""


@dataclass(frozen=True, slots=True)
class PatternCheck:
    """How far a pattern of one pitch stands out of restored noise; means over the flat fields."""

    restored: Pattern
    bicubic: Pattern
    """The same of the bicubically enlarged fields."""
    is_tile: bool
    """Whether the pitch is that of the tiles that the fields were restored in."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """All checks of one model."""

    model: str
    flats: tuple[FlatCheck, ...]
    edges: tuple[EdgeCheck, ...]
    patterns: tuple[PatternCheck, ...]


@dataclass(frozen=True, slots=True)
class Checking:
    """Some of a model's checks are done."""

    model: str
    done: int
    total: int


def check_soundness(
    restorer: Restorer, name: str | None = None, seed: int = 0
) -> Iterator[Checking | Soundness]:
    """Check one model on specimens of known truth.

    Parameters
    ----------
    restorer : Restorer
        Its settings are kept, but for the tile: flat fields are restored in tiles of 32 pixels,
        so that seams would show.
    name : str, optional
        What to call the model; by default the name on its card.
    seed : int
        Chooses the noise.

    Yields
    ------
    Checking, at last Soundness
        Closing the generator stops after the restoration at hand.
    """
    title = name or restorer.model.name
    total = len(_FLAT_GREYS) + len(_EDGE_ELECTRONS) * len(_EDGE_ANGLES)
    tiled = Restorer(restorer.model, replace(restorer.settings, tile=_TILE))
    done = 0
    fields: list[tuple[Grey, Grey]] = []
    for grey in _FLAT_GREYS:
        field = _flat_field(grey, seed)
        fields.append((field, tiled.restore(field).pixels))
        done += 1
        yield Checking(title, done, total)
    steps = [(step_edge(_EDGE_SHAPE, seed, angle_deg=angle), angle) for angle in _EDGE_ANGLES]
    truth = float(np.mean([_width(edge.truth, angle) for edge, angle in steps]))
    edges = []
    for electrons in _EDGE_ELECTRONS:
        widths = []
        for edge, angle in steps:
            picture = acquire(edge, electrons, _READ_NOISE, seed)
            pictures = (restorer.restore(picture).pixels, bicubic(picture))
            widths.append([_width(pixels, angle) for pixels in pictures])
            done += 1
            yield Checking(title, done, total)
        ours, theirs = (float(v) for v in np.mean(widths, axis=0))
        edges.append(EdgeCheck(electrons, ours, theirs, truth))
    yield Soundness(title, _flats(fields), tuple(edges), _patterns(fields))


def _flat_field(grey: int, seed: int) -> Grey:
    generator = np.random.default_rng([seed, grey])
    noisy = grey + FLAT_NOISE * generator.standard_normal(_FIELD)
    field: Grey = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return field


def _flats(fields: list[tuple[Grey, Grey]]) -> tuple[FlatCheck, ...]:
    return tuple(
        FlatCheck(
            grey, float(restored.std(dtype=np.float64)), float(restored.mean() - field.mean())
        )
        for grey, (field, restored) in zip(_FLAT_GREYS, fields, strict=True)
    )


def _patterns(fields: list[tuple[Grey, Grey]]) -> tuple[PatternCheck, ...]:
    restored = [pixels for _, pixels in fields]
    enlarged = [bicubic(field) for field, _ in fields]
    return tuple(
        PatternCheck(_mean(restored, pitch), _mean(enlarged, pitch), pitch == 2 * _TILE)
        for pitch in (2, 8, 2 * _TILE)
    )


def _mean(pictures: list[Grey], pitch: int) -> Pattern:
    found = [periodic_pattern(pixels, pitch) for pixels in pictures]
    return Pattern(
        pitch,
        float(np.mean([one.peak for one in found])),
        float(np.mean([one.amplitude for one in found])),
    )


def _width(pixels: NDArray[Any], angle: float) -> float:
    """Width of the edge; not a number where a bad model has left none."""
    try:
        return edge_width(pixels, angle_deg=angle)
    except ImageError:
        return math.nan
