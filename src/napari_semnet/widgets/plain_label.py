"""A label for text that comes from files, names and errors."""

from __future__ import annotations

import html
import re

from qtpy.QtCore import Qt
from qtpy.QtGui import QClipboard, QContextMenuEvent, QKeyEvent, QKeySequence, QMouseEvent
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QWidget

__all__ = ["PlainLabel", "WrappedLabel", "breakable", "plain_tooltip"]

_MAY_END = "\u200b"
"""Where a line may end within a word."""
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

    Qt ends lines at spaces only, so that the name of a file without any would widen its dock. What
    is selected and copied is the text alone, without the marks for that: such a name is often
    pasted where the file is to be opened.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._text = ""
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def text(self) -> str:
        """Return what is shown."""
        return self._text

    def setText(self, text: str) -> None:
        """Show something else."""
        self._text = text
        super().setText(breakable(text))

    def selectedText(self) -> str:
        """Return the part that is selected."""
        return str(super().selectedText()).replace(_MAY_END, "")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy what is selected."""
        if event.matches(QKeySequence.StandardKey.Copy) and self.hasSelectedText():
            QApplication.clipboard().setText(self.selectedText())
            event.accept()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Offer what was selected to the middle button, where there is such a thing."""
        super().mouseReleaseEvent(event)
        clipboard = QApplication.clipboard()
        if clipboard.supportsSelection() and self.hasSelectedText():
            clipboard.setText(self.selectedText(), QClipboard.Mode.Selection)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer to copy what is selected, or all."""
        menu = QMenu(self)
        text = self.selectedText() or self.text()
        words = "Copy" if self.hasSelectedText() else "Copy all"
        menu.addAction(words, lambda: QApplication.clipboard().setText(text))
        menu.exec(event.globalPos())
        menu.deleteLater()


def breakable(text: str) -> str:
    """Let lines end within words that are longer than any of a sentence."""
    return re.sub(rf"\S{{{LONG}}}(?=\S)", rf"\g<0>{_MAY_END}", text)


def plain_tooltip(text: str) -> str:
    """Give what a tooltip has to be set to for this text to be read as it is."""
    # A tooltip cannot be told what it is; what begins with a tag is HTML for certain.
    return f"<span>{html.escape(text)}</span>" if text else ""
