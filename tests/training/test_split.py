"""What is held out stays so, whatever pictures come and go while a run is interrupted."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_semnet.errors import TrainingError
from napari_semnet.training.checkpoint import read_progress
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data, prepare_data
from napari_semnet.training.events import Evaluated, Event, Notice, Started, Stopped
from napari_semnet.training.judgement import Judgement, judge
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.split import Split
from napari_semnet.training.trainer import train, training_run
from tests.training.runs import scene, small_config, write_png, write_scenes
from tests.training.test_data import named, prepared


def returned(steps: Generator[Any, None, Any]) -> Any:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def twelve(folder: Path, **changes: Any) -> TrainingConfig:
    """A configuration of 12 pictures of which 3 are held out."""
    if not (folder / "pictures").exists():
        write_scenes(folder / "pictures", 12)
    validation = {"crops": 3, "crop": 24, "share": 0.25}
    no_halo = {"halo_pictures": 0}
    return small_config(folder, **{"validation": validation, "model": no_halo, **changes})


def interrupted(config: TrainingConfig, run: Path) -> None:
    said: list[Event] = []
    for event in training_run(config, run, stop=lambda: isinstance(said[-1], Started)):
        said.append(event)
    assert isinstance(said[-1], Stopped)


def as_of_an_earlier_release(state: Path) -> None:
    """Take out of a saved state what earlier releases did not write down."""
    with safe_open(state, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    for key in ("held_out", "trained_on", "settings", "start"):
        del progress[key]
    for key in ("best", "latest"):
        if progress[key]:
            del progress[key]["crops"]
    header = {"version": "1", "progress": json.dumps(progress)}
    save_file(load_file(state), state, metadata=header)


def test_a_picture_that_is_added_moves_no_other(tmp_path: Path) -> None:
    configs = [twelve(tmp_path, seed=seed) for seed in range(6)]
    before = [named(prepared(config)[0].validation) for config in configs]
    assert len(set(map(frozenset, before))) > 1
    write_png(tmp_path / "pictures" / "added.png", scene(77))
    after = [named(prepared(config)[0].validation) for config in configs]
    for one, other in zip(before, after, strict=True):
        assert other <= one | {"added.png"}


def test_a_folder_that_is_moved_holds_out_the_same(tmp_path: Path) -> None:
    one, other = twelve(tmp_path / "one"), twelve(tmp_path / "elsewhere")
    assert named(prepared(one)[0].validation) == named(prepared(other)[0].validation)


def test_a_run_that_goes_on_holds_out_what_it_held_out_before(tmp_path: Path) -> None:
    config, run = twelve(tmp_path), tmp_path / "run"
    interrupted(config, run)
    before = read_progress(RunFolder(run).last)
    data, _ = prepared(config)
    trained, (gone, *_) = named(data.training), sorted(named(data.training))
    for number in range(8):
        write_png(tmp_path / "pictures" / f"added-{number}.png", scene(70 + number))
    (tmp_path / "pictures" / gone).unlink()
    said: list[Event] = []
    train(config, run, resume=True, callback=said.append)
    notices = [event.text for event in said if isinstance(event, Notice)]
    assert any(
        "to train on, 8 more and 1 fewer; held out, 0 more and 0 fewer" in n for n in notices
    )
    after = read_progress(RunFolder(run).last)
    assert after.held_out == before.held_out
    assert set(before.trained_on) < set(after.trained_on)
    now = returned(prepare_data(config, after.split))
    assert named(now.validation) == named(data.validation)
    assert not named(now.validation) & trained


def test_held_out_pictures_that_are_gone_are_replaced_by_none(tmp_path: Path) -> None:
    config, run = twelve(tmp_path), tmp_path / "run"
    interrupted(config, run)
    for name in named(prepared(config)[0].validation):
        (tmp_path / "pictures" / name).unlink()
    said: list[Event] = []
    train(config, run, resume=True, callback=said.append)
    assert not any(isinstance(event, Evaluated) for event in said)
    notices = [event.text for event in said if isinstance(event, Notice)]
    assert any("No picture is here that the run held out before" in text for text in notices)


def test_a_picture_that_was_trained_on_is_refused_as_a_validation_picture(tmp_path: Path) -> None:
    config, run = twelve(tmp_path), tmp_path / "run"
    interrupted(config, run)
    known, *_ = sorted(named(prepared(config)[0].training))
    source = {"images": str(tmp_path / "pictures" / known)}
    measured = twelve(tmp_path, validation={"crops": 1, "crop": 16, "sources": [source]})
    with pytest.raises(TrainingError, match=f"{known}: it was trained on before"):
        train(measured, run, resume=True)


def test_a_run_of_an_earlier_release_holds_out_what_that_held_out(tmp_path: Path) -> None:
    config, run = twelve(tmp_path), tmp_path / "run"
    earlier: Data = returned(prepare_data(config, Split()))
    assert named(earlier.validation) == {"scene-2.png", "scene-3.png", "scene-7.png"}
    interrupted(config, run)
    state = RunFolder(run).last
    as_of_an_earlier_release(state)
    assert read_progress(state).split == Split()
    train(config, run, resume=True)
    assert set(read_progress(state).held_out or ()) == earlier.split.held_out


def test_models_are_judged_on_what_the_run_held_out(tmp_path: Path) -> None:
    start = train(twelve(tmp_path, steps=1), tmp_path / "start")
    config = twelve(tmp_path, start_from=str(start), steps=2)
    model = train(config, tmp_path / "run")
    held_out = {Path(name).stem for name in named(prepared(config)[0].validation)}
    for number in range(12):
        write_png(tmp_path / "pictures" / f"added-{number}.png", scene(70 + number))
    judgement: Judgement = returned(judge(config, model))
    assert {Path(field.name).stem for field in judgement.fields} == held_out


def test_noisy_frames_alone_are_said_to_give_nothing_to_measure_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        clean = scene(number, 96, 96)
        for frame in ("one", "two"):
            noisy = clean + rng.normal(0, 0.03, clean.shape)
            write_png(tmp_path / frame / f"{number}.png", noisy)
    frames = {"kind": "noise2noise", "low": str(tmp_path / "one"), "high": str(tmp_path / "two")}
    _, said = prepared(small_config(tmp_path, data=[frames]))
    assert any("no good picture to measure on" in text for text in said)
    assert not any("too few groups" in text for text in said)


def test_pictures_too_small_to_be_measured_on_are_said_to_be(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 6, rows=40, columns=40)
    _, said = prepared(small_config(tmp_path))
    assert any("64 pixels each way" in text for text in said)
    assert not any("too few groups" in text for text in said)
