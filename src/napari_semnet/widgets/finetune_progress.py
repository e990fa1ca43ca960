"""Part of the fine-tune dialog: how the run goes, in curves, pictures and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QPlainTextEdit,
    QProgressBar,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.commands.train import describe
from napari_semnet.training.following import Story
from napari_semnet.widgets.picture_grid import PictureGrid
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.plots import Curve, LinePlot
from napari_semnet.widgets.wording import describe_duration

__all__ = ["ProgressView", "headline"]

PHASES = {
    "starting": "Starting",
    "preparing": "Preparing",
    "training": "Training",
    "paused": "Paused",
    "measuring": "Trained",
    "stopped": "Stopped",
    "finished": "Finished",
    "failed": "Failed",
}
NO_CURVE = "Curves appear after the first steps."
NO_PSNR = (
    "PSNR on held-out images is measured every so often. Its curve begins with the second time."
)
_MOST_LINES = 2000


def headline(story: Story) -> str:
    """Say in a line or two where a run is."""
    said = PHASES[story.phase]
    if story.total:
        said += f": step {story.step:,} of {story.total:,}"
    if story.phase == "training" and story.steps_per_second:
        speed = story.steps_per_second
        each = f"{speed:.1f} steps/s" if speed >= 1 else f"{1 / speed:.1f} s a step"
        left = story.seconds_left or 0.0
        said += f", {each}"
        if left >= 1:
            said += f", {describe_duration(left)} left"
    if story.detail:
        end = "" if story.detail.endswith(".") else "."
        # Why a run failed is a sentence as it is, which may begin with the name of a file.
        first = story.detail[:1] if story.phase == "failed" else story.detail[:1].upper()
        said += f". {first}{story.detail[1:]}{end}"
    if story.phase == "stopped":
        # Before its first step a run has nothing saved, and there is no Resume.
        to_do = "Resume to go on" if story.saved else "New run, then Start, to begin again"
        said += f" Press {to_do}."
    return said


class ProgressView(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Bar, headline, curves, preview and log of a run."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar(self)
        self.bar.setRange(0, 1000)
        self.status = WrappedLabel(self)
        self.status.setMinimumHeight(3 * self.fontMetrics().height())
        self.psnr = LinePlot("Step", "PSNR (dB)", self)
        self.loss = LinePlot("Step", "Loss", self)
        self.preview = PictureGrid(self)
        self.log = QPlainTextEdit(self)
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(_MOST_LINES)
        self.tabs = QTabWidget(self)
        pages = {"PSNR": self.psnr, "Loss": self.loss, "Preview": self.preview, "Log": self.log}
        for title, page in pages.items():
            self.tabs.addTab(page, title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.tabs, 1)
        self._shown: Path | None = None
        self._folder: Path | None = None
        self._logged = 0

    def show_story(self, story: Story, folder: Path | None) -> None:
        """Show everything that changed."""
        part = story.step / story.total if story.total else 0.0
        self.bar.setValue(1000 if story.phase == "finished" else round(1000 * part))
        self.status.setText(headline(story))
        self._show_curves(story)
        self._show_preview(story.preview)
        self._show_log(story, folder)

    def set_colours(self, text: Any, ground: Any) -> None:
        """Take over the colours of a theme."""
        for plot in (self.psnr, self.loss):
            plot.set_colours(text, ground)

    def _show_curves(self, story: Story) -> None:
        measured = story.evaluations
        at = np.array([one.step for one in measured], float)
        curves = []
        if len(measured) > 1:
            curves = [
                Curve("fine-tuned", at, np.array([one.psnr for one in measured])),
                Curve("bicubic", at, np.array([one.bicubic_psnr for one in measured]), "dashed"),
            ]
            if measured[0].step == 0:
                before = np.full(len(measured), measured[0].psnr)
                curves.insert(1, Curve("model it started from", at, before, "dashed"))
        self.psnr.show_curves(curves, NO_PSNR)
        steps = story.steps
        at = np.array([one.step for one in steps], float)
        terms = {"loss": "loss", "L1": "l1"}
        self.loss.show_curves(
            [
                Curve(name, at, np.array([getattr(one, term) for one in steps]))
                for name, term in terms.items()
            ]
            if len(steps) > 1
            else (),
            NO_CURVE,
        )

    def _show_preview(self, path: Path | None) -> None:
        if path is None:
            self._shown = None
            self.preview.show_message("Input, output and target of held-out images appear here.")
            return
        if path == self._shown:
            return
        from PIL import Image

        try:
            with Image.open(path) as file:
                pixels = np.asarray(file)
        except (OSError, ValueError):
            return
        self._shown = path
        parts = np.split(pixels, 3, axis=1)
        side = parts[0].shape[1]
        rows = [[part[top : top + side] for part in parts] for top in range(0, len(pixels), side)]
        self.preview.show_pictures(("input", "output", "target"), rows[:3])

    def _show_log(self, story: Story, folder: Path | None) -> None:
        if folder != self._folder or len(story.said) < self._logged:
            self._folder, self._logged = folder, 0
            self.log.setPlainText(f"run in {folder}")
        for event in story.said[self._logged :]:
            line = describe(event)
            if line:
                self.log.appendPlainText(line)
        self._logged = len(story.said)
