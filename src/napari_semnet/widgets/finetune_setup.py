"""Part of the fine-tune dialog: the model, the device, how long, and what that costs."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.training.estimate import Cost, Speed
from napari_semnet.widgets.advanced import combo_of, select
from napari_semnet.widgets.catalogue import Catalogue
from napari_semnet.widgets.finetune_choices import FinetuneChoices
from napari_semnet.widgets.model_choice import ModelChoice
from napari_semnet.widgets.wording import describe_duration

__all__ = ["SetupForm"]

MOST_STEPS = 1_000_000
NOT_MEASURED = "How long it takes on this device is not measured yet."


class SetupForm(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Choices that a run needs besides its pictures.

    Parameters
    ----------
    choices : FinetuneChoices
        What was chosen last.
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """The cost is another one now."""

    def __init__(self, choices: FinetuneChoices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._wanted_device = choices.device
        self._wanted_model = choices.start_from
        self.name = QLineEdit(choices.name, self)
        self.model = ModelChoice(self)
        self.model.summary.setVisible(False)
        self.device = combo_of({}, self)
        self.steps = QSpinBox(self)
        self.steps.setRange(1, MOST_STEPS)
        self.steps.setSingleStep(100)
        self.steps.setGroupSeparatorShown(True)
        self.steps.setValue(choices.steps)
        self.folder = QLineEdit(choices.runs_folder, self)
        self.folder.setPlaceholderText(str(choices.runs))
        self.folder.setToolTip(f"Every run gets a folder of its own in here.\n{choices.runs}")
        self.browse_button = QPushButton("Browse", self)
        self.estimate_button = QPushButton("Estimate time and memory", self)
        self.estimate_button.setToolTip("Takes the first few steps in a process of its own")
        self.cost = QLabel(NOT_MEASURED, self)
        self.cost.setWordWrap(True)
        place = QHBoxLayout()
        place.addWidget(self.folder, 1)
        place.addWidget(self.browse_button)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Name", self.name)
        form.addRow("Start from", self.model)
        form.addRow("Device", self.device)
        form.addRow("Steps", self.steps)
        form.addRow("Runs in", place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.cost)
        layout.addWidget(self.estimate_button)
        self.steps.valueChanged.connect(lambda _: self.changed.emit())
        self.device.activated.connect(lambda _: self.changed.emit())
        self.model.changed.connect(self.changed)
        self.browse_button.clicked.connect(self._browse)

    def offer(self, catalogue: Catalogue) -> None:
        """List models and devices, and choose those that were chosen last."""
        self.model.offer(catalogue.models, self._wanted_model)
        self.model.follow(catalogue.folder)
        for entry in catalogue.devices:
            self.device.addItem(entry.label, entry.key)
        select(self.device, self._wanted_device)

    @property
    def device_key(self) -> str:
        """What `FinetuneChoices.device` takes."""
        return str(self.device.currentData() or self._wanted_device)

    @property
    def speed_key(self) -> tuple[str, str]:
        """What a measured speed depends on."""
        return self.device_key, self.model.key

    def show_cost(self, cost: Cost | None, speed: Speed | None = None) -> None:
        """Say what the run will need, or that it is not known."""
        if cost is None or speed is None:
            self.cost.setText(NOT_MEASURED)
            return
        time = (
            f"About {describe_duration(cost.seconds)} on {speed.device} "
            f"({speed.seconds_per_step:.2g} s a step), then the model's halo is measured."
        )
        self.cost.setText("\n".join((time, cost.summary(), *cost.complaints)))

    def values(self) -> dict[str, Any]:
        """Give what `FinetuneChoices` takes of it."""
        return {
            "name": self.name.text().strip() or "my-microscope",
            "start_from": self.model.key if self.model.entry else self._wanted_model,
            "device": self.device_key,
            "steps": self.steps.value(),
            "runs_folder": self.folder.text().strip(),
        }

    def _browse(self) -> None:
        start = self.folder.text() or self.folder.placeholderText()
        name = QFileDialog.getExistingDirectory(self, "Folder for runs", start)
        if name:
            self.folder.setText(name)
