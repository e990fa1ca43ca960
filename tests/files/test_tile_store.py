"""A result that grows block by block: what counts as finished is on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.errors import FileFormatError
from napari_semnet.files.tile_store import Layout, TileStore

ALL = (slice(0, 64), slice(0, 64))


def store_of(folder: Path) -> TileStore:
    return TileStore.create(folder / "a.zarr", Layout((64, 64), "|u1", (64, 64), "YX"), {})


def failing_fsync(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)


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
