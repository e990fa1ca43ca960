"""How a batch tells what it does: a progress display, JSON lines, or only what went wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

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
from napari_semnet.commands.jobs import FileFailed, FileSkipped
from napari_semnet.commands.json_values import plain
from napari_semnet.commands.judging import Checking, Judged

__all__ = ["Reporter", "as_json", "json_lines", "only_failures", "progress_display"]


class Reporter(Protocol):
    """Takes the events of a batch as they happen."""

    def __call__(self, event: BatchEvent) -> None:
        """Tell of one event."""
        ...


def as_json(event: Any) -> dict[str, Any]:
    """Turn an event into what JSON can say; pixels are left out.

    Parameters
    ----------
    event : dataclass
        Any event of a batch or of the restoration engine.

    Returns
    -------
    dict
        ``event`` is the class's name in snake_case; the other keys are its fields. A figure that
        is not finite is None, as JSON has no word for it.
    """
    return {"event": event_name(type(event)), **plain(event)}


@contextmanager
def json_lines(stream: TextIO | None = None) -> Iterator[Reporter]:
    """Write each event as one JSON object a line, at once, to standard output by default.

    Progress is said when there is some: the engine tells it often, so that it can be stopped.
    """
    from napari_semnet.restoration.events import Progress as Done

    out = stream or sys.stdout
    said = -1.0

    def report(event: BatchEvent) -> None:
        nonlocal said
        if isinstance(event, FileBegan):
            said = -1.0
        if isinstance(event, Done):
            if event.fraction <= said:
                return
            said = event.fraction
        # ASCII, whatever the terminal's encoding and however odd a file's name.
        out.write(json.dumps(as_json(event)) + "\n")
        out.flush()

    yield report


@contextmanager
def only_failures(stream: TextIO | None = None) -> Iterator[Reporter]:
    """Write nothing but what failed, to standard error by default."""
    err = stream or sys.stderr

    def report(event: BatchEvent) -> None:
        if isinstance(event, FileFailed):
            err.write(f"{event.details}{event.source}: {event.reason}\n")

    yield report


@contextmanager
def progress_display(console: Console | None = None) -> Iterator[Reporter]:
    """Show bars for the files and for the tiles of the present one, with the time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        Standard error by default, so that standard output stays free. Where that is no terminal
        only the lines that say what became of each file are written.
    """
    shown = console or Console(stderr=True, highlight=False, markup=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bars:
        yield _Display(bars, shown)


class _Display:
    """Bars for what is going on, lines for what is done."""

    def __init__(self, bars: Progress, console: Console) -> None:
        self._bars = bars
        self._console = console
        self._files: TaskID | None = None
        self._tiles: TaskID | None = None

    def __call__(self, event: BatchEvent) -> None:
        from napari_semnet.restoration.events import (
            BlockWritten,
            Notice,
            Progress,
            Started,
            TileDone,
        )

        match event:
            case FileBegan(source, _, number, total):
                if self._files is None and total > 1:
                    self._files = self._bars.add_task("all files", total=total, count="")
                if self._files is not None:
                    count = f"{number}/{total} files"
                    self._bars.update(self._files, completed=number - 1, count=count)
                self._tiles = self._bars.add_task(source.name, total=None, count="")
            case Started(total_tiles=total, plan=plan):
                tiles = f"{total} {'tile' if total == 1 else 'tiles'}"
                self._advance(0.0, f"0/{tiles}")
                self._line(
                    f"  {plan.model_name} on {plan.device_name}, {plan.precision}, "
                    f"{tiles}, {'swept' if plan.swept else f'halo {plan.halo} px'}"
                )
            case Progress(fraction):
                self._advance(fraction)
            case TileDone(done=done, total=total):
                self._advance(done / total, f"{done}/{total} {'tile' if total == 1 else 'tiles'}")
            case BlockWritten(done=done, total=total):
                self._advance(None, f"{done}/{total} {'block' if total == 1 else 'blocks'}")
            case Notice(text):
                self._line(f"  note: {text}")
            case FileWritten():
                self._file_done()
                self._line(f"{event.source} -> {event.target} ({_facts(event)})")
            case Checking(target, fraction):
                if self._tiles is None:
                    self._tiles = self._bars.add_task(f"checking {target.name}", count="")
                self._advance(fraction)
            case Judged(sentences=sentences, files=files):
                self._tile_bar_done()
                for sentence in sentences:
                    self._line(f"  {sentence}")
                self._line(f"  {', '.join(path.name for path in files)}")
            case PartWritten(source, target, number, of, left):
                self._file_done()
                self._line(
                    f"{source} -> {target} (part {number} of {of}; others have {left} blocks to do)"
                )
            case FileDeferred(source, reason):
                self._tile_bar_done()
                self._line(f"{source} is tried again later: {reason}")
            case Watching(growing):
                still = f"; {growing} still being written" if growing else ""
                self._line(f"waiting for new images{still} (Ctrl-C ends it)")
            case FileSkipped(source, reason):
                self._line(f"{source} skipped: {reason}")
            case FileFailed(source_name, reason, details):
                self._file_done()
                self._line(f"{details}{source_name} FAILED: {reason}")
            case BatchEnded(written, skipped, failed):
                self._line(f"{written} restored, {skipped} skipped, {failed} failed")
            case _:
                pass

    def _advance(self, fraction: float | None, count: str | None = None) -> None:
        if self._tiles is None:
            self._tiles = self._bars.add_task("restoring", count="")
        if fraction is not None:
            self._bars.update(self._tiles, total=1.0, completed=fraction)
        if count is not None:
            self._bars.update(self._tiles, count=count)

    def _tile_bar_done(self) -> None:
        if self._tiles is not None:
            self._bars.remove_task(self._tiles)
            self._tiles = None

    def _file_done(self) -> None:
        self._tile_bar_done()
        if self._files is not None:
            self._bars.advance(self._files)

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


def _facts(event: FileWritten) -> str:
    size = " x ".join(str(n) for n in reversed(event.shape)) + " px"
    if event.pixel_size_nm is None:
        pixel = "pixel size unknown"
    else:
        y, x = event.pixel_size_nm
        pixel = f"{x:.4g} nm/px" if y == x else f"{x:.4g} x {y:.4g} nm/px"
    return f"{size}, {pixel}, {event.seconds:.1f} s"
