"""The folder widget: restore all images of a folder, or those that a microscope puts there."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.commands import values
from napari_semnet.commands.queue import FileRow
from napari_semnet.errors import SemnetError
from napari_semnet.files.layers import LayerData, layer_data
from napari_semnet.files.reader import read_image
from napari_semnet.imaging.geometry import whole
from napari_semnet.widgets.batch_process import BatchProcess
from napari_semnet.widgets.choices import AUTO, HALOS, NON_FINITE, PRECISIONS, Choices
from napari_semnet.widgets.docked import Docked
from napari_semnet.widgets.folder_choice import FolderChoice
from napari_semnet.widgets.layers import METADATA_KEY, add_restored_layer, bare, source_shape
from napari_semnet.widgets.plain_label import WrappedLabel, plain_tooltip
from napari_semnet.widgets.preferences import load_choices, stored_group

__all__ = ["BatchWidget"]

NAME, STATE, DETAILS = range(3)
SOURCE = Qt.ItemDataRole.UserRole
"""Where the name of a line keeps the whole path, as it is."""
RESULTS = "semnet"
"""Folder for the results, within that of the images, where no other is chosen."""


class BatchWidget(Docked):
    """Restore a folder beside the viewer, with the state of each image.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer; the name of this parameter is how napari knows to pass it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._lines: dict[str, int] = {}
        self._begun: Path | None = None
        self.process = BatchProcess(self)
        self.folder = FolderChoice("Folder of images", self)
        self.results = FolderChoice("Folder for the results", self)
        self.pixel_size = QLineEdit(self)
        self.pixel_size.setPlaceholderText("what each file tells")
        self.pixel_size.setToolTip(
            "Of the images, with its unit, such as 5 nm or 0.012 um (5x4 nm: rows x columns). It "
            "counts for all images of the folder, also for those whose file tells another."
        )
        self.watch = QCheckBox("Wait for new images until stopped", self)
        self.watch.setToolTip(
            "For a running microscope session: an image is restored when it is complete, which is "
            "when its file has not changed for five seconds."
        )
        self.start_button = QPushButton("Start", self)
        self.stop_button = QPushButton("Stop", self)
        self.retry_button = QPushButton("Retry failed", self)
        self.table = _table(self)
        self.status = QLabel(self)
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.options = WrappedLabel(self)
        self.options.setToolTip("Those that the restore widget restored with last")
        self._kept = stored_group("restoration")
        self._lay_out()
        if self._kept is not None:
            self._kept.events.connect(self._show_options)
        self.folder.changed.connect(self._suggest_results)
        self.folder.changed.connect(self._show_state)
        self.start_button.clicked.connect(self.start)
        self.retry_button.clicked.connect(self.start)
        self.stop_button.clicked.connect(self._stop)
        self.table.itemDoubleClicked.connect(self._open)
        self.process.row_changed.connect(self._show_row)
        self.process.progressed.connect(self._show_progress)
        self.process.ended.connect(self._on_ended)
        self._show_state()
        self._show_options()

    def showEvent(self, event: Any) -> None:
        """Say which options apply now."""
        self._show_options()
        super().showEvent(event)

    def start(self) -> None:
        """Restore what has no result yet: all the first time, the failed ones after that."""
        folder, results = self.folder.path, self.results.path
        if folder is None or not folder.is_dir():
            self.status.setText("Choose the folder of the images first.")
            return
        size, watch = self.pixel_size.text().strip(), self.watch.isChecked()
        try:
            if size:
                values.pixel_size(size)
        except ArgumentTypeError as error:
            self.status.setText(str(error))
            return
        self.table.setRowCount(0)
        self._lines.clear()
        self._begun = folder
        try:
            choices = load_choices()
            self.process.start(folder, results or folder / RESULTS, choices, size, watch=watch)
        except SemnetError as error:
            self.status.setText(str(error))
            return
        self.status.setText("Starting...")
        self._show_state()

    def let_go(self) -> None:
        """Stop with the widget; what is finished stays, and the next start goes on."""
        self.process.let_go()
        if self._kept is not None:
            self._kept.events.disconnect(self._show_options)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Images", self.folder)
        form.addRow("Results", self.results)
        form.addRow("Pixel size", self.pixel_size)
        form.addRow("", self.watch)
        buttons = QHBoxLayout()
        for button in (self.start_button, self.stop_button, self.retry_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.options)
        layout.addLayout(buttons)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.status)

    def _suggest_results(self) -> None:
        folder = self.folder.path
        self.results.line.setPlaceholderText(str(folder / RESULTS) if folder else "")

    def _show_options(self, event: Any = None) -> None:
        self.options.setText(_options(load_choices()))

    def _show_state(self) -> None:
        running = self.process.is_running
        # What has failed is of the folder that was begun with, whichever is chosen now.
        is_same = self.folder.path == self._begun
        failed = is_same and any(row.state == "failed" for row in self.process.rows)
        self.start_button.setEnabled(not running and self.folder.path is not None)
        self.stop_button.setEnabled(running)
        self.retry_button.setEnabled(failed and not running)
        for choice in (self.folder, self.results, self.pixel_size, self.watch):
            choice.setEnabled(not running)

    def _show_row(self, row: FileRow) -> None:
        line = self._lines.get(row.source)
        if line is None:
            line = self._lines[row.source] = self.table.rowCount()
            self.table.insertRow(line)
            name = QTableWidgetItem(Path(row.source).name)
            name.setToolTip(plain_tooltip(row.source))
            name.setData(SOURCE, row.source)
            self.table.setItem(line, NAME, name)
        self.table.setItem(line, STATE, QTableWidgetItem(row.state))
        details = QTableWidgetItem(_details(row))
        details.setToolTip(plain_tooltip(row.reason or row.result))
        self.table.setItem(line, DETAILS, details)
        self.status.setText(self._summary())

    def _show_progress(self, source: str, part: float) -> None:
        line = self._lines.get(source)
        if line is not None:
            self.table.item(line, STATE).setText(f"restoring {part:.0%}")

    def _summary(self) -> str:
        states = [row.state for row in self.process.rows]
        done = states.count("done") + states.count("skipped")
        failed = states.count("failed")
        text = f"{done} of {len(states)} images have a result"
        text += f", {failed} failed" if failed else ""
        return f"{text}; waiting for new ones" if self._is_watching else text

    @property
    def _is_watching(self) -> bool:
        return self.process.is_running and self.watch.isChecked()

    def _stop(self) -> None:
        self.status.setText("Stopping...")
        self.stop_button.setEnabled(False)
        self.process.stop()

    def _on_ended(self, why: str) -> None:
        self.status.setText(why or self._summary())
        self._show_state()

    def _open(self, item: QTableWidgetItem) -> None:
        """Show the result of a line, with its source below it."""
        name = self.table.item(item.row(), NAME)
        row = next((row for row in self.process.rows if row.source == name.data(SOURCE)), None)
        if row is None or not row.result or not Path(row.result).exists():
            return
        try:
            # Not by `viewer.open`: napari's own readers take files that have no pixel size.
            sources = layer_data(read_image(Path(row.source)))
            results = layer_data(read_image(Path(row.result)))
        except SemnetError as error:
            self.status.setText(str(error))
            return
        for source, result in zip(sources, results, strict=False):
            self._show_over(source, result)

    def _show_over(self, source: LayerData, result: LayerData) -> None:
        """Add a picture, and its restoration exactly over it, whatever pixel size is known."""
        below = bare(self._viewer.add_layer(Layer.create(*source)))
        pixels, attributes, _ = result
        record = attributes["metadata"].get(METADATA_KEY, {})
        region = whole(source_shape(below))
        rows = record.get("specimen_rows")
        specimen = region if rows is None else region.between_rows(*rows)
        shown = tuple(pixels) if attributes.get("multiscale") else pixels
        add_restored_layer(self._viewer, below, shown, specimen or region, record)


