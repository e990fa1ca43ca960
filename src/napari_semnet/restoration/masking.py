"""Pixels without a value: filled before the network sees them, marked again in its output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.restoration.tiles import SCALE

__all__ = ["FILL_REACH", "fill_missing", "mark_missing"]

FILL_REACH = 8
"""Pixels over which values grow into a gap; deeper inside it is mid-grey."""

_DEEP = 0.5


def fill_missing(values: NDArray[np.float32], missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill a gap from its surroundings, ring by ring.

    Each ring takes the mean of its neighbours that have a value. What is filled depends on pixels
    up to `FILL_REACH` away and on nothing else, so that a tile which is read with that much more
    around it is filled as the whole image would be.

    Parameters
    ----------
    values : ndarray of float32, shape (Y, X)
        Intensities in [0, 1]; anything where `missing`.
    missing : ndarray of bool, shape (Y, X)
        Pixels without a value.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Finite everywhere.
    """
    filled = np.where(missing, np.float32(0), values)
    unknown = missing.copy()
    for _ in range(FILL_REACH):
        if not unknown.any():
            break
        known = ~unknown
        count = _neighbours(known.astype(np.float32))
        total = _neighbours(np.where(known, filled, np.float32(0)))
        ring = unknown & (count > 0)
        filled[ring] = total[ring] / count[ring]
        unknown &= ~ring
    filled[unknown] = _DEEP
    return filled


def _neighbours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the eight neighbours of each pixel; nothing beyond the border."""
    padded = np.pad(values, 1)
    height, width = values.shape
    total = np.zeros_like(values)
    for y in range(3):
        for x in range(3):
            if (y, x) != (1, 1):
                total += padded[y : y + height, x : x + width]
    return total


def mark_missing(pixels: NDArray[Any], missing: NDArray[np.bool_]) -> None:
    """Put NaN on the 2x2 output pixels of each missing one, in place."""
    pixels[np.repeat(np.repeat(missing, SCALE, 0), SCALE, 1)] = np.nan
