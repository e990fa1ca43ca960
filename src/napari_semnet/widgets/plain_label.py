"""A label for text that comes from files, names and errors."""

from __future__ import annotations

import html
import re

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

__all__ = ["PlainLabel", "WrappedLabel", "breakable", "plain_tooltip"]

LONG = 16
"""Characters without a space after which a line may end all the same."""


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


class WrappedLabel(PlainLabel):
    """Plain text in lines as long as there is room.

    Qt ends lines at spaces only, so that the name of a file without any would widen its dock.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._text = ""
        self.setWordWrap(True)

    def text(self) -> str:
        """Return what is shown."""
        return self._text

    def setText(self, text: str) -> None:
        """Show something else."""
        self._text = text
        super().setText(breakable(text))


def breakable(text: str) -> str:
    """Let lines end within words that are longer than any of a sentence."""
    return re.sub(rf"\S{{{LONG}}}(?=\S)", "\\g<0>\u200b", text)


def plain_tooltip(text: str) -> str:
    """Give what a tooltip has to be set to for this text to be read as it is."""
    # A tooltip cannot be told what it is; what begins with a tag is HTML for certain.
    return f"<span>{html.escape(text)}</span>" if text else ""
