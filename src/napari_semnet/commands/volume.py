"""Restore one picture or volume block by block, from disk to an OME-Zarr."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands.captions import Opened, open_source
from napari_semnet.commands.engine import why_it_waits
from napari_semnet.commands.events import BatchEvent, FileWritten, PartWritten
from napari_semnet.commands.jobs import Job
from napari_semnet.errors import FileFormatError, SemnetError
from napari_semnet.files.provenance import sidecar_path

if TYPE_CHECKING:
    from distributed import Client

    from napari_semnet.files.calibration import PixelSize
    from napari_semnet.restoration.events import Event
    from napari_semnet.restoration.restorer import Restorer
    from napari_semnet.restoration.volume_run import VolumeRun

__all__ = ["LOADED", "VolumeChoices", "restore_volume"]

LOADED = [__name__, "napari_semnet.files.reader", "napari_semnet.files.ome_zarr"]
"""What opening a source on a worker needs."""


@dataclass(frozen=True, slots=True)
class VolumeChoices:
    """Who restores a volume, and what becomes of one that is there."""

    part: tuple[int, int] = (1, 1)
    """(number, of): which part of all blocks this process restores, counted from 1."""
    workers: int = 0
    """Processes to start on this machine; 0 restores in this one."""
    scheduler: str = ""
    """Address of a dask scheduler whose workers restore."""
    overwrite: bool = False
    """Whether to begin anew rather than to go on."""

    def __post_init__(self) -> None:
        number, of = self.part
        if not 1 <= number <= of:
            raise SemnetError(f"There is no part {number} of {of}; parts are counted from 1.")

    @property
    def is_part(self) -> bool:
        """Whether other processes are to restore the rest."""
        return self.part[1] > 1


def restore_volume(job: Job, restorer: Restorer, choices: VolumeChoices) -> Iterator[BatchEvent]:
    """Restore a picture or volume block by block, or go on with what was begun.

    Parameters
    ----------
    job : Job
        Its target ends in ``.zarr``.
    restorer : Restorer
    choices : VolumeChoices

    Yields
    ------
    the engine's events, then FileWritten, or PartWritten where others are not finished

    Raises
    ------
    SemnetError
        It cannot be read, restored or written; blocks that are finished stay.
    """
    from napari_semnet.restoration.events import Notice
    from napari_semnet.restoration.volumes import begin_volume

    start = time.perf_counter()
    given = job.pixel_size if choices.overwrite else _given_size(job)
    opened = open_source(job.source, job.specimen_rows, given)
    for note in opened.notes:
        yield Notice(note)
    if choices.overwrite or not job.target.exists():
        yield from why_it_waits(restorer, threads=1)  # A block is computed by one.
    with _cluster(choices) as client:  # workers start while the run is planned
        with _put_aside(job.target) if choices.overwrite else nullcontext():
            volume = begin_volume(
                restorer,
                opened.pixels,
                job.target,
                axes=opened.axes,
                given_pixel_size_nm=None if given is None else given.yx,
            )
        fresh = not volume.store.finished()
        yield from _blocks(volume, opened, restorer, client, choices.part)
    left = volume.left
    if left and choices.is_part:
        yield PartWritten(job.source, job.target, *choices.part, left)
        return
    alone = fresh and not choices.is_part
    seconds = time.perf_counter() - start if alone else None
    if not volume.store.is_picture:
        yield from _finished(volume, opened, restorer, seconds)
    yield FileWritten(
        job.source,
        job.target,
        volume.store.layout.shape,
        opened.pixel_size_nm,
        time.perf_counter() - start,
    )


def _given_size(job: Job) -> PixelSize | None:
    """Give the size of a source's pixels that was given now, or when the volume was begun.

    Raises
    ------
    FileFormatError
        Another one was given then.
    """
    from napari_semnet.files.calibration import differ, pixel_size
    from napari_semnet.files.given_size import GIVEN
    from napari_semnet.files.methods import pixel_size_text
    from napari_semnet.restoration.volumes import begun_pixel_size_nm

    y, x = begun_pixel_size_nm(job.target) or (None, None)
    begun = pixel_size(y, x, GIVEN, "medium")
    if begun is None or job.pixel_size is None:
        return job.pixel_size or begun
    if differ(begun, job.pixel_size):
        then, now = (pixel_size_text(size.yx) for size in (begun, job.pixel_size))
        raise FileFormatError(
            f"{job.target.name} was begun with pixels of {then}, and {now} are given now. Give "
            "what it was begun with, another name, or --overwrite to begin anew."
        )
    return job.pixel_size


def _cluster(choices: VolumeChoices) -> AbstractContextManager[Client | None]:
    """Start or find the workers that restore; None where this process does."""
    if not (choices.workers or choices.scheduler):
        return nullcontext()
    from napari_semnet.restoration.cluster import worker_cluster

    return worker_cluster(choices.workers, choices.scheduler)


def _blocks(
    volume: VolumeRun,
    opened: Opened,
    restorer: Restorer,
    client: Client | None,
    part: tuple[int, int],
) -> Generator[Event, None, None]:
    from napari_semnet.restoration.blocks import Shard

    if client is None:
        yield from volume.run(Shard(*part))
        return
    from napari_semnet.restoration.cluster import run_on_cluster

    open_image = partial(_specimen, opened.source.resolve(), opened.image.specimen_rows)
    yield from run_on_cluster(client, volume, restorer, open_image)


def _finished(
    volume: VolumeRun, opened: Opened, restorer: Restorer, seconds: float | None
) -> Iterator[Event]:
    from napari_semnet.files.provenance import sha256_of

    digest = sha256_of(opened.source)
    record = opened.provenance(volume.plan, restorer.settings, digest, seconds)
    yield from volume.finish(
        record,
        z_step_nm=opened.z_step_nm,
        origin_nm=opened.origin_nm,
        origin_z_nm=opened.origin_z_nm,
        seconds=seconds or 0.0,
    )


def _specimen(source: Path, rows: tuple[int, int] | None) -> Any:
    """Open a source on a worker."""
    return open_source(source, rows).pixels


@contextmanager
def _put_aside(target: Path) -> Iterator[None]:
    """Remove an earlier result once a new one is begun, which may be refused; nothing else."""
    if not target.exists():
        yield
        return
    _check_ours(target)
    aside = target.with_name(f"{target.name}.replaced")
    try:
        if aside.exists():  # An earlier run was killed before it could remove it.
            _check_ours(aside)
            _remove(aside)
        target.rename(aside)
    except OSError as error:
        raise FileFormatError(
            f"{target.name} could not be put aside: {error.strerror or error}."
        ) from error
    try:
        yield
    except BaseException:
        if not target.exists():
            aside.rename(target)
        raise
    try:
        sidecar_path(target).unlink(missing_ok=True)
        _remove(aside)
    except OSError as error:
        raise FileFormatError(
            f"{aside.name} could not be removed: {error.strerror or error}."
        ) from error


def _remove(folder: Path) -> None:
    """Remove a folder; of a link to one only the link, as what it leads to lies elsewhere."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def _check_ours(target: Path) -> None:
    try:
        attributes = json.loads((target / "zarr.json").read_bytes())["attributes"]
        is_ours = "semnet" in attributes or "semnet_unfinished" in attributes
    except (OSError, ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise FileFormatError(
            f"{target} is no result of napari-semnet, so it is not overwritten. Give another name."
        )
