"""The run that the window starts or follows: a process of its own, and a look at its folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from napari_semnet.errors import TrainingError
from napari_semnet.training.estimate import child_environment, train_command
from napari_semnet.training.following import Follower, Story
from napari_semnet.training.process import RunProcess, process_of, this_process
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.widgets.parting import Parting

__all__ = ["TrainingRun"]

POLL = 400
"""Milliseconds between looks at the run's folder."""


class TrainingRun(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """One run at a time; the process is on its own, so that the window may go."""

    changed = Signal()
    """The run said something, or began or ended."""
    ended = Signal()
    """The run is over, in whatever way."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._follower: Follower | None = None
        self.parting = Parting()
        """What becomes of the run when the window goes."""
        self._timer = QTimer(self)
        self._timer.setInterval(POLL)
        self._timer.timeout.connect(self._poll)

    @property
    def folder(self) -> Path | None:
        """Folder of the run; None before there is one."""
        return None if self._follower is None else self._follower.folder

    @property
    def story(self) -> Story:
        """What the run said so far."""
        return Story() if self._follower is None else self._follower.story

    @property
    def is_running(self) -> bool:
        """Whether a run is followed that has not ended."""
        return self._follower is not None and not self._follower.story.has_ended

    @property
    def process(self) -> RunProcess | None:
        """The process that trains, or trained last."""
        return None if self._follower is None else self._follower.process

    def start(self, folder: Path, *, resume: bool = False) -> None:
        """Train as the configuration in a folder says.

        Parameters
        ----------
        folder : Path
            Of the run, with ``config.toml``.
        resume : bool
            Go on from the state that was saved.

        Raises
        ------
        TrainingError
            The process cannot be started, or one is training there already.
        """
        files = RunFolder(folder)
        if self.catch_up(folder):
            raise TrainingError(f"A process is training in {folder} already. Stop it first.")
        try:
            files.stop_request.unlink(missing_ok=True)
            files.errors.write_bytes(b"")
            process = self._launch(files, resume)
            process.write(folder)
        except (OSError, psutil.Error) as error:
            raise TrainingError(
                f"Training could not be started in {folder}: {error}. Free some space, or choose "
                "another folder for the runs."
            ) from error
        self._follow(Follower(folder, process))

    def attach(self, folder: Path) -> None:
        """Follow a run that was started before, here or elsewhere; it may be over."""
        self._follow(Follower(folder))
        self._poll()

    def catch_up(self, folder: Path) -> bool:
        """Follow the process that trains in a folder, if there is one: it can be stopped then.

        A run that has ended here may have been gone on with elsewhere since.
        """
        process = process_of(folder)
        trains = process is not None and process.is_alive
        if trains and not self.is_running:
            self.attach(folder)
        return trains

    def pause(self) -> None:
        """Halt the process where it is, or let it go on."""
        process = self.process
        if process is not None and self.is_running:
            (process.go_on if process.is_paused else process.pause)()
            self._poll()

    def stop(self) -> None:
        """End the run in a state that can be resumed.

        Raises
        ------
        TrainingError
            The run's folder cannot be written to.
        """
        if self._follower is None:
            return
        try:
            self._follower.stop()
        except OSError as error:
            raise TrainingError(
                f"The run could not be asked to stop: {error}. Its folder must be there and "
                "writable."
            ) from error
        self._tell()

    def forget(self) -> None:
        """Follow no run any more."""
        self._timer.stop()
        self._follower = self.parting.follower = None
        self.changed.emit()

    def let_go(self) -> None:
        """Look at the run no longer; `parting` says whether it trains on."""
        self._timer.stop()
        self.parting()
        self.parting.forget()

    def _launch(self, files: RunFolder, resume: bool) -> RunProcess:
        program, *arguments = train_command(files.config, resume=resume)
        launcher = QProcess()
        launcher.setProgram(program)
        launcher.setArguments(arguments)
        launcher.setWorkingDirectory(str(files.path))
        launcher.setStandardOutputFile(QProcess.nullDevice())
        launcher.setStandardErrorFile(str(files.errors))
        environment = QProcessEnvironment()
        for key, value in child_environment().items():
            environment.insert(key, value)
        launcher.setProcessEnvironment(environment)
        launched = launcher.startDetached()
        # PyQt6 gives the number of the process as well; PySide6 only says whether there is one.
        is_started, pid = launched if isinstance(launched, tuple) else (launched, 0)
        if is_started and not pid:
            pid = _find(arguments)
        if not is_started or not pid:
            raise OSError(launcher.errorString() or "the program could not be run")
        return this_process(int(pid))

    def _follow(self, follower: Follower) -> None:
        self._follower = self.parting.follower = follower
        self._timer.start()
        self.changed.emit()

    def _poll(self) -> None:
        if self._follower is not None and self._follower.poll():
            self._tell()

    def _tell(self) -> None:
        is_over = self.story.has_ended
        if is_over:
            self._timer.stop()
        self.changed.emit()
        if is_over:
            self.ended.emit()


def _find(arguments: list[str]) -> int:
    """Find the process that was started with these arguments, which name a run; 0 for none."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[1:] == arguments:
                return int(process.pid)
    return 0
