"""The command line on volumes: killed and gone on with, in parts, in several processes."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.cli import main
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import read_sidecar, sha256_of, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.files.tile_store import unfinished_record
from napari_semnet.restoration.events import BlockWritten, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.worker_start import METHOD
from tests.restoration.volumes import chunk_bytes


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]


def volume(path: Path, shape: tuple[int, ...]) -> Path:
    pixels = np.random.default_rng(5).integers(0, 250, shape, np.uint8)
    import zarr

    array = zarr.create_array(
        str(path), shape=shape, dtype="uint8", chunks=(*(1 for _ in shape[:-2]), 256, 256)
    )
    array[...] = pixels
    return path


def test_a_calibrated_stack_is_restored_with_units_place_and_provenance(
    tmp_path: Path, engine: list[str], tiny_model: Path
) -> None:
    pixels = np.random.default_rng(5).integers(0, 250, (2, 60, 80), np.uint8)
    source = write_ome_zarr(
        tmp_path / "cells.ome.zarr",
        pixels,
        pixel_size_nm=(6.0, 4.0),
        z_step_nm=30.0,
        origin_nm=(100.0, 50.0),
        origin_z_nm=300.0,
    )
    target = tmp_path / "out.ome.zarr"
    assert main(["restore", str(source), "-o", str(target), *engine]) == 0
    result = read_image(target)
    expected = Restorer(tiny_model, Settings(device="cpu", precision="fp32")).restore(pixels)
    np.testing.assert_array_equal(np.asarray(result.pixels), expected.pixels)
    assert result.axes == "ZYX"
    assert result.pixel_size is not None
    assert result.pixel_size.yx == pytest.approx((3.0, 2.0))
    assert result.z_step_nm == pytest.approx(30.0)
    assert result.origin_nm == pytest.approx((98.5, 49.0))
    assert result.origin_z_nm == pytest.approx(300.0)
    record = read_sidecar(sidecar_path(target))
    assert record == result.provenance
    assert record.model == "tiny"
    assert record.source_sha256 == sha256_of(source)
    assert record.intensity_range == (0.0, 255.0)
    assert record.pixel_size_nm == pytest.approx((3.0, 2.0))
    assert [path.name for path in target.iterdir() if path.name.startswith(".")] == []


def test_a_volume_in_a_folder_becomes_a_volume_beside_the_pictures(
    tmp_path: Path, engine: list[str]
) -> None:
    volume(tmp_path / "in" / "stack.zarr", (40, 50))
    assert main(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *engine]) == 0
    assert read_image(tmp_path / "out" / "stack_semnet-x2.ome.zarr").pixels.shape == (80, 100)


def test_a_finished_volume_is_skipped_and_made_anew_when_asked(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = volume(tmp_path / "a.zarr", (40, 50)), tmp_path / "out.zarr"
    command = ["restore", str(source), "-o", str(target), "--json", *engine]
    assert main(command) == 0
    made = (target / "zarr.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(command) == 0
    assert "its result exists" in capsys.readouterr().out
    assert (target / "zarr.json").stat().st_mtime_ns == made
    assert main([*command, "--overwrite"]) == 0
    assert (target / "zarr.json").stat().st_mtime_ns > made


def test_a_folder_of_something_else_is_not_overwritten(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = volume(tmp_path / "a.zarr", (40, 50)), tmp_path / "b.zarr"
    volume(target, (10, 10))
    before = chunk_bytes(target)
    command = ["restore", str(source), "-o", str(target), "--overwrite", "--quiet", *engine]
    assert main(command) == 1
    assert "no result of napari-semnet" in capsys.readouterr().err
    assert chunk_bytes(target) == before


def test_an_unfinished_volume_of_another_model_is_refused(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = volume(tmp_path / "a.zarr", (1100, 300)), tmp_path / "out.zarr"
    command = ["restore", str(source), "-o", str(target), "--quiet"]
    assert main([*command, *engine, "--shard", "1/2"]) == 0
    assert unfinished_record(target) is not None
    assert main([*command, *engine, "--halo", "2"]) == 1
    assert "other settings (halo auto, now 2)" in capsys.readouterr().err
    assert main([*command, *engine]) == 0
    assert unfinished_record(target) is None


def test_parts_give_the_same_bytes_and_the_last_one_finishes(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = volume(tmp_path / "a.zarr", (1100, 1100))
    main(["restore", str(source), "-o", str(tmp_path / "one.zarr"), "--quiet", *engine])
    target = tmp_path / "parts.zarr"
    for part in ("3/3", "1/3", "2/3"):
        command = ["restore", str(source), "-o", str(target), "--json", *engine]
        assert main([*command, "--shard", part]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["blocks_left"] for e in said if e["event"] == "part_written"] == [6, 3]
    assert [e["shape"] for e in said if e["event"] == "file_written"] == [[2200, 2200]]
    assert chunk_bytes(target) == chunk_bytes(tmp_path / "one.zarr")
    assert read_image(target).coarser[-1].shape == (550, 550)


def test_a_tiled_tiff_that_stays_on_disk_is_restored_block_by_block(
    tmp_path: Path, engine: list[str], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tifffile

    monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 1000)
    pixels = np.random.default_rng(5).integers(0, 250, (2, 130, 200), np.uint8)
    source = tmp_path / "tiled.tif"
    tifffile.imwrite(source, pixels, tile=(64, 64), compression="zlib", photometric="minisblack")
    assert not isinstance(read_image(source).pixels, np.ndarray)
    target = tmp_path / "out.zarr"
    assert main(["restore", str(source), "-o", str(target), "--quiet", *engine]) == 0
    expected = Restorer(tiny_model, Settings(device="cpu", precision="fp32")).restore(pixels)
    np.testing.assert_array_equal(np.asarray(read_image(target).pixels), expected.pixels)


@pytest.mark.parametrize("target", ["out.zarr", "out.tif"])
def test_a_source_that_is_deleted_meanwhile_is_said_in_a_sentence(
    tmp_path: Path, tiny_model: Path, target: str
) -> None:
    from napari_semnet.commands.batch import restore_files
    from napari_semnet.commands.jobs import FileFailed, Job

    source = volume(tmp_path / "a.zarr", (3, 1100, 60))
    settings = Settings(device="cpu", precision="fp32")
    job = Job(source, tmp_path / target)
    failures = []
    for event in restore_files([job], lambda: Restorer(tiny_model, settings)):
        if isinstance(event, BlockWritten | TileDone) and source.exists():
            shutil.rmtree(source)
        if isinstance(event, FileFailed):
            failures.append(event.reason)
    assert len(failures) == 1
    assert "a.zarr is no longer where it was" in failures[0]
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("blocks", [1, 3], ids=["at-once", "after-the-last-block"])
@pytest.mark.parametrize("part", [(1, 1), (1, 2)], ids=["all", "a-part"])
def test_a_result_that_is_moved_away_meanwhile_is_said_in_a_sentence_and_not_as_written(
    tmp_path: Path, tiny_model: Path, blocks: int, part: tuple[int, int]
) -> None:
    from napari_semnet.commands.batch import restore_files
    from napari_semnet.commands.events import FileWritten, PartWritten
    from napari_semnet.commands.jobs import FileFailed, Job
    from napari_semnet.commands.volume import VolumeChoices

    source, target = volume(tmp_path / "a.zarr", (3 * part[1], 60, 50)), tmp_path / "out.zarr"
    settings = Settings(device="cpu", precision="fp32")
    ended, written = [], 0
    for event in restore_files(
        [Job(source, target)],
        lambda: Restorer(tiny_model, settings),
        volumes=VolumeChoices(part=part),
    ):
        written += isinstance(event, BlockWritten)
        if isinstance(event, BlockWritten) and written == blocks:
            target.rename(tmp_path / "moved.zarr")
        if isinstance(event, FileFailed | FileWritten | PartWritten):
            ended.append(event)
    assert [type(event) for event in ended] == [FileFailed]
    assert "out.zarr is no longer where it was" in ended[0].reason
    assert unfinished_record(tmp_path / "moved.zarr") is not None


def test_blocks_that_get_lost_before_the_end_are_said_and_not_left_to_others(
    tmp_path: Path, tiny_model: Path
) -> None:
    from napari_semnet.commands.batch import restore_files
    from napari_semnet.commands.events import FileWritten, PartWritten
    from napari_semnet.commands.jobs import FileFailed, Job

    source, target = volume(tmp_path / "a.zarr", (3, 60, 50)), tmp_path / "out.zarr"
    settings = Settings(device="cpu", precision="fp32")
    ended, written = [], 0
    for event in restore_files([Job(source, target)], lambda: Restorer(tiny_model, settings)):
        written += isinstance(event, BlockWritten)
        if isinstance(event, BlockWritten) and written == 3:
            shutil.rmtree(target / ".unfinished")
        if isinstance(event, FileFailed | FileWritten | PartWritten):
            ended.append(event)
    assert [type(event) for event in ended] == [FileFailed]
    assert "still lacks 3 of 3 blocks" in ended[0].reason


def test_workers_without_a_volume_are_refused(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = volume(tmp_path / "a.zarr", (40, 50))
    command = ["restore", str(source), "-o", str(tmp_path / "out.tif"), "--workers", "2"]
    assert main([*command, *engine]) == 1
    assert "Give -o OUT.zarr" in capsys.readouterr().err


@pytest.fixture
def another_server() -> Iterator[str]:
    """Address of a server that is no dask scheduler."""

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 8)

    with socketserver.TCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_address_where_no_scheduler_is_is_named(
    another_server: str, tmp_path: Path, engine: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    source = volume(tmp_path / "a.zarr", (40, 50))
    command = ["restore", str(source), "-o", str(tmp_path / "b.zarr"), *engine, "--scheduler"]
    for address in (another_server, "node-without-port"):
        assert main([*command, address]) == 1
        gc.collect()
        said = capfd.readouterr().err
        assert f"No dask scheduler answers at {address}" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_part_that_is_none_is_a_wrong_command_line(part: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["restore", "a.zarr", "-o", "b.zarr", "--shard", part])


STUCK = """
import sys, threading
from napari_semnet.cli import main
from napari_semnet.files.tile_store import TileStore

