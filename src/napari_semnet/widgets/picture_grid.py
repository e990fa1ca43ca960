"""Small grey pictures beside one another, with headings: a table to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["PictureGrid"]

Grey: TypeAlias = NDArray[np.uint8]
Row: TypeAlias = tuple[tuple[str, ...], tuple[Grey, ...]]

_GAP = 4


class PictureGrid(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Rows of pictures under headings; all cells are alike, pixels stay sharp squares.

    Parameters
    ----------
    parent : QWidget, optional
        As Qt has it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()
        self.message = ""
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumHeight(90)

    def show_pictures(self, headings: Sequence[str], rows: Sequence[Sequence[Grey]]) -> None:
        """Show rows of pictures under one line of headings; see `show_rows`."""
        self.show_rows([(headings if number == 0 else (), row) for number, row in enumerate(rows)])

    def show_rows(self, rows: Sequence[tuple[Sequence[str], Sequence[Grey]]]) -> None:
        """Show other pictures.

        Parameters
        ----------
        rows : sequence of (headings, pictures)
            As many pictures of shape (Y, X) in each row; a heading for each of them, or none.
        """
        self.rows = tuple(
            (tuple(headings), tuple(np.ascontiguousarray(one) for one in pictures))
            for headings, pictures in rows
        )
        self.message = ""
        self.updateGeometry()
        self.update()

    def show_message(self, message: str) -> None:
        """Show words instead."""
        self.rows, self.message = (), message
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Give a size in which details can be seen."""
        return QSize(360, self.heightForWidth(360))

    def hasHeightForWidth(self) -> bool:
        """Tell layouts to ask for the height."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Height in which the pictures fill a width."""
        if not self.rows:
            return 90
        cell = self._cell_width(width)
        pictures = cell * sum(map(_proportion, self.rows))
        return int(self._height_of_words() + pictures) + 1

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw all pictures anew."""
        painter = QPainter(self)
        painter.setPen(self.palette().text().color())
        if not self.rows:
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(8, 8, -8, -8), flags, self.message)
            return
        # As large as the width allows, and the height.
        room = max(self.height() - self._height_of_words(), 8.0)
        cell = min(self._cell_width(self.width()), room / sum(map(_proportion, self.rows)))
        metrics = painter.fontMetrics()
        top = 0.0
        for headings, pictures in self.rows:
            for column, heading in enumerate(headings):
                box = QRectF(column * (cell + _GAP), top, cell, metrics.height())
                text = metrics.elidedText(heading, Qt.TextElideMode.ElideRight, int(cell))
                painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, text)
            top += metrics.height() + _GAP if headings else 0
            for column, picture in enumerate(pictures):
                rows, columns = picture.shape
                place = QRectF(column * (cell + _GAP), top, cell, cell * rows / columns)
                painter.drawImage(place, QImage(picture.data, columns, rows, columns, _GREY))
            top += cell * _proportion((headings, pictures)) + _GAP

    def _cell_width(self, width: float) -> float:
        columns = max(len(pictures) for _, pictures in self.rows)
        return max((width - (columns - 1) * _GAP) / columns, 8.0)

    def _height_of_words(self) -> float:
        """Room that headings and gaps take."""
        line = float(self.fontMetrics().height()) + _GAP
        return line * sum(bool(headings) for headings, _ in self.rows) + _GAP * len(self.rows)


def _proportion(row: Row) -> float:
    """Height of a row over the width of a cell."""
    return max(float(picture.shape[0] / picture.shape[1]) for picture in row[1])


_GREY = QImage.Format.Format_Grayscale8
