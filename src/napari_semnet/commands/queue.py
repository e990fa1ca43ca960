"""What has become of each file of a batch, followed from its events: a table, also as CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_semnet.commands.events import (
    BatchEnded,
    BatchEvent,
    FileBegan,
    FileDeferred,
    FileWritten,
    PartWritten,
    Watching,
    event_name,
)
from napari_semnet.commands.jobs import Entry, FileFailed, FileSkipped, Job
from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import replacing

__all__ = ["FileRow", "Queue", "State", "csv_report", "event_from", "write_report"]

_SECONDS_BETWEEN_REPORTS = 2.0

State: TypeAlias = Literal["waiting", "restoring", "done", "part done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file, as the columns of the report have it."""

    source: str
    result: str = ""
    state: State = "waiting"
    reason: str = ""
    """Why it was skipped, has failed or waits again."""
    tries: int = 0
    seconds: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    pixel_size_x_nm: float | None = None
    """Of the result, as the sizes are."""
    pixel_size_y_nm: float | None = None
    began: str = ""
    """ISO 8601, with the offset to UTC."""
    ended: str = ""


class Queue:
    """Follows a batch.

    Parameters
    ----------
    entries : iterable
        What `find_jobs` found; more may appear with the events.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._rows: dict[str, FileRow] = {}
        self.add(entries)

    @property
    def rows(self) -> tuple[FileRow, ...]:
        """All files, in the order in which they came."""
        return tuple(self._rows.values())

    def count(self, state: State) -> int:
        """How many files are in a state."""
        return sum(row.state == state for row in self._rows.values())

    def add(self, entries: Iterable[Entry]) -> None:
        """Add what is to be done, or will not be."""
        for entry in entries:
            if isinstance(entry, Job):
                self._set(entry.source, result=str(entry.target), state="waiting", reason="")
            else:
                self.take(entry)

    def take(self, event: BatchEvent) -> bool:
        """Note an event; whether it changed the state of a file."""
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        match event:
            case FileBegan(source, target):
                tries = self._row(source).tries + 1
                self._set(
                    source,
                    result=str(target),
                    state="restoring",
                    reason="",
                    tries=tries,
                    began=now,
                    ended="",
                )
            case FileWritten(source, target, shape, size):
                y, x = size or (None, None)
                self._set(
                    source,
                    result=str(target),
                    state="done",
                    reason="",
                    seconds=round(event.seconds, 2),
                    width_px=shape[-1],
                    height_px=shape[-2],
                    pixel_size_x_nm=x,
                    pixel_size_y_nm=y,
                    ended=now,
                )
            case PartWritten(source, number=number, of=of, blocks_left=left):
                reason = f"part {number} of {of}; others have {left} blocks to do"
                self._set(source, state="part done", reason=reason, ended=now)
            case FileDeferred(source, reason):
                self._set(source, state="waiting", reason=reason, ended=now)
            case FileSkipped(source, reason):
                self._set(source, state="skipped", reason=reason)
            case FileFailed(name, reason):
                self._set(name, state="failed", reason=reason, ended=now)
            case BatchEnded():
                self.stop()
            case _:
                return False
        return True

    def stop(self) -> None:
        """Note that nothing goes on: what was being restored waits again."""
        for row in self.rows:
            if row.state == "restoring":
                self._set(row.source, state="waiting", reason="stopped")

    def _row(self, source: Path | str) -> FileRow:
        return self._rows.get(str(source), FileRow(str(source)))

    def _set(self, source: Path | str, **changes: object) -> None:
        self._rows[str(source)] = replace(self._row(source), **changes)  # type: ignore[arg-type]


@contextmanager
def csv_report(path: Path | None, queue: Queue) -> Iterator[Callable[[], None]]:
    """Keep a table on the disk while a batch runs.

    Parameters
    ----------
    path : Path or None
        The CSV file; None keeps none.
    queue : Queue
        What is written.

    Yields
    ------
    callable
        To be called when the queue has changed. The file is written at most once in two seconds,
        and at the end, whatever happens.

    Raises
    ------
    FileFormatError
        It cannot be written, which is found out before anything is restored.
    """
    if path is None:
        yield lambda: None
        return
    write_report(path, queue)
    written = time.monotonic()

    def changed() -> None:
        nonlocal written
        if time.monotonic() - written >= _SECONDS_BETWEEN_REPORTS:
            # Somebody may have it open in a spreadsheet just now; there is a next time.
            with suppress(FileFormatError):
                write_report(path, queue)
            written = time.monotonic()

    try:
        yield changed
    finally:
        queue.stop()
        write_report(path, queue)


def write_report(path: Path, queue: Queue) -> None:
    """Write the table as CSV, in place of an older one.

    Raises
    ------
    FileFormatError
        It cannot be written.
    """
    names = [field.name for field in fields(FileRow)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in queue.rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
    try:
        with replacing(path) as temporary:
            # With a mark at the start, so that spreadsheets see that it is UTF-8.
            content = text.getvalue().encode("utf-8", "backslashreplace")
            temporary.write_bytes(b"\xef\xbb\xbf" + content)
    except OSError as error:
        raise FileFormatError(
            f"The report {path.name} could not be written: {error.strerror or error}. Close it "
            "where it is open, or give another name."
        ) from error


def event_from(said: Mapping[str, Any]) -> BatchEvent | None:
    """Give back an event that `napari_semnet.commands.reporting.as_json` has told.

    Parameters
    ----------
    said : mapping
        One line of JSON.

    Returns
    -------
    BatchEvent or None
        Events of whole files, and of the batch. None for the engine's own, and for such as this
        version does not know.
    """
    kinds: tuple[type[Any], ...] = (
        FileBegan,
        FileWritten,
        PartWritten,
        FileDeferred,
        FileSkipped,
        FileFailed,
        Watching,
        BatchEnded,
    )
    kind = next((kind for kind in kinds if event_name(kind) == said.get("event")), None)
    if kind is None:
        return None
    values = {field.name: said[field.name] for field in fields(kind) if field.name in said}
    for name in values.keys() & {"source", "target"}:
        values[name] = Path(values[name])
    try:
        event: BatchEvent = kind(**values)
    except TypeError:
        return None
    return event
