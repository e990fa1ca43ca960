"""The table of a batch, the report, what is tried again, and watching a folder."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_semnet.cli import main
from napari_semnet.commands.batch import restore_files
from napari_semnet.commands.events import (
    BatchEnded,
    FileBegan,
    FileDeferred,
    FileWritten,
    Watching,
)
from napari_semnet.commands.jobs import FileFailed, FileSkipped, Job, find_jobs, skip_existing
from napari_semnet.commands.queue import Queue, csv_report
from napari_semnet.commands.watching import ripe_jobs, watch_inputs
from napari_semnet.errors import FileFormatError
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.writer import write_tiff
from napari_semnet.restoration.restorer import Restorer, Settings


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 250, (20, 30), np.uint8)
    path.parent.mkdir(exist_ok=True)
    return write_tiff(path, pixels, pixel_size_nm=(4.0, 4.0))


def rows(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32", "--quiet"]


def test_the_report_says_what_became_of_each_file_with_units(
    tmp_path: Path, engine: list[str]
) -> None:
    folder, report = tmp_path / "in", tmp_path / "report.csv"
    picture(folder / "b.tif")
    (folder / "a.tif").write_bytes(b"II*\0 and nothing more")
    picture(folder / "c, with a comma.tif")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c, with a comma_semnet-x2.ome.tif").write_text("from yesterday")
    command = ["restore", str(folder), "-o", str(tmp_path / "out"), "--report", str(report)]
    assert main([*command, *engine]) == 1
    table = rows(report)
    assert [(Path(row["source"]).name, row["state"]) for row in table] == [
        ("a.tif", "failed"),
        ("b.tif", "done"),
        ("c, with a comma.tif", "skipped"),
    ]
    assert "damaged" in table[0]["reason"] or "cut off" in table[0]["reason"]
    done = table[1]
    assert (done["width_px"], done["height_px"], done["tries"]) == ("60", "40", "1")
    assert float(done["pixel_size_x_nm"]) == pytest.approx(2.0)
    assert float(done["seconds"]) >= 0
    assert done["began"] <= done["ended"]


def test_a_report_that_cannot_be_written_stops_before_anything_is_restored(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "in" / "a.tif")
    (tmp_path / "report.csv").mkdir()
    command = ["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main([*command, "--report", str(tmp_path / "report.csv"), *engine]) == 1
    assert "report.csv could not be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_may_pass_is_tried_again_after_the_others(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        Job(picture(tmp_path / "in" / f"{name}.tif"), tmp_path / f"{name}.out.tif") for name in "ab"
    ]
    from napari_semnet.commands import captions

    whole, failures = captions.open_source, [OSError(5, "Input/output error")]

    def shaky(source: Path, *more: Any) -> Any:
        if source.name == "a.tif" and failures:
            raise failures.pop()
        return whole(source, *more)

    monkeypatch.setattr("napari_semnet.commands.batch.open_source", shaky)
    queue = Queue(entries)
    said = []
    settings = Settings(device="cpu", precision="fp32")
    for event in restore_files(entries, lambda: Restorer(tiny_model, settings), retries=1):
        queue.take(event)
        if isinstance(event, FileDeferred | FileWritten | FileFailed | BatchEnded):
            said.append(event)
    assert [type(event) for event in said] == [FileDeferred, FileWritten, FileWritten, BatchEnded]
    assert said[1].source.name == "b.tif"
    assert said[-1] == BatchEnded(written=2, skipped=0, failed=0)
    assert [(row.state, row.tries) for row in queue.rows] == [("done", 2), ("done", 1)]


@pytest.mark.parametrize("content", [b"II*\0 and nothing more", b"a text", b""])
def test_a_damaged_file_is_not_tried_again(
    tmp_path: Path, tiny_model: Path, content: bytes
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(content)
    entries = [Job(bad, tmp_path / "out.tif")]
    events = list(restore_files(entries, lambda: Restorer(tiny_model), retries=3))
    assert sum(isinstance(event, FileFailed) for event in events) == 1
    assert not any(isinstance(event, FileDeferred) for event in events)


@pytest.mark.parametrize("ending", [".ome.tif", ".zarr"])
def test_a_tiff_with_some_of_its_pixels_missing_is_not_restored(
    tmp_path: Path, tiny_model: Path, ending: str
) -> None:
    # What a copy looks like that stalls: header and first strips are there.
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.full((40, 60), 90, np.uint8), rowsperstrip=10)
    source.write_bytes(source.read_bytes()[:-1000])
    job = Job(source, tmp_path / f"out{ending}")
    events = list(restore_files([job], lambda: Restorer(tiny_model), retries=1))
    (failed,) = [event for event in events if isinstance(event, FileFailed)]
    assert failed.reason.startswith("a.tif is damaged: some of its pixels cannot be read.")
    assert not failed.may_pass
    assert not job.target.exists()


def test_a_stopped_file_waits_again(tmp_path: Path) -> None:
    queue = Queue([Job(tmp_path / "a.tif", tmp_path / "b.tif")])
    queue.take(FileBegan(tmp_path / "a.tif", tmp_path / "b.tif", 1, 1))
    assert queue.count("restoring") == 1
    queue.take(BatchEnded(0, 0, 0))
    assert [(row.state, row.reason) for row in queue.rows] == [("waiting", "stopped")]
    queue.take(FileSkipped(tmp_path / "a.tif", "its result exists"))
    assert queue.count("skipped") == 1


def test_the_report_of_a_job_that_was_interrupted_says_what_waits(tmp_path: Path) -> None:
    source, report = tmp_path / "a.tif", tmp_path / "report.csv"
    queue = Queue([Job(source, tmp_path / "b.tif")])

    def restore_until_interrupted() -> None:
        with csv_report(report, queue):
            queue.take(FileBegan(source, tmp_path / "b.tif", 1, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_until_interrupted()
    assert [(row["state"], row["reason"]) for row in rows(report)] == [("waiting", "stopped")]


def test_a_file_that_still_grows_is_left_until_it_has_settled(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"1")
    entries = [Job(path, tmp_path / "b.tif")]
    seen: dict = {}
    assert ripe_jobs(entries, seen, 0.0, settle=5.0) == ([], 1)
    path.write_bytes(b"12")
    assert ripe_jobs(entries, seen, 4.0, settle=5.0) == ([], 1)
    assert ripe_jobs(entries, seen, 8.9, settle=5.0) == ([], 1)
    (tmp_path / "a.txt").write_text("the microscope's header comes late")
    assert ripe_jobs(entries, seen, 9.1, settle=5.0) == ([], 1)
    assert ripe_jobs(entries, seen, 14.2, settle=5.0) == (entries, 0)
    # Restored or failed, it comes again only when it has changed.
    assert ripe_jobs(entries, seen, 99.0, settle=5.0) == ([], 0)
    path.write_bytes(b"123")
    assert ripe_jobs(entries, seen, 100.0, settle=5.0) == ([], 1)
    assert ripe_jobs(entries, seen, 105.0, settle=5.0) == (entries, 0)


def test_an_empty_file_and_one_that_is_gone_are_no_images_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.touch()
    entries = [Job(path, tmp_path / "b.tif"), Job(tmp_path / "gone.tif", tmp_path / "c.tif")]
    seen: dict = {}
    for now in (0.0, 100.0):
        assert ripe_jobs(entries, seen, now, settle=5.0) == ([], 1)


def test_watching_restores_what_appears_and_ends_with_a_summary(
    tmp_path: Path, tiny_model: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    settings = Settings(device="cpu", precision="fp32")

    def work(entries: list[Job]):
        return restore_files(entries, lambda: Restorer(tiny_model, settings))

    def find():
        return skip_existing(find_jobs([str(folder)], str(out)))

    events = watch_inputs([str(folder)], find, work, settle=0.0)
    assert next(events) == Watching(0)
    picture(folder / "a.tif")
    (folder / "a.semnet.json").unlink(missing_ok=True)
    assert next(event for event in events if isinstance(event, FileWritten)).source.name == "a.tif"
    assert next(event for event in events if isinstance(event, Watching)) == Watching(0)
    assert events.throw(KeyboardInterrupt()) == BatchEnded(1, 0, 0)
    assert list(events) == []


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no folder"):
        next(watch_inputs([str(tmp_path / "nothing")], list, iter, settle=1.0))


def test_a_folder_to_watch_may_begin_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match="no folder ~nobodys to watch"):
        next(watch_inputs(["~nobodys"], list, iter, settle=1.0))
    Path("~nobodys").mkdir()
    events = watch_inputs(["~nobodys"], list, iter, settle=1.0)
    assert next(events) == Watching(0)
    events.close()


@pytest.mark.parametrize("output", ["session.zarr", "session.tif"])
def test_watching_is_not_begun_with_the_name_of_one_result(
    tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # It would end with the second image, hours later.
    with pytest.raises(SystemExit) as refused:
        main(["restore", str(tmp_path), "-o", str(tmp_path / output), "--watch"])
    assert refused.value.code == 2
    assert f"{output} is one file; give a folder" in capsys.readouterr().err


def test_a_file_in_place_of_a_folder_to_watch_is_said_to_be_one(tmp_path: Path) -> None:
    picture = tmp_path / "a.tif"
    picture.touch()
    with pytest.raises(FileFormatError, match=r"a\.tif is a file.*Give its folder"):
        next(watch_inputs([str(picture)], list, iter, settle=1.0))


def test_ctrl_c_while_an_event_is_told_ends_watching_as_well(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture(tmp_path / "in" / "a.tif")
    take = Queue.take

    def interrupted(queue: Queue, event: object) -> bool:
        if event == Watching(0):
            raise KeyboardInterrupt
        return take(queue, event)

    monkeypatch.setattr(Queue, "take", interrupted)
    command = ["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--watch"]
    options = ["--settle", "0", "--model", str(tiny_model), "--device", "cpu"]
    assert main([*command, *options]) == 0
    assert "1 restored, 0 skipped, 0 failed" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a console is needed to send Ctrl-C")
def test_ctrl_c_ends_watching_cleanly(tmp_path: Path, tiny_model: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    picture(folder / "a.tif")
    command = [sys.executable, "-m", "napari_semnet", "restore", str(folder), "-o", str(out)]
    options = ["--watch", "--settle", "0.2", "--model", str(tiny_model), "--device", "cpu"]
    report = tmp_path / "report.csv"
    process = subprocess.Popen(
        [*command, *options, "--report", str(report)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("waiting for new images (") and list(out.glob("*.tif")):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 restored, 0 skipped, 0 failed" in said
    assert "Traceback" not in said
    assert [row["state"] for row in rows(report)] == ["done"]


def test_a_picture_that_is_never_restored_is_said_once_while_watching(
    tmp_path: Path, tiny_model: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.tif", "a.tiff"):
        picture(folder / name)
    write_ome_zarr(folder / "stack.zarr", np.zeros((8, 8), np.uint8), pixel_size_nm=None)
    settings = Settings(device="cpu", precision="fp32")
    events = watch_inputs(
        [str(folder)],
        lambda: skip_existing(find_jobs([str(folder)], str(out))),
        lambda entries: restore_files(entries, lambda: Restorer(tiny_model, settings)),
        settle=0.0,
    )
    said = []
    for event in events:
        said.append(event)
        if said.count(Watching(0)) == 2 or len(said) > 1000:
            break
        if isinstance(event, Watching):
            (folder / "b.tif").exists() or picture(folder / "b.tif")
    failed = [event for event in said if isinstance(event, FileFailed)]
    skipped = [event for event in said if isinstance(event, FileSkipped)]
    assert [Path(event.source).name for event in failed] == ["a.tiff"]
    assert f"as that of {folder / 'a.tif'}" in failed[0].reason
    assert [event.source.name for event in skipped] == ["stack.zarr"]
    assert events.throw(KeyboardInterrupt()) == BatchEnded(2, 0, 1)


@pytest.mark.parametrize("name", ["in/a.tif", "out/a_semnet-x2.ome.tif", "other.png"])
def test_a_report_never_takes_the_place_of_a_picture(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = picture(tmp_path / "in" / "a.tif")
    before = source.read_bytes()
    command = ["restore", str(source), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main([*command, "--report", str(tmp_path / name), "--device", "cpu"]) == 1
    assert "ends in .csv" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert not (tmp_path / "out").exists()
