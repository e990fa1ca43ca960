"""Whether a fast precision is good enough for a model, found out on a piece of the image."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_semnet.restoration.backends import Backend
from napari_semnet.restoration.events import Notice
from napari_semnet.restoration.tiles import Box, Tile

__all__ = ["LEAST_AGREEMENT", "Agreement", "agrees_with_fp32", "checked_tile"]

LEAST_AGREEMENT = 60.0
"""Peak signal-to-noise ratio, in dB with a data range of 1, that a fast precision must reach
against float32: a root-mean-square difference of a quarter grey level of 255."""

_CHECKED_SIDE = 64
"""Pixels along each side of the piece that is compared; fp32 takes little time for it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close a fast precision came to float32."""

    precision: str
    decibels: float
    """Peak signal-to-noise ratio; -inf where values were not finite."""
    said: tuple[Notice, ...] = ()
    """What the backends said while they were compared."""

    @property
    def is_enough(self) -> bool:
        """Whether the fast precision can be used."""
        return self.decibels >= LEAST_AGREEMENT

    @property
    def complaint(self) -> str:
        """Why it cannot, in a sentence for a `Notice`."""
        return (
            f"{self.precision} differs too much from fp32 with this model ({self.decibels:.1f} "
            f"dB, needed: {LEAST_AGREEMENT:g} dB), so fp32 is used, which takes longer."
        )


def checked_tile(shape: tuple[int, ...]) -> Tile:
    """Give the piece of an image (..., Y, X) that is compared: the middle of its first slice."""
    height, width = shape[-2:]
    top, left = max(0, (height - _CHECKED_SIDE) // 2), max(0, (width - _CHECKED_SIDE) // 2)
    box = Box(top, min(height, top + _CHECKED_SIDE), left, min(width, left + _CHECKED_SIDE))
    return Tile((0,) * (len(shape) - 2), box, box)


def agrees_with_fp32(fast: Backend, exact: Backend, piece: NDArray[np.float32]) -> Agreement:
    """Compare two precisions on a piece of an image.

    Parameters
    ----------
    fast, exact : Backend
        The same network in the precision to be checked and in float32.
    piece : ndarray of float32, shape (Y, X)
        Intensities in [0, 1].
    """
    said: list[Notice] = []
    ours = _heard(fast.restore_tile(piece), said).astype(np.float64)
    error = float(np.mean(np.square(ours - _heard(exact.restore_tile(piece), said))))
    if not math.isfinite(error):
        return Agreement(fast.precision, -math.inf, tuple(said))
    decibels = -10 * math.log10(error) if error > 0 else math.inf
    return Agreement(fast.precision, decibels, tuple(said))


def _heard(
    steps: Generator[Notice | float, None, NDArray[np.float32]], said: list[Notice]
) -> NDArray[np.float32]:
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            result: NDArray[np.float32] = stop.value
            return result
        if isinstance(event, Notice):
            said.append(event)
