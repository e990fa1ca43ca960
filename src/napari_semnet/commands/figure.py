"""Pictures side by side, with titles and a scale bar, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_semnet.imaging.methods_figure import draw_text
from napari_semnet.imaging.panels import scale_bar

__all__ = ["Panel", "bicubic", "nearest", "side_by_side"]

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
        draw_text(draw, (left, 6), panel.title, _TEXT, ImageFont.load_default(20))
        draw_text(draw, (left, 32), panel.detail, _FAINT, ImageFont.load_default(15))
    _draw_scale_bar(draw, (_GAP + 12, _STRIP + rows - 12), columns, pixel_size_nm)
    return sheet


def _draw_scale_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], columns: int, pixel_size_nm: float
) -> None:
    """Draw a bar and its length with their lower left corner at `corner`."""
    bar = scale_bar(columns * pixel_size_nm)
    font = ImageFont.load_default(16)
    left, bottom = corner
    pixels = round(bar.length / pixel_size_nm)
    text = draw.textlength(bar.text.replace("µ", "u"), font)
    draw.rectangle((left - 6, bottom - 32, left + max(pixels, text) + 6, bottom + 6), _BACKGROUND)
    draw.rectangle((left, bottom - 4, left + pixels - 1, bottom), _TEXT)
    draw_text(draw, (left, bottom - 28), bar.text, _TEXT, font)
