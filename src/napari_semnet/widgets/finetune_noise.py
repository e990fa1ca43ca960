"""Page of the fine-tune dialog: how good images are made poor, seen before it is paid for."""

from __future__ import annotations

from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.training.adjustment import Adjustment, adjusted
from napari_semnet.training.profile import Profile
from napari_semnet.training.profile_choice import degraded_examples, named_profile
from napari_semnet.training.survey import Examples, Survey, example_patches, measure_noise
from napari_semnet.widgets.advanced import combo_of, select
from napari_semnet.widgets.background import Task
from napari_semnet.widgets.finetune_choices import FinetuneChoices
from napari_semnet.widgets.layer_combo import LayerCombo
from napari_semnet.widgets.picture_grid import PictureGrid
from napari_semnet.widgets.picture_picker import opened

if TYPE_CHECKING:
    from napari_semnet.training.calibration import Calibration

__all__ = ["NoisePage"]

PROFILES = {
    "sem": "Electron microscopes in general",
    "poster": "SEMNet's poster",
    "measured": "As measured on the layer above",
    "file": "From a file...",
}
SIDE = 128
"""Side of the good patches that are shown, in pixels."""
DRAWS = 2
_DELAY = 60
"""Milliseconds for which a slider rests before the patches are made again."""
_PER_OCTAVE = 20
UNUSED = "Nothing is made poor: both pictures of each field were measured. These are they."
MEASURED = {"pairs": ("poor", "good"), "noise2noise": ("one frame, halved", "the other")}
"""What the two pictures of a field are called, by the kind of images."""
NOT_MEASURED = "Choose a layer as you want to restore it later, and measure its noise."
NOT_YET = "Look through the images first; then patches of them are shown here."


