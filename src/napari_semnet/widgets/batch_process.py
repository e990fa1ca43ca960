"""A batch in a process of its own: the command line, and what it says about each file."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from napari_semnet.commands.events import FileBegan
from napari_semnet.commands.jobs import find_jobs, skip_existing
from napari_semnet.commands.queue import FileRow, Queue, event_from
from napari_semnet.widgets.choices import AUTO, Choices

__all__ = ["BatchProcess", "batch_command"]

_PATIENCE = 10_000
"""Milliseconds that a process has to end by itself."""


def batch_command(
    folder: Path, results: Path, choices: Choices, pixel_size: str = "", *, watch: bool
) -> list[str]:
    """Arguments of the Python interpreter that restore a folder.

    Parameters
    ----------
    folder, results : Path
    choices : Choices
    pixel_size : str
        As the command line takes it; empty where each file tells its own.
    watch : bool
        Whether to wait for new images.
    """
    command = ["-m", "napari_semnet", "restore", str(folder), "-o", str(results), "--json"]
    command += ["--report", str(results / "semnet-report.csv"), "--retries", "1"]
    if choices.model:
        command += ["--model", choices.model]
    command += ["--device", choices.device, "--precision", choices.precision]
    command += ["--tile", str(choices.tile) if choices.tile else AUTO, "--halo", choices.halo]
    command += ["--non-finite", choices.non_finite]
    if pixel_size:
        command += [f"--pixel-size={pixel_size}"]
    return [*command, "--watch"] if watch else command


class BatchProcess(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """One batch at a time."""

    row_changed = Signal(object)
    """A `FileRow` is new or in another state."""
    progressed = Signal(str, float)
    """File that is being restored, and the part of it that is done, 0 to 1."""
    ended = Signal(str)
    """The process is over; why, where that needs saying."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._queue = Queue()
        self._present = ""
        self._rest = b""
        self._stopping = False
        # Where napari was started in the background of a script, its processes do not hear SIGINT.
        self._impatience = QTimer(self)
        self._impatience.setSingleShot(True)
        self._impatience.setInterval(_PATIENCE)
        self._impatience.timeout.connect(self._kill)

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def rows(self) -> tuple[FileRow, ...]:
        """What became of each file so far."""
        return self._queue.rows

    def start(
        self, folder: Path, results: Path, choices: Choices, pixel_size: str = "", *, watch: bool
    ) -> None:
        """Restore what is in a folder and has no result yet; see `batch_command`.

        Raises
        ------
        SemnetError
            The folder cannot be read.
        """
        entries = skip_existing(find_jobs([str(folder)], str(results)))
        self._queue = Queue(() if watch else entries)
        self._present, self._rest, self._stopping = "", b"", False
        process = QProcess(self)
        process.setProgram(sys.executable)
        process.setArguments(batch_command(folder, results, choices, pixel_size, watch=watch))
        process.setProcessEnvironment(QProcessEnvironment.systemEnvironment())
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start()
        for row in self._queue.rows:
            self.row_changed.emit(row)

    def stop(self) -> None:
        """End the batch; the file at hand is left, finished ones stay."""
        if self._process is None or self._stopping:
            return  # a second signal would cut short how it ends
        self._stopping = True
        pid = int(self._process.processId())
        if sys.platform == "win32" or not pid:
            self._process.kill()
        else:
            os.kill(pid, signal.SIGINT)
            self._impatience.start()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def let_go(self) -> None:
        """End the batch with the window."""
        process = self._process
        self.stop()
        if process is not None and not process.waitForFinished(_PATIENCE):
            process.kill()
            process.waitForFinished(_PATIENCE)

    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._rest = (self._rest + self._process.readAllStandardOutput().data()).split(
            b"\n"
        )
        self._take(lines)

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if said.get("event") == "progress":
                self.progressed.emit(self._present, float(said["fraction"]))
                continue
            event = event_from(said)
            if event is None:
                continue
            before = self._queue.rows
            self._queue.take(event)
            if isinstance(event, FileBegan):
                self._present = str(event.source)
            for row in set(self._queue.rows) - set(before):
                self.row_changed.emit(row)

    def _on_finished(self, status: int) -> None:
        process = self._process
        if process is None:
            return
        self._impatience.stop()
        self._read()
        said = process.readAllStandardError().data().decode(errors="replace").strip()
        self._process = None
        process.deleteLater()
        self._settle()
        expected = status in (0, 1) or self._stopping
        self.ended.emit("" if expected and not self._refused(said) else said[-500:])

    def _settle(self) -> None:
        """Tell that nothing goes on: a process that was stopped or killed may not say so itself."""
        before = self._queue.rows
        self._queue.stop()
        for row in set(self._queue.rows) - set(before):
            self.row_changed.emit(row)

    def _refused(self, said: str) -> bool:
        """Whether the command could not even begin."""
        return said.startswith("napari-semnet:") and not self._stopping

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            reason = self._process.errorString()
            self._process = None
            self.ended.emit(f"The restoration could not be started: {reason}.")
