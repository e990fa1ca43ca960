"""Restore many files, one after the other, and tell what happens as typed events.

One file that cannot be restored never stops the others.
"""

from __future__ import annotations

import errno
import traceback
import unicodedata
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands.captions import open_source, printable
from napari_semnet.commands.engine import why_it_waits
from napari_semnet.commands.events import (
    BatchEnded,
    BatchEvent,
    FileBegan,
    FileDeferred,
    FileWritten,
    PartWritten,
)
from napari_semnet.commands.jobs import Entry, FileFailed, FileSkipped, Job, is_volume, same_file
from napari_semnet.commands.volume import VolumeChoices, restore_volume
from napari_semnet.errors import DeviceError, FileFormatError, SemnetError, lacks_memory

if TYPE_CHECKING:
    from napari_semnet.commands.judging import Checks
    from napari_semnet.restoration.events import Restoration
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["restore_file", "restore_files"]


def restore_files(
    entries: Sequence[Entry],
    prepare: Callable[[], Restorer],
    checks: Checks | None = None,
    volumes: VolumeChoices | None = None,
    retries: int = 0,
) -> Generator[BatchEvent, None, None]:
    """Restore one file after the other.

    Closing the generator stops within one tile; what was written by then is complete.

    Parameters
    ----------
    entries : sequence
        What `find_jobs` found.
    prepare : callable
        Gives the engine; called once, and only when there is something to restore.
    checks : Checks, optional
        What each result is checked for; nothing by default.
    volumes : VolumeChoices, optional
        How those are restored that are written block by block.
    retries : int
        How often a file is tried again, after all others, where the disk, the memory or the
        device failed.

    Yields
    ------
    FileBegan, then the engine's events, then FileWritten, PartWritten, FileDeferred or FileFailed
        For each job.
    FileSkipped, FileFailed
        As they stand in `entries`.
    BatchEnded
        At last.

    Raises
    ------
    SemnetError
        `prepare` failed.
    """
    total = sum(isinstance(entry, Job) for entry in entries)
    restorer = prepare() if total else None
    number = written = failed = 0
    waiting = deque((entry, retries) for entry in entries)
    made: dict[str, Job] = {}
    while waiting:
        entry, tries_left = waiting.popleft()
        if isinstance(entry, Job):
            entry = _unless_made(entry, made)
        if not isinstance(entry, Job) or restorer is None:
            failed += isinstance(entry, FileFailed)
            yield entry  # type: ignore[misc]  # with a job there is a restorer
            continue
        number += tries_left == retries
        yield FileBegan(entry.source, entry.target, number, total)
        for event in _guarded(entry, restorer, volumes or VolumeChoices()):
            if isinstance(event, FileFailed) and event.may_pass and tries_left:
                waiting.append((entry, tries_left - 1))
                yield FileDeferred(entry.source, event.reason)
                continue
            written += isinstance(event, FileWritten | PartWritten)
            failed += isinstance(event, FileFailed)
            if isinstance(event, FileWritten):
                made[_any_case(event.target)] = entry
            yield event
            if isinstance(event, FileWritten) and checks is not None:
                yield from _checked(event, restorer, checks)
    skipped = sum(isinstance(entry, FileSkipped) for entry in entries)
    yield BatchEnded(written, skipped, failed)


def _unless_made(job: Job, made: Mapping[str, Job]) -> Job | FileFailed:
    """Keep what a run has made from what has its name in another case, where the disk knows one."""
    other = made.get(_any_case(job.target))
    if other is None or not same_file(other.target, job.target):
        return job
    reason = f"{job.target} is already the result of {other.source}. Give them different folders."
    return FileFailed(str(job.source), reason)


