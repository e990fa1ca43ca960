"""A label for text that comes from files, names and errors."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

__all__ = ["PlainLabel"]


class PlainLabel(QLabel):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Shows text as it is.

    Qt takes text with a tag in it for HTML, and then opens whatever file an image in it names,
    which may be a device that never ends. A card or a header from a stranger may hold such text.

    Parameters
    ----------
    text : str
        What to show first.
    parent : QWidget, optional
    """

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
