"""A restoration that goes to disk block by block, once all about it is settled.

While some blocks are computed the next is read and the last one written. Each is computed by one
thread alone, because libraries round otherwise when they share a sum out to two threads or to
eight: so the same bytes result however many cores, threads and processes share the blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import DeviceError
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.tile_store import TileStore
from napari_semnet.restoration.blocks import BlockGrid, Shard
from napari_semnet.restoration.crew import Networks, Steps, work_off
from napari_semnet.restoration.events import (
    BlockWritten,
    Event,
    Finished,
    Notice,
    Progress,
    Restoration,
    RunPlan,
    Started,
)
from napari_semnet.restoration.planned import PlannedRun, Seen
from napari_semnet.restoration.progress import of_whole
from napari_semnet.restoration.runtime import compute_alone
from napari_semnet.restoration.tiles import SCALE

__all__ = ["VolumeRun"]

_BESIDE = 2
"""Threads beyond those that compute, so that one block is read and one written meanwhile."""


class VolumeRun:
    """A restoration that goes to disk block by block; what `begin_volume` gives.

    Parameters
    ----------
    work : PlannedRun
        Reads and computes.
    store : TileStore
        Takes what is finished.
    notices : sequence of Notice
        What is to be said at the start.
    another : callable
        Gives one more `PlannedRun`, with a network of its own.
    at_once : int
        Blocks that are computed at once.
    check_there : callable, optional
        Raises where the image is gone. Asked once more before a block is written: what is deleted
        goes piece by piece, and a Zarr array gives zeros for a piece that is not there.
    """

    def __init__(
        self,
        work: PlannedRun,
        store: TileStore,
        notices: Sequence[Notice],
        another: Callable[[], PlannedRun],
        at_once: int,
        check_there: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.at_once = at_once
        self._work = work
        self._notices = tuple(notices)
        self._networks = Networks(work, another, at_once)
        self._reading = threading.Lock()
        self._check_there = check_there
        height, width = store.layout.block
        self.grid = BlockGrid(work.shape, (height // SCALE, width // SCALE))

    @property
    def plan(self) -> RunPlan:
        """How the image is restored."""
        return self._work.plan

    @property
    def left(self) -> int:
        """How many blocks are not on the disk yet, whoever is to restore them.

        Raises
        ------
        FileFormatError
            The result is gone.
        """
        return self.store.left

    def remaining(self, shard: Shard = Shard()) -> list[int]:  # noqa: B008  frozen
        """Numbers of the blocks of a part that are still to be done."""
        done = self.store.finished()
        return [number for number in shard.share(len(self.grid)) if number not in done]

    def run(self, shard: Shard = Shard()) -> Generator[Event, None, None]:  # noqa: B008  frozen
        """Restore what is not there yet, or one part of it.

        Yields
        ------
        Event
            `Started`, then for each block some `Progress` and one `BlockWritten`; a `Notice`
            where something went otherwise than planned. Closing the generator stops within a
            tile; blocks that are finished stay.

        Raises
        ------
        SemnetError
            A block cannot be read, restored or written; those before it are kept.
        """
        numbers = self.remaining(shard)
        total = len(shard.share(len(self.grid)))
        yield from self.opening(total, total - len(numbers))
        yield from self.work_off(numbers, total - len(numbers), total)

    def work_off(
        self, numbers: Iterable[int | None], before: int, total: int
    ) -> Generator[Event, None, None]:
        """Restore blocks in the order that is given.

        Parameters
        ----------
        numbers : iterable of int or None
            See `napari_semnet.restoration.crew.work_off`.
        before, total : int
            How many blocks are finished, and how many there are to be.

        Yields
        ------
        Event
            As `run` after its start.
        """
        written = before
        parts: dict[int, float] = {}
        said_before: set[str] = set()
        with closing(work_off(self.steps, numbers, self.at_once + _BESIDE)) as news:
            for number, said in news:
                if isinstance(said, Notice):
                    # Each network says once what goes wrong with it.
                    if said.text not in said_before:
                        said_before.add(said.text)
                        yield said
                elif said is None:
                    parts.pop(number, None)
                    written += 1
                    yield BlockWritten(self.grid[number].where, written, total)
                else:
                    parts[number] = said
                    yield Progress((written + sum(parts.values())) / total)

    def opening(self, total: int, before: int) -> Iterator[Event]:
        """Say what is going to happen: `before` of `total` blocks are there already."""
        layout = self.store.layout
        yield Started(total, layout.shape, np.dtype(layout.dtype), self.plan)
        yield from self._notices
        if before:
            yield Notice(
                f"{before} of {total} blocks were finished before; {total - before} are left."
            )
            yield Progress(before / total)

    def finish(
        self,
        provenance: Provenance,
        *,
        z_step_nm: float | None = None,
        origin_nm: tuple[float, float] | None = None,
        origin_z_nm: float | None = None,
        seconds: float = 0.0,
    ) -> Iterator[Event]:
        """Build the coarse levels and make the folder a picture, once all blocks are there.

        Yields
        ------
        Progress, then Finished

        Raises
        ------
        FileFormatError
            Blocks are missing, the result is gone, or it cannot be written.
        """
        for done in self.store.finish(
            provenance, z_step_nm=z_step_nm, origin_nm=origin_nm, origin_z_nm=origin_z_nm
        ):
            yield Progress(done)
        yield Finished(Restoration(self.store.finest, self.plan, seconds))

    def steps(self, number: int) -> Steps:
        """Read, restore and write one block; may be done in any number of threads at a time.

        Yields
        ------
        Notice or float
            The part that is done. Closing the generator leaves the block undone.
        """
        compute_alone()
        block = self.grid[number]
        with self._reading:
            seen = [self._work.read(tile) for tile in self._work.tiles_of(block.index, block.core)]
        with self._networks.one() as work:
            pixels = yield from self._computed(number, seen, work)
        if self._check_there is not None:
            self._check_there()
        where = self.grid[number].where
        self.store.write(number, where, pixels.reshape([part.stop - part.start for part in where]))

    def _computed(
        self, number: int, seen: Sequence[Seen], work: PlannedRun
    ) -> Generator[Notice | float, None, NDArray[Any]]:
        block = self.grid[number]
        whole = np.empty([SCALE * n for n in block.core.shape], work.dtype)
        for done, part in enumerate(seen):
            pixels = yield from of_whole(work.restore(part), done, len(seen), float)
            self._check(work)
            whole[part.tile.core.within(block.core).enlarged().slices] = pixels
        return whole

    def _check(self, work: PlannedRun) -> None:
        """Refuse what something else has computed than the blocks before it."""
        if work.device.kind == "cpu" and work.backend_name != self.plan.backend:
            raise DeviceError(
                f"{self.store.path.name} was begun with the backend {self.plan.backend}, which "
                "failed here. What is finished is kept: go on where it works, or give "
                "--overwrite to begin anew."
            )
