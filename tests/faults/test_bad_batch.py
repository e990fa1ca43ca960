"""A batch that cannot be learned from, and an error in the midst of a run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_semnet.model import load_model
from napari_semnet.training import events, run
from napari_semnet.training.learner import Batch
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train, training_run
from tests.training.runs import small_config


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_bad_batch_is_skipped_told_of_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    made = run.make_batch

    def poisoned(data, config, profile, engine, step: int) -> Batch:
        batch = made(data, config, profile, engine, step)
        if step in (5, 6):
            batch.inputs[0, 0, 3, 3] = value
        return batch

    monkeypatch.setattr(run, "make_batch", poisoned)
    said = list(training_run(small_config(tmp_path), tmp_path / "run"))
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    (skipped,) = [text for text in notices if "skipped" in text]
    assert skipped.startswith("2 steps before step 8 were skipped")
    finished = said[-1]
    assert isinstance(finished, events.Finished)
    assert finished.step == 12
    weights = load_model(finished.model).network.state_dict().values()
    assert all(torch.isfinite(weight).all() for weight in weights)
    with (tmp_path / "run" / "log.csv").open(encoding="utf-8") as table:
        assert [row["skipped"] for row in csv.DictReader(table)] == ["0", "2", "2"]


def test_an_error_in_the_midst_of_a_run_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    train(config, tmp_path / "whole")

    def failing() -> bool:
        if (tmp_path / "run" / "checkpoints" / "last.safetensors").exists():
            raise ZeroDivisionError
        return False

    with pytest.raises(ZeroDivisionError):
        list(training_run(config, tmp_path / "run", stop=failing))
    train(config, tmp_path / "run", resume=True)
    one, other = (load_file(RunFolder(tmp_path / name).last) for name in ("whole", "run"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    for table in ("log.csv", "validation.csv"):
        lines = [(tmp_path / n / table).read_text().splitlines() for n in ("whole", "run")]
        assert len(lines[0]) == len(lines[1])
