"""Work beside the window, with progress, cancel, and errors that arrive as such."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, Signal

from napari_semnet.errors import SemnetError

__all__ = ["Done", "Failed", "Progressed", "Steps", "Task", "news"]

Steps: TypeAlias = Generator[float, None, Any]
"""Yields the finished part of the work, 0 to 1, and returns its result."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """Part of the work that is finished, 0 to 1."""

    part: float


@dataclass(frozen=True, slots=True)
class Done:
    """The work's result."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The work ended without a result."""

    error: Exception


def news(
    steps: Callable[[], Steps], stop: threading.Event
) -> Generator[Progressed | Done | Failed, None, None]:
    """Do some work and tell of it; nothing is raised.

    Parameters
    ----------
    steps : callable
        Begins the work.
    stop : threading.Event
        Once set, the work ends at its next step and nothing more is told.
    """
    try:
        work = steps()
        while not stop.is_set():
            try:
                part = next(work)
            except StopIteration as end:
                if not stop.is_set():
                    yield Done(end.value)
                return
            yield Progressed(part)
        work.close()
    except MemoryError:
        yield Failed(SemnetError("The free memory does not suffice. Compare a smaller picture."))
    except Exception as error:  # noqa: BLE001  # told
        yield Failed(error)


def _tagged(
    steps: Callable[[], Steps], stop: threading.Event
) -> Generator[tuple[threading.Event, Progressed | Done | Failed], None, None]:
    """Tell whose news it is: what a cancelled worker said last may arrive after the next began."""
    for event in news(steps, stop):
        yield stop, event


class _Worker(GeneratorWorker):  # type: ignore[misc]  # napari is not followed by the type checker
    """Worker that is asked to end, not cut off: a generator left suspended keeps its arrays."""

    stop: threading.Event

    def quit(self) -> None:
        """Ask the work to end at its next step."""
        self.stop.set()


class Task(QObject):  # type: ignore[misc]
    """One piece of work at a time beside the window."""

    began = Signal()
    """Work is under way."""
    progressed = Signal(float)
    """Finished part, 0 to 1."""
    failed = Signal(str)
    """What a user should read; faults of the program are notified by napari as well."""
    ended = Signal()
    """The work is over, in whatever way."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: _Worker | None = None
        self._then: Callable[[Any], None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether work is under way that was not cancelled."""
        return self._worker is not None

    def start(self, steps: Callable[[], Steps], then: Callable[[Any], None]) -> None:
        """Begin; work that is under way is cancelled first.

        Parameters
        ----------
        steps : callable
            Begins the work, in the worker's thread.
        then : callable
            Gets its result, in the window's thread.
        """
        self.cancel()
        stop = threading.Event()
        worker = create_worker(_tagged, steps, stop, _worker_class=_Worker, _start_thread=False)
        worker.stop = stop
        worker.yielded.connect(self._on_news)
        self._worker, self._then = worker, then
        worker.start()
        self.began.emit()

    def cancel(self) -> None:
        """Stop at the next step; nothing of the work is heard of any more."""
        worker, self._worker, self._then = self._worker, None, None
        if worker is not None:
            worker.yielded.disconnect(self._on_news)
            worker.quit()
            self.ended.emit()

    def _on_news(self, told: tuple[threading.Event, Progressed | Done | Failed]) -> None:
        source, event = told
        if self._worker is None or self._worker.stop is not source:
            return
        if isinstance(event, Progressed):
            self.progressed.emit(event.part)
            return
        then = self._then
        self._worker = self._then = None
        self.ended.emit()
        if isinstance(event, Failed):
            self._report(event.error)
        elif then is not None:
            then(event.result)

    def _report(self, error: Exception) -> None:
        if not isinstance(error, SemnetError):
            # A fault of the program, which its user should be able to pass on whole.
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self.failed.emit(str(error))