class NoisePage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Measure the noise of a fast scan, choose a profile, and look at what it does.

    Parameters
    ----------
    viewer : Viewer
    choices : FinetuneChoices
        What was chosen last.
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """Another profile is chosen."""

    def __init__(
        self, viewer: Any, choices: FinetuneChoices, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._measured: Calibration | None = None
        self._file = choices.profile if choices.profile.endswith(".toml") else ""
        self._examples: Examples | None = None
        self._draw = 0
        self._kind = "hq"
        self.task = Task(self)
        self.measuring = Task(self)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_DELAY)
        self._build(viewer)
        select(self.profile_list, "file" if self._file else choices.profile)
        by = (choices.noise, choices.blur, choices.lines)
        for slider, factor in zip(self.sliders.values(), by, strict=True):
            slider.setValue(_position(factor))
        self._connect()
        self._on_slider()

    def profile(self) -> Profile:
        """Give the profile that is chosen, with its factors.

        Raises
        ------
        TrainingError
            Its file cannot be used.
        """
        key = self.profile_list.currentData()
        if key == "measured" and self._measured is not None:
            base = self._measured.profile("measured")
        else:
            base = named_profile(self._file if key == "file" else key)
        return adjusted(base, self.adjustment())

    def adjustment(self) -> Adjustment:
        """Give the factors that the sliders stand at."""
        return Adjustment(*(_factor(slider.value()) for slider in self.sliders.values()))

    @property
    def key(self) -> str:
        """What `FinetuneChoices.profile` takes; a measurement is not kept."""
        key = str(self.profile_list.currentData())
        return {"file": self._file, "measured": "sem"}.get(key, key)

    def show_survey(self, survey: Survey | None, kind: str = "hq") -> None:
        """Show patches of what was found, or none.

        Parameters
        ----------
        survey : Survey or None
        kind : str
            What the images are: a key of `napari_semnet.training.project.KINDS`.
        """
        self._examples = None if survey is None else example_patches(survey.data, SIDE, 3)
        self._kind = kind
        for widget in self._making:
            widget.setEnabled(kind not in MEASURED)
        self.update_patches()

    def update_patches(self) -> None:
        """Make the patches again."""
        examples = self._examples
        self.task.cancel()  # what is being made is of other images, or as another profile says
        if examples is None:
            self.grid.show_message(NOT_YET)
            return
        if examples.poor is not None:
            pairs = zip(_grey(examples.poor), _grey(examples.good), strict=True)
            self.grid.show_pictures(MEASURED[self._kind], list(pairs))
            self.range.setText(UNUSED)
            return
        try:
            profile = self.profile()
        except SemnetError as error:
            self._refuse(str(error))
            return
        good, draw = examples.good, self._draw

        def steps() -> Generator[float, None, Any]:
            yield 0.0
            return degraded_examples(good, profile, range(draw, draw + DRAWS))

        self.task.start(steps, self._show_patches)

    def let_go(self) -> None:
        """Stop all work and follow the viewer no longer."""
        self._rest.stop()
        self.task.cancel()
        self.measuring.cancel()
        self.noisy.let_go()

    def _build(self, viewer: Any) -> None:
        self.noisy = LayerCombo(viewer, "Choose a typical fast scan", self)
        self.measure_button = QPushButton("Measure its noise", self)
        self.measured_text = QLabel(NOT_MEASURED, self)
        self.measured_text.setWordWrap(True)
        self.profile_list = combo_of(PROFILES, self)
        self.profile_list.model().item(self.profile_list.findData("measured")).setEnabled(False)
        self.range = QLabel(self)
        self.range.setWordWrap(True)
        self.sliders = {name: self._slider() for name in ("Noise", "Blur", "Scan lines")}
        self.values = {name: QLabel(self) for name in self.sliders}
        self.again_button = QPushButton("Draw again", self)
        self.again_button.setToolTip("Every patch is made poor in another way; show other ways")
        self.reset_button = QPushButton("Reset", self)
        self._making = (
            self.profile_list,
            *self.sliders.values(),
            self.again_button,
            self.reset_button,
        )
        self.grid = PictureGrid(self)
        self.grid.show_message(NOT_YET)
        row = QHBoxLayout()
        row.addWidget(self.noisy, 1)
        row.addWidget(self.measure_button)
        form = QGridLayout()
        for number, (name, slider) in enumerate(self.sliders.items()):
            form.addWidget(QLabel(name, self), number, 0)
            form.addWidget(slider, number, 1)
            form.addWidget(self.values[name], number, 2)
        buttons = QHBoxLayout()
        buttons.addWidget(self.again_button)
        buttons.addWidget(self.reset_button)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.measured_text)
        layout.addWidget(QLabel("Make images poor like", self))
        layout.addWidget(self.profile_list)
        layout.addWidget(self.range)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.grid)
        layout.addStretch(1)

    def _slider(self) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(-2 * _PER_OCTAVE, 2 * _PER_OCTAVE)
        slider.setToolTip("Factor on what the profile says, from a quarter to four times")
        return slider

    def _connect(self) -> None:
        self.profile_list.activated.connect(self._on_profile)
        for slider in self.sliders.values():
            slider.valueChanged.connect(self._on_slider)
        self._rest.timeout.connect(self.update_patches)
        self.again_button.clicked.connect(self._on_again)
        self.reset_button.clicked.connect(self._on_reset)
        self.measure_button.clicked.connect(self.measure)
        self.measuring.failed.connect(self._say)
        self.measuring.ended.connect(self._show_measured)
        self.task.failed.connect(self._refuse)

    def measure(self) -> None:
        """Measure the noise of the chosen layer."""
        layer = self.noisy.layer()
        if layer is None:
            self._say("Choose a layer first: a fast scan as it was saved.")
            return
        if layer.rgb:
            self._say(f"'{layer.name}' is in colour. Convert it to grey first.")
            return
        picture = opened(layer)
        rows = slice(*(picture.specimen_rows or (0, picture.shape[-2])))
        pixels = picture.pixels[..., rows, :]
        self._say(f"Measuring '{layer.name}'")
        self.measuring.start(lambda: measure_noise([pixels]), self._on_measured)

    def _say(self, text: str) -> None:
        """Show a sentence as it is: names of layers may hold tags."""
        self.measured_text.setTextFormat(Qt.TextFormat.PlainText)
        self.measured_text.setText(text)

    def _show_measured(self) -> None:
        """Show what is known, also after a measurement that was cancelled."""
        if self._measured is None:
            self._say(NOT_MEASURED)
            return
        self.measured_text.setTextFormat(Qt.TextFormat.RichText)
        self.measured_text.setText(_as_table(self._measured))

    def _refuse(self, reason: str) -> None:
        """Show no patches, as there are none of the chosen profile."""
        self.range.setText(reason)
        self.grid.show_message("")

    def _on_measured(self, calibration: Calibration) -> None:
        self._measured = calibration
        self._show_measured()
        self.profile_list.model().item(self.profile_list.findData("measured")).setEnabled(True)
        select(self.profile_list, "measured")
        self._on_reset()

    def _on_profile(self) -> None:
        if self.profile_list.currentData() == "file":
            name, _ = QFileDialog.getOpenFileName(
                self, "Choose a profile", self._file, "Degradation profiles (*.toml)"
            )
            if name:
                self._file = str(Path(name))
            elif not self._file:
                select(self.profile_list, "sem")
        self._on_slider()

    def _on_slider(self) -> None:
        for name, slider in self.sliders.items():
            self.values[name].setText(f"× {_factor(slider.value()):.2f}")
        self._rest.start()
        self.changed.emit()

    def _on_reset(self) -> None:
        for slider in self.sliders.values():
            slider.setValue(0)
        self._on_slider()

    def _on_again(self) -> None:
        self._draw += DRAWS
        self.update_patches()

    def _show_patches(self, made: Any) -> None:
        if self._examples is None:
            return
        poor, (low, high) = made
        self.range.setText(
            f"Noise in training: {low:g} to {high:g} grey levels of 255 (standard deviation on a "
            "middle grey)"
        )
        columns = [_grey(self._examples.good), *(_grey(one) for one in poor)]
        headings = ("good", *("made poor" for _ in poor))
        self.grid.show_pictures(headings, list(zip(*columns, strict=True)))


def _as_table(calibration: Calibration) -> str:
    """Write what was measured as rich text."""
    from napari_semnet.commands.calibrate import figures

    rows = "".join(
        f"<tr><td>{escape(name)}</td><td style='padding-left: 8px'>{escape(figure)}</td></tr>"
        for name, figure in figures(calibration)
    )
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in calibration.remarks)
    return f"<table>{rows}</table>{remarks}"


def _grey(patches: Any) -> list[Any]:
    return list(np.rint(np.clip(patches[:, 0], 0, 1) * 255).astype(np.uint8))


def _factor(position: int) -> float:
    return float(f"{2 ** (position / _PER_OCTAVE):.3g}")


def _position(factor: float) -> int:
    return round(_PER_OCTAVE * np.log2(factor)) if factor > 0 else 0
