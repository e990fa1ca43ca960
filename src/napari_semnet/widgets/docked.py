"""A widget that knows when its dock is closed."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

__all__ = ["Docked"]


class Docked(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Base of dock widgets: closing the dock takes the widget out of it, and it must go."""

    _was_docked = False

    def let_go(self) -> None:
        """Stop all work and follow the viewer no longer; called once."""

    def event(self, event: QEvent) -> bool:
        """Notice when the dock that holds the widget is closed."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                self._was_docked = False
                self.let_go()
                self.deleteLater()
        handled: bool = super().event(event)
        return handled
