from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_semnet.cli import main


def test_a_copy_is_written_and_told(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "copy.safetensors"
    assert main(["export", str(tiny_model), "-o", str(path)]) == 0
    shown = capsys.readouterr()
    assert "is written and checked: it is the same to the byte." in shown.out
    assert "Copying" in shown.err
    assert path.read_bytes() == tiny_model.read_bytes()


def test_as_json_each_step_is_a_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert main(["export", str(tiny_model), "-o", str(tmp_path / "m.onnx"), "--json"]) == 0
    *steps, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {step["event"] for step in steps} == {"step"}
    assert last["event"] == "exported"
    assert last["difference"] < 1e-3


def test_an_existing_file_is_kept_unless_told_otherwise(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "copy.safetensors"
    path.write_bytes(b"mine")
    assert main(["export", str(tiny_model), "-o", str(path)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_bytes() == b"mine"
    assert main(["export", str(tiny_model), "-o", str(path), "--overwrite"]) == 0
    assert path.read_bytes() == tiny_model.read_bytes()


def test_an_unknown_ending_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tiny_model), "-o", str(tmp_path / "m.pt")]) == 1
    assert "A model is exported as" in capsys.readouterr().err
