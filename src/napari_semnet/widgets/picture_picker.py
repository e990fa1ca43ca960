"""Pick pictures: layers of the viewer, a folder, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.files.home import from_home
from napari_semnet.training.draft import Slot
from napari_semnet.training.pieces import Opened
from napari_semnet.widgets.layer_list import LayerList
from napari_semnet.widgets.layers import source_pixels, specimen_rows
from napari_semnet.widgets.lineage import is_ours
from napari_semnet.widgets.record import pixel_size_nm

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["PicturePicker", "opened"]


class _Layers(LayerList):
    """Layers of which none need be chosen."""

    def _first_choice(self) -> list[Image]:
        selected = self._viewer.layers.selection
        listed = [layer() for layer in self._layers]
        return [layer for layer in listed if layer in selected and not is_ours(layer)]

    def _next_choice(self) -> list[Image]:
        """Choose none: what is opened later is not meant unless the user says so."""
        return []


class PicturePicker(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Layers and a folder.

    Parameters
    ----------
    viewer : Viewer
    title : str
        What the pictures are.
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """The user picked something else."""

    def __init__(self, viewer: Any, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel(title, self)
        self.layers = _Layers(viewer, self)
        self.layers.setToolTip("Click chooses a layer; Ctrl or Shift adds to the choice.")
        self.folder = QLineEdit(self)
        self.folder.setPlaceholderText("and a folder of pictures")
        self.folder.setToolTip("Searched through; TIFF of any vendor, PNG, JPEG, BMP")
        self.folder.setClearButtonEnabled(True)
        self.browse_button = QPushButton("Browse", self)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.layers)
        layout.addLayout(row)
        self.layers.itemSelectionChanged.connect(self.changed)
        self.folder.editingFinished.connect(self.changed)
        self.browse_button.clicked.connect(self._browse)

    def slot(self) -> Slot:
        """Give what is picked."""
        text = self.folder.text().strip()
        layers = [layer for layer in self.layers.chosen() if not is_ours(layer)]
        places = (from_home(text),) if text else ()
        return Slot(tuple(opened(layer) for layer in layers), places)

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        self.layers.let_go()

    def _browse(self) -> None:
        start = self.folder.text() or str(Path.home())
        name = QFileDialog.getExistingDirectory(self, self.title.text(), start)
        if name:
            self.folder.setText(name)
            self.changed.emit()


def opened(layer: Image) -> Opened:
    """Take a layer's pixels and what is known of them, as they come, without the viewer."""
    size = pixel_size_nm(layer)
    return Opened(layer.name, source_pixels(layer), bool(layer.rgb), specimen_rows(layer), size)
