"""One restoration in the viewer: a worker beside the window, and the layers that it fills."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import (
    notification_manager,
    show_error,
    show_info,
    show_warning,
)
from qtpy.QtCore import QObject, QTimer, Signal

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.widgets.disk_job import Begun, Filled
from napari_semnet.widgets.job_of_layer import job_of
from napari_semnet.widgets.jobs import Failed, Job, JobEvent, Opened, run_jobs
from napari_semnet.widgets.layers import (
    METADATA_KEY,
    UNFINISHED_KEY,
    add_restored_layer,
    colour_nan,
    region_of,
)
from napari_semnet.widgets.pace import Pace
from napari_semnet.widgets.record import provenance_of
from napari_semnet.widgets.wording import describe_duration, time_left

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_semnet.restoration.restorer import Restorer
    from napari_semnet.widgets.choices import Choices

__all__ = ["Outcome", "Progress", "Run"]


LOOK_PAUSE = 200
"""Milliseconds between two looks at where the user looks."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    part: float
    """From 0 to 1, over all its layers."""
    text: str
    """Tiles, layers and time left, in words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    is_complete: bool
    """Whether all that was asked for is there."""
    text: str
    restored: tuple[tuple[Image, Image], ...] = ()
    """The layers that were restored whole, each with its restoration."""


@dataclass(slots=True, eq=False)
class _Task:
    """A job, its source and, once it has begun, its result. Lives on the window's side."""

    job: Job
    source: Image
    result: Image | None = None
    part: float = 0.0
    """Done, from 0 to 1."""
    tiles: str = ""
    """Finished tiles or blocks, in words."""
    begun: Begun | None = None
    """The result on the disk, if it goes there."""
    undrawn: bool = False
    """Whether tiles came that are not in the picture on the screen."""
    finished: bool = False

    @property
    def pixels(self) -> int:
        """Of the source, to restore."""
        return math.prod(self.job.region.shape)


class _Worker(GeneratorWorker):  # type: ignore[misc]  # napari is not followed by the type checker
    """Worker that is asked to end, not cut off: a generator left suspended keeps its arrays."""

    stop: threading.Event

    def quit(self) -> None:
        """Ask the generator to end, which it does within a tile."""
        self.stop.set()


def _work(
    jobs: Sequence[Job], prepare: Callable[[], Restorer], stop: threading.Event
) -> Generator[JobEvent, None, None]:
    yield from run_jobs(jobs, prepare, stop)


