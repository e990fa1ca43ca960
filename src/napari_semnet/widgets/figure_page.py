"""A figure for a paper: panels at equal contrast with scale bars, drawn on PNG or PDF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QRectF, QSizeF, Qt
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
)

from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import replacing
from napari_semnet.imaging.panels import ScaleBar

__all__ = ["Figure", "Panel", "draw_figure", "figure_size", "write_figure"]

GAP = 12.0
PANEL_WIDTH = 480.0
"""Points (1/72 inch) of the page for each panel."""
FONT_POINTS = 15


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture and what stands over it."""

    title: str
    detail: str
    pixels: NDArray[np.uint8]
    """``(Y, X, 3)``; all panels of a figure have one shape."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Panels from left to right, line by line."""

    panels: tuple[Panel, ...]
    columns: int
    width: float
    """Of the part of the specimen that each panel shows, in the unit of the bar."""
    bar: ScaleBar
    note: str
    """Stands below all panels."""


def figure_size(figure: Figure, unit: float) -> tuple[float, float]:
    """Width and height of a figure whose panels are `unit` wide, all else in proportion."""
    layout = _Layout(figure, unit)
    return layout.size


def draw_figure(painter: QPainter, figure: Figure, unit: float) -> None:
    """Draw a figure with its upper left corner at the origin.

    Parameters
    ----------
    painter : QPainter
    figure : Figure
    unit : float
        Width of a panel, in the painter's units.
    """
    layout = _Layout(figure, unit)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setRenderHint(QPainter.RenderHint.LosslessImageRendering)
    painter.fillRect(QRectF(0, 0, *layout.size), QColor("white"))
    for number, panel in enumerate(figure.panels):
        place = layout.place(number)
        painter.setPen(QColor("black"))
        _text(painter, layout.font, place.left(), place.top() - 2.0 * layout.line, panel.title)
        painter.setPen(QColor("#444444"))
        _text(painter, layout.small, place.left(), place.top() - 0.95 * layout.line, panel.detail)
        painter.drawImage(place, _image(panel.pixels))
        _draw_bar(painter, layout, place, figure)
    painter.setPen(QColor("black"))
    painter.setFont(layout.small)
    painter.drawText(layout.note, Qt.TextFlag.TextWordWrap, figure.note)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG or PDF.

    In a PNG one pixel is one pixel of the panels. In a PDF text and bars are vectors, and pictures
    are stored without loss.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` or ``.pdf``.
    figure : Figure

    Raises
    ------
    FileFormatError
        The name ends otherwise, or the file cannot be written.
    """
    kinds = {".png": _png, ".pdf": _pdf}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise FileFormatError(
            f"A figure is written as .png or .pdf, not as “{path.suffix}”. Choose one of the two."
        )
    content = kind(figure)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise FileFormatError(
            f"The figure could not be written to {path}: {error.strerror}. Choose another folder."
        ) from error


class _Layout:
    """Places of all parts of a figure, from the width of a panel."""

    def __init__(self, figure: Figure, unit: float) -> None:
        rows, columns = figure.panels[0].pixels.shape[:2]
        self.unit = unit
        self.scale = unit / PANEL_WIDTH
        # Whole units throughout, so that pixels of a PNG are those of the panels.
        self.gap = round(GAP * self.scale)
        self.font, self.small = (
            _font(FONT_POINTS * self.scale),
            _font(0.8 * FONT_POINTS * self.scale),
        )
        self.line = math.ceil(QFontMetricsF(self.font).height())
        self.head = math.ceil(2.1 * self.line)
        self.panel = (unit, float(round(unit * rows / columns)))
        self.columns = figure.columns
        lines = -(-len(figure.panels) // figure.columns)
        width = figure.columns * (unit + self.gap) + self.gap
        below = lines * self._pitch + self.gap
        wrapped = QFontMetricsF(self.small).boundingRect(
            QRectF(0, 0, width - 2 * self.gap, 1e6), Qt.TextFlag.TextWordWrap, figure.note
        )
        self.note = QRectF(self.gap, below, width - 2 * self.gap, wrapped.height() + self.gap)
        self.size = (width, below + wrapped.height() + self.gap)

    @property
    def _pitch(self) -> float:
        return float(self.panel[1] + self.head + self.gap)

    def place(self, number: int) -> QRectF:
        """Rectangle of a panel's picture."""
        row, column = divmod(number, self.columns)
        left = self.gap + column * (self.unit + self.gap)
        return QRectF(left, self.gap + row * self._pitch + self.head, *self.panel)


def _draw_bar(painter: QPainter, layout: _Layout, place: QRectF, figure: Figure) -> None:
    """Draw a scale bar of exact length in the lower left corner, on a ground of its own."""
    length = figure.bar.length / figure.width * place.width()
    metrics = QFontMetricsF(layout.small)
    text = metrics.horizontalAdvance(figure.bar.text)
    pad, thick = max(2, round(5 * layout.scale)), max(2, round(4 * layout.scale))
    height = math.ceil(metrics.height()) + thick + 2 * pad
    left, bottom = place.left() + 2 * pad, place.bottom() - 2 * pad
    width = math.ceil(max(length, text)) + 2 * pad
    box = QRectF(left - pad, bottom - height, width, height + pad)
    painter.fillRect(box, QColor("black"))
    painter.fillRect(QRectF(left, bottom - thick, length, thick), QColor("white"))
    painter.setPen(QColor("white"))
    painter.setFont(layout.small)
    painter.drawText(
        QRectF(left, bottom - height + pad / 2, text * 1.1, metrics.height()),
        Qt.AlignmentFlag.AlignLeft,
        figure.bar.text,
    )


def _text(painter: QPainter, font: QFont, left: float, baseline: float, text: str) -> None:
    painter.setFont(font)
    ascent = QFontMetricsF(font).ascent()
    painter.drawText(QRectF(left, baseline, 1e5, 2 * ascent), Qt.AlignmentFlag.AlignLeft, text)


def _font(pixels: float) -> QFont:
    font = QFont("Helvetica")
    font.setStyleHint(QFont.StyleHint.SansSerif)
    font.setPixelSize(max(1, round(pixels)))
    return font


def _image(pixels: NDArray[np.uint8]) -> QImage:
    solid = np.ascontiguousarray(pixels)
    rows, columns = solid.shape[:2]
    image = QImage(solid.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    return image.copy()  # the array may go before the image


def _png(figure: Figure) -> bytes:
    unit = float(figure.panels[0].pixels.shape[1])
    width, height = figure_size(figure, unit)
    page = QImage(round(width), round(height), QImage.Format.Format_RGB32)
    painter = QPainter(page)
    try:
        draw_figure(painter, figure, unit)
    finally:
        painter.end()
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    page.save(buffer, "PNG")
    buffer.close()
    return bytes(content.data())


def _pdf(figure: Figure) -> bytes:
    resolution = 1200
    unit = PANEL_WIDTH * resolution / 144  # half a page's width for a panel
    width, height = figure_size(figure, unit)
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(resolution)
    writer.setTitle("Comparison of SEM pictures")
    writer.setCreator("napari-semnet")
    points = QSizeF(width * 72 / resolution, height * 72 / resolution)
    writer.setPageSize(
        QPageSize(points, QPageSize.Unit.Point, matchPolicy=QPageSize.SizeMatchPolicy.ExactMatch)
    )
    writer.setPageMargins(QMarginsF(0, 0, 0, 0), QPageLayout.Unit.Point)
    painter = QPainter(writer)
    try:
        draw_figure(painter, figure, unit)
    finally:
        painter.end()
    buffer.close()
    return bytes(content.data())
