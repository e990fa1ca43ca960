from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_semnet.cli import main
from napari_semnet.commands.train import default_folder, describe
from napari_semnet.model import load_model
from napari_semnet.training.config import write_config
from napari_semnet.training.events import (
    Event,
    Finished,
    MeasuringHalo,
    Notice,
    Preparing,
    Started,
    Step,
)
from tests.training.runs import small_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(write_config(small_config(tmp_path, steps=6)), encoding="utf-8")
    return path


def test_a_run_goes_into_a_folder_beside_its_configuration(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("reading pictures: 4 of 4 files")
    assert any(line.startswith("starting: 6 steps on CPU") for line in told)
    assert any(line.startswith("step 6 of 6: loss ") for line in told)
    assert any(line.startswith("step 6: PSNR ") and " dB, SSIM " in line for line in told)
    model = config.parent / "run" / "my-semnet.safetensors"
    assert told[-1] == f"finished after 6 steps: {model}"
    assert load_model(model).name == "my-semnet"


def test_json_is_one_object_a_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--json", "-o", str(config.parent / "other")]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in told]
    assert kinds[:4] == ["preparing"] * 4
    assert set(kinds[4:]) == {
        "started",
        "step",
        "evaluated",
        "preview",
        "checkpointed",
        "notice",
        "finished",
    }
    assert told[-1]["model"] == str(config.parent / "other" / "my-semnet.safetensors")


def test_a_time_limit_and_then_resuming(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--max-minutes", "0.000001"]) == 0
    assert "stopped at step 1 of 6, because its time was over" in capsys.readouterr().out
    assert main(["train", str(config)]) == 1
    assert "already holds a run. Go on with it by --resume" in capsys.readouterr().err
    assert main(["train", str(config), "--resume"]) == 0
    assert "going on at step 1" in capsys.readouterr().out


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Press Ctrl-C when the first event of a kind is told."""

    def at(kind: type) -> None:
        def described(event: Event) -> str:
            if isinstance(event, kind) and not pressed:
                pressed.append(event)
                signal.raise_signal(signal.SIGINT)
            return describe(event)

        pressed: list[Event] = []
        monkeypatch.setattr("napari_semnet.commands.train.describe", described)

    return at


def test_ctrl_c_between_steps_ends_with_130_in_a_state_that_goes_on(
    config: Path, interrupted: Callable[[type], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(Started)
    assert main(["train", str(config)]) == 130
    assert "stopped at step 1 of 6, because it was asked to stop" in capsys.readouterr().out
    assert main(["train", str(config), "--resume"]) == 0


def test_ctrl_c_stops_at_once_while_pictures_are_decoded(
    config: Path, interrupted: Callable[[type], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(Preparing)
    assert main(["train", str(config)]) == 130
    told = capsys.readouterr()
    assert told.err == "napari-semnet: stopped.\n"
    assert "starting" not in told.out


def test_ctrl_c_stops_at_once_while_the_halo_is_measured(
    config: Path, interrupted: Callable[[type], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any, **__: Any) -> Iterator[Event]:
        yield Started(0, 6, 3, 0.1, "CPU", "fp32", 100)
        yield MeasuringHalo(0.0)
        yield Finished(6, config)

    monkeypatch.setattr("napari_semnet.training.trainer.training_run", run)
    interrupted(MeasuringHalo)
    assert main(["train", str(config)]) == 130


def test_a_wrong_configuration_is_one_sentence_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[[data]]\nimages = 'x'\nwieght = 2\n")
    assert main(["train", str(path)]) == 1
    said = capsys.readouterr().err
    assert "wrong.toml: There is no setting 'wieght' in 'data[1]'; did you mean 'weight'?" in said
    assert "Traceback" not in said
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "soon"])
def test_a_senseless_time_limit_is_refused(config: Path, minutes: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", str(config), f"--max-minutes={minutes}"])
    assert caught.value.code == 2


def test_the_folder_of_a_run_is_found_from_its_configuration(tmp_path: Path) -> None:
    assert default_folder(tmp_path / "ours.toml") == tmp_path / "ours"
    assert default_folder(tmp_path / "run" / "config.toml") == tmp_path / "run"
    assert default_folder(tmp_path / "ours") == tmp_path / "ours.run"


def test_every_figure_has_a_unit() -> None:
    step = Step(50, 100, 1e-4, 0.1, 0.05, 0.2, 0.01, 0.001, -28.0, 0.0001, 1.0, 2.0, 3.5, 0)
    assert "2.00 steps/s, waiting 3.5 ms a step, 0.01 h left" in describe(step)
    assert describe(Notice("All is well.")) == "note: All is well."
