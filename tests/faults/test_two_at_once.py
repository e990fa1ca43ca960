"""Two runs at once, and files that are exchanged while a run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.cli import main
from napari_semnet.commands.batch import restore_files
from napari_semnet.commands.events import FileWritten
from napari_semnet.commands.jobs import FileFailed, Job
from napari_semnet.errors import TrainingError
from napari_semnet.files.lock import lock_of
from napari_semnet.files.provenance import sha256_of
from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model
from napari_semnet.restoration.events import Finished, Started, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.training import events
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train, training_run
from tests.faults.conftest import Program, is_one_sentence, write_picture, write_tiny
from tests.training.processes import write
from tests.training.runs import small_config

CPU = Settings(device="cpu", precision="fp32", tile=16)


def until(stream: Iterator[Any], kind: type) -> Any:
    return next(event for event in stream if isinstance(event, kind))


def jobs(tmp_path: Path) -> list[Job]:
    return [Job(write_picture(tmp_path / "a.tif"), tmp_path / "out" / "a.tif")]


def test_a_second_run_into_the_same_folder_is_refused_and_does_the_first_no_harm(
    tmp_path: Path, semnet: Program
) -> None:
    config = small_config(tmp_path)
    path = write(config, tmp_path / "run.toml")
    train(config, tmp_path / "whole")
    with closing(training_run(config, tmp_path / "run")) as first:  # type: ignore[type-var]
        until(first, events.Checkpointed)
        second = semnet("train", path, "--resume")
        said = list(first)
    assert second.returncode == 1
    assert is_one_sentence(second.stderr)
    assert "Another run is going on in" in second.stderr
    assert isinstance(said[-1], events.Finished)
    one, other = (load_model(tmp_path / run / "my-semnet.safetensors") for run in ("whole", "run"))
    assert one.network.state_dict().keys() == other.network.state_dict().keys()
    for key, value in one.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.network.state_dict()[key].numpy())


def test_a_run_that_has_ended_leaves_its_folder_to_the_next(tmp_path: Path) -> None:
    config = small_config(tmp_path, steps=2)
    run = training_run(config, tmp_path / "run")
    until(run, events.Step)
    with pytest.raises(TrainingError, match="Another run is going on"):
        train(config, tmp_path / "run", resume=True)
    run.close()  # type: ignore[attr-defined]
    train(config, tmp_path / "run", resume=True)


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    config, files = small_config(tmp_path, steps=2), RunFolder(tmp_path / "run")
    for folder in (files.path, files.last.parent, files.path / "previews"):
        folder.mkdir(parents=True)
        (folder / ".writing-abc-x.safetensors").write_bytes(b"half")
    train(config, files.path)
    assert not list(files.path.rglob(".writing-*"))


def test_a_result_that_another_run_is_writing_is_left_to_it(
    tmp_path: Path, tiny_model: Path, engine: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (job,) = jobs(tmp_path)
    with closing(restore_files([job], lambda: Restorer(tiny_model, CPU))) as first:  # type: ignore[type-var]
        until(first, TileDone)
        command = ["restore", str(job.source), "-o", str(job.target), *engine]
        assert main([*command, "--quiet"]) == 1
        until(first, FileWritten)
    assert capfd.readouterr().err == (
        f"{job.source}: Another run is writing a.tif at this moment.\n"
    )
    assert read_image(job.target).provenance is not None
    assert main([*command, "--overwrite"]) == 0


def test_locks_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    list(restore_files(jobs(tmp_path), lambda: Restorer(tiny_model, CPU)))
    assert (tmp_path / "cache" / "locks").is_dir()
    if os.name != "nt":
        assert not list((tmp_path / "cache" / "locks").iterdir())


def test_where_there_can_be_no_lock_the_work_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "file")
    with (
        lock_of(tmp_path / "a.tif", TrainingError("")),
        lock_of(tmp_path / "a.tif", TrainingError("")),
    ):
        pass


def replaced(path: Path, other: bytes) -> None:
    path.with_name("new").write_bytes(other)
    path.with_name("new").replace(path)


def overwritten(path: Path, other: bytes) -> None:
    path.write_bytes(other)


def cut_off(path: Path, other: bytes) -> None:
    with path.open("rb+") as stream:
        stream.truncate(100)


def removed(path: Path, other: bytes) -> None:
    path.unlink()


EXCHANGES = [replaced, overwritten, cut_off, removed]
Exchange = Callable[[Path, bytes], None]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_model_exchanged_during_a_run_changes_neither_pixels_nor_record(
    tmp_path: Path, exchange: Exchange
) -> None:
    path = write_tiny(tmp_path / "model.safetensors", seed=1)
    other = write_tiny(tmp_path / "other.safetensors", seed=2).read_bytes()
    digest = sha256_of(path)
    image = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    expected = Restorer(path, CPU).restore(image).pixels
    run = Restorer(path, CPU).run(image)
    plan = until(run, Started).plan
    exchange(path, other)
    pixels = until(run, Finished).restored.pixels
    np.testing.assert_array_equal(pixels, expected)
    assert plan.model_sha256 == digest


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_source_exchanged_during_a_run_is_said_and_nothing_is_written_for_it(
    tmp_path: Path, tiny_model: Path, exchange: Exchange
) -> None:
    (job,) = jobs(tmp_path)
    other = write_picture(tmp_path / "other.tif", seed=9).read_bytes()
    run = restore_files([job], lambda: Restorer(tiny_model, CPU))
    until(run, TileDone)
    exchange(job.source, other)
    failure = until(run, FileFailed)
    assert is_one_sentence(failure.reason)
    assert not failure.details
    assert not job.target.exists()


def test_a_model_that_is_gone_when_it_is_loaded_is_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, gone = write_picture(tmp_path / "a.tif"), tmp_path / "gone.safetensors"
    assert main(["restore", str(source), "-o", str(tmp_path / "out"), "--model", str(gone)]) == 1
    assert is_one_sentence(capfd.readouterr().err)
