"""Whether a fast precision is good enough for a model, found out on a piece of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_semnet.restoration.backends import Backend

__all__ = ["LEAST_AGREEMENT", "Agreement", "agrees_with_fp32"]

LEAST_AGREEMENT = 60.0
"""Peak signal-to-noise ratio, in dB with a data range of 1, that a fast precision must reach
against float32: a root-mean-square difference of a quarter grey level of 255."""

_SIDE = 64


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close a fast precision came to float32."""

    precision: str
    decibels: float
    """Peak signal-to-noise ratio; -inf where values were not finite."""

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


def agrees_with_fp32(fast: Backend, exact: Backend, tile: NDArray[np.float32]) -> Agreement:
    """Compare two precisions on the middle of a tile.

    Parameters
    ----------
    fast, exact : Backend
        The same network in the precision to be checked and in float32.
    tile : ndarray of float32, shape (Y, X)
        Intensities in [0, 1]; at most 64 x 64 of them are used, which costs little time.
    """
    top, left = (max(0, (n - _SIDE) // 2) for n in tile.shape)
    piece = tile[top : top + _SIDE, left : left + _SIDE]
    difference = fast.restore_tile(piece).astype(np.float64) - exact.restore_tile(piece)
    error = float(np.mean(np.square(difference)))
    if not math.isfinite(error):
        return Agreement(fast.precision, -math.inf)
    return Agreement(fast.precision, -10 * math.log10(error) if error > 0 else math.inf)
