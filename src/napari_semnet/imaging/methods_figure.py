"""The figure that belongs to a methods section: raw, restored and difference, with a scale bar."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_semnet.errors import ImageError
from napari_semnet.imaging.panels import DIVERGING, colour_table, length_text, scale_bar, tinted
from napari_semnet.imaging.plane import block_mean

__all__ = ["difference", "draw_figure", "draw_text"]

_SIDE = 360
"""Source pixels of a panel's longer side, at most; each is shown as 2 x 2."""
_GAP, _TITLES, _BAR = 16, 56, 26
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


def difference(raw: NDArray[Any], restored: NDArray[Any]) -> NDArray[np.float64]:
    """Subtract a picture from its restoration, brought back to the picture's pixels.

    Parameters
    ----------
    raw : ndarray, (Y, X)
    restored : ndarray, (2Y, 2X)

    Returns
    -------
    ndarray of float64, (Y, X)
        Mean of 2 x 2 restored pixels minus the raw pixel, in grey levels.

    Raises
    ------
    ImageError
        The restoration does not have twice the pixels.
    """
    rows, columns = raw.shape
    if restored.shape != (2 * rows, 2 * columns):
        raise ImageError(
            f"A picture of {columns} x {rows} pixels and a restoration of "
            f"{restored.shape[1]} x {restored.shape[0]} do not belong together."
        )
    return np.asarray(block_mean(restored, dtype=np.float64) - raw)


def draw_figure(
    raw: NDArray[Any],
    restored: NDArray[Any],
    *,
    pixel_size_nm: tuple[float, float] | None,
    limits: tuple[float, float],
    statement: str,
) -> Image.Image:
    """Draw the middle of a picture, of its restoration and of their difference.

    Parameters
    ----------
    raw : ndarray, (Y, X)
    restored : ndarray, (2Y, 2X)
    pixel_size_nm : (float, float) or None
        Of `raw`, (y, x); without it there is no scale bar.
    limits : (float, float)
        Grey levels shown as black and white, the same in both pictures.
    statement : str
        Stands below the panels.

    Returns
    -------
    PIL.Image.Image
        RGB. Each restored pixel is one pixel of the figure, each raw pixel 2 x 2.

    Raises
    ------
    ImageError
        The restoration does not have twice the pixels.
    """
    full = difference(raw, restored)
    rows, columns = (_middle(n) for n in raw.shape)
    fine = restored[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    largest = _nearly_largest(full)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    panels = [
        ("raw", "as acquired", tinted(_doubled(raw[rows, columns]), limits, grey)),
        ("restored", "by a neural network, 2x the pixels", tinted(fine, limits, grey)),
        (
            "restored - raw",
            f"blue -{largest:.3g}, white 0, red +{largest:.3g} grey levels",
            tinted(_doubled(full[rows, columns]), (-largest, largest), colour_table(DIVERGING)),
        ),
    ]
    height, width = panels[0][2].shape[:2]
    total = 3 * width + 4 * _GAP
    small, large = ImageFont.load_default(15), ImageFont.load_default(20)
    note = textwrap.wrap(statement, max(30, total // 8))
    sheet = Image.new("RGB", (total, _TITLES + height + _BAR + 20 * len(note) + 2 * _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (title, detail, pixels) in enumerate(panels):
        left = _GAP + number * (width + _GAP)
        draw_text(draw, (left, 6), title, _INK, large)
        draw_text(draw, (left, 32), detail, _INK, small)
        sheet.paste(Image.fromarray(pixels), (left, _TITLES))
    if pixel_size_nm is not None:
        _draw_bar(draw, (_GAP, _TITLES + height + 8), width, pixel_size_nm[1] / 2)
    for number, line in enumerate(note):
        draw_text(draw, (_GAP, _TITLES + height + _BAR + _GAP + 20 * number), line, _INK, small)
    return sheet


def _nearly_largest(values: NDArray[np.float64]) -> float:
    """Find the magnitude that few values exceed; those that are not finite do not count."""
    finite = values[np.isfinite(values)]
    return max(float(np.percentile(np.abs(finite), 99.5)), 1e-9) if finite.size else 1.0


def _middle(count: int) -> slice:
    size = min(count, _SIDE)
    start = (count - size) // 2
    return slice(start, start + size)


def _doubled(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.repeat(2, axis=0).repeat(2, axis=1)


def _draw_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], width: int, step_nm: float
) -> None:
    """Draw a bar of round length below a panel; a pixel of the figure is `step_nm` long."""
    bar = scale_bar(width * step_nm)
    left, top = corner
    pixels = round(bar.length / step_nm)
    draw.rectangle((left, top, left + pixels - 1, top + 4), _INK)
    text = f"{bar.text}, horizontally; a pixel of the restoration is {length_text(step_nm)}"
    draw_text(draw, (left + pixels + 8, top - 6), text, _INK, ImageFont.load_default(15))


def draw_text(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    ink: Any,
    font: Any,
) -> None:
    """Write text that may hold a micro sign, which Pillow's own font lacks.

    The sign is written as a u with the stem drawn longer.
    """
    plain = text.replace("µ", "u")
    draw.text(corner, plain, ink, font)
    stem = max(1, round(font.size / 12))
    for place, letter in enumerate(text):
        if letter == "µ":
            left, _, _, bottom = draw.textbbox(
                (corner[0] + draw.textlength(plain[:place], font), corner[1]), "u", font
            )
            draw.rectangle((left, bottom - stem, left + stem - 1, bottom + font.size / 5), ink)
