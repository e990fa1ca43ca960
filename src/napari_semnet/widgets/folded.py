"""A part of a widget that is folded away behind its title."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

__all__ = ["Folded"]


class Folded(QCollapsible):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A title that shows and hides what is below it.

    Parameters
    ----------
    title : str
    content : QWidget
        Hidden at first.
    parent : QWidget, optional
        As Qt has it.
    """

    def __init__(self, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        # Arrows drawn as icons stay black in napari's dark theme; text takes the theme's colour.
        super().__init__("", parent, expandedIcon=_no_icon(), collapsedIcon=_no_icon())
        self._title = title
        self.setDuration(0)
        self.addWidget(content)
        self.toggled.connect(self._name)
        self._name(False)

    def _name(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'} {self._title}")


def _no_icon() -> QIcon:
    """One clear pixel: an icon without any is taken for none given, by PySide6 alone."""
    pixel = QPixmap(1, 1)
    pixel.fill(Qt.GlobalColor.transparent)
    return QIcon(pixel)
