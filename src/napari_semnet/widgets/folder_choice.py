"""A folder that is typed or chosen."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_semnet.files.home import from_home

__all__ = ["FolderChoice"]


class FolderChoice(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A folder, typed or chosen."""

    changed = Signal()

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.line = QLineEdit(self)
        self.line.textChanged.connect(self.changed)
        self.browse = QPushButton("Choose...", self)
        self.browse.clicked.connect(self._choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.browse)

    @property
    def path(self) -> Path | None:
        """The folder; None where nothing is written."""
        text = self.line.text().strip()
        return from_home(text) if text else None

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self._title, self.line.text())
        if chosen:
            self.line.setText(chosen)