write, room = TileStore.write, threading.Semaphore(3)

def stuck(*block):
    room.acquire()
    write(*block)

TileStore.write = stuck
sys.exit(main(sys.argv[1:]))
"""
"""The command line, which can write three blocks and then waits for ever, as for a dead server."""


def started(
    source: Path, target: Path, engine: list[str], *more: str, program: Sequence[str] = ()
) -> subprocess.Popen[str]:
    command = [sys.executable, *(program or ("-m", "napari_semnet"))]
    return subprocess.Popen(
        [*command, "restore", str(source), "-o", str(target), "--json", *engine, *more],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def blocks_written(process: subprocess.Popen[str], at_least: int) -> int:
    """Wait until so many blocks are on the disk, as the process says, and give their number."""
    assert process.stdout is not None
    count = 0
    for line in process.stdout:
        count += json.loads(line)["event"] == "block_written"
        if count >= at_least:
            break
    return count


def test_a_killed_process_is_gone_on_with_to_the_same_bytes(
    tmp_path: Path, engine: list[str]
) -> None:
    source = volume(tmp_path / "a.zarr", (1100, 2100))
    main(["restore", str(source), "-o", str(tmp_path / "once.zarr"), "--quiet", *engine])
    target = tmp_path / "killed.zarr"
    process = started(source, target, engine, program=("-c", STUCK))
    before = blocks_written(process, 3)
    process.kill()
    process.communicate()
    assert unfinished_record(target) is not None
    process = started(source, target, engine)
    out, _ = process.communicate()
    assert process.returncode == 0
    again = sum(json.loads(line)["event"] == "block_written" for line in out.splitlines())
    assert again == 15 - before
    assert chunk_bytes(target) == chunk_bytes(tmp_path / "once.zarr")


@pytest.mark.slow
def test_killed_three_times_at_random_moments_the_bytes_are_the_same(
    tmp_path: Path, engine: list[str]
) -> None:
    source = volume(tmp_path / "a.zarr", (3, 2300, 2500))
    main(["restore", str(source), "-o", str(tmp_path / "once.zarr"), "--quiet", *engine])
    target, moments = tmp_path / "killed.zarr", random.Random(3)
    for _ in range(3):
        process = started(source, target, engine)
        blocks_written(process, 1)
        time.sleep(moments.uniform(0.0, 1.0))
        assert process.poll() is None, "it finished before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert main(["restore", str(source), "-o", str(target), "--quiet", *engine]) == 0
    assert chunk_bytes(target) == chunk_bytes(tmp_path / "once.zarr")


def test_two_worker_processes_give_the_same_bytes(tmp_path: Path, engine: list[str]) -> None:
    pytest.importorskip("distributed")
    source = volume(tmp_path / "a.zarr", (1100, 1100))
    main(["restore", str(source), "-o", str(tmp_path / "once.zarr"), "--quiet", *engine])
    target = tmp_path / "two.zarr"
    process = started(source, target, engine, "--workers", "2")
    out, _ = process.communicate()
    assert process.returncode == 0
    assert sum(json.loads(line)["event"] == "block_written" for line in out.splitlines()) == 9
    assert chunk_bytes(target) == chunk_bytes(tmp_path / "once.zarr")


def workers_of(command: psutil.Process) -> list[psutil.Process]:
    """Find the workers of a command: its children, or those of the one that copies itself."""

    def marked(children: list[psutil.Process], *marks: str) -> list[psutil.Process]:
        return [c for c in children if any(mark in " ".join(c.cmdline()) for mark in marks)]

    children = command.children()
    if METHOD == "forkserver":
        (server,) = marked(children, "multiprocessing.forkserver")
        return list(server.children())
    # Where setproctitle is installed, dask gives its workers a name.
    return marked(children, "dask worker", "--multiprocessing-fork")


@pytest.mark.slow
def test_blocks_of_a_killed_worker_are_redone_to_the_same_bytes(
    tmp_path: Path, engine: list[str]
) -> None:
    pytest.importorskip("distributed")
    source = volume(tmp_path / "a.zarr", (4, 2100, 2100))
    main(["restore", str(source), "-o", str(tmp_path / "once.zarr"), "--quiet", *engine])
    target = tmp_path / "two.zarr"
    process = started(source, target, engine, "--workers", "2")
    blocks_written(process, 2)
    workers = workers_of(psutil.Process(process.pid))
    assert len(workers) == 2
    workers[0].kill()
    process.communicate()
    assert process.returncode == 0
    assert chunk_bytes(target) == chunk_bytes(tmp_path / "once.zarr")


def test_a_finished_volume_stays_where_a_new_one_is_refused(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import zarr

    source, target = volume(tmp_path / "a.zarr", (40, 50)), tmp_path / "out.zarr"
    command = ["restore", str(source), "-o", str(target), "--quiet", *engine]
    assert main(command) == 0
    before = chunk_bytes(target)
    shutil.rmtree(source)
    zarr.create_array(str(source), shape=(40, 50), dtype="int64", chunks=(40, 50))
    assert main([*command, "--overwrite"]) == 1
    assert "64 bits" in capsys.readouterr().err
    assert chunk_bytes(target) == before
    assert sidecar_path(target).exists()
    assert [path.name for path in tmp_path.iterdir() if "replaced" in path.name] == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_a_link_to_a_volume_is_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, engine: list[str]
) -> None:
    source, elsewhere = volume(tmp_path / "a.zarr", (40, 50)), tmp_path / "store" / "out.zarr"
    assert main(["restore", str(source), "-o", str(elsewhere), "--quiet", *engine]) == 0
    before, link = chunk_bytes(elsewhere), tmp_path / "out.zarr"
    link.symlink_to(elsewhere, target_is_directory=True)
    again = ["restore", str(source), "-o", str(link), "--overwrite", "--quiet", *engine]
    assert main(again) == 0
    assert not link.is_symlink()
    assert chunk_bytes(link) == chunk_bytes(elsewhere) == before
    assert sorted(path.name for path in tmp_path.glob("*.zarr*")) == ["a.zarr", "out.zarr"]