class Run(QObject):  # type: ignore[misc]
    """Restores regions of layers while the window stays alive.

    Parameters
    ----------
    viewer : Viewer
        Where the layers are and the results go.
    parent : QObject, optional
        When it is destroyed, so is the run.
    """

    progressed = Signal(object)
    """`Progress`."""
    ended = Signal(object)
    """The run is over: `Outcome`."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._tasks: list[_Task] = []
        self._worker: _Worker | None = None
        self._choices: Choices | None = None
        self._started = 0.0
        self._first_tile = 0.0
        self._failures = 0
        self._pace = Pace(self)
        self._pace.due.connect(self._show)
        self._news: _Task | None = None
        self._looks = QTimer(self)
        self._looks.setInterval(LOOK_PAUSE)
        self._looks.timeout.connect(self._look)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    @property
    def is_running(self) -> bool:
        """Whether the worker is at work, or still finishing its tile after a cancel."""
        return self._worker is not None

    def start(
        self, sources: Sequence[Image], choices: Choices, prepare: Callable[[], Restorer]
    ) -> None:
        """Begin to restore.

        Parameters
        ----------
        sources : sequence of Image
            Layers of the viewer.
        choices : Choices
            What of them, and how.
        prepare : callable
            Gives the restorer; called beside the window.

        Raises
        ------
        SemnetError
            There is nothing to restore; nothing has begun.
        """
        if self.is_running:
            raise SemnetError("A restoration is running. Wait for it, or cancel it first.")
        if not sources:
            raise SemnetError("No image layer is chosen. Choose at least one in the list.")
        self._tasks = [_Task(job_of(source, choices, self._viewer), source) for source in sources]
        self._choices = choices
        self._failures = 0
        self._started = time.perf_counter()
        stop = threading.Event()
        worker = create_worker(
            _work,
            [task.job for task in self._tasks],
            prepare,
            stop,
            _worker_class=_Worker,
            _start_thread=False,
        )
        worker.stop = stop
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        self.progressed.emit(Progress(0.0, "Preparing the model"))
        if any(task.job.on_disk is not None for task in self._tasks):
            self._looks.start()
        worker.start()

    def cancel(self) -> None:
        """Stop within a tile; results that are not finished are removed.

        What is finished of a result on the disk stays there. What makes the model ready cannot be
        stopped: it goes on by itself, for whoever restores next, and nobody waits for it.
        """
        if self._worker is None:
            return
        self._worker.quit()
        if all(task.result is None and task.job.on_disk is None for task in self._tasks):
            self._leave(self._worker)
            self._on_finished()

    def abandon(self) -> None:
        """Stop and let go of everything now; nothing is drawn or reported any more."""
        if self._worker is not None:
            self._worker.quit()
            self._leave(self._worker)
            self._worker = None
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._clear()

    def _leave(self, worker: _Worker) -> None:
        worker.yielded.disconnect(self._on_event)
        worker.finished.disconnect(self._on_finished)

    def _on_event(self, event: JobEvent) -> None:
        task = next((t for t in self._tasks if t.job is event.job), None)
        if isinstance(event, Failed):
            self._failures += 1
            if task is not None:
                task.part = 1.0
            self._report(event)
            return
        if task is None or task.job.withdrawn.is_set() or self._is_stopping:
            return
        if isinstance(event, Opened):
            self._open(task, event)
            return
        # Imported by now: the worker could not have begun without the engine.
        from napari_semnet.restoration.events import BlockWritten, Finished, Notice, TileDone
        from napari_semnet.restoration.events import Progress as Within

        match event.event:
            case Within(fraction):
                # The smaller levels are made last, and counted anew.
                task.part = max(task.part, fraction)
                self._show_soon(task)
            case TileDone(_, _, done, total):
                task.part, task.tiles = done / total, f"{done} of {total} tiles"
                task.undrawn = True
                self._show_soon(task)
            case BlockWritten(_, done, total):
                task.part, task.tiles = done / total, f"{done} of {total} blocks"
                task.undrawn = True
                self._show_soon(task)
            case Filled():
                task.undrawn = True
                self._show_soon(task)
            case Notice(text):
                show_warning(f"{task.job.name}: {text}")
            case Finished(restored):
                self._finish(task, restored.seconds)

    @property
    def _is_stopping(self) -> bool:
        return self._worker is None or self._worker.stop.is_set()

    def _open(self, task: _Task, event: Opened) -> None:
        assert self._choices is not None
        record = provenance_of(
            task.source, task.job.region, self._choices, event.plan, event.source_sha256
        )
        task.result = add_restored_layer(
            self._viewer,
            task.source,
            event.out,
            task.job.region,
            record,
            {UNFINISHED_KEY: True},
        )
        self._first_tile = self._first_tile or time.perf_counter()
        task.begun = event.begun
        if event.begun is not None:
            show_info(f"{task.job.name}: the result goes to {event.begun.path}, block by block.")

    def _progress(self, task: _Task) -> Progress:
        wanted = sum(each.pixels for each in self._tasks)
        part = min(1.0, sum(each.part * each.pixels for each in self._tasks) / wanted)
        words = [task.tiles] if task.tiles else []
        before = sum(t.begun.part * t.pixels for t in self._tasks if t.begun) / wanted
        new = max(0.0, part - before) / (1 - before) if before < 1 else 1.0
        left = time_left(new, time.perf_counter() - self._first_tile)
        if left is not None and part < 1:
            words.append(f"{describe_duration(left)} left")
        text = ", ".join(words)
        if len(self._tasks) > 1:
            text = f"Layer {self._tasks.index(task) + 1} of {len(self._tasks)}: {text}"
        return Progress(part, text)

    def _look(self) -> None:
        """Tell what goes to disk where the user looks."""
        for task in self._tasks:
            if task.job.on_disk is None or task.finished or task.source not in self._viewer.layers:
                continue
            try:
                seen = region_of(task.source, "view", self._viewer)
            except ImageError:
                continue  # In 3D, or beside the picture: what was looked at last still counts.
            task.job.on_disk.looking.look(seen)

    def _show_soon(self, task: _Task) -> None:
        self._news = task
        self._pace.ask()

    def _show(self) -> None:
        """Show how far the run is, and the tiles that came since the last time."""
        task, self._news = self._news, None
        if task is None or self._is_stopping:
            return
        self.progressed.emit(self._progress(task))
        if task.undrawn and task.result is not None:
            task.undrawn = False
            task.result.refresh(thumbnail=False, highlight=False, extent=False)

    def _finish(self, task: _Task, seconds: float) -> None:
        task.finished = True
        if task.result is not None:
            task.result.metadata[METADATA_KEY]["seconds"] = round(seconds, 3)
            task.result.metadata.pop(UNFINISHED_KEY, None)
            if task.begun is not None:
                task.result.data = list(task.begun.complete)
                colour_nan(task.result, (0, 0, 0, 0))
            # What compares it, or could not as long as tiles were missing, looks again.
            task.result.events.data(value=task.result.data)
            task.undrawn = True
            self._show_soon(task)

    def _report(self, event: Failed) -> None:
        error = event.error
        if isinstance(error, SemnetError):
            name = f"{event.job.name}: " if event.job is not None else ""
            show_error(f"{name}{error}")
        else:
            # A fault of the program, which its user should be able to pass on whole.
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_finished(self) -> None:
        outcome = self._outcome()
        self._worker = None
        for task in self._tasks:
            if task.finished and task.result is not None:
                task.result.refresh()
        self._clear()
        self.ended.emit(outcome)

    def _outcome(self) -> Outcome:
        finished = sum(task.finished for task in self._tasks)
        layers = f"{finished} layer{'s' if finished > 1 else ''}"
        kept = [task.begun.path for task in self._tasks if task.begun and not task.finished]
        if self._is_stopping:
            words = f". What is finished is kept in {kept[0]}: Restore goes on" if kept else ""
            return Outcome(False, f"Cancelled{words}")
        if self._failures:
            said = f"Restored {layers}, not all" if finished else "Not restored"
            return Outcome(False, f"{said}: see the notification")
        if not finished:
            return Outcome(False, "Stopped: the layer was removed")
        took = describe_duration(time.perf_counter() - self._started)
        restored = tuple(
            (task.source, task.result)
            for task in self._tasks
            if task.finished and task.result is not None
        )
        return Outcome(finished == len(self._tasks), f"Restored {layers} in {took}", restored)

    def _clear(self) -> None:
        """Take away what is not finished, and forget all layers."""
        self._pace.stop()
        self._looks.stop()
        self._news = None
        self._first_tile = 0.0
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            if not task.finished and task.result is not None and task.result in self._viewer.layers:
                self._viewer.layers.remove(task.result)

    def _on_layer_removed(self, event: Any) -> None:
        for task in self._tasks:
            if not task.finished and event.value in (task.source, task.result):
                task.job.withdrawn.set()
                task.part = 1.0
                unfinished, task.result = task.result, None
                if unfinished is not None and unfinished in self._viewer.layers:
                    self._viewer.layers.remove(unfinished)
