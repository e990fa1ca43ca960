"""Notice when models come, go or change their names, whoever did it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

__all__ = ["ModelFolder"]

PAUSE_MS = 150
"""A file that is replaced changes its folder several times in a row."""


class ModelFolder(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Watches the user's models folder, also before it exists.

    Parameters
    ----------
    folder : Path
    parent : QObject, optional
        As Qt has it.
    """

    changed = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._watcher = QFileSystemWatcher(self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._watcher.directoryChanged.connect(lambda _: self._pause.start())
        self._pause.timeout.connect(self._on_change)
        self._aim()

    def _on_change(self) -> None:
        self._aim()
        self.changed.emit()

    def _aim(self) -> None:
        """Watch the folder, or the nearest one above it that is there."""
        there = next(path for path in (self._folder, *self._folder.parents) if path.is_dir())
        watched = self._watcher.directories()
        if watched != [str(there)]:
            if watched:
                self._watcher.removePaths(watched)
            self._watcher.addPath(str(there))
