"""What becomes of a run when the window that follows it goes, in whichever way it goes.

Closing the dock is told by the dock. A closed window is another matter: napari may destroy its
widgets at once, later, or not before the program ends. So the wish is kept in an object that needs
no widget, and is called from all of these places; only the first call counts.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_semnet.training.following import Follower

__all__ = ["ClosingWatch", "Parting"]


class Parting:
    """Stops a run, unless it is to go on by itself."""

    def __init__(self) -> None:
        self.follower: Follower | None = None
        self.goes_on = False

    def __call__(self, *told: Any) -> None:
        """Part with the run; there is none after that."""
        follower, self.follower = self.follower, None
        if follower is None or self.goes_on or follower.story.has_ended:
            return
        process = follower.process
        try:
            follower.stop()
        except OSError:
            # Nobody can ask it to stop where its folder is gone.
            if process is not None:
                process.kill()

    def watch(self, widget: QWidget) -> None:
        """Part when a widget is destroyed or the program ends."""
        widget.destroyed.connect(self)
        QApplication.instance().aboutToQuit.connect(self)

    def forget(self) -> None:
        """Watch for the end of the program no longer."""
        with suppress(TypeError, RuntimeError):
            QApplication.instance().aboutToQuit.disconnect(self)


class ClosingWatch(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Tells when the window that holds a widget was closed, though it may live on.

    Parameters
    ----------
    widget : QWidget
        Already in its window.
    closed : callable
        Called once, after the window has accepted being closed.
    """

    def __init__(self, widget: QWidget, closed: Any) -> None:
        super().__init__(widget)
        window = widget
        while window.parentWidget() is not None:
            window = window.parentWidget()
        # The window owns the widget; held from here as well, neither would ever go.
        self._window = weakref.ref(window)
        self._closed = closed
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look again after the window has dealt with being closed: it may have refused."""
        if event.type() == QEvent.Type.Close:
            self._timer.start(0)
        return False

    def let_go(self) -> None:
        """Watch no longer."""
        self._timer.stop()
        window = self._window()
        if window is not None:
            window.removeEventFilter(self)

    def _look(self) -> None:
        window = self._window()
        if window is None or not window.isVisible():
            self.let_go()
            self._closed()
