"""Grey levels from palettes and from grey that was stored as colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["collapse_colour", "from_palette"]

_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in ITU-R BT.601 luma."""


def from_palette(
    indices: npt.NDArray[Any], palette: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Look up a palette's grey levels.

    Parameters
    ----------
    indices : ndarray of uint8 or uint16, any shape
        Stored values.
    palette : ndarray of uint16, shape (3, N)
        Red, green and blue for each value, as TIFF stores them.

    Returns
    -------
    grey : ndarray
        Of the shape and dtype of `indices`. Coloured entries, which SEM software keeps for
        overlays, become their luminance.
    warnings : tuple of str
        Names the number of pixels with a coloured entry, if there are any.
    """
    entries = palette.shape[-1]
    coloured = ~((palette[0] == palette[1]) & (palette[1] == palette[2]))
    # 257 spreads 8 bits over 16: 255 * 257 = 65535. Some writers store plain 8-bit palettes.
    scale = 257.0 if indices.dtype == np.uint8 and palette.max(initial=0) > 255 else 1.0
    levels = np.round(_LUMINANCE @ palette.astype(np.float64) / scale)
    levels = levels.clip(0, np.iinfo(indices.dtype).max).astype(indices.dtype)
    inside = np.minimum(indices, entries - 1)
    used = int(coloured[inside].sum()) if coloured.any() else 0
    warning = (
        f"{used} pixels have a coloured palette entry: text or marks are drawn over the picture. "
        "They were turned to grey."
    )
    return levels[inside], (warning,) if used else ()


def collapse_colour(
    pixels: npt.NDArray[Any], axes: str
) -> tuple[npt.NDArray[Any], str, tuple[str, ...]]:
    """Turn grey that is stored as RGB(A) into one channel; leave real colour as it is.

    Parameters
    ----------
    pixels : ndarray, shape (..., Y, X, S)
    axes : str
        Letters of the axes before S.

    Returns
    -------
    pixels, axes, warnings
        With the axis S gone, or of length 3 (real colour), or moved to the front as C (more
        samples than a colour has).
    """
    samples = pixels.shape[-1]
    if samples in (1, 2):
        return np.ascontiguousarray(pixels[..., 0]), axes, ()
    if samples > 4:
        return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), "C" + axes, ()
    red, green, blue = (pixels[..., i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(red), axes, ()
    warning = (
        "The picture is in colour (or coloured marks are drawn over it). Convert it to grey "
        "before restoring it."
    )
    return np.ascontiguousarray(pixels[..., :3]), axes + "S", (warning,)
