"""``napari-semnet halo``: measures, tells, and writes the card where it should."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from napari_semnet import cli
from napari_semnet import model as model_module
from napari_semnet.model import load_model, read_card


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch):
    if "halo" not in cli.COMMANDS:
        monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, "halo"))
    return cli.main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        imsave(folder / name, rng.integers(0, 256, (64, 70), np.uint8), check_contrast=False)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def own(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_model, tmp_path / "own.safetensors"))


def test_it_tells_and_changes_nothing(main, own, pictures, capsys) -> None:
    before = own.read_bytes()
    assert main(["halo", str(own), str(pictures), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "grey levels" in said
    assert "pixels (exact: 9)" in said
    assert own.read_bytes() == before


def test_it_writes_into_the_users_model_in_place(main, own, pictures, capsys) -> None:
    weights = load_model(own).network.state_dict()
    assert main(["halo", str(own), str(pictures / "a.png"), "--json", "--write"]) == 0
    said = json.loads(capsys.readouterr().out)
    halo = read_card(own).halo
    assert halo is not None
    assert said["pixels"] == halo.pixels
    assert said["written"] == str(own)
    assert halo.measured_on == "a.png"
    assert halo.differences[halo.pixels] < 0.05
    found = load_model(own).network.state_dict()
    assert all((weights[key] == found[key]).all() for key in weights)


def test_it_writes_another_file_where_asked(main, own, pictures, tmp_path) -> None:
    before, other = own.read_bytes(), tmp_path / "new" / "other.safetensors"
    assert main(["halo", str(own), str(pictures), "--quiet", "--write", str(other)]) == 0
    assert read_card(other).halo is not None
    assert own.read_bytes() == before


def test_another_model_is_not_written_over(main, own, pictures, tmp_path, capsys) -> None:
    other = Path(shutil.copy(own, tmp_path / "other.safetensors"))
    before = other.read_bytes()
    assert main(["halo", str(own), str(pictures), "--quiet", "--write", str(other)]) == 1
    said = capsys.readouterr()
    assert "exists already" in said.err
    assert said.out == ""  # nothing was measured
    assert other.read_bytes() == before


def test_the_models_own_file_may_be_named(main, own, pictures) -> None:
    assert main(["halo", str(own), str(pictures), "--quiet", "--write", str(own)]) == 0
    assert read_card(own).halo is not None


def test_hidden_files_beside_the_pictures_are_passed_over(main, own, pictures, capsys) -> None:
    # macOS writes one beside each file on a shared drive.
    (pictures / "._a.png").write_bytes(b"Mac OS X")
    assert main(["halo", str(own), str(pictures), "--quiet"]) == 0
    assert "pixels (exact: 9)" in capsys.readouterr().out


def test_a_bundled_model_is_copied_to_the_users_models(
    main, own, pictures, tmp_path, monkeypatch
) -> None:
    package, users = tmp_path / "package", tmp_path / "users"
    bundled = package / "weights" / "tiny.safetensors"
    bundled.parent.mkdir(parents=True)
    shutil.move(own, bundled)
    before = bundled.read_bytes()
    monkeypatch.setattr(model_module, "__file__", str(package / "model.py"))
    monkeypatch.setattr(model_module, "user_models_folder", lambda: users)
    assert main(["halo", "tiny", str(pictures), "--quiet", "--write"]) == 0
    assert bundled.read_bytes() == before
    assert read_card(users / "tiny.safetensors").halo is not None
    assert model_module.resolve_model("tiny") == users / "tiny.safetensors"


@pytest.mark.parametrize("size", ["0", "10", "63", "-64", "many"])
def test_a_size_below_that_of_the_smallest_picture_is_refused(main, own, pictures, size) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["halo", str(own), str(pictures), "--quiet", f"--size={size}"])
    assert refused.value.code == 2


def test_a_file_that_is_no_model_file_is_refused_before_anything_is_measured(
    main, own, pictures, monkeypatch, capsys
) -> None:
    def measured(*_: object) -> None:
        pytest.fail("It was measured.")

    monkeypatch.setattr("napari_semnet.commands.halo._measured", measured)
    assert main(["halo", str(own), str(pictures), "--write", "foo.txt"]) == 1
    assert "must end in .safetensors" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_picture_may_have_a_name_that_is_no_text(main, own, pictures, capsys) -> None:
    odd = (pictures / "a.png").rename(pictures / os.fsdecode(b"Probe_\xe4.png"))
    assert main(["halo", str(own), str(odd), "--json", "--write"]) == 0
    halo = read_card(own).halo
    assert halo is not None
    assert halo.measured_on == r"Probe_\udce4.png"


@pytest.mark.parametrize("wrong", ["missing.png", "pictures/notes.txt", "empty"])
def test_pictures_that_are_none_are_reported(main, own, pictures, tmp_path, wrong, capsys) -> None:
    (tmp_path / "empty").mkdir()
    before = own.read_bytes()
    assert main(["halo", str(own), str(tmp_path / wrong), "--quiet", "--write"]) == 1
    assert capsys.readouterr().err.startswith("napari-semnet: ")
    assert own.read_bytes() == before
