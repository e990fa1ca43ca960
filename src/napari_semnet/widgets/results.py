"""What to do with a restored layer: compare it, save it, describe it for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_semnet.errors import SemnetError
from napari_semnet.files.layers import file_stem, write_layer, write_zarr_layer
from napari_semnet.files.methods import MethodsFiles
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.compare import open_comparison
from napari_semnet.widgets.layers import METADATA_KEY, image_layers
from napari_semnet.widgets.lineage import source_of
from napari_semnet.widgets.methods import methods_steps

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["ResultActions", "latest_result"]

TIFF_FILTER = "Calibrated OME-TIFF (*.ome.tif)"
ZARR_FILTER = "Calibrated OME-Zarr (*.ome.zarr)"
ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr")


def latest_result(viewer: Any, chosen: Sequence[Image]) -> Image | None:
    """Find the restored layer that a user means.

    Parameters
    ----------
    viewer : ViewerModel
    chosen : sequence of Image
        A restored layer among them is meant itself; of the others, the restoration that was made
        last, and of those of one second the one that is active in the viewer.
    """
    layers = image_layers(viewer.layers)
    restored = [layer for layer in layers if METADATA_KEY in layer.metadata]
    own = [layer for layer in restored if layer in chosen]
    made = [layer for layer in restored if source_of(layer, layers) in chosen]
    active = viewer.layers.selection.active
    # napari gives a plugin the active layer in a wrapper.
    made.sort(key=lambda layer: (_made_at(layer), layer == active), reverse=True)
    return next(iter(own + made), None)


def _made_at(layer: Image) -> float:
    """Seconds since 1970; 0 where the record does not say, or in a way of its own."""
    try:
        return datetime.fromisoformat(layer.metadata[METADATA_KEY]["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0


class ResultActions(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A row of buttons that act on one restored layer.

    Parameters
    ----------
    viewer : Viewer
    parent : QWidget, optional
        As Qt has it.
    """

    said = Signal(str)
    """What a user should read."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._result: Image | None = None
        self.task = Task(self)
        self.compare_button = QPushButton("Compare", self)
        self.compare_button.setToolTip("Show source and restoration side by side, and measure")
        self.save_button = QPushButton("Save", self)
        self.save_button.setToolTip(
            "Write the restored layer with its pixel size and the record of how it was made,\n"
            "as OME-TIFF or OME-Zarr"
        )
        self.methods_button = QPushButton("Methods", self)
        self.methods_button.setToolTip(
            "Write the paragraph for a paper's methods section, and the figure\n"
            "(raw, restored, difference, scale bar, statement) as PNG and PDF"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.compare_button, self.save_button, self.methods_button):
            row.addWidget(button)
        self.compare_button.clicked.connect(self.compare)
        self.save_button.clicked.connect(self.ask_to_save)
        self.methods_button.clicked.connect(self.ask_for_methods)
        self.task.failed.connect(self.said)
        self.task.began.connect(self._update)
        self.task.ended.connect(self._update)
        self._update()

    def offer(self, result: Image | None) -> None:
        """Act on this layer from now on; on none where there is none."""
        self._result = result
        self._update()

    def compare(self) -> None:
        """Open the comparison of the restored layer with its source."""
        if self._result is not None:
            open_comparison(self._viewer, self._result)

    def ask_to_save(self) -> None:
        """Ask for a file name, then write the restored layer."""
        name, kind = QFileDialog.getSaveFileName(
            self,
            "Save the restored layer",
            f"{self._stem()}.ome.tif",
            f"{TIFF_FILTER};;{ZARR_FILTER}",
        )
        if name:
            self.save(Path(name), kind)

    def save(self, path: Path, kind: str = "") -> None:
        """Write the restored layer beside the window.

        Parameters
        ----------
        path : Path
            Ends in ``.tif`` or ``.tiff`` for a TIFF, in ``.zarr`` for an OME-Zarr; any other name
            becomes one of the type that was chosen.
        kind : str
            The chosen type: one of the filters, or empty for an OME-TIFF.
        """
        if self._result is None:
            return
        asked, path = path, _with_ending(path, kind)
        if path != asked and path.exists():
            # The dialog asked about another name.
            self.said.emit(f"{path.name} is there already. Type its whole name to replace it.")
            return
        write = write_zarr_layer if path.suffix.lower() == ".zarr" else write_layer
        data, attributes, _ = self._result.as_layer_data_tuple()
        # The layer's own may say another strength by the time that it is written.
        attributes = {**attributes, "metadata": dict(self._result.metadata)}

        def steps() -> Steps:
            yield 0.0
            return write(str(path), data, attributes)

        self.said.emit(f"Saving {path.name}")
        self.task.start(steps, lambda written: self.said.emit(f"Saved {written[0]}"))

    def ask_for_methods(self) -> None:
        """Ask for a file name, then write paragraph and figure."""
        name, _ = QFileDialog.getSaveFileName(
            self, "Save methods text and figure", f"{self._stem()}_methods.txt", "Text (*.txt)"
        )
        if name:
            self.write_methods(Path(name))

    def write_methods(self, text: Path) -> None:
        """Write the methods paragraph, and the figure beside it.

        Parameters
        ----------
        text : Path
            File for the paragraph, which goes to the clipboard as well.
        """
        result = self._result
        if result is None:
            return
        source = source_of(result, image_layers(self._viewer.layers))
        try:
            steps = methods_steps(self._viewer, source, result, text)
        except SemnetError as error:
            self.said.emit(str(error))
            return
        self.task.start(lambda: steps, self._on_methods)

    def _on_methods(self, files: MethodsFiles) -> None:
        QApplication.clipboard().setText(files.paragraph)
        written = ", ".join(path.name for path in (files.text, *files.figures))
        missing = f" No figure: {files.why_no_figure}" if files.why_no_figure else ""
        self.said.emit(
            f"Written to {files.text.parent}: {written}. The paragraph is on the clipboard."
            f"{missing}"
        )

    def _stem(self) -> str:
        """Name for files: the layer's, without what a file's name cannot hold."""
        assert self._result is not None
        return file_stem(self._result.name) or "restored"

    def _update(self) -> None:
        there = self._result is not None
        self.compare_button.setEnabled(there)
        for button in (self.save_button, self.methods_button):
            button.setEnabled(there and not self.task.is_running)


def _with_ending(path: Path, kind: str) -> Path:
    """Give a path the ending of the chosen file type.

    The type that the dialog begins with yields to an ending that says otherwise.
    """
    name = path.name
    ending = next((each for each in ENDINGS if name.lower().endswith(each)), "")
    is_zarr = kind == ZARR_FILTER or ending.endswith("zarr")
    if ending and is_zarr == ending.endswith("zarr"):
        return path
    stem = name[: len(name) - len(ending)]
    return path.with_name(f"{stem}.ome.zarr" if is_zarr else f"{stem}.ome.tif")
