"""A restoration in the viewer that goes to disk because no memory holds it: no Qt, no napari.

What is looked at comes first. What is finished stays on the disk, and restoring again goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.errors import FileFormatError
from napari_semnet.files.home import from_home
from napari_semnet.imaging.geometry import Region

if TYPE_CHECKING:
    from napari_semnet.restoration.events import Event, RunPlan
    from napari_semnet.restoration.restorer import Restorer
    from napari_semnet.restoration.viewing import ViewedFirst

__all__ = ["Begun", "Filled", "Looking", "OnDisk", "folder_for", "restore_on_disk"]

CATCH_UP = 0.02
"""Seconds between two pieces of news that go into coarse levels of what is looked at."""


class Looking:
    """Where somebody looks: said by the window, followed by the order of the blocks.

    Parameters
    ----------
    seen : Region
        What of the whole image is in view.
    within : Region
        What of it is restored.
    """

    def __init__(self, seen: Region, within: Region) -> None:
        self._seen = seen
        self._within = within
        self._order: ViewedFirst | None = None

    def look(self, seen: Region) -> None:
        """Look there from now on."""
        from napari_semnet.restoration.viewing import view_of

        self._seen = seen
        if self._order is not None:
            self._order.look(view_of(seen, self._within))

    def lead(self, order: ViewedFirst) -> None:
        """Let an order of blocks follow from now on."""
        self._order = order
        self.look(self._seen)


@dataclass(frozen=True, slots=True, eq=False)
class OnDisk:
    """Where a result goes, and what its file says."""

    folder: Path
    name: str
    """Of the result, without an ending."""
    looking: Looking
    about: Mapping[str, Any]
    """What `napari_semnet.widgets.record.source_record` gave."""
    axes: str | None = None
    z_step_nm: float | None = None
    origin_nm: tuple[float, float] | None = None
    origin_z_nm: float | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """The result is on the disk from now on, and fills up."""

    path: Path
    levels: tuple[Any, ...]
    """The finest first; NaN where nothing is yet."""
    complete: tuple[Any, ...]
    """The same arrays as they are when all is done, in the result's own data type."""
    plan: RunPlan
    part: float
    """What is there already, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Filled:
    """More can be seen of what is looked at."""


def folder_for(chosen: str, source: str) -> Path:
    """Find the folder for a result.

    Parameters
    ----------
    chosen : str
        What the user gave; empty for the folder of the source, or, where that cannot be written
        to or there is none, one in the user's cache.
    source : str
        The file that the layer was read from, if any.
    """
    if chosen.strip():
        return from_home(chosen.strip())
    beside = Path(source).absolute().parent
    if source and Path(source).exists() and os.access(beside, os.W_OK):
        return beside
    import platformdirs

    return platformdirs.user_cache_path("napari-semnet", appauthor=False) / "results"


def restore_on_disk(
    image: Any, on_disk: OnDisk, restorer: Restorer, source_sha256: str
) -> Generator[Begun | Filled | Event, None, None]:
    """Restore to disk, what is looked at first, or go on with what was begun there.

    Yields
    ------
    Begun, then Filled or Event
        Closing the generator stops within a tile; finished blocks stay on the disk.

    Raises
    ------
    SemnetError
        A block cannot be read, restored or written, and those before it are kept; or another window
        or program is writing there.
    """
    from napari_semnet.files.lock import lock_of
    from napari_semnet.restoration.volumes import place_for

    try:
        on_disk.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{on_disk.folder} cannot be made ({error.strerror}). Choose another folder for "
            "results on disk under Advanced."
        ) from error
    path = place_for(restorer, image, on_disk.folder, on_disk.name)
    busy = FileFormatError(
        f"Another window or program is restoring to {path} at this moment. Wait for its end, or "
        "choose another folder for results on disk under Advanced."
    )
    with lock_of(path, busy):
        yield from _filled(path, image, on_disk, restorer, source_sha256)


def _filled(
    path: Path, image: Any, on_disk: OnDisk, restorer: Restorer, source_sha256: str
) -> Generator[Begun | Filled | Event, None, None]:
    """Restore to a place that nobody else writes to."""
    from napari_semnet.restoration.events import BlockWritten
    from napari_semnet.restoration.growing import GrowingPicture
    from napari_semnet.restoration.tiles import Box
    from napari_semnet.restoration.viewing import View, ViewedFirst
    from napari_semnet.restoration.volumes import begin_volume

    began = time.perf_counter()
    volume = begin_volume(restorer, image, path, axes=on_disk.axes)
    picture = GrowingPicture(volume.store, volume.grid)
    left, total = volume.remaining(), len(volume.grid)
    height, width = volume.grid.shape[-2:]
    nowhere = View((0,) * len(volume.grid.shape[:-2]), Box(0, height, 0, width))
    order = ViewedFirst(volume.grid, left, nowhere)
    on_disk.looking.lead(order)
    complete = tuple(volume.store.level(n) for n in range(len(picture.levels)))
    yield Begun(path, picture.levels, complete, volume.plan, picture.part)
    yield from volume.opening(total, total - len(left))
    with closing(volume.work_off(order, total - len(left), total)) as news:
        for event in news:
            if isinstance(event, BlockWritten):
                picture.note(event.where)
            yield event
            if picture.catch_up(order.view.index, CATCH_UP):
                yield Filled()
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.widgets.record import completed_record

    seconds = time.perf_counter() - began
    record = completed_record(on_disk.about, volume.plan, source_sha256) | {
        "seconds": round(seconds, 3)
    }
    yield from volume.finish(
        Provenance.model_validate(record),
        z_step_nm=on_disk.z_step_nm,
        origin_nm=on_disk.origin_nm,
        origin_z_nm=on_disk.origin_z_nm,
        seconds=seconds,
    )
