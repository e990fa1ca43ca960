"""An OME-Zarr that grows block by block, written by one process or by many at once.

A block is written by one process, and no chunk belongs to two blocks, so that nobody waits for
anybody. Each process keeps a journal of what it has finished: a block counts once its chunks are
on the disk. Whoever is killed leaves a folder that others go on with.

Until all is done the folder has no OME metadata, so that no program takes it for a picture.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import flush, work_folder
from napari_semnet.files.endings import split_ending
from napari_semnet.files.ome_metadata import multiscales, storage_order
from napari_semnet.files.provenance import Provenance, named, write_sidecar
from napari_semnet.files.pyramid import halved
from napari_semnet.files.reordered import reordered
from napari_semnet.files.tile_layout import Layout

__all__ = ["Layout", "TileStore", "unfinished_record"]

_UNFINISHED = "semnet_unfinished"
"""The group's attribute that holds the plan for as long as there is something to do."""
_FINISHED = "semnet"
"""The one that holds where the picture came from, once everything is done."""
_JOURNALS = ".unfinished"
_FORMAT = 10
_WRITING_SECONDS = 60.0
"""Age after which a chunk that has not got its name is no longer being written."""


class TileStore:
    """An OME-Zarr in the making.

    Parameters
    ----------
    path : Path
        The folder.
    group : zarr.Group
        It, opened for writing.
    layout : Layout
    run : mapping
        What `create` was given: whatever tells one job from another.
    """

    def __init__(self, path: Path, group: Any, layout: Layout, run: Mapping[str, Any]) -> None:
        self.path = path
        self.layout = layout
        self.run = run
        self._group = group
        self._order = storage_order(layout.axes)
        """Axes as they come on the disk."""
        self._arrays = [group[str(level)] for level in range(len(layout.shapes))]
        self._journal: Path | None = None
        self._noting = threading.Lock()

    @classmethod
    def create(cls, path: Path, layout: Layout, run: Mapping[str, Any]) -> TileStore:
        """Make the folder with all its levels, or open the one that another process just made.

        Raises
        ------
        FileFormatError
            It cannot be written, or something else is there.
        """
        if path.suffix.lower() != ".zarr":
            raise FileFormatError(f"An OME-Zarr must end in .zarr, not '{path.suffix}'.")
        record = {"format": _FORMAT, "layout": asdict(layout), "run": dict(run)}
        with _said(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with work_folder(path.parent) as work:
                _make_levels(work / path.name, layout, record)
                try:
                    (work / path.name).rename(path)
                except OSError:
                    if not path.exists():
                        raise
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> TileStore:
        """Open a folder that is not finished.

        Raises
        ------
        FileFormatError
            There is none, or it is finished, or of a newer format.
        """
        record = unfinished_record(path)
        if record is None:
            raise FileFormatError(
                f"{path} is there already, and no unfinished restoration. Give another name, or "
                "remove it first."
            )
        if record.get("format") != _FORMAT:
            raise FileFormatError(
                f"{path.name} was begun by another version of napari-semnet, which must finish "
                "it. Or give another name."
            )
        import zarr

        try:
            known = record["layout"]
            shape, block = ([int(n) for n in known[key]] for key in ("shape", "block"))
            height, width = block
            layout = Layout(tuple(shape), str(known["dtype"]), (height, width), str(known["axes"]))
            run = dict(record["run"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"{path.name} does not say how it was begun ({error!s:.100}), so nobody can go on "
                "with it. Give another name, or remove it first."
            ) from error
        with _said(path):
            try:
                return cls(path, zarr.open_group(path, mode="r+"), layout, run)
            except (LookupError, TypeError, ValueError) as error:
                raise FileFormatError(
                    f"{path.name} is damaged ({error!s:.100}). Give another name, or remove it "
                    "first."
                ) from error

    @property
    def finest(self) -> Any:
        """The first level, read in pieces; blocks that are not written yet are 0."""
        return self.level(0)

    def level(self, number: int) -> Any:
        """Give a level, read in pieces; the coarse ones are empty until all is done."""
        back = [self._order.index(axis) for axis in range(len(self._order))]
        return reordered(self._arrays[number], back)

    @property
    def is_picture(self) -> bool:
        """Whether everything is done, here or by another process."""
        return _FINISHED in _attributes(self.path)

    @property
    def left(self) -> int:
        """How many blocks are not on the disk yet, whoever is to write them.

        Raises
        ------
        FileFormatError
            The folder is gone.
        """
        # The journals go when the picture is finished: looked at in this order, they are all
        # there, or it is seen to be one.
        done = self.finished()
        if self.is_picture:
            return 0
        self._check_there()
        return self.layout.blocks - len(done)

    def finished(self) -> set[int]:
        """Numbers of the blocks that are complete and on the disk."""
        done: set[int] = set()
        for journal in sorted((self.path / _JOURNALS).glob("*.txt")):
            try:
                text = journal.read_text(encoding="ascii", errors="replace")
            except FileNotFoundError:  # another process has just finished the picture
                continue
            # A line that a crash has cut has no end.
            lines = text.split("\n")[:-1]
            done.update(int(line) for line in lines if line.isdecimal())
        return done

    def write(self, number: int, where: tuple[slice, ...], pixels: npt.NDArray[Any]) -> None:
        """Write a block, with its part of the halved levels, and note that it is finished.

        May be done by many threads at a time, each with a block of its own.

        Parameters
        ----------
        number : int
            Of the block; what `finished` gives back.
        where : tuple of slice
            Its place in the finest level, one slice for each axis.
        pixels : ndarray
            As `where` says.

        Raises
        ------
        FileFormatError
            It cannot be written, or the folder is gone.
        """
        *leading, rows, columns = (where[axis] for axis in self._order)
        pixels = pixels.transpose(self._order)
        with _said(self.path), self._staying():
            written: list[Path] = []
            for level in range(self.layout.own_levels):
                if level:
                    pixels = halved(pixels)
                if 0 in pixels.shape:
                    break
                place = (*leading, *(_shifted(part, level) for part in (rows, columns)))
                self._arrays[level][place] = pixels
                written += self._chunk_files(level, place)
            flush(written)
            # What was written after the folder was moved away is not in it.
            self._check_there()
            self._note(number)

    def finish(
        self,
        provenance: Provenance,
        *,
        z_step_nm: float | None = None,
        origin_nm: tuple[float, float] | None = None,
        origin_z_nm: float | None = None,
    ) -> Iterator[float]:
        """Build the coarse levels and make the folder a picture.

        May be done again, also by two processes at once: they write the same.

        Parameters
        ----------
        provenance : Provenance
            Goes into the group's attributes and beside the folder; its pixel size is the
            picture's.
        z_step_nm, origin_nm, origin_z_nm
            See `napari_semnet.files.ome_zarr.write_ome_zarr`.

        Yields
        ------
        float
            The part of the work that is done, up to 1.

        Raises
        ------
        FileFormatError
            Blocks are missing, the folder is gone, or it cannot be written.
        """
        layout = self.layout
        self._check_complete()
        levels = range(layout.own_levels, len(layout.shapes))
        steps = [(level, place) for level in levels for place in self._chunk_places(level)]
        with _said(self.path):
            for number, (level, place) in enumerate(steps):
                yield number / len(steps)
                *leading, rows, columns = place
                finer = (*leading, *(slice(2 * s.start, 2 * s.stop) for s in (rows, columns)))
                self._arrays[level][place] = halved(np.asarray(self._arrays[level - 1][finer]))
            # Zarr has read zeros for whatever was deleted or moved meanwhile.
            self._check_complete()
            record = named(provenance, self.path)
            ome = multiscales(
                layout.stored_axes,
                len(layout.shapes),
                pixel_size_nm=record.pixel_size_nm,
                z_step_nm=z_step_nm,
                origin_nm=origin_nm or (0.0, 0.0),
                origin_z_nm=origin_z_nm,
                name=split_ending(self.path.name)[0],
            )
            _remove_partial(self.path)
            self._group.attrs.put({"ome": ome, _FINISHED: json.loads(record.to_json())})
            flush([self.path / "zarr.json"])
            shutil.rmtree(self.path / _JOURNALS, ignore_errors=True)
        write_sidecar(self.path, record)
        yield 1.0

    def _check_there(self) -> None:
        """Refuse to go on in a folder that is gone, of which Zarr would make one of zeros."""
        try:
            (self.path / "zarr.json").stat()
        except FileNotFoundError as error:
            raise FileFormatError(
                f"{self.path.name} is no longer where it was, so nothing more is written to it. "
                "Put it back and run the same again: what is finished in it is kept."
            ) from error

    @contextmanager
    def _staying(self) -> Iterator[None]:
        """Refuse a folder that is gone, whatever else goes wrong because of that."""
        self._check_there()
        try:
            yield
        finally:
            self._check_there()

    def _check_complete(self) -> None:
        if left := self.left:
            raise FileFormatError(
                f"{self.path.name} still lacks {left} of {self.layout.blocks} blocks. Run the "
                "same again, which restores them: what is finished is kept."
            )

    def _note(self, number: int) -> None:
        """Add a block to this process's own journal."""
        folder = self.path / _JOURNALS
        folder.mkdir(exist_ok=True)
        with self._noting:
            if self._journal is None:
                name = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.txt"
                self._journal = folder / name
            with self._journal.open("a", encoding="ascii", newline="\n") as journal:
                journal.write(f"{number}\n")
                journal.flush()
                os.fsync(journal.fileno())

    def _chunk_files(self, level: int, place: tuple[slice, ...]) -> Iterator[Path]:
        chunk = self._arrays[level].chunks
        ranges = (
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(place, chunk, strict=True)
        )
        for index in product(*ranges):
            yield self.path.joinpath(str(level), "c", *map(str, index))

    def _chunk_places(self, level: int) -> Iterator[tuple[slice, ...]]:
        shape, chunks = self._arrays[level].shape, self._arrays[level].chunks
        starts = (range(0, length, side) for length, side in zip(shape, chunks, strict=True))
        for first in product(*starts):
            yield tuple(
                slice(start, min(start + side, length))
                for start, side, length in zip(first, chunks, shape, strict=True)
            )


def unfinished_record(path: Path) -> dict[str, Any] | None:
    """Give what an unfinished store says of itself; None where there is no such store."""
    record: dict[str, Any] | None = _attributes(path).get(_UNFINISHED)
    return record


def _attributes(path: Path) -> dict[str, Any]:
    """Give what a group says of itself; nothing where there is no group."""
    try:
        return dict(json.loads((path / "zarr.json").read_bytes())["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _make_levels(path: Path, layout: Layout, record: Mapping[str, Any]) -> None:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    order = storage_order(layout.axes)
    for level, shape in enumerate(layout.shapes):
        group.create_array(
            str(level),
            shape=tuple(shape[axis] for axis in order),
            dtype=np.dtype(layout.dtype),
            chunks=(*(1 for _ in shape[:-2]), *layout.chunk(level)),
            dimension_names=list(layout.stored_axes.lower()),
        )
    group.attrs[_UNFINISHED] = dict(record)
    (path / _JOURNALS).mkdir()


def _shifted(part: slice, level: int) -> slice:
    return slice(part.start >> level, part.stop >> level)


def _remove_partial(path: Path) -> None:
    """Remove what Zarr had begun to write in processes that were killed.

    What is young may be of another process, which finishes the same picture.
    """
    long_ago = time.time() - _WRITING_SECONDS
    for left in path.rglob("*.partial"):
        with suppress(OSError):
            if left.stat().st_mtime < long_ago:
                left.unlink()


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileFormatError(
            f"{path.name} could not be written: {error.strerror or error}. Make room or mend "
            "the connection, and run the same again: what is finished is kept."
        ) from error
