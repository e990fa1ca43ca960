"""A label for text that comes from files, names and errors."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

__all__ = ["PlainLabel", "plain_tooltip"]


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


def plain_tooltip(text: str) -> str:
    """Give what a tooltip has to be set to for this text to be read as it is."""
    # A tooltip cannot be told what it is; what begins with a tag is HTML for certain.
    return f"<span>{html.escape(text)}</span>" if text else ""
