"""The best model of a run is the best of what is measured, and its card tells its own figures."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from napari_semnet.model import load_model
from napari_semnet.training.checkpoint import read_progress
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.events import Checkpointed, Evaluated, Event, Notice
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train, training_run
from tests.training.runs import small_config
from tests.training.test_split import as_of_an_earlier_release

EASY = {"name": "easy", "chains": [{"gaussian": {"sigma": [1, 2]}}]}
HARD = {"name": "hard", "chains": [{"gaussian": {"sigma": [60, 90]}}]}


def config_of(folder: Path, **changes: Any) -> TrainingConfig:
    return small_config(
        folder,
        **{
            "degradation": EASY,
            "ema": 0.0,
            "optimiser": {"learning_rate": 1e-3},
            "model": {"keep": "best", "halo_pictures": 0},
            "intervals": {"log": 4, "evaluate": 4, "preview": 99, "checkpoint": 6},
            **changes,
        },
    )


def resumed(config: TrainingConfig, run: Path) -> tuple[Path, list[Evaluated], list[str]]:
    """The model, what was measured, and what was said."""
    said: list[Event] = []
    model = train(config, run, resume=True, callback=said.append)
    measured = [event for event in said if isinstance(event, Evaluated)]
    return model, measured, [event.text for event in said if isinstance(event, Notice)]


@pytest.mark.parametrize(
    "harder",
    [{"degradation": HARD}, {"validation": {"crops": 2, "crop": 20, "share": 0.25}}],
)
def test_figures_of_other_crops_are_not_compared(tmp_path: Path, harder: dict[str, Any]) -> None:
    run = tmp_path / "run"
    train(config_of(tmp_path), run)
    model, measured, said = resumed(config_of(tmp_path, steps=20, **harder), run)
    best = max(measured, key=lambda event: event.psnr)
    card = load_model(model).card
    assert card.training.steps == best.step
    assert card.metrics[0].value == pytest.approx(best.psnr, abs=1e-3)
    assert measured[0].is_best
    assert any("validation crops differ" in text for text in said)


@pytest.mark.parametrize("is_earlier_release", [False, True])
def test_figures_of_the_same_crops_are_compared(tmp_path: Path, is_earlier_release: bool) -> None:
    held = {"images": str(tmp_path / "pictures" / "scene-0.png")}
    validation = {"crops": 2, "crop": 24, "sources": [held]}
    run = tmp_path / "run"
    good = {"learning_rate": 5e-3}
    train(config_of(tmp_path, validation=validation, optimiser=good), run)
    files = RunFolder(run)
    before = read_progress(files.last).best
    if is_earlier_release:
        as_of_an_earlier_release(files.last)
    ruinous = {"learning_rate": 0.5}
    config = config_of(tmp_path, validation=validation, steps=16, optimiser=ruinous)
    model, measured, said = resumed(config, run)
    assert before is not None
    assert not any(event.is_best for event in measured)
    assert not any("best" in text for text in said)
    assert load_model(model).card.training.steps == before.step


def killed_after_a_better_model(config: TrainingConfig, run: Path) -> None:
    """Leave a best model of step 8 and a state of step 6, whose best is of step 4."""
    files = RunFolder(run)
    with closing(training_run(config, run)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Checkpointed) and event.step == 6:
                state = files.last.read_bytes()
            if isinstance(event, Evaluated) and event.step == 8:
                assert event.is_best
                break
    files.last.write_bytes(state)


def test_weights_that_a_killed_run_went_on_to_are_not_taken_for_the_best(tmp_path: Path) -> None:
    run = tmp_path / "run"
    killed_after_a_better_model(config_of(tmp_path), run)
    ruinous = config_of(tmp_path, optimiser={"learning_rate": 0.5})
    model, measured, said = resumed(ruinous, run)
    best = max(measured, key=lambda event: event.psnr)
    card = load_model(model).card
    assert card.training.steps == best.step
    assert card.metrics[0].value == pytest.approx(best.psnr, abs=1e-3)
    assert any("is of step 8 instead of step 4" in text for text in said)


def test_a_killed_run_finds_its_best_model_again(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    killed_after_a_better_model(config, tmp_path / "run")
    train(config, tmp_path / "whole")
    _, _, said = resumed(config, tmp_path / "run")
    ours, theirs = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")
    assert not any("best" in text for text in said)
    assert ours.validation.read_text() == theirs.validation.read_text()
    one, other = load_file(ours.best), load_file(theirs.best)
    assert all(bool((one[key] == other[key]).all()) for key in one)


def test_a_best_model_that_was_deleted_is_looked_for_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(config_of(tmp_path), run)
    RunFolder(run).best.unlink()
    model, _, said = resumed(config_of(tmp_path, steps=16), run)
    assert any("is missing instead of step" in text for text in said)
    assert load_model(model).card.training.steps == 16


def test_a_finished_run_is_measured_on_the_crops_that_it_is_resumed_with(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = load_model(train(config_of(tmp_path), run)).card.metrics
    config = config_of(tmp_path, degradation=HARD)
    model, measured, _ = resumed(config, run)
    after = load_model(model).card.metrics
    assert [one.step for one in measured] == [config.steps]
    assert [one.name for one in after] == [one.name for one in before]
    assert "degradation profile hard" in after[0].data
