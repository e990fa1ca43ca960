"""Page of the fine-tune dialog: was it worth it, and what becomes of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.training.config import load_config
from napari_semnet.training.judgement import FieldScore, Figures, Judgement, judge
from napari_semnet.training.process import discard_run
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.widgets.background import Task
from napari_semnet.widgets.commands import restore_with
from napari_semnet.widgets.picture_grid import PictureGrid
from napari_semnet.widgets.plain_label import WrappedLabel, plain_tooltip
from napari_semnet.widgets.preview_layers import remove_previews, show_row
from napari_semnet.widgets.training_run import TrainingRun

__all__ = ["ResultPage"]

COLUMNS = ("Field", "Bicubic", "Base", "Fine-tuned", "Gain")
NONE_YET = "When a run is finished or stopped, its model is compared here with the one before."
KEPT = "Kept as '{}'. The restore widget and every command know it by this name."

GONE = (
    "The run's model is no longer there: its file or the run's folder was moved or deleted "
    "meanwhile. Put it back, or start a new run."
)


class ResultPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Base against fine-tuned on held-out fields; use, keep or discard.

    Parameters
    ----------
    viewer : Viewer
    run : TrainingRun
    parent : QWidget, optional
        As Qt has it.
    """

    refused = Signal(str)
    """A sentence why something cannot be done."""
    discarded = Signal()
    """The run's folder is gone."""

    def __init__(self, viewer: Any, run: TrainingRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._run = viewer, run
        self.judgement: Judgement | None = None
        """The comparison; None before it is made."""
        self._shown: tuple[Path, int] | None = None
        self.task = Task(self)
        self.verdict = WrappedLabel(self)
        self.verdict.setText(NONE_YET)
        self.table = QTableWidget(0, len(COLUMNS), self)
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().setVisible(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setWordWrap(False)
        self.table.setToolTip("PSNR in dB and SSIM against the good image. Click shows the field.")
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.grid = PictureGrid(self)
        self.layers_button = QPushButton("Show this field as layers", self)
        self.use_button = QPushButton("Use this model now", self)
        self.use_button.setToolTip("Keeps the model, and chooses it in the restore widget")
        self.keep_button = QPushButton("Keep", self)
        self.keep_button.setToolTip("Copies the model to your own models")
        self.discard_button = QPushButton("Discard", self)
        self.discard_button.setToolTip("Deletes the run's folder with its model")
        row = QHBoxLayout()
        for button in (self.use_button, self.keep_button, self.discard_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.verdict)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.grid)
        layout.addWidget(self.layers_button)
        layout.addLayout(row)
        self.table.itemSelectionChanged.connect(self._show_field)
        self.layers_button.clicked.connect(self._show_layers)
        self.use_button.clicked.connect(self.use)
        self.keep_button.clicked.connect(self.keep)
        self.discard_button.clicked.connect(self.discard)
        self.task.failed.connect(self.verdict.setText)
        self.update_run()

    def update_run(self) -> None:
        """Make buttons show what can be done with the run."""
        model = self._model()
        for button in (self.use_button, self.keep_button):
            button.setEnabled(model is not None)
        self.discard_button.setEnabled(self._run.folder is not None and not self._run.is_running)
        shown = None if model is None else (model, self._run.story.step)
        if shown != self._shown:
            self._shown = shown
            self.clear()
            self.compare()

    def clear(self) -> None:
        """Forget the last comparison."""
        self.task.cancel()
        self.judgement = None
        self.verdict.setText(NONE_YET)
        self.table.setRowCount(0)
        self.grid.show_message("")
        self.layers_button.setEnabled(False)

    def compare(self) -> None:
        """Compare the models before and after on held-out fields."""
        model, folder = self._model(), self._run.folder
        if model is None or folder is None:
            return
        try:
            config = load_config(RunFolder(folder).config)
        except SemnetError as error:
            self.verdict.setText(str(error))
            return
        self.verdict.setText("Comparing on held-out fields")
        self.task.start(lambda: judge(config, model), self.show_judgement)

    def show_judgement(self, judgement: Judgement) -> None:
        """Show the figures and the first field."""
        self.judgement = judgement
        self.verdict.setText(judgement.verdict())
        mean = judgement.mean
        rows = [("mean", mean("of_bicubic"), mean("of_base"), mean("of_tuned"))]
        rows += [
            (f"{number}: {field.name}", field.of_bicubic, field.of_base, field.of_tuned)
            for number, field in enumerate(judgement.fields, 1)
        ]
        self.table.setRowCount(len(rows))
        for number, (name, bicubic, base, tuned) in enumerate(rows):
            gain = f"{tuned.psnr - base.psnr:+.2f} dB"
            texts = (name, *map(_figures, (bicubic, base, tuned)), gain.replace("-", "−"))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tooltip(text))
                if column:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(number, column, item)
        for number in range(len(rows)):
            self.table.setRowHeight(number, 2 * self.fontMetrics().height() + 6)
        self.layers_button.setEnabled(True)
        self.table.selectRow(1)

    def use(self) -> None:
        """Keep the model, and restore with it from now on."""
        name = self.keep()
        if name:
            restore_with(self._viewer, name)

    def keep(self) -> str:
        """Copy the model to the user's own; give its name there, empty where that fails."""
        from napari_semnet.library import import_model

        model = self._model()
        if model is None:
            self.refused.emit(GONE)
            self.update_run()
            return ""
        try:
            name = import_model(model).name
        except SemnetError as error:
            self.refused.emit(str(error))
            return ""
        self.refused.emit(KEPT.format(name))
        return name

    def discard(self) -> None:
        """Delete the run's folder, after asking."""
        folder = self._run.folder
        if folder is None:
            return
        answer = QMessageBox.question(
            self,
            "Discard the run",
            f"Delete the folder {folder} with the model, its curves and its saved state? A model "
            "that was kept stays.",
        )
        if answer != QMessageBox.StandardButton.Yes:
            return
        self.clear()
        try:
            discard_run(folder)
        except SemnetError as error:
            self.refused.emit(str(error))
            self._run.catch_up(folder)
            self._shown = None  # what is left of the run is compared anew
            self.update_run()
            return
        remove_previews(self._viewer)
        self._run.forget()
        self.discarded.emit()

    def field(self) -> FieldScore | None:
        """Give the field that is chosen in the table."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        if self.judgement is None or not rows:
            return None
        chosen: FieldScore = self.judgement.fields[max(min(rows) - 1, 0)]
        return chosen

    def let_go(self) -> None:
        """Stop all work."""
        self.task.cancel()

    def _model(self) -> Path | None:
        model = self._run.story.model
        return model if model is not None and model.is_file() else None

    def _show_field(self) -> None:
        field = self.field()
        if field is not None:
            self.grid.show_rows(
                [
                    (("input", "good"), (field.poor, field.good)),
                    (("base", "fine-tuned"), (field.base, field.tuned)),
                ]
            )

    def _show_layers(self) -> None:
        field = self.field()
        if field is not None:
            poor = field.poor.repeat(2, axis=0).repeat(2, axis=1)
            pictures = dict(
                zip(
                    ("input", "base", "fine-tuned", "good"),
                    (poor, field.base, field.tuned, np.asarray(field.good)),
                    strict=True,
                )
            )
            show_row(self._viewer, "held out", pictures)


def _figures(figures: Figures) -> str:
    return f"{figures.psnr:.2f} dB\n{figures.ssim:.4f}"
