"""Restore many files, one after the other, and tell what happens as typed events.

One file that cannot be restored never stops the others.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_semnet.commands.jobs import Entry, FileFailed, FileSkipped, Job
from napari_semnet.errors import FileFormatError, SemnetError

if TYPE_CHECKING:
    from napari_semnet.commands.judging import Checks, Judged
    from napari_semnet.files.calibration import PixelSize
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.files.reader import SemImage
    from napari_semnet.restoration.events import Event, Restoration
    from napari_semnet.restoration.restorer import Restorer, Settings

__all__ = [
    "BatchEnded",
    "BatchEvent",
    "FileBegan",
    "FileWritten",
    "restore_file",
    "restore_files",
]


@dataclass(frozen=True, slots=True)
class FileBegan:
    """A file's turn has come."""

    source: Path
    target: Path
    number: int
    """Counted from 1."""
    total: int


@dataclass(frozen=True, slots=True)
class FileWritten:
    """A result is complete and on the disk."""

    source: Path
    target: Path
    shape: tuple[int, ...]
    pixel_size_nm: tuple[float, float] | None
    """Of the result, (y, x); None when the source does not tell."""
    seconds: float
    """Time for the restoration alone."""


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """All files have had their turn."""

    written: int
    skipped: int
    failed: int


BatchEvent: TypeAlias = (
    "FileBegan | FileWritten | Judged | FileSkipped | FileFailed | BatchEnded | Event"
)


