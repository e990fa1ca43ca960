"""Restore what no memory holds: from disk to disk, block by block, and on again after a crash.

While one block is computed the next is read and the last one written. What a block is depends on
the image and the plan that was made when the job was begun, so that the same bytes result however
often it is stopped, and however many processes share it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import FileFormatError, ImageError
from napari_semnet.files.ome_metadata import checked_axes
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.tile_store import Layout, TileStore
from napari_semnet.imaging.intensity import ArrayLike, IntensityRange, as_grey
from napari_semnet.restoration.blocks import Block, BlockGrid, Shard, block_sides
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
from napari_semnet.restoration.identity import check_same_job, job_record
from napari_semnet.restoration.planned import PlannedRun, Seen
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.tiles import SCALE, Tile, plan_tiles

__all__ = ["VolumeRun", "begin_volume"]

_AHEAD = 2
"""Blocks that are read before they are needed, and that may wait to be written."""

_SIDES = {"cpu": 512, "cuda": 1024, "mps": 512}
"""Input pixels along a block's side: twice as much in the output, which holds a whole number of
common chunks."""


def begin_volume(
    restorer: Restorer,
    image: Any,
    path: Path,
    *,
    axes: str | None = None,
    block: int | None = None,
) -> VolumeRun:
    """Begin a restoration that goes to disk block by block, or go on with one.

    Parameters
    ----------
    restorer : Restorer
    image : array-like, shape (..., Y, X)
        Read block by block.
    path : Path
        Folder to write, which must end in ``.zarr``. Where an unfinished restoration of the same
        image with the same model and settings is there, it is gone on with.
    axes : str, optional
        See `napari_semnet.files.ome_zarr.write_ome_zarr`.
    block : int, optional
        Input pixels along a block's side; chosen by default.

    Raises
    ------
    ImageError
        The image cannot be restored, or `path` holds another job.
    FileFormatError
        `path` cannot be written, or what is there is no unfinished restoration.
    """
    grey = as_grey(image)
    job = job_record(grey, restorer.model.name, restorer.model.sha256, restorer.settings)
    notices: list[Notice] = []
    if path.exists():
        store = TileStore.open(path)
    else:
        side = block or _SIDES.get(restorer.device.kind, 512)
        sides = block_sides((grey.shape[-2], grey.shape[-1]), side)
        begun = restorer.begin(grey, largest=sides)
        notices += begun.notices
        # Another process may be first; then its plan is what counts.
        record = {**job, "plan": asdict(begun.plan)}
        store = TileStore.create(path, _layout(grey, sides, axes), record)
    check_same_job(store.run, job, path.name)
    plan = _plan_from(store.run["plan"])
    if plan.device_name != restorer.device.name and not notices:
        notices.append(
            Notice(
                f"This was begun on {plan.device_name} and goes on on {restorer.device.name}: "
                "what each restores can differ by a rounding."
            )
        )
    return VolumeRun(restorer.begin(grey, plan), store, notices)


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
    """

    def __init__(self, work: PlannedRun, store: TileStore, notices: Sequence[Notice] = ()) -> None:
        self.store = store
        self._work = work
        self._notices = tuple(notices)
        height, width = store.layout.block
        self.grid = BlockGrid(work.shape, (height // SCALE, width // SCALE))

    @property
    def plan(self) -> RunPlan:
        """How the image is restored."""
        return self._work.plan

    @property
    def left(self) -> int:
        """How many blocks are not on the disk yet, whoever is to restore them."""
        # The journals go when the picture is finished: looked at in this order, they are all
        # there, or it is seen to be one.
        done = self.store.finished()
        return 0 if self.store.is_picture else len(self.grid) - len(done)

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
        yield from _overlapped(self, numbers, total)

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
        seconds: float = 0.0,
    ) -> Iterator[Event]:
        """Build the coarse levels and make the folder a picture, once all blocks are there.

        Yields
        ------
        Progress, then Finished
        """
        if left := self.left:
            raise ImageError(
                f"{self.store.path.name} still lacks {left} of {len(self.grid)} blocks."
            )
        for done in self.store.finish(provenance, z_step_nm=z_step_nm, origin_nm=origin_nm):
            yield Progress(done)
        yield Finished(Restoration(self.store.finest, self.plan, seconds))

    def read(self, number: int) -> list[Seen]:
        """Read what a block's tiles see."""
        return [self._work.read(tile) for tile in self._tiles(self.grid[number])]

    def compute(
        self, number: int, seen: Sequence[Seen]
    ) -> Generator[Notice | float, None, NDArray[Any]]:
        """Restore a block; yields the part that is done, and notices."""
        block = self.grid[number]
        whole = np.empty([SCALE * n for n in block.core.shape], self._work.dtype)
        for done, part in enumerate(seen):
            pixels = yield from _scaled(self._work.restore(part), done, len(seen))
            whole[part.tile.core.within(block.core).enlarged().slices] = pixels
        return whole

    def write(self, number: int, pixels: NDArray[Any]) -> None:
        """Write a block and note that it is finished."""
        where = self.grid[number].where
        self.store.write(number, where, pixels.reshape([part.stop - part.start for part in where]))

    def _tiles(self, block: Block) -> Iterator[Tile]:
        for part in plan_tiles(block.core.shape, self.plan.tile, halo=0):
            yield self._work.tile(block.index, part.core.moved(block.core.top, block.core.left))


def _overlapped(run: VolumeRun, numbers: Sequence[int], total: int) -> Generator[Event, None, None]:
    """Read, compute and write at once: a thread for each but the computing, which happens here."""
    before = total - len(numbers)
    ahead: deque[Future[list[Seen]]] = deque()
    behind: deque[tuple[int, Future[None]]] = deque()
    written = before
    with (
        ThreadPoolExecutor(1, "semnet-read") as reading,
        ThreadPoolExecutor(1, "semnet-write") as writing,
    ):
        try:
            for place, number in enumerate(numbers):
                while len(ahead) <= _AHEAD and place + len(ahead) < len(numbers):
                    ahead.append(reading.submit(run.read, numbers[place + len(ahead)]))
                pixels = yield from _reported(
                    run.compute(number, ahead.popleft().result()), before + place, total
                )
                behind.append((number, writing.submit(run.write, number, pixels)))
                while behind and (len(behind) > _AHEAD or behind[0][1].done()):
                    written += 1
                    yield _settled(run, behind, written, total)
            while behind:
                written += 1
                yield _settled(run, behind, written, total)
        finally:
            reading.shutdown(cancel_futures=True)


def _settled(
    run: VolumeRun, behind: deque[tuple[int, Future[None]]], written: int, total: int
) -> BlockWritten:
    """Wait for the oldest block to be on the disk."""
    number, future = behind.popleft()
    future.result()
    return BlockWritten(run.grid[number].where, written, total)


def _reported(
    work: Generator[Notice | float, None, NDArray[Any]], done: int, total: int
) -> Generator[Event, None, NDArray[Any]]:
    """Turn a block's own progress into the run's."""
    while True:
        try:
            said = next(work)
        except StopIteration as stop:
            pixels: NDArray[Any] = stop.value
            return pixels
        yield said if isinstance(said, Notice) else Progress((done + said) / total)


def _scaled(
    work: Generator[Notice | float, None, NDArray[Any]], done: int, total: int
) -> Generator[Notice | float, None, NDArray[Any]]:
    """Turn a tile's own progress into its block's, which never goes back."""
    furthest = 0.0
    while True:
        try:
            said = next(work)
        except StopIteration as stop:
            pixels: NDArray[Any] = stop.value
            return pixels
        if isinstance(said, Notice):
            yield said
        elif said > furthest:
            furthest = said
            yield (done + said) / total


def _layout(image: ArrayLike, sides: tuple[int, int], axes: str | None) -> Layout:
    *leading, height, width = (int(n) for n in image.shape)
    output = (*leading, SCALE * height, SCALE * width)
    letters = checked_axes(axes, len(output))
    return Layout(output, np.dtype(image.dtype).str, (SCALE * sides[0], SCALE * sides[1]), letters)


def _plan_from(record: Mapping[str, Any]) -> RunPlan:
    """Read a plan from the plain values that a store keeps."""
    values = dict(record)
    try:
        values["intensity"] = IntensityRange(**values["intensity"])
        values["tile"] = tuple(values["tile"])
        return RunPlan(**values)
    except (KeyError, TypeError) as error:
        raise FileFormatError(
            "The unfinished result was begun by another version of napari-semnet, which must "
            "finish it. Or give another name."
        ) from error
