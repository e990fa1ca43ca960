"""Pictures side by side, with titles and a scale bar, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Panel", "bicubic", "nearest", "scale_bar_length", "side_by_side"]

_GAP = 8
_STRIP = 56
_BACKGROUND, _TEXT, _FAINT = 24, 255, 170


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture and what stands over it."""

    title: str
    detail: str
    pixels: NDArray[np.uint8]
    """``(Y, X)``."""


def nearest(image: NDArray[Any]) -> NDArray[Any]:
    """Show each pixel as 2 x 2: what was measured, on the finer grid."""
    return image.repeat(2, axis=-2).repeat(2, axis=-1)


def bicubic(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge twice by bicubic interpolation, corners upon corners."""
    rows, columns = image.shape
    return np.asarray(
        Image.fromarray(image).resize((2 * columns, 2 * rows), Image.Resampling.BICUBIC)
    )


def scale_bar_length(width_nm: float) -> float:
    """Choose a round length of 1, 2 or 5 times a power of ten, at most 0.3 of the width.

    Parameters
    ----------
    width_nm : float
        Width of the picture, in nanometres.

    Returns
    -------
    float
        In nanometres.
    """
    longest = 0.3 * width_nm
    power = 10.0 ** math.floor(math.log10(longest))
    return power * max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def side_by_side(panels: Sequence[Panel], pixel_size_nm: float) -> Image.Image:
    """Draw pictures of one size in a row.

    Parameters
    ----------
    panels : sequence of Panel
        From left to right.
    pixel_size_nm : float
        Of all panels; gives the scale bar in the first.

    Returns
    -------
    PIL.Image.Image
        Grey, 8 bits; no pixel of a panel is resampled.
    """
    rows, columns = panels[0].pixels.shape
    size = (len(panels) * (columns + _GAP) + _GAP, rows + _STRIP + _GAP)
    sheet = Image.new("L", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, panel in enumerate(panels):
        left = _GAP + number * (columns + _GAP)
        sheet.paste(Image.fromarray(panel.pixels), (left, _STRIP))
        draw.text((left, 6), panel.title, _TEXT, ImageFont.load_default(20))
        draw.text((left, 32), panel.detail, _FAINT, ImageFont.load_default(15))
    _draw_scale_bar(draw, (_GAP + 12, _STRIP + rows - 12), columns, pixel_size_nm)
    return sheet


def _draw_scale_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], columns: int, pixel_size_nm: float
) -> None:
    """Draw a bar and its length with their lower left corner at `corner`."""
    length = scale_bar_length(columns * pixel_size_nm)
    label = f"{length:g} nm" if length < 1000 else f"{length / 1000:g} µm"
    font = ImageFont.load_default(16)
    left, bottom = corner
    pixels = round(length / pixel_size_nm)
    text = draw.textlength(label, font)
    draw.rectangle((left - 6, bottom - 32, left + max(pixels, text) + 6, bottom + 6), _BACKGROUND)
    draw.rectangle((left, bottom - 4, left + pixels - 1, bottom), _TEXT)
    draw.text((left, bottom - 28), label, _TEXT, font)
