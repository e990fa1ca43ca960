"""A page that scrolls up and down, and is never cut off at its sides."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

__all__ = ["Scrolled"]


class Scrolled(QScrollArea):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Holds a page; the dock around it can be made no narrower than the page.

    Parameters
    ----------
    page : QWidget
    parent : QWidget, optional
        As Qt has it.
    """

    def __init__(self, page: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)

    def minimumSizeHint(self) -> QSize:
        """Give the page's least width, and room for the bar beside it."""
        hint: QSize = super().minimumSizeHint()
        page = self.widget()
        if page is None:
            return hint
        width = page.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(max(hint.width(), width), hint.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for more room when the page wants it."""
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        handled: bool = super().eventFilter(watched, event)
        return handled
