from __future__ import annotations

import csv
import json
import math
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from napari_semnet.errors import DeviceError, SemnetError, TrainingError
from napari_semnet.model import load_model, read_card, stored_dtype
from napari_semnet.restoration.restorer import restore
from napari_semnet.training import events, learner
from napari_semnet.training.config import TrainingConfig, load_config
from napari_semnet.training.events import Event
from napari_semnet.training.losses import LossTerms, combined_loss
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train, training_run
from tests.training.runs import scene, small_config, write_scenes


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(folder).last)


def same(one: Path, other: Path) -> bool:
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingConfig, Path, list[Event]]:
    """A whole run: its configuration, its folder and all it said."""
    folder = tmp_path_factory.mktemp("finished")
    config = small_config(
        folder,
        model={"name": "ours", "licence": "CC0", "description": "For a test."},
        data=[{"images": str(folder / "pictures"), "licence": "CC0"}],
    )
    said: list[Event] = []
    model = train(config, folder / "run", callback=said.append)
    assert model == folder / "run" / "ours.safetensors"
    return config, folder / "run", said


Finished = tuple[TrainingConfig, Path, list[Event]]


def test_events_come_in_order(finished: Finished) -> None:
    _, folder, said = finished
    kinds = [type(event).__name__ for event in said if not isinstance(event, events.Preparing)]
    assert kinds == [
        "Started",
        *["Step", "Checkpointed"],  # 4, 5
        *["Evaluated", "Step", "Checkpointed"],  # 6, 8, 10
        *["Step", "Evaluated", "Preview", "Checkpointed"],  # 12, the end
        "Notice",  # pictures too small for a halo
        "Finished",
    ]
    steps = [event.step for event in said if isinstance(event, events.Step)]
    assert steps == [4, 8, 12]
    assert said[-1] == events.Finished(12, folder / "ours.safetensors")


def test_the_run_folder_holds_everything(finished: Finished) -> None:
    config, folder, said = finished
    files = RunFolder(folder)
    assert load_config(files.config) == config
    (machine,) = json.loads(files.environment.read_text())
    assert machine["from_step"] == 0
    assert machine["packages"]["torch"]
    logged = rows(files.log)
    assert [row["step"] for row in logged] == ["4", "8", "12"]
    told = [event for event in said if isinstance(event, events.Step)]
    assert [float(row["loss"]) for row in logged] == pytest.approx(
        [event.loss for event in told], rel=1e-4
    )
    assert [row["step"] for row in rows(files.validation)] == ["6", "12"]
    picture = np.asarray(Image.open(files.preview(12)))
    assert picture.shape == (2 * 48, 3 * 48)
    assert rows(files.rejected) == []


def test_the_card_says_what_the_run_knows(finished: Finished) -> None:
    config, folder, said = finished
    card = load_model(folder / "ours.safetensors").card
    assert (card.name, card.licence, card.description) == ("ours", "CC0", "For a test.")
    assert card.status == ""
    assert card.training.steps == 12
    assert card.training.hours is not None
    assert card.training.hardware.startswith("CPU")
    assert "licence: CC0" in card.training.data[0]
    assert "profile poster" in card.training.recipe
    measured = [event for event in said if isinstance(event, events.Evaluated)][-1]
    figures = {metric.name: metric for metric in card.metrics}
    assert figures["PSNR"].value == pytest.approx(measured.psnr, abs=1e-3)
    assert figures["PSNR"].unit == "dB"
    assert figures["SSIM of bicubic interpolation"].value == pytest.approx(
        measured.bicubic_ssim, abs=1e-4
    )
    assert all(metric.definition and metric.data for metric in card.metrics)
    assert card.noise_range is not None
    assert 0 <= card.noise_range[0] < card.noise_range[1]
    assert card.architecture.features == config.network.features


def test_the_model_restores(finished: Finished) -> None:
    _, folder, _ = finished
    image = np.rint(scene(77) * 255).astype(np.uint8)
    restored = restore(image, model=folder / "ours.safetensors", device="cpu", precision="fp32")
    assert restored.shape == (160, 192)
    assert restored.dtype == np.uint8


