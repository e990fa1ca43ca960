"""Restore pictures as a microscope saves them: look into a folder again and again.

A file is taken when it has not changed for a while, nor has what its program writes beside it. How
fast clocks run and whether they agree does not matter: times are compared with earlier ones of the
same file only.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from napari_semnet.commands.events import BatchEnded, BatchEvent, Watching
from napari_semnet.commands.jobs import Entry, FileFailed, FileSkipped, Job, is_volume
from napari_semnet.errors import FileFormatError
from napari_semnet.files.home import from_home

__all__ = ["ripe_jobs", "watch", "watch_inputs"]

Signature: TypeAlias = tuple[tuple[str, int, int], ...]
"""Name, size and time of a picture and of the files beside it that belong to it."""


@dataclass(slots=True)
class _Seen:
    signature: Signature
    since: float
    """When it was first seen like this, in seconds of the clock that is never set."""
    taken: bool = False


def ripe_jobs(
    entries: list[Entry], seen: dict[Path, _Seen], now: float, settle: float
) -> tuple[list[Job], int]:
    """Choose the files that are complete.

    Parameters
    ----------
    entries : list
        What is in the folder now.
    seen : dict
        What earlier looks have found; brought up to date.
    now : float
        Seconds, of any clock that only goes forward.
    settle : float
        Seconds for which a file must not have changed.

    Returns
    -------
    jobs, growing
        Files to restore now, and how many are still being written. One that was restored or has
        failed comes again only if it has changed since.
    """
    ripe, growing = [], 0
    for job in entries:
        if not isinstance(job, Job) or is_volume(job.source):
            continue
        signature = _signature(job.source)
        if signature is None:
            continue
        before = seen.get(job.source)
        if before is None or before.signature != signature:
            seen[job.source] = before = _Seen(signature, now)
        if before.taken:
            continue
        if now - before.since >= settle and signature[0][1] > 0:
            before.taken = True
            ripe.append(job)
        else:
            growing += 1
    return ripe, growing


def watch(
    find: Callable[[], list[Entry]],
    restore: Callable[[list[Job]], Iterator[BatchEvent]],
    settle: float,
    every: float = 1.0,
) -> Iterator[BatchEvent]:
    """Restore what appears, without end.

    Parameters
    ----------
    find : callable
        Gives what is there and has no result yet.
    restore : callable
        Restores files and yields events.
    settle : float
        Seconds for which a file must not have changed.
    every : float
        Seconds between two looks.

    Yields
    ------
    BatchEvent
        Of the files, and `Watching` whenever what is waited for has changed.
    """
    seen: dict[Path, _Seen] = {}
    told: set[FileFailed | FileSkipped] = set()
    last = None
    while True:
        entries = find()
        jobs, growing = ripe_jobs(entries, seen, time.monotonic(), settle)
        new = [entry for entry in _left_out(entries) if entry not in told]
        if new:
            told.update(new)
            yield from new
            yield BatchEnded(0, 0, sum(isinstance(entry, FileFailed) for entry in new))
        if jobs:
            yield from restore(jobs)
            last = None
            continue
        if growing != last:
            last = growing
            yield Watching(growing)
        time.sleep(every)


def _left_out(entries: list[Entry]) -> Iterator[FileFailed | FileSkipped]:
    """Name the pictures that are there and never will be restored."""
    for entry in entries:
        # An empty folder is none of them: it is what is waited with.
        if isinstance(entry, FileFailed) and Path(entry.source).is_file():
            yield entry
        elif isinstance(entry, Job) and is_volume(entry.source):
            reason = "nobody can tell when a folder is complete; restore it by itself."
            yield FileSkipped(entry.source, reason)


def watch_inputs(
    inputs: Sequence[str],
    find: Callable[[], list[Entry]],
    restore: Callable[[list[Job]], Iterator[BatchEvent]],
    settle: float,
) -> Generator[BatchEvent, None, None]:
    """Restore what appears until Ctrl-C, and say in the end how much it was.

    Parameters
    ----------
    inputs : sequence of str
        Folders, or patterns of names.
    find, restore, settle
        See `watch`.

    Raises
    ------
    FileFormatError
        A folder is not there, or is a file.
    """
    for text in inputs:
        if from_home(text).is_file():
            raise FileFormatError(
                f"{text} is a file, and --watch waits for images in a folder. Give its folder, or "
                "a pattern such as '*.tif'."
            )
        if not from_home(text).is_dir() and not glob.has_magic(text):
            raise FileFormatError(f"There is no folder {text} to watch. Make it first.")
    written = failed = 0
    try:
        for event in watch(find, restore, settle):
            if isinstance(event, BatchEnded):
                written, failed = written + event.written, failed + event.failed
            else:
                yield event
    except KeyboardInterrupt:
        # This is how watching ends; what was being restored is begun anew next time.
        pass
    yield BatchEnded(written, 0, failed)


def _signature(source: Path) -> Signature | None:
    """Give what changes while a file is being written; None where it is gone again."""
    from napari_semnet.files.reader import sidecars

    try:
        parts = [source, *sidecars(source)]
        stats = [(part.name, part.stat()) for part in parts]
    except OSError:
        return None
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
