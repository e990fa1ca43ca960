"""A result that grows block by block: what counts as finished is on the disk."""

from __future__ import annotations

import errno
import json
import os
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.errors import FileFormatError
from napari_semnet.files.ome_zarr import read_levels
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.pyramid import halved
from napari_semnet.files.tile_store import Layout, TileStore, unfinished_record

ALL = (slice(0, 64), slice(0, 64))


def store_of(folder: Path) -> TileStore:
    return TileStore.create(folder / "a.zarr", Layout((64, 64), "|u1", (64, 64), "YX"), {})


def failing_fsync(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.skipif(sys.platform == "win32", reason="no name has a colon there")
def test_a_folder_whose_name_looks_like_an_address_is_a_folder(tmp_path: Path) -> None:
    store = store_of(tmp_path / "memory::day")
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    assert store.left == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_block_that_does_not_reach_the_disk_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = store_of(tmp_path)
    failing_fsync(monkeypatch, code)
    with pytest.raises(FileFormatError, match="could not be written"):
        store.write(0, ALL, np.ones((64, 64), np.uint8))
    assert store.finished() == set()


@pytest.mark.parametrize("code", [errno.EBADF, errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_cannot_be_waited_for_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store, noted = store_of(tmp_path), []
    monkeypatch.setattr(store, "_note", noted.append)
    failing_fsync(monkeypatch, code)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    assert noted == [0]


def test_journals_that_another_process_removes_meanwhile_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    glob = Path.glob

    def glob_then_remove(self: Path, pattern: str) -> list[Path]:
        found = list(glob(self, pattern))
        for path in found:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "glob", glob_then_remove)
    assert store.finished() == set()


def test_axes_are_stored_as_the_format_wants_them_and_seen_as_they_came(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (3, 2, 1024, 2100), np.uint8)
    layout = Layout(pixels.shape, "|u1", (512, 512), "ZCYX")
    store = TileStore.create(tmp_path / "a.zarr", layout, {})
    number = 0
    for z, c, top, left in product(range(3), range(2), (0, 512), range(0, 2100, 512)):
        block = (slice(top, top + 512), slice(left, min(left + 512, 2100)))
        where = (slice(z, z + 1), slice(c, c + 1), *block)
        store.write(number, where, pixels[where])
        number += 1
    assert store.finished() == set(range(number))
    assert np.array_equal(np.asarray(store.finest), pixels)
    assert np.array_equal(store.level(1)[2, 1, :, 5], halved(pixels)[2, 1, :, 5])
    list(store.finish(Provenance(), z_step_nm=10.0))
    levels = read_levels(store.path)
    assert (levels.axes, levels.findings.z_step_nm) == ("CZYX", 10.0)
    stored = np.moveaxis(pixels, 0, 1)
    for array in levels.arrays:
        assert np.array_equal(np.asarray(array), stored)
        stored = halved(stored)
    again = TileStore(store.path, store._group, store.layout, {})
    assert again.finest.shape == pixels.shape


def test_a_dot_within_a_name_stays_in_the_picture_s(tmp_path: Path) -> None:
    layout = Layout((8, 8), "|u1", (8, 8), "YX")
    store = TileStore.create(tmp_path / "2.5kV.ome.zarr", layout, {})
    store.write(0, (slice(0, 8), slice(0, 8)), np.ones((8, 8), np.uint8))
    list(store.finish(Provenance()))
    ome = json.loads((store.path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["multiscales"][0]["name"] == "2.5kV"


def two_blocks(folder: Path) -> TileStore:
    return TileStore.create(folder / "a.zarr", Layout((64, 128), "|u1", (64, 64), "YX"), {})


@pytest.mark.parametrize(
    ("shape", "block", "blocks"), [((64, 64), (64, 64), 1), ((3, 2, 65, 130), (64, 130), 12)]
)
def test_blocks_are_counted_with_those_at_the_ends(
    shape: tuple[int, ...], block: tuple[int, int], blocks: int
) -> None:
    assert Layout(shape, "|u1", block, "TZYX"[-len(shape) :]).blocks == blocks


def test_a_folder_that_is_moved_away_is_no_picture_and_nothing_is_written_in_its_place(
    tmp_path: Path,
) -> None:
    store = two_blocks(tmp_path)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    store.path.rename(tmp_path / "moved.zarr")
    assert not store.is_picture
    with pytest.raises(FileFormatError, match=r"a\.zarr is no longer where it was"):
        store.write(1, (slice(0, 64), slice(64, 128)), np.ones((64, 64), np.uint8))
    with pytest.raises(FileFormatError, match="no longer where it was"):
        list(store.finish(Provenance()))
    assert not store.path.exists()
    (tmp_path / "moved.zarr").rename(store.path)
    assert store.left == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_block_during_which_the_folder_was_moved_is_not_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    store = store_of(tmp_path)
    chunk_files = store._chunk_files

    def moved_meanwhile(level: int, place: tuple[slice, ...]) -> list[Path]:
        store.path.rename(tmp_path / "moved.zarr")
        if fails:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return list(chunk_files(level, place))

    monkeypatch.setattr(store, "_chunk_files", moved_meanwhile)
    with pytest.raises(FileFormatError, match="no longer where it was"):
        store.write(0, ALL, np.ones((64, 64), np.uint8))
    assert TileStore.open(tmp_path / "moved.zarr").left == 1


def test_what_lacks_a_block_is_not_made_a_picture(tmp_path: Path) -> None:
    store = two_blocks(tmp_path)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    with pytest.raises(FileFormatError, match="still lacks 1 of 2 blocks"):
        list(store.finish(Provenance()))
    assert unfinished_record(store.path) is not None


@pytest.mark.parametrize("lost", ["zarr.json", ".unfinished"])
def test_what_is_deleted_while_coarse_levels_are_made_is_not_made_a_picture(
    tmp_path: Path, lost: str
) -> None:
    store = TileStore.create(
        tmp_path / "a.zarr", Layout((1024, 1024), "|u1", (256, 1024), "YX"), {}
    )
    for number in range(4):
        rows = slice(256 * number, 256 * (number + 1))
        store.write(number, (rows, slice(0, 1024)), np.ones((256, 1024), np.uint8))
    making = store.finish(Provenance())
    next(making)
    (store.path / lost).rename(tmp_path / "lost")
    with pytest.raises(FileFormatError, match=r"no longer where it was|lacks 4 of 4"):
        list(making)
    assert not store.is_picture


def test_chunks_that_killed_processes_had_begun_are_removed_when_the_picture_is_made(
    tmp_path: Path,
) -> None:
    store = store_of(tmp_path)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    left, young = (store.path / "0" / "c" / name for name in ("0.ab.partial", "1.cd.partial"))
    for path in (left, young):
        path.write_bytes(b"half a chunk")
    os.utime(left, (0, 0))
    list(store.finish(Provenance()))
    assert not left.exists()
    assert young.exists()


def test_a_picture_that_another_process_has_finished_is_finished_again_without_harm(
    tmp_path: Path,
) -> None:
    store = store_of(tmp_path)
    store.write(0, ALL, np.ones((64, 64), np.uint8))
    list(store.finish(Provenance()))
    assert (store.is_picture, store.left) == (True, 0)
    list(store.finish(Provenance()))
    assert store.is_picture
