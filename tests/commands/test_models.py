from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_semnet import model
from napari_semnet.cli import main
from napari_semnet.model import DEFAULT_MODEL, read_card, resolve_model


@pytest.fixture
def own_models(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models folder, with a good model and a damaged one in it."""
    monkeypatch.setattr(model, "user_models_folder", lambda: tmp_path)
    (tmp_path / "own.safetensors").write_bytes(tiny_model.read_bytes())
    (tmp_path / "damaged.safetensors").write_bytes(tiny_model.read_bytes()[:50])
    return tmp_path


def test_models_lists_bundled_and_own_models(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert f"{DEFAULT_MODEL} (comes with the package, used when none is named)" in shown
    assert "\nown (yours)\n  on its card: tiny\n" in shown
    assert str(own_models) in shown


def test_a_damaged_model_is_listed_with_the_reason(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models"])
    shown = capsys.readouterr().out
    assert "damaged (yours)\n  refused: damaged.safetensors is not a .safetensors file" in shown


def test_models_as_json_is_one_object_a_line(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_name = {line["name"]: line for line in lines}
    assert by_name[DEFAULT_MODEL]["default"]
    assert [name for name, line in by_name.items() if line["own"]] == ["damaged", "own"]
    assert by_name["own"]["path"] == str(own_models / "own.safetensors")
    assert by_name["own"]["card"]["architecture"]["features"] == 8
    assert by_name["damaged"]["card"] is None
    assert by_name["damaged"]["refused"]


def test_show_prints_the_whole_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", DEFAULT_MODEL]) == 0
    shown = capsys.readouterr().out
    card = read_card(DEFAULT_MODEL)
    for fact in (card.name, card.description, card.limits, card.licence, *card.training.data):
        assert fact in shown
    for metric in card.metrics:
        assert f"{metric.name}: {metric.value:g}" in shown


def test_show_leaves_out_what_a_card_leaves_open(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(tiny_model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.rstrip().endswith(":") or "None" in line]


@pytest.mark.parametrize("order", [["show", "NAME", "--json"], ["--json", "show", "NAME"]])
def test_show_as_json_is_the_card(
    tiny_model: Path, order: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models", *(str(tiny_model) if word == "NAME" else word for word in order)])
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"


def test_an_unknown_model_is_refused_with_the_names_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "show", "nonesuch"]) == 1
    assert DEFAULT_MODEL in capsys.readouterr().err


def test_a_model_is_imported_renamed_deleted_and_put_back(
    tiny_model: Path, own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_models / "own.safetensors").unlink()
    assert main(["models", "import", str(tiny_model), "--name", "FIB lab"]) == 0
    assert "is your model 'FIB lab' now" in capsys.readouterr().out
    assert main(["models", "rename", "FIB lab", "FIB 2"]) == 0
    assert (own_models / "FIB 2.safetensors").read_bytes() == tiny_model.read_bytes()
    capsys.readouterr()
    assert main(["models", "delete", "FIB 2"]) == 0
    assert "napari-semnet models undelete FIB 2" in capsys.readouterr().out
    assert main(["models", "show", "FIB 2"]) == 1
    assert main(["models"]) == 0
    assert "can be put back with 'models undelete': FIB 2" in capsys.readouterr().out
    assert main(["models", "undelete", "FIB 2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["event"] == "model_put_back"
    assert main(["models", "show", "FIB 2"]) == 0


def test_bundled_models_are_neither_renamed_nor_deleted(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = resolve_model(DEFAULT_MODEL)
    before = path.read_bytes()
    assert main(["models", "delete", DEFAULT_MODEL]) == 1
    assert main(["models", "rename", DEFAULT_MODEL, "mine"]) == 1
    assert capsys.readouterr().err.count("comes with the package") == 2
    assert path.read_bytes() == before
