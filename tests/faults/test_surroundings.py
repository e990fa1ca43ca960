"""Homes that are read-only, no network, odd names, wrong clocks, processes that are spawned."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.cli import main
from napari_semnet.errors import SemnetError
from napari_semnet.files.provenance import read_sidecar, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.training.trainer import train
from tests.faults.conftest import is_one_sentence, write_picture, write_tiny
from tests.training.processes import write
from tests.training.runs import small_config, write_scenes

WATCHED = """
import sys

tried = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        tried.append((event, str(arguments)))

sys.addaudithook(watch)
from napari_semnet.cli import main

for arguments in {commands!r}:
    if main(arguments) != 0:
        sys.exit(f"{{arguments}} failed")
sys.exit(f"tried to reach {{tried}}" if tried else 0)
"""


def test_no_command_ever_reaches_for_the_network(tmp_path: Path, engine: list[str]) -> None:
    source = write_picture(tmp_path / "a.tif")
    result = tmp_path / "out" / "a_semnet-x2.ome.tif"
    config = write(small_config(tmp_path, steps=2), tmp_path / "run.toml")
    commands = [
        ["models"],
        ["restore", str(source), "-o", str(tmp_path / "out"), *engine],
        ["methods", str(result)],
        ["train", str(config)],
    ]
    program = [sys.executable, "-c", WATCHED.format(commands=commands)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr


def test_a_read_only_home_is_in_the_way_of_nothing_that_needs_no_home(
    tmp_path: Path, read_only_home: dict[str, str], engine: list[str]
) -> None:
    source = write_picture(tmp_path / "a.tif")
    config = write(small_config(tmp_path, store=None), tmp_path / "run.toml")
    arguments = ["restore", str(source), "-o", str(tmp_path / "r.tif"), *engine]
    program = (
        "from napari_semnet.cli import main\n"
        f"print(main({arguments!r}), main(['train', {str(config)!r}]))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=read_only_home, timeout=200
    )
    assert done.stdout.splitlines()[-1] == "0 1", done.stderr
    assert read_image(tmp_path / "r.tif").provenance is not None
    said = done.stderr.splitlines()[-1]
    assert is_one_sentence(said), done.stderr
    assert 'another folder as "store"' in said


ODD = [
    "Übermikroskop – Probe №3 (µm)",
    "走査電子顕微鏡 試料",
    "e\u0301 combining, 'quotes' \"and\" # signs",
    "😀 100 % [brackets] {braces} $HOME",
    " starts and ends with spaces ",
    "new\nline\ttab",
]
if sys.platform == "win32":
    ODD = ODD[:2]


@pytest.mark.parametrize("name", ODD)
def test_any_name_can_be_restored_and_trained_in(
    tmp_path: Path, name: str, tiny_model: Path
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    source = write_picture(folder / f"{name}.tif")
    model = write_tiny(folder / f"{name}.safetensors", seed=0)
    command = ["restore", str(source), "-o", str(folder / "out"), "--model", str(model)]
    assert main([*command, "--device", "cpu", "--quiet"]) == 0
    (result,) = (folder / "out").glob("*.tif")
    assert read_sidecar(sidecar_path(result)).source == f"{name}.tif"
    assert main(["restore", "--from", str(sidecar_path(result)), "--quiet", *command[-2:]]) == 0
    config = small_config(folder, steps=1, model={"name": "m"}, validation={"crops": 0})
    assert main(["train", str(write(config, folder / f"{name}.toml")), "--json"]) == 0
    assert load_model(folder / name / "m.safetensors").card.name == "m"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always text")
def test_a_configuration_in_a_folder_of_another_encoding_is_refused_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_scenes(folder / "pictures")
    path = folder / "run.toml"
    path.write_text('steps = 1\npatch = 12\n[[data]]\nimages = "pictures"\n')
    assert main(["train", str(path)]) == 1
    said = capfd.readouterr().err
    assert is_one_sentence(said)
    assert "UTF-8" in said
    assert {entry.name for entry in folder.iterdir()} == {"run.toml", "pictures"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always text")
def test_a_run_goes_into_a_folder_in_another_encoding(tmp_path: Path) -> None:
    path = write(small_config(tmp_path, steps=1, validation={"crops": 0}), tmp_path / "run.toml")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    assert main(["train", str(path), "-o", str(folder), "--json"]) == 0
    assert (folder / "my-semnet.safetensors").is_file()


def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path: Path, engine: list[str]) -> None:
    source = write_picture(tmp_path / "a.tif")
    target = tmp_path / ("long " * 48 + "abc.tif")
    assert len(sidecar_path(target).name) == 255
    assert main(["restore", str(source), "-o", str(target), "--quiet", *engine]) == 0
    assert read_image(target).provenance is not None


def test_names_that_are_too_long_are_said_before_anything_is_restored(
    tmp_path: Path, engine: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    good, long = write_picture(tmp_path / "a.tif"), tmp_path / ("x" * 250 + ".tif")
    long.write_bytes(good.read_bytes())
    missing = "y" * 5000
    out = tmp_path / "out"
    assert main(["restore", str(good), str(long), missing, "-o", str(out), "--json", *engine]) == 1
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    reasons = [event["reason"] for event in told if event["event"] == "file_failed"]
    assert len(reasons) == 2
    assert all("too long" in reason for reason in reasons)
    assert all(map(is_one_sentence, reasons))
    assert len(list(out.glob("*.tif"))) == 1


@pytest.mark.parametrize("text", ["~nobody-of-that-name/a.tif", "a\0b.tif", "[", "**"])
def test_inputs_that_cannot_be_names_are_said(
    tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["restore", text, "-o", str(tmp_path / "out"), "--quiet"]) == 1
    assert is_one_sentence(capfd.readouterr().err)


def test_an_output_folder_that_is_a_file_is_said_before_anything_is_restored(
    tmp_path: Path, engine: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_picture(tmp_path / "a.tif")
    (tmp_path / "file").write_text("in the way")
    command = ["restore", str(source), "-o", str(tmp_path / "file" / "out"), "--json", *engine]
    assert main(command) == 1
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["event"] for event in told] == ["file_failed", "batch_ended"]
    assert is_one_sentence(told[0]["reason"])


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_traceback(
    options: list[str],
) -> None:
    program = [sys.executable, *options, "-m", "napari_semnet", "models", "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.wait(60) == 1
        assert child.stderr.read() == b""


class BackwardClock:
    """A clock that someone sets back by an hour at every look."""

    def __init__(self) -> None:
        self._now = time.time()

    def __call__(self) -> float:
        self._now -= 3600
        return self._now


def test_a_clock_that_goes_backwards_changes_nothing_but_dates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    config = small_config(tmp_path)
    train(config, tmp_path / "before")
    source = write_picture(tmp_path / "a.tif")
    monkeypatch.setattr(time, "time", BackwardClock())
    train(config, tmp_path / "after", max_minutes=5)
    one, other = (
        load_model(tmp_path / run / "my-semnet.safetensors") for run in ("before", "after")
    )
    for key, value in one.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.network.state_dict()[key].numpy())
    assert other.card.training.hours is not None
    assert other.card.training.hours >= 0
    assert main(["restore", str(source), "-o", str(tmp_path / "r.tif"), "--quiet", *engine]) == 0
    seconds = read_sidecar(sidecar_path(tmp_path / "r.tif")).seconds
    assert seconds is not None
    assert seconds >= 0


def test_pictures_from_the_future_are_decoded_again_when_they_change(tmp_path: Path) -> None:
    from napari_semnet.training.config import Source
    from napari_semnet.training.store import open_store
    from tests.training.runs import scene, write_png

    path = write_png(tmp_path / "pictures" / "a.png", scene(1))
    source = Source.model_validate({"images": tmp_path / "pictures"})
    future = time.time() + 10 * 365 * 24 * 3600
    os.utime(path, (future, future))
    first = open_store(source, tmp_path / "store").fields[0].digest
    assert open_store(source, tmp_path / "store").fields[0].digest == first
    write_png(path, scene(2))  # and it now has an earlier time
    assert open_store(source, tmp_path / "store").fields[0].digest != first


def test_the_engine_works_in_processes_that_are_spawned(tmp_path: Path, tiny_model: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    settings = Settings(device="cpu", precision="fp32")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = pool.submit(restored, image, tiny_model, settings)
        refused = pool.submit(restored, image, tmp_path / "none.safetensors", settings)
        np.testing.assert_array_equal(done.result(100), restored(image, tiny_model, settings))
        with pytest.raises(SemnetError, match="There is no model"):
            refused.result(100)


def restored(image: np.ndarray, model: Path, settings: Settings) -> np.ndarray:
    pixels: np.ndarray = Restorer(model, settings).restore(image).pixels
    return pixels