def _table(parent: QWidget) -> QTableWidget:
    table = QTableWidget(0, 3, parent)
    table.setHorizontalHeaderLabels(["Image", "State", "Details"])
    table.verticalHeader().hide()
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.horizontalHeader().setSectionResizeMode(DETAILS, QHeaderView.ResizeMode.Stretch)
    table.setToolTip("Double-click an image that is done to see it")
    return table


def _details(row: FileRow) -> str:
    if row.state != "done":
        return row.reason
    size = f"{row.width_px} x {row.height_px} px"
    if row.pixel_size_x_nm is not None:
        size += f", {row.pixel_size_x_nm:.4g} nm/px"
    return f"{size}, {row.seconds:.1f} s" if row.seconds is not None else size


def _options(choices: Choices) -> str:
    """Say with which model and options a folder is restored."""
    model = Path(choices.model).name if choices.model else "the one that comes with the package"
    options = {
        "device": "automatic" if choices.device == AUTO else choices.device,
        "precision": PRECISIONS[choices.precision],
        "tile": f"{choices.tile} px" if choices.tile else "automatic",
        "halo": HALOS.get(choices.halo, f"{choices.halo} px"),
        "NaN pixels": NON_FINITE[choices.non_finite],
    }
    said = (f"{name}: {words[0].lower()}{words[1:]}" for name, words in options.items())
    return "; ".join((f"Model: {model}", *said))
