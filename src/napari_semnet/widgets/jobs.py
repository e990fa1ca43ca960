"""The part of a restoration in the viewer that runs beside the window: no Qt, no napari.

A job is one layer's region. `run_jobs` is a plain generator over the engine's own; the window
draws progress and tiles from what it yields, and stops it through a `threading.Event`.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import psutil

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.files.provenance import sha256_of
from napari_semnet.imaging.geometry import FACTOR, Region, restored_shape
from napari_semnet.imaging.intensity import as_grey, is_in_memory
from napari_semnet.widgets.disk_job import Begun, Filled, OnDisk, restore_on_disk

if TYPE_CHECKING:
    from napari_semnet.restoration.events import Event, RunPlan
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["Failed", "Happened", "Job", "JobEvent", "Opened", "allocate", "fits_memory", "run_jobs"]

NEWS_PAUSE = 0.1
"""Seconds between two reports of progress, or of tiles, at least. With small tiles there are more
of them than a window can show, and each makes the thread that computes wait for the window's."""

MOST_HASHED = 2**32
"""Bytes of pixels; a larger source is not hashed, which would take longer than a moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One region of one layer to restore."""

    name: str
    """Of the layer."""
    pixels: Any
    """The whole layer's, at full resolution; colour channels, if any, are last."""
    region: Region
    has_channels: bool = False
    path: str = ""
    """File that the layer was read from, if any."""
    on_disk: OnDisk | None = None
    """Where the result goes; None keeps it in memory."""
    withdrawn: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants the result any more, such as when its layer is removed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A job begins; `out` fills up from now on, tile by tile."""

    job: Job
    out: Any
    """An array, or the levels of one that is on the disk, the finest first."""
    plan: RunPlan
    source_sha256: str
    """Of the layer's file, else of its pixels; empty where that would take long."""
    begun: Begun | None = None
    """What is known of a result on the disk."""


@dataclass(frozen=True, slots=True)
class Happened:
    """The engine's own news of a job."""

    job: Job
    event: Event | Filled


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended without a result; the next one still runs."""

    job: Job | None
    """None when no job could begin."""
    error: Exception


JobEvent: TypeAlias = Opened | Happened | Failed


def run_jobs(
    jobs: Sequence[Job], prepare: Callable[[], Restorer], stop: threading.Event
) -> Generator[JobEvent, None, None]:
    """Restore layer after layer.

    Parameters
    ----------
    jobs : sequence of Job
        What to restore.
    prepare : callable
        Gives the restorer; called here because loading a model may take a moment.
    stop : threading.Event
        Once set, the generator ends at the engine's next sign of life, which is within a tile.

    Yields
    ------
    Opened, Happened or Failed
        Nothing is raised: whatever goes wrong is yielded, so that it cannot get lost on the way
        out of a thread.
    """
    try:
        restorer = prepare()
    except Exception as error:  # noqa: BLE001  # yielded
        yield Failed(None, error)
        return
    for job in jobs:
        if stop.is_set():
            return
        if not job.withdrawn.is_set():
            try:
                yield from _run_job(job, restorer, stop)
            except MemoryError:
                yield Failed(job, _too_large(restored_shape(job.region.shape)))
            except Exception as error:  # noqa: BLE001  # yielded
                yield Failed(job, error)


def _run_job(
    job: Job, restorer: Restorer, stop: threading.Event
) -> Generator[JobEvent, None, None]:
    from napari_semnet.restoration.events import Progress, Started, TileDone

    image = as_grey(_cut(job))
    digest = _sha256(job)
    run: Generator[Begun | Filled | Event, None, None]
    if job.on_disk is not None:
        out = None
        run = restore_on_disk(image, job.on_disk, restorer, digest)
    else:
        out = allocate(restored_shape(job.region.shape), np.dtype(image.dtype))
        if out.ndim == 2 or set(out.shape[:-2]) == {1}:
            _fill_with_source(out, image)
        run = restorer.run(image, out)
    said: dict[type, float] = {}
    try:
        for event in run:
            if stop.is_set() or job.withdrawn.is_set():
                return
            if isinstance(event, Progress | TileDone):
                kind, now = type(event), time.perf_counter()
                if now - said.get(kind, 0.0) < NEWS_PAUSE:
                    continue
                said[kind] = now
            if isinstance(event, Begun):
                yield Opened(job, event.levels, event.plan, digest, event)
                continue
            if isinstance(event, Started) and out is not None:
                yield Opened(job, out, event.plan, digest)
            yield Happened(job, event)
    finally:
        run.close()


def _sha256(job: Job) -> str:
    pixels = job.pixels
    if math.prod(pixels.shape) * np.dtype(pixels.dtype).itemsize > MOST_HASHED:
        return ""
    file = Path(job.path)
    if job.path and file.exists():
        return sha256_of(file)
    if isinstance(pixels, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    return ""


def _cut(job: Job) -> Any:
    """Pixels of a job's region: nothing is read here of what is not in memory."""
    if is_in_memory(job.pixels):
        return job.pixels[job.region.slices]
    from napari_semnet.restoration.part import PartOf

    file = Path(job.path)
    return PartOf(job.pixels, job.region, file if job.path and file.exists() else None)


def _fill_with_source(out: Any, image: Any) -> None:
    """Show a single picture as it was until its tiles come, rather than black.

    A stack is not filled: that would take all its memory at once.
    """
    pixels = np.asarray(image[:])
    for dy in range(FACTOR):
        for dx in range(FACTOR):
            out[..., dy::FACTOR, dx::FACTOR] = pixels


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Make room for a result; the system hands out the memory only as tiles are written.

    Raises
    ------
    ImageError
        The result is larger than the free memory.
    """
    if not fits_memory(shape, dtype):
        raise _too_large(shape)
    return np.zeros(shape, dtype)


def fits_memory(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether a result is smaller than the free memory."""
    needed = math.prod(int(n) for n in shape) * dtype.itemsize
    return bool(needed <= psutil.virtual_memory().available)


def _too_large(shape: tuple[int, ...]) -> SemnetError:
    size = " x ".join(str(length) for length in shape)
    return ImageError(
        f"The result of {size} pixels does not fit the free memory. Restore the whole "
        "layer, which then goes to disk, or less of it."
    )
