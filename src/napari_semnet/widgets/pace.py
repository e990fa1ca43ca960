"""When to show news: as often as a small part of the time allows."""

from __future__ import annotations

import math
import time

from qtpy.QtCore import QObject, Qt, QTimer, Signal

__all__ = ["SHORTEST_PAUSE", "SHOWING_SHARE", "Pace"]

SHOWING_SHARE = 0.04
"""Part of the time that showing may take. Whatever changes in a window with an OpenGL canvas makes
Qt compose all of it anew; without a GPU the cores that compute do that as well."""
SHORTEST_PAUSE = 0.2
"""Seconds between two showings, at least."""


class Pace(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Collects news and says when to show them, all at once.

    Each showing is timed until the window is painted, and the pause after it follows from that:
    a quick machine shows five times a second, one that draws without a GPU about once.
    """

    due = Signal()
    """Show what is new, now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._free_at = 0.0
        self._began = 0.0
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        # Others may come a twentieth of the pause too early.
        self._next.setTimerType(Qt.TimerType.PreciseTimer)
        self._next.timeout.connect(self._show)
        # Due when all events are dealt with: then the canvas is painted as well.
        self._painted = QTimer(self)
        self._painted.setSingleShot(True)
        self._painted.timeout.connect(self._rest)

    def ask(self) -> None:
        """There is something new: it is shown after the pause, at once where there is none."""
        if not self._next.isActive():
            self._next.start(max(0, math.ceil(1000 * (self._free_at - time.perf_counter()))))

    def stop(self) -> None:
        """Show nothing any more, until asked again."""
        self._next.stop()
        self._painted.stop()
        self._free_at = 0.0

    def _show(self) -> None:
        self._began = time.perf_counter()
        # Until the window is painted, how long that takes is not known.
        self._free_at = self._began + SHORTEST_PAUSE
        self.due.emit()
        self._painted.start(0)

    def _rest(self) -> None:
        now = time.perf_counter()
        self._free_at = now + max(SHORTEST_PAUSE, (now - self._began) / SHOWING_SHARE)
        if self._next.isActive():
            self._next.stop()
            self.ask()
