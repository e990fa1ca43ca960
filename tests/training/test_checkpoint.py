from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_semnet.errors import TrainingError
from napari_semnet.training.checkpoint import (
    Best,
    Progress,
    Start,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from napari_semnet.training.engine import engine_for
from napari_semnet.training.learner import Batch, Learner, first_network
from tests.training.runs import small_config


def learner_of(tmp_path: Path, **changes: object) -> Learner:
    config = small_config(tmp_path, **changes)
    return Learner(first_network(config)[0], config, engine_for(config.hardware))


def batch(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    return Batch(
        torch.rand(2, 1, 12, 12, generator=generator),
        torch.rand(2, 1, 24, 24, generator=generator),
    )


def save(path: Path, learner: Learner, progress: Progress) -> None:
    save_checkpoint(path, learner.network, learner.average, learner.optimiser, progress)


def load(path: Path, learner: Learner) -> Progress:
    return load_checkpoint(path, learner.network, learner.average, learner.optimiser)


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_a_learner_goes_on_from_a_checkpoint_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.safetensors"
    choices = {"network": {"features": 8, "growth": 8, "blocks": 1}, "optimiser": {"kind": kind}}
    one = learner_of(tmp_path, **choices)
    for step in range(3):
        one.learn(batch(step), step)
    best = Best(2, 20.0, 0.5, 19.0, 0.4)
    save(path, one, Progress(3, one.updates(), 0, 1.5, best, best, ["CPU"]))
    other = learner_of(tmp_path, seed=99, **choices)
    progress = load(path, other)
    assert progress == Progress(3, 3, 0, 1.5, best, best, ["CPU"])
    for step in range(3, 6):
        one.learn(batch(step), step)
        other.learn(batch(step), step)
    for name in ("network", "average"):
        pairs = zip(getattr(one, name).parameters(), getattr(other, name).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_state_before_the_first_step_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save(path, learner_of(tmp_path), Progress())
    assert load(path, learner_of(tmp_path, seed=5)) == Progress()


def test_a_state_whose_steps_were_all_skipped_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    one, other = learner_of(tmp_path), learner_of(tmp_path, seed=99)
    one.learn(Batch(torch.full((2, 1, 12, 12), torch.nan), batch(0).targets), 0)
    save(path, one, Progress(1, one.updates(), 1))
    assert load(path, other) == Progress(1, 0, 1)
    one.learn(batch(1), 1)
    other.learn(batch(1), 1)
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_state_of_another_network_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save(path, learner_of(tmp_path), Progress())
    other = learner_of(tmp_path, network={"features": 6, "growth": 4, "blocks": 1})
    before = [p.detach().clone() for p in other.network.parameters()]
    with pytest.raises(TrainingError, match="is the state of another network"):
        load(path, other)
    pairs = zip(before, other.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("kind", "other"), [("adam", "muon"), ("muon", "adam")])
def test_a_state_of_another_optimiser_is_not_called_one_of_another_network(
    tmp_path: Path, kind: str, other: str
) -> None:
    path = tmp_path / "state.safetensors"
    sizes = {"features": 8, "growth": 8, "blocks": 1}
    one = learner_of(tmp_path, network=sizes, optimiser={"kind": kind})
    one.learn(batch(0), 0)
    save(path, one, Progress(1, one.updates()))
    with pytest.raises(TrainingError, match="is the state of another optimiser"):
        load(path, learner_of(tmp_path, network=sizes, optimiser={"kind": other}))


def test_what_a_run_began_with_is_read_back(tmp_path: Path) -> None:
    path, learner = tmp_path / "state.safetensors", learner_of(tmp_path)
    start = Start("semnet-x2 (sha256 abc)", learner.average.architecture, 42_095)
    save(path, learner, Progress(start=start))
    assert read_progress(path).start == start


def test_missing_damaged_and_newer_states_are_told_apart(tmp_path: Path) -> None:
    learner, path = learner_of(tmp_path), tmp_path / "state.safetensors"
    with pytest.raises(TrainingError, match="There is no run to resume"):
        load(path, learner)
    save(path, learner, Progress())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="is damaged"):
        load(path, learner)
    path.write_bytes(whole)
    save_file(load_file(path), path, metadata={"version": "999", "progress": "{}"})
    with pytest.raises(TrainingError, match="newer napari-semnet"):
        load(path, learner)


def test_a_state_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, path = learner_of(tmp_path), tmp_path / "state.safetensors"
    save(path, learner, Progress())
    before = path.read_bytes()

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_semnet.training.checkpoint.save_file", full)
    with pytest.raises(TrainingError, match=r"No space left on device.* intact.* resume\.$"):
        save(path, learner, Progress(step=5))
    with pytest.raises(TrainingError, match=r"Nothing was saved before.* start again\.$"):
        save(tmp_path / "first.safetensors", learner, Progress(step=5))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.glob("*state*")) == ["state.safetensors"]
