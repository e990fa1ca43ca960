"""Two real processes that share a batch learn what one process learns from all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_semnet.errors import TrainingError
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train
from tests.training.processes import run_to_end, write
from tests.training.runs import small_config

CPU = {"device": "cpu", "precision": "fp32"}


def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    changes = {"steps": 6, "batch": 4, "intervals": {"log": 2, "evaluate": 3, "checkpoint": 3}}
    alone = small_config(tmp_path, hardware=CPU, **changes)
    train(alone, tmp_path / "alone")
    both = small_config(tmp_path, hardware={**CPU, "devices": 2}, **changes)
    events = run_to_end(write(both, tmp_path / "both.toml"))
    assert [event["event"] for event in events].count("finished") == 1
    (begun,) = [event for event in events if event["event"] == "started"]
    assert begun["device"].startswith("2 x CPU")
    one, other = (load_file(RunFolder(tmp_path / run).last) for run in ("alone", "both"))
    assert one.keys() == other.keys()
    for key in one:
        assert torch.allclose(one[key], other[key], rtol=1e-4, atol=1e-5), key
    # What agrees must have moved.
    first = next(key for key in one if key.startswith("weights.") and key.endswith("last.weight"))
    start = engine_start(tmp_path, changes)[first.removeprefix("weights.")]
    assert (one[first] - start).abs().max() > 1e-4
    # Only the first process writes: every row stands once.
    assert len(RunFolder(tmp_path / "both").log.read_text().splitlines()) == 1 + 3
    # And the state of two processes is one that a single process can go on from.
    further = alone.model_copy(update={"steps": 8})
    train(further, tmp_path / "both", resume=True)


def engine_start(tmp_path: Path, changes: dict) -> dict[str, torch.Tensor]:
    from napari_semnet.training.learner import first_network

    return first_network(small_config(tmp_path, hardware=CPU, **changes))[0].state_dict()


def test_several_devices_without_fabric_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightning_fabric", None)
    config = small_config(tmp_path, hardware={**CPU, "devices": 2})
    with pytest.raises(TrainingError, match="needs the package lightning-fabric"):
        train(config, tmp_path / "run")