def _any_case(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def restore_file(job: Job, restorer: Restorer) -> Iterator[BatchEvent]:
    """Restore one file: read, restore its specimen rows, write with calibration and provenance.

    Parameters
    ----------
    job : Job
    restorer : Restorer

    Yields
    ------
    the engine's events, then FileWritten

    Raises
    ------
    SemnetError
        The file cannot be read, restored or written; there is no new file then.
    """
    import torch

    from napari_semnet.files.provenance import sha256_of
    from napari_semnet.files.writer import checked_axes, write_tiff
    from napari_semnet.restoration.events import Finished, Notice, Started

    digest, before = sha256_of(job.source), _state(job.source)
    opened = open_source(job.source, job.specimen_rows, job.pixel_size)
    for note in opened.notes:
        yield Notice(note)
    yield from why_it_waits(restorer, torch.get_num_threads())
    restored: Restoration | None = None
    for event in restorer.run(opened.pixels):
        if isinstance(event, Started):
            checked_axes(job.target, event.output_shape, event.dtype, opened.axes)
        if isinstance(event, Finished):
            restored = event.restored
        yield event
    assert restored is not None, "A run ends with Finished."
    record = opened.provenance(restored.plan, restorer.settings, digest, restored.seconds)
    if _state(job.source) != before:
        raise FileFormatError(
            f"{job.source.name} was changed while it was being restored. Restore it again when it "
            "is complete."
        )
    write_tiff(
        job.target,
        restored.pixels,
        pixel_size_nm=opened.pixel_size_nm,
        provenance=record,
        axes=opened.axes,
        z_step_nm=opened.z_step_nm,
        origin_nm=opened.origin_nm,
        origin_z_nm=opened.origin_z_nm,
        name=printable(job.target.name),
    )
    yield FileWritten(
        job.source, job.target, restored.pixels.shape, opened.pixel_size_nm, restored.seconds
    )


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, which change with what is in it."""
    try:
        stat = path.stat()
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return stat.st_size, stat.st_mtime_ns


def _checked(written: FileWritten, restorer: Restorer, checks: Checks) -> Iterator[BatchEvent]:
    """Check a result; it stands whatever becomes of that."""
    from napari_semnet.commands.judging import judge_file
    from napari_semnet.restoration.events import Notice

    if is_volume(written.target):
        yield Notice("A volume is not checked as a whole: restore one of its slices with --trust.")
        return
    try:
        yield from judge_file(written.source, written.target, restorer, checks)
    except SemnetError as error:
        yield Notice(f"The result could not be checked: {error}")
    except Exception as error:  # noqa: BLE001  # The other files are still to be restored.
        reason = "there is not enough memory" if lacks_memory(error) else f"{error!r}"
        yield Notice(f"The result could not be checked: {reason}.")


def _guarded(job: Job, restorer: Restorer, volumes: VolumeChoices) -> Iterator[BatchEvent]:
    """Restore one file and turn whatever goes wrong with it into an event."""
    from napari_semnet.files.lock import lock_of

    source = str(job.source)
    busy = FileFormatError(f"Another run is writing {job.target.name} at this moment.")
    shared = is_volume(job.target) and volumes.is_part
    try:
        with nullcontext() if shared else lock_of(job.target, busy):
            if is_volume(job.target):
                yield from restore_volume(job, restorer, volumes)
            else:
                yield from restore_file(job, restorer)
    except SemnetError as error:
        passing = isinstance(error, DeviceError) or _is_of_the_system(error.__cause__)
        yield FileFailed(source, str(error), may_pass=passing)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or job.target}"
        yield FileFailed(source, reason, may_pass=_is_of_the_system(error))
    except Exception as error:  # noqa: BLE001
        if lacks_memory(error):
            yield FileFailed(source, "There is not enough memory for this image.", may_pass=True)
            return
        # A mistake of the program: shown whole, but not at the cost of a night's other files.
        reason = f"An unexpected {type(error).__name__} ended it; please report the lines above."
        yield FileFailed(source, reason, traceback.format_exc())


def _is_of_the_system(error: BaseException | None) -> bool:
    """Tell whether disk or network failed: decoders raise the same class on damaged data."""
    return isinstance(error, OSError) and error.errno not in (None, errno.ENAMETOOLONG)
