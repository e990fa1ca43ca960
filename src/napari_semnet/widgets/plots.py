"""Curves in a small plot of our own: axes with units, a legend, a readout under the mouse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["Curve", "LinePlot", "ticks"]

# Told apart with every kind of colour vision (Okabe and Ito 2008); the darker set is for paper.
ON_DARK = ("#e69f00", "#56b4e9", "#e58fc0", "#f0e442", "#2ec997", "#ff8a5c")
ON_LIGHT = ("#b36b00", "#0072b2", "#a6427f", "#7d6f00", "#007a59", "#c04000")

_DASHES = {"solid": Qt.PenStyle.SolidLine, "dashed": Qt.PenStyle.DashLine}


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot.

    Attributes
    ----------
    name : str
        For the legend.
    x, y : ndarray of float, (N,)
        Rising in x; NaN leave a gap.
    style : str
        ``solid`` or ``dashed``.
    marks : tuple of float
        Places in x that are marked by a vertical line.
    """

    name: str
    x: NDArray[np.floating[Any]]
    y: NDArray[np.floating[Any]]
    style: str = "solid"
    marks: tuple[float, ...] = ()


_ROUND = (1, 2, 5, 10)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Choose round numbers from a range, about as many as wanted.

    Parameters
    ----------
    low, high : float
        The range; `low` is less than `high`.
    wanted : int

    Returns
    -------
    list of float
        Multiples of 1, 2 or 5 times a power of ten within the range.
    """
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    enough = next(n for n, s in enumerate(_ROUND) if s * power >= rough * (1 - 1e-9))
    # The step may be longer than the range, where two are wanted, and miss it.
    for step in (s * power for s in reversed(_ROUND[: enough + 1])):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last >= first:
            break
    return [number * step for number in range(first, last + 1)]


class LinePlot(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Plot of some curves over one axis.

    Parameters
    ----------
    x_label, y_label : str
        Names of the axes with their units.
    parent : QWidget, optional
        As Qt has it.
    """

    def __init__(self, x_label: str, y_label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label, self.y_label = x_label, y_label
        self.curves: tuple[Curve, ...] = ()
        self.message = ""
        self._pointer: float | None = None
        self._text, self._ground = QColor("#d0d0d0"), QColor("#262930")
        self.setMouseTracking(True)
        self.setMinimumSize(240, 180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Give a size at which labels do not collide."""
        return QSize(340, 240)

    def show_curves(self, curves: Sequence[Curve], message: str = "") -> None:
        """Draw other curves.

        Parameters
        ----------
        curves : sequence of Curve
        message : str
            What to read where there is no curve.
        """
        self.curves = tuple(curve for curve in curves if np.isfinite(curve.y).any())
        self.message = message
        self.update()

    def set_colours(self, text: Any, ground: Any) -> None:
        """Take over the colours of a theme; either is anything that `QColor` takes."""
        self._text, self._ground = QColor(text), QColor(ground)
        self.update()

    def colour(self, number: int) -> QColor:
        """Colour of a curve by its number; one with enough contrast to the ground."""
        colours = ON_DARK if self._ground.lightness() < 128 else ON_LIGHT
        return QColor(colours[number % len(colours)])

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything anew; a few hundred points take about a millisecond."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), self._ground)
        painter.setPen(self._text)
        if not self.curves:
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(12, 12, -12, -12), flags, self.message)
            return
        frame = self._frame(painter.fontMetrics())
        x_range, y_range = self._ranges()
        self._draw_axes(painter, frame, x_range, y_range)
        painter.save()
        painter.setClipRect(frame)
        for number, curve in enumerate(self.curves):
            painter.setPen(QPen(self.colour(number), 1.6, _DASHES[curve.style]))
            for piece in _pieces(curve):
                places = self._places(piece, frame, x_range, y_range)
                painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in places]))
            painter.setPen(QPen(self.colour(number), 1.0, Qt.PenStyle.DotLine))
            for mark in curve.marks:
                x = _scaled(mark, x_range, frame.left(), frame.right())
                painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
        painter.restore()
        self._draw_legend(painter, frame, x_range)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the curves under the mouse."""
        self._pointer = float(event.position().x())
        self.update()

    def leaveEvent(self, event: Any) -> None:
        """Read nothing."""
        self._pointer = None
        self.update()

    def _ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        x = [float(bound) for curve in self.curves for bound in (curve.x[0], curve.x[-1])]
        y = [
            float(bound)
            for curve in self.curves
            for bound in (np.nanmin(curve.y), np.nanmax(curve.y))
        ]
        margin = 0.05 * (max(y) - min(y)) or 1.0
        return (min(x), max(x)), (min(y) - margin, max(y) + margin)

    def _frame(self, metrics: Any) -> QRectF:
        """Place of the curves, with room for numbers, labels and the legend around them."""
        _, y_range = self._ranges()
        widest = max(QFontMetricsF(metrics).horizontalAdvance(_number(t)) for t in ticks(*y_range))
        line = metrics.height()
        left = line + 6 + widest + 6
        top = 4 + line * self._legend_lines(metrics)
        return QRectF(left, top, self.width() - left - 10, self.height() - top - 2 * line - 8)

    def _draw_axes(
        self,
        painter: QPainter,
        frame: QRectF,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        faint = QColor(self._text)
        faint.setAlpha(50)
        line = painter.fontMetrics().height()
        count = max(2, int(frame.width() / (3 * line)))
        for tick in ticks(*x_range, count):
            x = _scaled(tick, x_range, frame.left(), frame.right())
            painter.setPen(faint)
            painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
            painter.setPen(self._text)
            box = QRectF(x - 4 * line, frame.bottom() + 2, 8 * line, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, _number(tick))
        for tick in ticks(*y_range):
            y = _scaled(tick, y_range, frame.bottom(), frame.top())
            painter.setPen(faint)
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(self._text)
            box = QRectF(0, y - line / 2, frame.left() - 5, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight, _number(tick))
        below = QRectF(frame.left(), self.height() - line - 2, frame.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self.x_label)
        painter.save()
        painter.translate(0, frame.center().y())
        painter.rotate(-90)
        beside = QRectF(-frame.height() / 2 - line, 2, frame.height() + 2 * line, line)
        painter.drawText(beside, Qt.AlignmentFlag.AlignHCenter, self.y_label)
        painter.restore()

    def _legend_lines(self, metrics: Any) -> int:
        return len(self.curves)

    def _draw_legend(self, painter: QPainter, frame: QRectF, x_range: tuple[float, float]) -> None:
        """One line a curve: name, and its value under the mouse."""
        metrics = painter.fontMetrics()
        line = metrics.height()
        at = self._read_place(frame, x_range)
        if at is not None:
            painter.setPen(QPen(self._text, 1.0, Qt.PenStyle.DotLine))
            x = _scaled(at, x_range, frame.left(), frame.right())
            painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
        for number, curve in enumerate(self.curves):
            y = 2.0 + number * line
            painter.setPen(QPen(self.colour(number), 2.0, _DASHES[curve.style]))
            painter.drawLine(QPointF(8, y + line / 2), QPointF(26, y + line / 2))
            value = "" if at is None else f"   {_number(_value_at(curve, at))} at {_number(at)}"
            room = self.width() - 36 - metrics.horizontalAdvance(value)
            name = metrics.elidedText(curve.name, Qt.TextElideMode.ElideMiddle, int(room))
            painter.setPen(self._text)
            painter.drawText(QPointF(32, y + metrics.ascent()), name + value)

    def _read_place(self, frame: QRectF, x_range: tuple[float, float]) -> float | None:
        if self._pointer is None or not frame.left() <= self._pointer <= frame.right():
            return None
        part = (self._pointer - frame.left()) / frame.width()
        return float(x_range[0] + part * (x_range[1] - x_range[0]))

    def _places(
        self,
        piece: tuple[NDArray[Any], NDArray[Any]],
        frame: QRectF,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> list[tuple[float, float]]:
        x = _scaled(piece[0], x_range, frame.left(), frame.right())
        y = _scaled(piece[1], y_range, frame.bottom(), frame.top())
        return list(zip(x.tolist(), y.tolist(), strict=True))


def _scaled(value: Any, bounds: tuple[float, float], first: float, last: float) -> Any:
    return first + (value - bounds[0]) / (bounds[1] - bounds[0]) * (last - first)


def _pieces(curve: Curve) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Split a curve into runs of points without a gap."""
    known = np.flatnonzero(np.isfinite(curve.y))
    breaks = np.flatnonzero(np.diff(known) > 1) + 1
    return [(curve.x[run], curve.y[run]) for run in np.split(known, breaks) if run.size > 1]


def _value_at(curve: Curve, x: float) -> float:
    if not curve.x[0] <= x <= curve.x[-1]:
        return math.nan
    return float(np.interp(x, curve.x, curve.y))


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}".replace("-", "−")
