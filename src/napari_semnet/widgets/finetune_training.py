"""Page of the fine-tune dialog: set a run up, start it, and watch and steer it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_semnet.errors import SemnetError
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.widgets.finetune_choices import FinetuneChoices
from napari_semnet.widgets.finetune_progress import ProgressView
from napari_semnet.widgets.finetune_setup import SetupForm
from napari_semnet.widgets.preview_layers import show_preview
from napari_semnet.widgets.training_run import TrainingRun

__all__ = ["TrainingPage"]


class TrainingPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A form before the run, curves during and after it, and the buttons that steer it.

    Parameters
    ----------
    viewer : Viewer
        Where previews are shown.
    run : TrainingRun
    choices : FinetuneChoices
        What was chosen last.
    parent : QWidget, optional
        As Qt has it.
    """

    refused = Signal(str)
    """A sentence why something cannot be done."""

    def __init__(
        self,
        viewer: Any,
        run: TrainingRun,
        choices: FinetuneChoices,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._run = viewer, run
        self._last_preview: Path | None = None
        self.setup = SetupForm(choices, self)
        self.progress = ProgressView(self)
        self.start_button = QPushButton("Start", self)
        self.pause_button = QPushButton("Pause", self)
        self.pause_button.setToolTip("Halts the run where it is; it keeps its memory")
        self.stop_button = QPushButton("Stop", self)
        self.stop_button.setToolTip("Ends the run with its state saved; Resume goes on")
        self.resume_button = QPushButton("Resume", self)
        self.new_button = QPushButton("New run", self)
        self.open_button = QPushButton("Open a run", self)
        self.open_button.setToolTip("Follow a run that was started before, or look at its end")
        self.goes_on = QCheckBox("Go on when this window or napari is closed", self)
        self.goes_on.setChecked(choices.goes_on)
        self.goes_on.setToolTip("Else the run stops then, with its state saved")
        self.previews = QCheckBox("Show previews as layers, right of the images", self)
        self.previews.setChecked(choices.shows_previews)
        steer = QHBoxLayout()
        for button in (self.start_button, self.pause_button, self.stop_button):
            steer.addWidget(button)
        after = QHBoxLayout()
        for button in (self.resume_button, self.new_button, self.open_button):
            after.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.setup)
        layout.addLayout(steer)
        layout.addLayout(after)
        layout.addWidget(self.goes_on)
        layout.addWidget(self.previews)
        layout.addWidget(self.progress, 1)
        layout.addStretch(0)
        self.pause_button.clicked.connect(run.pause)
        self.stop_button.clicked.connect(self._stop)
        self.resume_button.clicked.connect(self._resume)
        self.new_button.clicked.connect(run.forget)
        self.open_button.clicked.connect(self._open)
        run.parting.goes_on = choices.goes_on
        self.goes_on.toggled.connect(self._on_goes_on)
        run.changed.connect(self.update_run)
        self.update_run()

    def update_run(self) -> None:
        """Show the run as it is now."""
        run, story = self._run, self._run.story
        has_run = run.folder is not None
        self.setup.setVisible(not has_run)
        self.progress.setVisible(has_run)
        running = run.is_running
        self.start_button.setVisible(not has_run)
        self.pause_button.setVisible(running)
        self.pause_button.setText("Go on" if story.phase == "paused" else "Pause")
        self.pause_button.setEnabled(story.phase in ("training", "paused"))
        self.stop_button.setVisible(running)
        self.stop_button.setText("Skip measuring" if story.phase == "measuring" else "Stop")
        can_resume = story.phase in ("stopped", "failed") and self._is_saved()
        self.resume_button.setVisible(can_resume)
        self.new_button.setVisible(has_run and not running)
        self.open_button.setVisible(not running)
        if not has_run:
            self._last_preview = None  # another run may come to the same place
            return
        self.progress.show_story(story, run.folder)
        if self.previews.isChecked() and story.preview not in (None, self._last_preview):
            self._last_preview = story.preview
            assert story.preview is not None
            show_preview(self._viewer, story.preview)

    def open_run(self, folder: Path) -> None:
        """Follow a run, or look at its end."""
        if not RunFolder(folder).config.is_file():
            self.refused.emit(f"{folder} is not the folder of a run: it has no config.toml.")
            return
        self._run.attach(folder)

    def _on_goes_on(self, goes_on: bool) -> None:
        self._run.parting.goes_on = goes_on

    def _is_saved(self) -> bool:
        return self._run.folder is not None and RunFolder(self._run.folder).last.is_file()

    def _stop(self) -> None:
        try:
            self._run.stop()
        except SemnetError as error:
            self.refused.emit(str(error))

    def _resume(self) -> None:
        try:
            if self._run.folder is not None:
                self._run.start(self._run.folder, resume=True)
        except SemnetError as error:
            self.refused.emit(str(error))

    def _open(self) -> None:
        start = self.setup.folder.text() or self.setup.folder.placeholderText()
        name = QFileDialog.getExistingDirectory(self, "Folder of the run", start)
        if name:
            self.open_run(Path(name))
