"""A widget that knows when its dock is closed, and that shares its place with our others."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

__all__ = ["Docked"]


class Docked(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Base of dock widgets: closing the dock takes the widget out of it, and it must go.

    Whichever menu opens it, it becomes a tab beside those of our widgets that are docked there
    already: one below the other they would ask for more height than a screen has.
    """

    _was_docked = False

    def let_go(self) -> None:
        """Stop all work and follow the viewer no longer; called once."""

    def event(self, event: QEvent) -> bool:
        """Notice when a dock takes the widget, and when that is closed."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                if not self._was_docked:
                    # The dock itself is not in its window yet.
                    QTimer.singleShot(0, self._share_place)
                self._was_docked = True
            elif self._was_docked:
                self._was_docked = False
                self.let_go()
                self.deleteLater()
        handled: bool = super().event(event)
        return handled

    def _share_place(self) -> None:
        dock = _ancestor(self, QDockWidget)
        window = _ancestor(dock, QMainWindow)
        if dock is None or window is None or dock.isFloating():
            return
        for widget in window.findChildren(Docked):
            other = _ancestor(widget, QDockWidget)
            if other in {None, dock} or other.isFloating() or other.isHidden():
                continue
            if window.dockWidgetArea(other) == window.dockWidgetArea(dock):
                window.tabifyDockWidget(other, dock)
                # The tabs are not there yet.
                QTimer.singleShot(0, dock.raise_)
                return


def _ancestor(widget: QWidget | None, kind: type[QWidget]) -> QWidget | None:
    """Find the nearest widget of a kind that holds another one."""
    holder = widget and widget.parentWidget()
    while holder is not None and not isinstance(holder, kind):
        holder = holder.parentWidget()
    return holder
