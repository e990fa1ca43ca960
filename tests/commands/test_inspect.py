"""``inspect`` says what is known, with units, and what is not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.cli import main
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.writer import write_tiff
from tests.files.making import databar, fei_header, specimen, write

WITH_BAR = np.vstack([specimen(), databar()])


def test_everything_is_said_with_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.tif", WITH_BAR, {34682: fei_header(4e-9, 5e-9)})
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    lines = dict(line.split(":", 1) for line in text.splitlines())
    said = {name: value.strip() for name, value in lines.items()}
    assert said["picture"] == "256 x 224 pixels, uint8"
    assert said["pixel size"] == "4 nm x 5 nm (x, y)"
    assert said["specimen"] == "rows 0 to 199; databar in rows 200 to 223 (from the header)"
    assert said["acceleration voltage"] == "2 kV"
    assert said["confidence"].startswith("high")


def test_what_is_not_known_is_said_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(write(tmp_path / "a.tif", specimen()))]) == 0
    text = capsys.readouterr().out
    assert "unknown" in text
    assert "Nothing in the file states a pixel size that can be trusted." in text
    assert "enter it" not in text


def test_an_unknown_pixel_size_is_said_with_the_option_that_gives_it_but_of_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.tif", specimen())
    record = Provenance(source="a.tif")
    result = write_tiff(tmp_path / "b.tif", specimen(), pixel_size_nm=None, provenance=record)
    assert main(["inspect", str(source), str(result)]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line.split(":")[1].strip() for line in lines if line.startswith("pixel size:")]
    assert said == ["unknown; restore with --pixel-size SIZE", "unknown"]


def test_uncertain_rows_are_said_with_the_option_that_sets_them_but_of_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = np.vstack([specimen(), np.zeros((24, 256), np.uint8)])
    record = Provenance(source="a.tif")
    source = write(tmp_path / "a.tif", blank)
    result = write_tiff(tmp_path / "b.tif", blank, pixel_size_nm=None, provenance=record)
    assert main(["inspect", str(source), str(result)]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line.split(":")[1].strip() for line in lines if line.startswith("specimen:")]
    look = "not certain; please look"
    assert said == [f"{look}, and restore with --rows FIRST-LAST", look]


def test_a_size_that_is_not_certain_is_said_with_the_option_that_gives_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cropped = write(tmp_path / "a.tif", WITH_BAR[:, :200], {34682: fei_header()})
    assert main(["inspect", str(cropped)]) == 0
    text = capsys.readouterr().out
    assert "so its pixel size is not certain." in text
    assert "unknown; restore with --pixel-size SIZE" in text
    assert "enter it" not in text


def test_json_is_one_object_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Provenance(model="m", source="a.tif")
    paths = [
        write(tmp_path / "a.tif", WITH_BAR, {34682: fei_header()}),
        write_tiff(
            tmp_path / "b.tif",
            np.stack([specimen()] * 2),
            pixel_size_nm=(2, 2),
            provenance=record,
            z_step_nm=10,
            origin_z_nm=300,
        ),
        tmp_path / "missing.tif",
    ]
    assert main(["inspect", "--json", *map(str, paths)]) == 1
    first, second, third = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["specimen_rows"] == [0, 200]
    assert first["pixel_size"]["x_nm"] == pytest.approx(4)
    assert first["restored"] is None
    assert second["restored"]["model"] == "m"
    assert (first["origin_z_nm"], second["origin_z_nm"]) == (None, 300)
    assert "no file" in third["error"]


def test_json_asks_for_nothing_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cropped = write(tmp_path / "a.tif", WITH_BAR[:, :200], {34682: fei_header()})
    assert main(["inspect", "--json", str(cropped)]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning.endswith("so its pixel size is not certain.")


def test_json_can_be_read_whatever_letters_the_terminal_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp932")
    monkeypatch.setattr("sys.stdout", terminal)
    paths = [write(tmp_path / "\xb5_\xfc.tif", specimen()), tmp_path / "missing_\xfc.tif"]
    assert main(["inspect", "--json", *map(str, paths)]) == 1
    terminal.seek(0)
    first, second = map(json.loads, terminal)
    assert first["path"] == str(paths[0])
    assert second["path"] == str(paths[1])


def test_a_header_cannot_steer_the_terminal_that_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = fei_header().replace("Apreo", "Apreo\x1b]0;mine\x07")
    path = write(tmp_path / "a.tif", specimen(), {34682: header})
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "Apreo" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
