from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_semnet.errors import TrainingError
from napari_semnet.training.config import load_config, write_config
from napari_semnet.training.events import Evaluated, Step
from napari_semnet.training.pictures import Rejected
from napari_semnet.training.run_folder import Reports, RunFolder, Table
from napari_semnet.training.trainer import train
from tests.training.runs import small_config


def step(number: int) -> Step:
    return Step(number, 100, 1e-4, 0.123456789, 0.1, 0.2, 0.3, 0.4, -20.0, 0.25, 1.5, 2.0, 0.5, 0)


def test_a_table_grows_by_a_row_an_event(tmp_path: Path) -> None:
    table = Table(tmp_path / "log.csv", Step, 0)
    for number in (5, 10):
        table.add(step(number))
    header, first, second = (tmp_path / "log.csv").read_text().splitlines()
    assert header.startswith(
        "step,learning_rate,loss,l1,histogram,total_variation,brightness,psnr,reach,gradient_norm,"
    )
    assert first == "5,0.0001,0.123457,0.1,0.2,0.3,0.4,-20,0.25,1.5,2,0.5,0"
    assert second.startswith("10,")


def test_rows_after_the_resumed_step_and_rows_cut_off_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    table = Table(path, Step, 0)
    for number in (5, 10, 15):
        table.add(step(number))
    with path.open("a") as stream:
        stream.write("2")  # of a row that began with 20
    Table(path, Step, 10).add(step(15))
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == [
        *("step", "5", "10", "15")
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b",", b";"),
        lambda text: text + b"\xe4\xf6\xfc",
    ],
)
def test_a_table_that_another_program_has_rewritten_is_put_aside(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "log.csv"
    Table(path, Step, 0).add(step(5))
    path.write_bytes(changed := change(path.read_bytes()))
    Table(path, Step, 10).add(step(15))
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["step", "15"]
    assert (tmp_path / "log-1.csv").read_bytes() == changed


def test_a_table_that_is_no_runs_is_put_aside_when_a_run_begins(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("date,kV\n2024-01-01,5\n")
    Table(path, Step, 0).add(step(5))
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["step", "5"]
    assert (tmp_path / "log-1.csv").read_text() == "date,kV\n2024-01-01,5\n"


def test_a_mark_of_the_encoding_costs_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    Table(path, Step, 0).add(step(5))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    Table(path, Step, 10)
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["step", "5"]


def test_a_new_run_begins_with_an_empty_table(tmp_path: Path) -> None:
    Table(tmp_path / "v.csv", Evaluated, 0).add(Evaluated(5, 20.0, 0.5, 19.0, 0.4, True))
    Table(tmp_path / "v.csv", Evaluated, 0)
    assert (tmp_path / "v.csv").read_text().splitlines() == [
        "step,psnr,ssim,bicubic_psnr,bicubic_ssim,is_best"
    ]


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    table = Table(folder / "log.csv", Step, 0)
    (folder / "log.csv").unlink()
    (folder / "log.csv").mkdir()
    table.add(step(5))
    assert (folder / "log.csv").is_dir()


def test_nothing_of_tensorboard_is_left_open(tmp_path: Path) -> None:
    written_by = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    train(small_config(tmp_path, steps=1, model={"halo_pictures": 0}), tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    writers = [t for t in threading.enumerate() if isinstance(t, written_by._AsyncWriterThread)]
    assert not writers


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_costs_curves_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by = pytest.importorskip("tensorboard.summary.writer.event_file_writer")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "run").mkdir()
    reports = Reports(RunFolder(tmp_path / "run"), 0)
    monkeypatch.setattr(written_by.RecordWriter, "write", full)
    for number in (1, 2, 3):
        reports.add(step(number))
    reports.close()
    for thread in threading.enumerate():
        if isinstance(thread, written_by._AsyncWriterThread):
            thread.join()  # What it raised is of this test, not of the next.
    assert len(RunFolder(tmp_path / "run").log.read_text().splitlines()) == 4


def test_every_start_is_added_to_the_environment(tmp_path: Path) -> None:
    config, files = small_config(tmp_path), RunFolder(tmp_path / "run")
    files.begin(config, "CPU", resumed_at=None)
    files.begin(config, "GPU", resumed_at=7)
    entries = json.loads(files.environment.read_text())
    assert [(entry["device"], entry["from_step"]) for entry in entries] == [("CPU", 0), ("GPU", 7)]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="cannot be written to"):
        RunFolder(tmp_path / "file" / "run").begin(small_config(tmp_path), "CPU", resumed_at=None)


def test_rejected_pictures_are_listed(tmp_path: Path) -> None:
    files = RunFolder(tmp_path)
    files.list_rejected([Rejected("a.png", "too small, with a comma")])
    assert files.rejected.read_text().splitlines() == [
        "path,reason",
        'a.png,"too small, with a comma"',
    ]


def test_a_configuration_written_by_hand_is_not_written_over(tmp_path: Path) -> None:
    config, files = small_config(tmp_path), RunFolder(tmp_path / "run")
    by_hand = "# Slow scans of 2024.\n" + write_config(config)
    files.path.mkdir()
    files.config.write_text(by_hand)
    files.begin(config, "CPU", resumed_at=None)
    assert files.config.read_text() == by_hand
    longer = config.model_copy(update={"steps": 99})
    for _ in range(2):
        files.begin(longer, "CPU", resumed_at=None)
        assert load_config(files.config) == longer
        assert (files.path / "config-1.toml").read_text() == by_hand
    files.begin(config, "CPU", resumed_at=3)
    assert load_config(files.config) == config
    assert not (files.path / "config-2.toml").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_rejected_picture_whose_name_is_no_text_is_listed(tmp_path: Path) -> None:
    files = RunFolder(tmp_path)
    files.list_rejected([Rejected(os.fsdecode(b"Probe_\xe4.png"), "too small")])
    assert files.rejected.read_text().splitlines()[1] == "Probe_\\udce4.png,too small"
