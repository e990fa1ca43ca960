"""Fresh draws of a picture's own noise: as strong, as correlated, and new every time.

Each draw is a pure function of (seed, draw, slice) and of the place in the picture, so that a
picture that is worked on in parts gets the noise that it would get as a whole.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.imaging.noise_level import NoiseLevel

__all__ = ["draw_noise"]

Floats = NDArray[np.float64]

_CELL = 64
"""Side of the squares of pixels whose random numbers are drawn together."""
_TAPS = 24
"""Pixels over which correlation along a row is followed back."""
_SMOOTHING = 2.0
"""Sigma in pixels of the local mean that stands for the noise-free picture."""
_ROWS, _PIXELS = 0, 1


def draw_noise(
    grey: NDArray[np.floating],
    noise: NoiseLevel,
    *,
    seed: int,
    draw: int,
    slice_number: int = 0,
    corner: tuple[int, int] = (0, 0),
) -> Floats:
    """Draw noise for a picture or a part of one.

    Parameters
    ----------
    grey : ndarray, shape (Y, X)
        The picture, grey levels of 255; its local mean says how strong the noise is where.
    noise : NoiseLevel
        Measured on it.
    seed, draw, slice_number : int
        Choose the noise.
    corner : (int, int)
        Place (y, x) of the part's first pixel in the picture.

    Returns
    -------
    ndarray, shape (Y, X)
        To be added to `grey`.
    """
    key = np.array([seed, (draw << 32) | slice_number], np.uint64)
    rows, columns = grey.shape
    lag = min(max(noise.lag_one, 0.0), 0.95)
    white = _normal(key, (corner[0], corner[1] + _CELL - _TAPS), (rows, columns + _TAPS))
    taps = math.sqrt(1 - lag**2) * lag ** np.arange(_TAPS + 1)
    taps /= math.sqrt(float(np.square(taps).sum()))
    # Each pixel takes its own number and those before it, as a slow detector does.
    correlated = ndimage.correlate1d(white, taps[::-1], axis=1, origin=_TAPS // 2)[:, _TAPS:]
    local = ndimage.gaussian_filter(np.asarray(grey, np.float64), _SMOOTHING, mode="reflect")
    drawn = np.sqrt(noise.variance(local)) * correlated
    if noise.row_sigma > 0:
        drawn = drawn + noise.row_sigma * _row_offsets(key, corner[0], rows)
    return np.asarray(drawn, dtype=np.float64)


def _normal(key: NDArray[np.uint64], corner: tuple[int, int], shape: tuple[int, int]) -> Floats:
    """Draw standard normal numbers by place, in cells."""
    first = [start // _CELL for start in corner]
    last = [(start + n - 1) // _CELL for start, n in zip(corner, shape, strict=True)]
    cells = [
        [_cell(key, _PIXELS, y, x, (_CELL, _CELL)) for x in range(first[1], last[1] + 1)]
        for y in range(first[0], last[0] + 1)
    ]
    top, left = (start - _CELL * cell for start, cell in zip(corner, first, strict=True))
    return np.block(cells)[top : top + shape[0], left : left + shape[1]]


def _row_offsets(key: NDArray[np.uint64], top: int, rows: int) -> Floats:
    first, last = top // _CELL, (top + rows - 1) // _CELL
    drawn = [_cell(key, _ROWS, y, 0, (_CELL, 1)) for y in range(first, last + 1)]
    start = top - _CELL * first
    return np.concatenate(drawn)[start : start + rows]


def _cell(key: NDArray[np.uint64], purpose: int, y: int, x: int, shape: tuple[int, int]) -> Floats:
    counter = np.array([0, purpose, y, x], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal(shape)
