"""What is going on, in words that change often while the cores are wanted elsewhere."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QProgressBar, QSizePolicy, QWidget

from napari_semnet.widgets.plain_label import WrappedLabel

__all__ = ["StatusText", "show_progress"]

LINES = 2
"""Room that is kept, so that what lies above stays where it is."""


class StatusText(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Text in a place of its own.

    A label in a layout lets the whole window be laid out anew with each new text. One without a
    layout does not: only where the text needs more lines than there is room for, this asks for it.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = WrappedLabel(self)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._fit()

    def text(self) -> str:
        """Return what is shown."""
        text: str = self._label.text()
        return text

    def setText(self, text: str) -> None:
        """Show something else."""
        if text != self._label.text():
            self._label.setText(text)
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break the lines anew."""
        super().resizeEvent(event)
        self._label.setGeometry(self.rect())
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Follow napari's theme and size of letters."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        least = LINES * self.fontMetrics().height() + 2
        needed = max(least, self._label.heightForWidth(self.width()))
        if needed != self.minimumHeight():
            self.setFixedHeight(needed)


def show_progress(bar: QProgressBar, value: int) -> None:
    """Move a bar, painted together with what else changes.

    By itself a bar paints the window at once, and so once more than needed.
    """
    bar.setUpdatesEnabled(False)
    bar.setValue(value)
    bar.setUpdatesEnabled(True)
