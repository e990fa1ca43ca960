"""Export of the chosen model, part of the models widget."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_semnet.widgets.background import Steps, Task

if TYPE_CHECKING:
    from napari_semnet.export.exporting import Exported
    from napari_semnet.library import Listed

__all__ = ["ModelExport", "export_steps"]

KINDS = {
    "ONNX": ".onnx",
    "bioimage.io package": ".zip",
    "Copy (safetensors)": ".safetensors",
}
STEPS = {".onnx": 5, ".zip": 8, ".safetensors": 3}
"""Events of an export, the last one counted."""


def export_steps(name: str, path: Path, authors: tuple[str, ...] | None) -> Steps:
    """Export a model.

    Yields
    ------
    float
        Finished part; the `Exported` is returned.
    """
    from napari_semnet.export.exporting import export_model

    last = None
    for number, event in enumerate(export_model(name, path, authors)):
        yield min(1.0, number / STEPS.get(path.suffix, 8))
        last = event
    return last


class ModelExport(QGroupBox):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A format, who made the model, and a button.

    Parameters
    ----------
    task : Task
        Does the work.
    parent : QWidget, optional
        As Qt has it.
    """

    told = Signal(str)
    """What a user should read."""

    def __init__(self, task: Task, parent: QWidget | None = None) -> None:
        super().__init__("For other programs", parent)
        self._task = task
        self._entry: Listed | None = None
        self._is_exporting = False
        self.kind = QComboBox(self)
        for text, suffix in KINDS.items():
            self.kind.addItem(text, suffix)
        self.authors = QLineEdit(self)
        self.authors.setPlaceholderText("A. Name, B. Name")
        self.authors.setToolTip("Who made the model; a bioimage.io package says so")
        self.button = QPushButton("Export...", self)
        self.button.setToolTip(
            "The file is run and compared with the network before it gets its name"
        )
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setVisible(False)
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Format", self.kind)
        form.addRow("Made by", self.authors)
        form.addRow(self.progress, self.button)
        self.kind.currentIndexChanged.connect(lambda _: self.offer(self._entry))
        self.button.clicked.connect(lambda: self._on_button())
        task.progressed.connect(self._on_progress)
        task.ended.connect(self._on_ended)

    def offer(self, entry: Listed | None) -> None:
        """Say which model is exported; None for none."""
        self._entry = entry
        idle = not self._task.is_running
        self.button.setText("Export..." if not self._is_exporting else "Cancel")
        self.button.setEnabled((entry is not None and idle) or self._is_exporting)
        self.authors.setEnabled(self.kind.currentData() == ".zip" and idle)

    def export(self, path: Path) -> None:
        """Write the offered model to a file, whose ending says how."""
        entry = self._entry
        if entry is None:
            return
        names = tuple(name.strip() for name in self.authors.text().split(",") if name.strip())
        self.told.emit(f"Exporting '{entry.name}' and checking the result")
        steps = partial(export_steps, entry.name, path, names or None)
        self._task.start(steps, self._on_written)
        self._is_exporting = True
        self.progress.setVisible(True)
        self.offer(entry)

    def _on_button(self) -> None:
        if self._is_exporting:
            self._task.cancel()
            # The step at hand goes on to its end, and may be the one that writes the file.
            self.told.emit("Cancelled; unless it was complete already, nothing was written")
        else:
            self._ask()

    def _ask(self) -> None:
        suffix = self.kind.currentData()
        name = self._entry.name if self._entry is not None else "model"
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Export a model", f"{name}{suffix}", f"{self.kind.currentText()} (*{suffix})"
        )
        if chosen:
            path = Path(chosen)
            self.export(path if path.suffix == suffix else path.with_name(path.name + suffix))

    def _on_written(self, exported: Exported) -> None:
        equal = (
            f"It gives what the network gives, within {exported.difference:.0e} where white is 1"
            if exported.difference
            else "It is the same as the model"
        )
        self.told.emit(f"Saved {exported.path}. {equal}")

    def _on_progress(self, part: float) -> None:
        if self._is_exporting:
            self.progress.setValue(round(1000 * part))

    def _on_ended(self) -> None:
        self._is_exporting = False
        self.progress.setValue(0)
        self.progress.setVisible(False)
        self.offer(self._entry)
