"""The halved levels of a picture, which let a viewer show all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_LEVELS", "halved", "level_shapes"]

MOST_LEVELS = 16
SMALLEST_LEVEL = 512
"""Levels are halved until the next would be shorter than this on a side."""


def level_shapes(shape: Sequence[int], smallest: int = SMALLEST_LEVEL) -> list[tuple[int, ...]]:
    """Shapes of a picture or stack (..., Y, X) and of its halved levels, the finest first.

    Examples
    --------
    >>> level_shapes((3, 2050, 4096))
    [(3, 2050, 4096), (3, 1025, 2048), (3, 512, 1024)]
    """
    *leading, height, width = (int(n) for n in shape)
    shapes: list[tuple[int, ...]] = [(*leading, height, width)]
    while min(height, width) >= 2 * smallest and len(shapes) < MOST_LEVELS:
        height, width = height // 2, width // 2
        shapes.append((*leading, height, width))
    return shapes


def halved(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean of 2 x 2 pixels, in the same data type.

    Parameters
    ----------
    pixels : ndarray, shape (..., Y, X)
        Any integer or floating-point type; integers are rounded. An odd last row or column is
        left out.
    """
    *leading, height, width = (*pixels.shape[:-2], pixels.shape[-2] // 2, pixels.shape[-1] // 2)
    even = pixels[..., : 2 * height, : 2 * width]
    blocks = even.reshape(*leading, height, 2, width, 2)
    mean = blocks.mean(axis=(-3, -1), dtype=np.float64)
    rounded: npt.NDArray[Any] = np.rint(mean) if pixels.dtype.kind in "ui" else mean
    return rounded.astype(pixels.dtype)