def test_the_model_is_the_average_of_the_weights(finished: Finished) -> None:
    _, folder, _ = finished
    average = {
        key.removeprefix("average."): value
        for key, value in state(folder).items()
        if key.startswith("average.")
    }
    model = load_model(folder / "ours.safetensors").network.state_dict()
    assert average.keys() == model.keys()
    assert all(
        torch.equal(average[key].to(stored_dtype(key, torch.float16)).float(), model[key])
        for key in model
    )


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    finished: Finished, tmp_path: Path
) -> None:
    config, folder, _ = finished
    train(config, tmp_path / "again")
    assert same(folder, tmp_path / "again")
    train(config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert not same(folder, tmp_path / "other")


@pytest.mark.parametrize("at", [1, 5, 7])
def test_a_stopped_and_resumed_run_ends_as_if_it_had_not_been(
    finished: Finished, tmp_path: Path, at: int
) -> None:
    config, folder, _ = finished
    asked = iter(range(1, 100))
    said = list(training_run(config, tmp_path / "run", stop=lambda: next(asked) == at))
    (stopped,) = [event for event in said if isinstance(event, events.Stopped)]
    assert (stopped.step, said[-1]) == (at, stopped)
    assert load_model(stopped.model).card.status == f"unfinished: {at} of 12 steps"
    train(config, tmp_path / "run", resume=True)
    assert same(folder, tmp_path / "run")
    ours, theirs = RunFolder(tmp_path / "run"), RunFolder(folder)
    assert ours.validation.read_bytes() == theirs.validation.read_bytes()
    best = [load_model(files.best).network.state_dict() for files in (ours, theirs)]
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    assert [row["step"] for row in rows(ours.log)][-1] == "12"


def test_a_closed_run_can_be_resumed(finished: Finished, tmp_path: Path) -> None:
    config, folder, _ = finished
    with closing(training_run(config, tmp_path / "run")) as said:  # type: ignore[type-var]
        for event in said:
            if isinstance(event, events.Step) and event.step == 8:
                break
    train(config, tmp_path / "run", resume=True)
    assert same(folder, tmp_path / "run")


@pytest.mark.parametrize("kind", [events.Step, events.Evaluated])
def test_closing_at_a_step_loses_nothing_that_is_due_there(
    finished: Finished, tmp_path: Path, kind: type
) -> None:
    config, folder, _ = finished
    often = {"log": 6, "evaluate": 6, "preview": 6, "checkpoint": 12}
    config = config.model_copy(update={"intervals": config.intervals.model_copy(update=often)})
    with closing(training_run(config, tmp_path / "run")) as said:  # type: ignore[type-var]
        for event in said:
            if isinstance(event, kind) and event.step == 6:
                break
    files = RunFolder(tmp_path / "run")
    assert files.preview(6).is_file()
    train(config, tmp_path / "run", resume=True)
    assert files.validation.read_bytes() == RunFolder(folder).validation.read_bytes()


def test_skipped_steps_are_counted_over_all_parts_of_a_run(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _, _ = finished
    with monkeypatch.context() as patched:
        patched.setattr(learner, "combined_loss", _not_finite)
        asked = iter(range(1, 100))
        of_none = list(training_run(config, tmp_path / "run", stop=lambda: next(asked) == 3))
    # A loss of nothing would look like a perfect network.
    assert all(math.isnan(event.loss) for event in of_none if isinstance(event, events.Step))
    said: list[Event] = []
    train(config, tmp_path / "run", resume=True, callback=said.append)
    assert [event.skipped for event in said if isinstance(event, events.Step)] == [3, 3, 3]
    assert not any("were skipped" in e.text for e in said if isinstance(e, events.Notice))


def _not_finite(*arguments: Any) -> LossTerms:
    terms = combined_loss(*arguments)
    return replace(terms, total=terms.total * torch.nan)


def test_a_run_whose_first_steps_all_fail_can_be_resumed(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _, _ = finished
    with monkeypatch.context() as patched:
        patched.setattr(learner, "combined_loss", _not_finite)
        with pytest.raises(TrainingError, match="10 steps in a row"):
            train(config, tmp_path / "run")
    assert train(config, tmp_path / "run", resume=True).is_file()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"degradation": "poter"}, "no degradation profile 'poter'"),
        ({"start_from": "semnet-x3"}, "no model 'semnet-x3'"),
    ],
)
def test_a_mistyped_name_is_refused_before_a_picture_is_read(
    finished: Finished, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    config = finished[0].model_copy(update={**wrong, "store": tmp_path / "store"})
    heard: list[Event] = []
    with pytest.raises(SemnetError, match=said):
        train(config, tmp_path / "run", callback=heard.append)
    assert heard == []


def test_a_refused_start_leaves_no_folder_behind_but_one_that_was_there(tmp_path: Path) -> None:
    config = small_config(tmp_path).model_copy(update={"start_from": "semnet-x3"})
    run, mine = tmp_path / "runs" / "new", tmp_path / "mine"
    mine.mkdir()
    for folder in (run, mine):
        with pytest.raises(SemnetError, match="no model 'semnet-x3'"):
            train(config, folder)
    assert not run.exists()
    assert list(mine.iterdir()) == []


def test_reading_pictures_stops_after_the_one_at_hand(tmp_path: Path) -> None:
    run = training_run(small_config(tmp_path), tmp_path / "run", stop=lambda: True)
    assert isinstance(next(run), events.Preparing)
    with pytest.raises(TrainingError, match="before the first step"):
        next(run)
    assert [p for p in (tmp_path / "store").iterdir() if p.name.startswith(".")] == []


def test_a_halo_is_left_unmeasured_when_asked_to_stop(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 2, rows=160, columns=176)
    config = small_config(tmp_path, steps=1, validation={"crops": 0})
    said: list[Event] = []

    def is_asked() -> bool:
        return any(isinstance(event, events.MeasuringHalo) for event in said)

    for event in training_run(config, tmp_path / "run", stop=is_asked):
        said.append(event)
    assert isinstance(said[-1], events.Finished)
    assert "halo" in said[-2].text  # type: ignore[union-attr]
    assert load_model(said[-1].model).card.halo is None


def test_the_best_model_says_how_long_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_each_time = SimpleNamespace(monotonic=count(0, 3600).__next__)
    monkeypatch.setattr("napari_semnet.training.run.time", an_hour_each_time)
    train(small_config(tmp_path, steps=1), tmp_path / "run")
    assert load_model(RunFolder(tmp_path / "run").best).card.training.hours >= 1


def test_rows_of_steps_that_are_done_again_are_dropped(finished: Finished, tmp_path: Path) -> None:
    config, _, _ = finished
    run = training_run(config, tmp_path / "run")
    for event in run:
        if isinstance(event, events.Checkpointed) and event.step == 5:
            kept = RunFolder(tmp_path / "run").last.read_bytes()
        if isinstance(event, events.Step) and event.step == 8:
            break
    run.close()  # type: ignore[attr-defined]
    files = RunFolder(tmp_path / "run")
    files.last.write_bytes(kept)
    with files.log.open("a") as log:
        log.write("9,0.0")
    train(config, tmp_path / "run", resume=True)
    assert [row["step"] for row in rows(files.log)] == ["4", "8", "12"]


def test_the_time_limit_stops_in_a_state_that_can_be_resumed(
    finished: Finished, tmp_path: Path
) -> None:
    config, _, _ = finished
    said: list[Event] = []
    model = train(config, tmp_path / "run", max_minutes=1e-6, callback=said.append)
    assert isinstance(said[-1], events.Stopped)
    assert said[-1].reason == "its time was over"
    assert model.is_file()
    assert RunFolder(tmp_path / "run").last.is_file()


def test_a_folder_with_a_run_is_not_overwritten(finished: Finished) -> None:
    config, folder, _ = finished
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match="already holds a run"):
        train(config, folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_model_that_is_no_runs_is_not_written_over(finished: Finished, tmp_path: Path) -> None:
    config, folder, _ = finished
    # Somebody starts from a model that lies beside config.toml, and gives the new one its name.
    model = Path(shutil.copy(folder / "ours.safetensors", tmp_path))
    before = model.read_bytes()
    config = config.model_copy(update={"start_from": str(model)})
    with pytest.raises(TrainingError, match=r"ours\.safetensors exists already"):
        train(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ours.safetensors"]
    assert model.read_bytes() == before


def test_a_run_that_is_not_there_cannot_be_resumed(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run to resume"):
        train(finished[0], tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_changed_settings_are_named_and_count(finished: Finished, tmp_path: Path) -> None:
    config, _, _ = finished
    train(config, tmp_path / "run", max_minutes=1e-6)
    longer = config.model_copy(update={"steps": 3})
    said = list(training_run(longer, tmp_path / "run", resume=True))
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    assert notices[0].startswith("Settings differ from before in steps;")
    assert said[-1].step == 3  # type: ignore[union-attr]
    assert load_config(RunFolder(tmp_path / "run").config) == longer


def test_a_file_that_cannot_be_written_ends_the_run_in_a_sentence_and_loses_nothing(
    finished: Finished, tmp_path: Path
) -> None:
    config, folder, _ = finished
    run = tmp_path / "run"
    run.mkdir()
    (run / "previews").write_text("in the way")
    with pytest.raises(TrainingError, match="What was saved before is intact"):
        train(config, run)
    (run / "previews").unlink()
    train(config, run, resume=True)
    assert same(folder, run)


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_told_with_what_to_lower(
    finished: Finished, tmp_path: Path, failure: Exception
) -> None:
    def running_out() -> bool:
        raise failure

    config, folder, _ = finished
    shutil.copytree(folder, tmp_path / "run")
    longer = config.model_copy(update={"steps": 20})
    with pytest.raises(DeviceError, match=r"batch of 2 patches of 12 x 12 pixels\. Lower"):
        list(training_run(longer, tmp_path / "run", resume=True, stop=running_out))


def test_a_run_that_diverges_stops_with_its_state_saved(tmp_path: Path) -> None:
    config = small_config(tmp_path, optimiser={"learning_rate": 1e30}, steps=60)
    with pytest.raises(TrainingError, match="not a finite number for 10 steps in a row"):
        train(config, tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in state(tmp_path / "run").values())


def test_no_model_is_named_that_was_never_written(tmp_path: Path) -> None:
    of_nothing = {"validation": {"crops": 0}, "optimiser": {"learning_rate": 1e30}}
    with pytest.raises(TrainingError, match=r"set precision to fp32, and resume\.$"):
        train(small_config(tmp_path, steps=60, **of_nothing), tmp_path / "run")


def test_the_best_weights_become_the_model_on_request(tmp_path: Path) -> None:
    # A rate that ruins the network after a good start.
    config = small_config(
        tmp_path,
        steps=12,
        ema=0.0,
        optimiser={"learning_rate": 0.05},
        schedule={"kind": "constant", "warmup": 12},
        intervals={"log": 12, "evaluate": 2, "preview": 12, "checkpoint": 12},
        model={"name": "ours", "keep": "best"},
    )
    said: list[Event] = []
    model = load_model(train(config, tmp_path / "run", callback=said.append))
    measured = [event for event in said if isinstance(event, events.Evaluated)]
    best = max(measured, key=lambda event: event.psnr)
    assert model.card.training.steps == best.step
    assert model.card.metrics[0].value == pytest.approx(best.psnr, abs=1e-3)
    kept = load_model(RunFolder(tmp_path / "run").best).network.state_dict()
    given = model.network.state_dict()
    assert all(
        torch.equal(kept[key].to(stored_dtype(key, torch.float16)).float(), given[key])
        for key in given
    )


def test_a_model_can_be_trained_on(finished: Finished, tmp_path: Path) -> None:
    config, folder, _ = finished
    further = config.model_copy(update={"start_from": str(folder / "ours.safetensors"), "steps": 2})
    said: list[Event] = []
    card = load_model(train(further, tmp_path / "run", callback=said.append)).card
    measured = [event for event in said if isinstance(event, events.Evaluated)]
    assert [event.step for event in measured] == [0, 2]
    # Where it starts is where the other run ended, but for the rounding of the model's file.
    last = float(rows(RunFolder(folder).validation)[-1]["psnr"])
    assert measured[0].psnr == pytest.approx(last, abs=0.01)
    assert card.training.started_from.startswith("ours (sha256 ")
    assert card.training.steps_text == f"2 steps after {config.steps}"
    assert card.training.all_steps == config.steps + 2
    assert card.architecture.features == config.network.features


def test_a_run_goes_on_without_the_model_that_it_started_from(
    finished: Finished, tmp_path: Path
) -> None:
    config, folder, _ = finished
    start = shutil.copy(folder / "ours.safetensors", tmp_path / "first.safetensors")
    begun = config.model_copy(update={"start_from": str(start), "steps": 2})
    card = read_card(train(begun, tmp_path / "run"))
    start.unlink()
    said: list[Event] = []
    further = config.model_copy(update={"start_from": str(folder / "ours.safetensors"), "steps": 4})
    model = train(further, tmp_path / "run", resume=True, callback=said.append)
    after = read_card(model).training
    assert after.started_from == card.training.started_from
    assert after.steps_text == f"4 steps after {config.steps}"
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    assert notices[0].startswith("The run began with ours (sha256 ")
    assert "another start_from has no effect" in notices[0]
    assert notices[1].startswith("Settings differ from before in steps;")


def test_a_run_from_random_weights_takes_no_model_later(finished: Finished, tmp_path: Path) -> None:
    config, folder, _ = finished
    train(config.model_copy(update={"steps": 1}), tmp_path / "run")
    update = {"start_from": str(folder / "ours.safetensors"), "steps": 2}
    said: list[Event] = []
    model = train(
        config.model_copy(update=update), tmp_path / "run", resume=True, callback=said.append
    )
    assert read_card(model).training.started_from == ""
    assert any("The run began with random weights" in str(event) for event in said)


def test_the_halo_is_measured_where_pictures_are_large_enough(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 2, rows=160, columns=176)
    config = small_config(tmp_path, steps=1, validation={"crops": 0})
    said: list[Event] = []
    card = load_model(train(config, tmp_path / "run", callback=said.append)).card
    assert card.halo is not None
    assert 0 < card.halo.pixels <= card.architecture.exact_halo
    assert "its reference" in card.halo.measured_on  # clean pictures can need more of it
    assert "scene-0.png (poster)" in card.halo.measured_on
    shares = [event.done for event in said if isinstance(event, events.MeasuringHalo)]
    assert shares[0] == 0
    assert shares == sorted(shares)


def test_a_run_without_validation_needs_no_held_out_pictures(tmp_path: Path) -> None:
    config = small_config(tmp_path, validation={"crops": 0}, steps=2)
    said: list[Event] = []
    card = load_model(train(config, tmp_path / "run", callback=said.append)).card
    assert card.metrics == ()
    assert not any(isinstance(event, events.Evaluated | events.Preview) for event in said)


def test_threads_started_after_a_run_compute_with_as_many_processors_as_before(
    tmp_path: Path,
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train(small_config(tmp_path, steps=2), tmp_path / "run")
        counted: list[int] = []
        later = threading.Thread(target=lambda: counted.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert counted == [3]
    finally:
        torch.set_num_threads(before)


def test_settings_edited_in_the_run_folder_are_named(finished: Finished, tmp_path: Path) -> None:
    config, _, _ = finished
    train(config, tmp_path / "run", max_minutes=1e-6)
    path = RunFolder(tmp_path / "run").config
    path.write_text(path.read_text().replace("steps = 12", "steps = 3"))
    said = list(training_run(load_config(path), tmp_path / "run", resume=True))
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    assert notices[0].startswith("Settings differ from before in steps;")


def test_a_file_named_stop_ends_a_run_in_a_state_that_can_be_resumed(
    finished: Finished, tmp_path: Path
) -> None:
    config, _, _ = finished
    run = RunFolder(tmp_path / "run")
    said: list[Event] = []

    def follow(event: Event) -> None:
        said.append(event)
        if isinstance(event, events.Step) and event.step == 4:
            run.stop_request.touch()

    train(config, run.path, callback=follow)
    assert isinstance(said[-1], events.Stopped)
    assert said[-1].step == 5
    train(config, run.path, resume=True, callback=said.append)  # the wish is an old one by then
    assert isinstance(said[-1], events.Finished)


def test_the_time_limit_holds_while_the_halo_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "pictures", 2, rows=160, columns=176)
    clock = SimpleNamespace(monotonic=lambda: hours[0])
    hours = [0.0]
    monkeypatch.setattr("napari_semnet.training.trainer.time", clock)
    said: list[Event] = []

    def follow(event: Event) -> None:
        said.append(event)
        if isinstance(event, events.MeasuringHalo):
            hours[0] = 3600.0

    config = small_config(tmp_path, steps=1, validation={"crops": 0})
    model = train(config, tmp_path / "run", max_minutes=30, callback=follow)
    assert isinstance(said[-1], events.Finished)
    assert "because its time was over" in said[-2].text  # type: ignore[union-attr]
    assert load_model(model).card.halo is None
