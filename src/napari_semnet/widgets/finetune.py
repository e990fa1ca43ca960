"""The fine-tune dialog: make the model fit the lab's own microscope, and see whether it does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
)

from napari_semnet.errors import SemnetError
from napari_semnet.training.draft import Picked, write_pictures
from napari_semnet.training.estimate import Speed, cost_of, measure_speed
from napari_semnet.training.project import Pictures, Project, free_folder
from napari_semnet.training.survey import Survey, survey
from napari_semnet.widgets.background import Task
from napari_semnet.widgets.catalogue import load_catalogue
from napari_semnet.widgets.docked import Docked
from napari_semnet.widgets.finetune_choices import (
    FinetuneChoices,
    load_finetune_choices,
    save_finetune_choices,
)
from napari_semnet.widgets.finetune_draft import Draft
from napari_semnet.widgets.finetune_images import ImagesPage
from napari_semnet.widgets.finetune_noise import NoisePage
from napari_semnet.widgets.finetune_result import ResultPage
from napari_semnet.widgets.finetune_training import TrainingPage
from napari_semnet.widgets.parting import ClosingWatch
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.scrolled import Scrolled
from napari_semnet.widgets.training_run import TrainingRun

__all__ = ["FinetuneWidget"]


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """What the last look through the images gave."""

    folder: Path
    """Where the pictures lie that were open."""
    pictures: Pictures
    survey: Survey


class FinetuneWidget(Docked):
    """Fine-tune a model on layers and folders of pictures.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer; the name of this parameter is how napari knows to pass it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._choices = load_finetune_choices()
        self._looked: _Looked | None = None
        self._speeds: dict[tuple[str, str], Speed] = {}
        self._draft = Draft()
        self.is_ready = False
        """Whether models and devices are known, and a run can begin."""
        self.task = Task(self)
        self._loading = Task(self)
        self.run = TrainingRun(self)
        self._closing: ClosingWatch | None = None
        self.images = ImagesPage(napari_viewer, self._choices, self)
        self.noise = NoisePage(napari_viewer, self._choices, self)
        self.training = TrainingPage(napari_viewer, self.run, self._choices, self)
        self.result = ResultPage(napari_viewer, self.run, self)
        self.setMinimumWidth(self.sizeHint().width() - 20)  # tables cannot be read in less
        self._lay_out()
        self._connect()
        self._on_theme()
        self._update()
        # Importing PyTorch takes seconds; the window should open at once.
        self._loading.start(lambda: _catalogue(self._choices.start_from), self._on_catalogue)
        self._find_last_run()

    def sizeHint(self) -> QSize:
        """Give a width in which every line of the widget can be read."""
        return QSize(400, 700)

    def choices(self) -> FinetuneChoices:
        """Gather what is chosen."""
        by = self.noise.adjustment()
        return replace(
            self._choices,
            kind=self.images.kind.currentData(),
            first_folder=self.images.first.folder.text().strip(),
            second_folder=self.images.second.folder.text().strip(),
            profile=self.noise.key,
            noise=by.noise,
            blur=by.blur,
            lines=by.lines,
            goes_on=self.training.goes_on.isChecked(),
            shows_previews=self.training.previews.isChecked(),
            last_run="" if self.run.folder is None else str(self.run.folder),
            **self.training.setup.values(),
        )

    def look(self, then: Callable[[], None] | None = None) -> None:
        """Read the pictures that are picked, and show what is of use.

        Parameters
        ----------
        then : callable, optional
            Called at the end, where all went well.
        """
        picked = self.images.picked()
        project = self._project(Pictures(picked.kind, ()))
        if project is None:
            return
        self._say("Looking through the images")
        self._looked = None  # its pictures make room for these
        self.images.clear()
        self.noise.show_survey(None)

        def keep(looked: _Looked) -> None:
            self._looked = looked
            self.images.show_survey(looked.survey)
            self.noise.show_survey(looked.survey, looked.pictures.kind)
            self._say("")
            if then is not None:
                then()

        self.task.start(self._draft.begin(partial(_look, picked, project)), keep)

    def estimate(self) -> None:
        """Measure how fast the device is, after a look through the images."""
        if self._looked is None:
            self.look(self.estimate)
            return
        project = self._project(self._looked.pictures)
        if project is None:
            return
        key, config = self.training.setup.speed_key, project.config(self._looked.folder)
        self._say("Taking a few steps")

        def keep(speed: Speed) -> None:
            self._speeds[key] = speed
            self._say("")
            self._show_cost()

        self.task.start(self._draft.begin(partial(measure_speed, config)), keep)

    def start(self) -> None:
        """Begin a run on what is picked, after a look through the images."""
        if self._looked is None:
            self.look(self.start)
            return
        if self.run.folder is not None:
            self._say(
                "A run was opened meanwhile, so that none was begun. Press New run, then Start."
            )
            return
        project = self._project(self._looked.pictures)
        if project is None:
            return
        from napari_semnet.model import DEFAULT_MODEL, read_card

        folder = free_folder(self.choices().runs, project.file_name)
        try:
            # It may have been renamed or deleted since it was chosen.
            read_card(self.training.setup.model.key or DEFAULT_MODEL)
            _copy(self._looked.folder, folder)
            project.write(folder)
            self.run.start(folder)
        except SemnetError as error:
            self._say(str(error))
            return
        except OSError as error:
            self._say(
                f"The run could not be prepared in {folder}: {error.strerror or error}. Free some "
                "space, or choose another folder for the runs."
            )
            return
        self._keep_choices()
        self._say("")

    def let_go(self) -> None:
        """Stop the run unless it is to go on, stop all work and follow the viewer no longer."""
        self._keep_choices()
        for task in (self.task, self._loading):
            task.cancel()
        self.run.let_go()
        if self._closing is not None:
            self._closing.let_go()
        for page in (self.images, self.noise, self.result):
            page.let_go()
        self._viewer.events.theme.disconnect(self._on_theme)
        self._looked = None
        self._draft.leave()

    def _project(self, pictures: Pictures) -> Project | None:
        choices = self.choices()
        try:
            profile = self.noise.profile()
        except SemnetError as error:
            self._say(str(error))
            return None
        return Project(
            pictures=pictures,
            name=choices.name,
            start_from=choices.start_from or "default",
            profile=profile,
            steps=choices.steps,
            device=choices.device,
        )

    def _find_last_run(self) -> None:
        """Follow the run of the last time, where it is still to be found."""
        last = self._choices.last_run
        if last and Path(last).is_dir():
            self.training.open_run(Path(last))
            self.tabs.setCurrentWidget(self.training)

    def _keep_choices(self) -> None:
        self._choices = self.choices()
        save_finetune_choices(self._choices)

    def _lay_out(self) -> None:
        self.tabs = QTabWidget(self)
        self.tabs.setUsesScrollButtons(False)  # a dock is then never so narrow that pages hide
        pages = {
            "1 Images": self.images,
            "2 Noise": self.noise,
            "3 Train": self.training,
            "4 Result": self.result,
        }
        for title, page in pages.items():
            self.tabs.addTab(Scrolled(page, self), title)
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel", self)
        self.status = WrappedLabel(self)
        row = QHBoxLayout()
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(row)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.images.changed.connect(self._on_picked)
        self.images.look_button.clicked.connect(lambda: self.look())
        self.training.setup.changed.connect(self._show_cost)
        self.training.setup.estimate_button.clicked.connect(self.estimate)
        self.training.start_button.clicked.connect(self.start)
        self.training.refused.connect(self._say)
        self.result.refused.connect(self._say)
        self.cancel_button.clicked.connect(self._on_cancel)
        for task in (self.task, self.result.task, self.noise.measuring):
            task.began.connect(self._update)
            task.ended.connect(self._update)
            task.progressed.connect(self._on_progress)
        self.task.failed.connect(self._say)
        self.run.changed.connect(self._on_run)
        self.run.parting.watch(self)
        self._viewer.events.theme.connect(self._on_theme)

    def _on_catalogue(self, catalogue: Any) -> None:
        self.training.setup.offer(catalogue)
        self.is_ready = True
        self._update()

    def _on_picked(self) -> None:
        if self.task.is_running:
            # What is being read is no longer what is chosen.
            self.task.cancel()
            self._say("Other images were chosen meanwhile. Press the button again.")
        self._looked = None
        self.noise.show_survey(None)

    def _on_run(self) -> None:
        if self._closing is None and self.parentWidget() is not None:
            self._closing = ClosingWatch(self, self._on_closed)
        self.result.update_run()

    def _on_closed(self) -> None:
        """Do what closing the dock does, as far as that is possible without a window."""
        self._keep_choices()
        self.run.let_go()

    def _on_cancel(self) -> None:
        for task in (self.task, self.result.task, self.noise.measuring):
            if task.is_running:
                task.cancel()
                self._say("Cancelled")

    def _on_progress(self, part: float) -> None:
        self.progress.setValue(round(1000 * part))

    def _show_cost(self) -> None:
        speed = self._speeds.get(self.training.setup.speed_key)
        if speed is None or self._looked is None:
            self.training.setup.show_cost(None)
            return
        project = self._project(self._looked.pictures)
        if project is not None:
            config = project.config(self._looked.folder)
            self.training.setup.show_cost(cost_of(config, speed, self.choices().runs), speed)

    def _update(self) -> None:
        """Make buttons and bar show what can be done now."""
        busy = [self.task, self.result.task, self.noise.measuring]
        running = any(task.is_running for task in busy)
        self.progress.setValue(0)
        self.progress.setVisible(running)
        self.cancel_button.setVisible(running)
        can_begin = self.is_ready and not self.task.is_running
        for button in (
            self.images.look_button,
            self.training.start_button,
            self.training.setup.estimate_button,
        ):
            button.setEnabled(can_begin)

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _on_theme(self, event: Any = None) -> None:
        theme = get_theme(self._viewer.theme)
        self.training.progress.set_colours(theme.text.as_hex(), theme.background.as_hex())


def _catalogue(chosen: str) -> Generator[float, None, Any]:
    yield 0.0
    return load_catalogue(chosen)


def _look(picked: Picked, project: Project, folder: Path) -> Generator[float, None, _Looked]:
    """Write open pictures into a folder, and read all of them as training would."""
    picked.check()
    for other in folder.parent.iterdir():
        if other.name < folder.name:  # a cancelled look that begins late leaves later ones alone
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir()
    pictures = yield from write_pictures(picked, folder)
    found = yield from survey(replace(project, pictures=pictures).config(folder))
    return _Looked(folder, pictures, found)


def _copy(looked: Path, folder: Path) -> None:
    """Give a run the pictures that were written for it; it decodes them by itself."""
    folder.mkdir(parents=True)
    for part in looked.iterdir():
        if part.is_dir() and part.name != "store":
            shutil.copytree(part, folder / part.name)