def restore_files(
    entries: Sequence[Entry], prepare: Callable[[], Restorer], checks: Checks | None = None
) -> Iterator[BatchEvent]:
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

    Yields
    ------
    FileBegan, then the engine's events, then FileWritten or FileFailed
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
    for entry in entries:
        if isinstance(entry, Job) and restorer is not None:
            number += 1
            yield FileBegan(entry.source, entry.target, number, total)
            for event in _guarded(entry, restorer):
                written += isinstance(event, FileWritten)
                failed += isinstance(event, FileFailed)
                yield event
                if isinstance(event, FileWritten) and checks is not None:
                    yield from _checked(event, restorer, checks)
        elif not isinstance(entry, Job):
            failed += isinstance(entry, FileFailed)
            yield entry
    skipped = sum(isinstance(entry, FileSkipped) for entry in entries)
    yield BatchEnded(written, skipped, failed)


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
    from napari_semnet.files.provenance import sha256_of
    from napari_semnet.files.reader import read_image
    from napari_semnet.files.writer import write_tiff
    from napari_semnet.restoration.events import Finished, Notice

    digest, before = sha256_of(job.source), _state(job.source)
    image = read_image(job.source)
    if job.specimen_rows is not None:
        image = replace(image, specimen_rows=job.specimen_rows, specimen_rows_from="user")
    for warning in image.warnings:
        yield Notice(warning)
    pixels, rows = image.pixels, image.specimen_rows
    if rows is not None:
        at = (slice(None),) * image.axes.index("Y")
        pixels = pixels[(*at, slice(*rows))]
        if rows != (0, image.pixels.shape[len(at)]):
            kept = f"Rows {rows[0]} to {rows[1] - 1} show the specimen"
            yield Notice(f"{kept}; the databar is left out.")
    restored: Restoration | None = None
    for event in restorer.run(pixels):
        if isinstance(event, Finished):
            restored = event.restored
        yield event
    assert restored is not None, "A run ends with Finished."
    finer = None if image.pixel_size is None else _halved(image.pixel_size)
    record = _provenance(image, restored, restorer.settings, finer).model_copy(
        update={
            "source": _as_text(job.source.name),
            "source_path": _as_text(str(job.source)),
            "source_sha256": digest,
        }
    )
    if _state(job.source) != before:
        raise FileFormatError(
            f"{job.source.name} was changed while it was being restored. Restore it again when it "
            "is complete."
        )
    write_tiff(
        job.target,
        restored.pixels,
        pixel_size_nm=finer,
        provenance=record,
        axes=_result_axes(image),
        origin_nm=_result_origin(image),
        name=_as_text(job.target.name),
    )
    yield FileWritten(job.source, job.target, restored.pixels.shape, finer, restored.seconds)


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, which change with what is in it."""
    try:
        stat = path.stat()
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return stat.st_size, stat.st_mtime_ns


def _provenance(
    image: SemImage,
    restored: Restoration,
    settings: Settings,
    pixel_size_nm: tuple[float, float] | None,
) -> Provenance:
    from napari_semnet.files.provenance import Provenance

    plan, size = restored.plan, image.pixel_size
    return Provenance(
        model=plan.model_name,
        model_sha256=plan.model_sha256,
        parameters=asdict(settings),
        source_shape=tuple(image.pixels.shape),
        source_dtype=str(image.pixels.dtype),
        source_pixel_size_nm=None if size is None else (size.y_nm, size.x_nm),
        source_pixel_size_from="" if size is None else f"{size.source} ({size.confidence})",
        pixel_size_nm=pixel_size_nm,
        specimen_rows=image.specimen_rows,
        intensity_range=(plan.intensity.low, plan.intensity.high),
        intensity_source=plan.intensity.source,
        tile=plan.tile,
        halo=plan.halo,
        device=plan.device_name,
        precision=plan.precision,
        seconds=restored.seconds,
    )


def _as_text(name: str) -> str:
    """Escape what is no text in a file's name: bytes in another encoding than the system's."""
    return name.encode("utf-8", "backslashreplace").decode()


def _result_axes(image: SemImage) -> str | None:
    """Letters for the result's axes: without colour; None where the file's mean nothing here."""
    leading = image.axes[: image.axes.index("Y")]
    return f"{leading}YX" if set(leading) <= set("TZC") else None


def _result_origin(image: SemImage) -> tuple[float, float] | None:
    """Place of the result's first pixel, so that it lies over the specimen of its source.

    Half of half a source pixel above and left of the first restored one; see
    `napari_semnet.imaging.geometry`.
    """
    if image.pixel_size is None:
        return None
    y, x = image.pixel_size.yx
    top, left = image.origin_nm or (0.0, 0.0)
    first = 0 if image.specimen_rows is None else image.specimen_rows[0]
    return top + (first - 0.25) * y, left - 0.25 * x


def _halved(size: PixelSize) -> tuple[float, float]:
    return size.y_nm / 2, size.x_nm / 2


def _checked(written: FileWritten, restorer: Restorer, checks: Checks) -> Iterator[BatchEvent]:
    """Check a result; it stands whatever becomes of that."""
    from napari_semnet.commands.judging import judge_file
    from napari_semnet.restoration.events import Notice

    try:
        yield from judge_file(written.source, written.target, restorer, checks)
    except SemnetError as error:
        yield Notice(f"The result could not be checked: {error}")


def _guarded(job: Job, restorer: Restorer) -> Iterator[BatchEvent]:
    """Restore one file and turn whatever goes wrong with it into an event."""
    from napari_semnet.files.lock import lock_of

    source = str(job.source)
    busy = FileFormatError(f"Another run is writing {job.target.name} at this moment.")
    try:
        with lock_of(job.target, busy):
            yield from restore_file(job, restorer)
    except SemnetError as error:
        yield FileFailed(source, str(error))
    except OSError as error:
        yield FileFailed(source, f"{error.strerror or error}: {error.filename or job.target}")
    except MemoryError:
        yield FileFailed(source, "There is not enough memory for this image.")
    except Exception as error:  # noqa: BLE001
        # A mistake of the program: shown whole, but not at the cost of a night's other files.
        reason = f"An unexpected {type(error).__name__} ended it; please report the lines above."
        yield FileFailed(source, reason, traceback.format_exc())
