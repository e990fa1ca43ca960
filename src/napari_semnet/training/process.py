"""The process that trains: whether it lives, and how it is told to pause and to stop.

A run may have been started by this program, by one that was closed since, or on a command line.
What stands in the run's folder tells which process it is, so that all are handled alike. A folder
in which one trains is not discarded.
"""

from __future__ import annotations

import json
import platform
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from napari_semnet.errors import TrainingError
from napari_semnet.files.atomic import replacing
from napari_semnet.training.run_folder import RunFolder

__all__ = ["RunProcess", "ask_to_stop", "discard_run", "process_of", "this_process"]

_SAME = 2.0
"""Seconds by which two readings of one process' time of creation may differ."""


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process on some machine."""

    pid: int
    created: float
    """Seconds since 1970: numbers of processes are used again, together with the time they tell
    one for certain."""
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; False for one on another machine, which cannot be known."""
        return self._process() is not None

    @property
    def is_paused(self) -> bool:
        """Whether it was halted by `pause`."""
        process = self._process()
        with suppress(psutil.Error):
            return process is not None and process.status() == psutil.STATUS_STOPPED
        return False

    @property
    def memory(self) -> int:
        """Bytes of main memory that it holds; 0 when it is gone."""
        process = self._process()
        with suppress(psutil.Error):
            return 0 if process is None else int(process.memory_info().rss)
        return 0

    def pause(self) -> None:
        """Halt it where it is; it keeps its memory."""
        process = self._process()
        if process is not None:
            with suppress(psutil.Error):
                process.suspend()

    def go_on(self) -> None:
        """Let it go on after `pause`."""
        process = self._process()
        if process is not None:
            with suppress(psutil.Error):
                process.resume()

    def kill(self) -> None:
        """End it at once; its folder stays as it was saved last."""
        process = self._process()
        if process is not None:
            with suppress(psutil.Error):
                process.kill()

    def write(self, folder: Path) -> None:
        """Leave word of it in a run's folder.

        Raises
        ------
        OSError
            The folder cannot be written to.
        """
        with replacing(RunFolder(folder).process) as path:
            path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    def _process(self) -> psutil.Process | None:
        if not self.is_here:
            return None
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.created) < _SAME
            is_gone = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.Error:
            return None
        return process if is_same and not is_gone else None


def this_process(pid: int | None = None) -> RunProcess:
    """Describe the present process, or another one on this machine.

    Raises
    ------
    psutil.Error
        There is no such process.
    """
    process = psutil.Process(pid)
    return RunProcess(process.pid, process.create_time(), platform.node())


def process_of(folder: Path) -> RunProcess | None:
    """Read which process trains, or trained last, in a run's folder."""
    try:
        values = json.loads(RunFolder(folder).process.read_text(encoding="utf-8"))
        return RunProcess(int(values["pid"]), float(values["created"]), str(values["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ask_to_stop(folder: Path) -> None:
    """Ask the process of a run to stop after its step, with its state saved.

    A file says so, which works alike on every system, and from another machine.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    RunFolder(folder).stop_request.touch()
    process = process_of(folder)
    if process is not None:
        # Also where it does not look paused: a pause takes effect a moment after it was asked for.
        process.go_on()


def discard_run(folder: Path) -> None:
    """Delete a run's folder and all that is in it.

    Raises
    ------
    TrainingError
        It is no run's folder, a process trains in it, or it cannot be deleted.
    """
    if not RunFolder(folder).config.is_file():
        raise TrainingError(f"{folder} is not the folder of a run, so it is left alone.")
    process = process_of(folder)
    if process is not None and process.is_alive:
        # Another window or a command may have gone on with it.
        raise TrainingError(f"A process is training in {folder}. Stop it before you discard it.")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise TrainingError(
            f"{folder} could not be deleted whole: {error.strerror or error}. Delete it by hand."
        ) from error
