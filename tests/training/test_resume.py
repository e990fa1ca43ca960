"""Runs that are killed, in processes of their own, end as runs that are not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_semnet.model import load_model
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.events import Event, Started
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train
from tests.training.processes import started, write
from tests.training.runs import small_config

CHECKPOINT = 7


@pytest.fixture(scope="module")
def as_many_threads() -> Iterator[None]:
    """As many threads here as in a process of its own: batches are split by them."""
    count = "import torch; print(torch.get_num_threads())"
    fresh = subprocess.run([sys.executable, "-c", count], capture_output=True, check=True)
    here = torch.get_num_threads()
    torch.set_num_threads(int(fresh.stdout))
    yield
    torch.set_num_threads(here)


@pytest.fixture(scope="module")
def uninterrupted(
    as_many_threads: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingConfig, Path]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = small_config(
        folder,
        steps=60,
        intervals={"log": 1, "evaluate": 10, "preview": 60, "checkpoint": CHECKPOINT},
    )
    train(config, folder / "run")
    return config, folder


def assert_equal_to_the_last_bit(one: Path, other: Path) -> None:
    files, others = RunFolder(one), RunFolder(other)
    first, second = load_file(files.last), load_file(others.last)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    for path in (files.model("my-semnet"), files.best):
        mine = load_model(path).network.state_dict()
        theirs = load_model(other / path.relative_to(one)).network.state_dict()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert files.validation.read_text() == others.validation.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("kind", "step"), [("step", CHECKPOINT + 1), ("step", 25), ("evaluated", 40)]
)
def test_a_killed_run_resumes_as_if_nothing_had_happened(
    uninterrupted: tuple[TrainingConfig, Path], tmp_path: Path, kind: str, step: int
) -> None:
    config, folder = uninterrupted
    path, run = write(config, tmp_path / "run.toml"), tmp_path / "run"
    with started(path) as (child, events):
        for event in events:
            if event["event"] == kind and event["step"] == step:
                child.send_signal(signal.SIGKILL)
                break
        assert child.wait(60) == -signal.SIGKILL
    assert RunFolder(run).last.is_file()
    assert not RunFolder(run).model("my-semnet").exists()
    said: list[Event] = []
    train(config, run, resume=True, callback=said.append)
    (resumed,) = [event for event in said if isinstance(event, Started)]
    # The child may have taken a few more steps before the signal reached it.
    assert step - CHECKPOINT <= resumed.step < 60
    assert resumed.step % CHECKPOINT == 0
    assert_equal_to_the_last_bit(run, folder / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGINT to a child")
@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_stops_after_the_step(
    uninterrupted: tuple[TrainingConfig, Path], tmp_path: Path, polite: signal.Signals
) -> None:
    config, folder = uninterrupted
    path, run = write(config, tmp_path / "run.toml"), tmp_path / "run"
    with started(path) as (child, events):
        stopped = None
        for event in events:
            if event["event"] == "step" and event["step"] == 3:
                child.send_signal(polite)
            stopped = event
        assert child.wait(60) == 130
    assert stopped is not None
    assert stopped["event"] == "stopped"
    assert stopped["reason"] == "it was asked to stop"
    assert load_model(stopped["model"]).card.status.startswith("unfinished: ")
    train(config, run, resume=True)
    assert_equal_to_the_last_bit(run, folder / "run")
