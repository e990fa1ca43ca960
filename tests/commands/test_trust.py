from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_semnet import model as models
from napari_semnet.cli import main
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import read_sidecar, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import bicubic_double


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "gold.tif"
    write_tiff(path, acquire(particles((96, 112), 1), seed=2), pixel_size_nm=(3.0, 3.0))
    sidecar_path(path).unlink(missing_ok=True)
    return path


@pytest.fixture
def restored(picture: Path, tmp_path: Path, engine: list[str]) -> Path:
    target = tmp_path / "out" / "gold.ome.tif"
    assert main(["restore", str(picture), "-o", str(target), "--quiet", *engine]) == 0
    return target


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]


def report_of(target: Path) -> dict:
    return json.loads(target.with_name("gold.trust.json").read_text())


def test_restore_writes_what_was_found_beside_the_result(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "gold.ome.tif"
    assert main(["restore", str(picture), "-o", str(target), "--trust", "--json", *engine]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    judged = next(event for event in events if event["event"] == "judged")
    shares = [event["fraction"] for event in events if event["event"] == "checking"]
    assert shares[0] == 0.0
    assert len(shares) > 1
    assert shares == sorted(shares)
    report = report_of(target)
    assert report["sentences"] == judged["sentences"]
    assert report["consistency"]["noise"]["floor"] > 0
    # Random weights: nothing of the specimen is left, and that is seen.
    assert report["consistency"]["is_structured"]
    assert "has structure" in " ".join(report["sentences"])
    assert report["input"]["unstated"] == ["noise", "pixel sizes"]


def test_a_file_in_the_place_of_the_folder_is_refused_for_each_result(
    picture: Path, restored: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["trust", str(restored), str(restored), "--source", str(picture), *engine[:2]]
    for folder in (picture, picture / "deeper"):
        assert main([*command, "-o", str(folder)]) == 1
        said = capsys.readouterr().err
        assert said.count(f"FAILED: {picture} is a file. Give a folder to write to.") == 2


def test_a_written_result_can_be_judged_later_with_all_its_maps(
    picture: Path, restored: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--sensitivity", "--residual", "--consistent", "--model", str(tiny_model)]
    assert main(["trust", str(restored), "--source", str(picture), *wanted]) == 0
    said = capsys.readouterr().out
    assert "Sensitivity:" in said
    folder = restored.parent
    spread = read_image(folder / "gold.sensitivity.ome.tif")
    assert spread.pixels.shape == (192, 224)
    assert spread.pixels.dtype == np.float32
    assert np.asarray(spread.pixels).min() >= 0
    assert spread.pixel_size is not None
    assert spread.pixel_size.y_nm == pytest.approx(1.5)
    residual = read_image(folder / "gold.residual.ome.tif")
    assert residual.pixels.shape == (96, 112)
    assert residual.pixel_size is not None
    assert residual.pixel_size.y_nm == pytest.approx(3)
    consistent = read_image(folder / "gold.consistent.ome.tif")
    assert consistent.provenance is not None
    assert "made consistent" in consistent.provenance.operation
    report = report_of(restored)
    assert report["sensitivity"]["median"] > 0


def test_a_terminal_is_told_how_far_the_check_is(
    picture: Path,
    restored: Path,
    engine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["trust", str(restored), "--sensitivity", *engine[:4]]) == 0
    said = capsys.readouterr().err
    assert said.index("checking:   0 %") < said.index("sensitivity:")
    assert said.endswith("\r" + " " * 20 + "\r"), "Nothing of it may stay on the line."


def test_the_source_is_found_by_the_record(
    picture: Path, restored: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", str(restored), "--model", str(tiny_model), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"] == picture.name


def test_slices_meet_their_own_where_the_result_has_another_order_of_axes(
    tmp_path: Path, tiny_model: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.stack([acquire(particles((96, 112), 1 + n), seed=n) for n in range(6)])
    source = tmp_path / "stack.ome.tif"
    shown = stack.reshape(3, 2, 96, 112)
    write_tiff(
        source, shown, pixel_size_nm=(3.0, 3.0), axes="ZCYX", z_step_nm=50.0, origin_z_nm=300.0
    )
    reports = []
    for ending in (".ome.tif", ".ome.zarr"):
        target = tmp_path / "out" / f"gold{ending}"
        assert main(["restore", str(source), "-o", str(target), "--quiet", *engine]) == 0
        assert main(["trust", str(target), "--model", str(tiny_model), "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert (
        main(["trust", str(target), "--residual", "--consistent", "--model", str(tiny_model)]) == 0
    )
    result = read_image(target)
    for ending, size, corner in (("residual", 3.0, 0.0), ("consistent", 1.5, -0.75)):
        beside = read_image(target.with_name(f"gold.{ending}.ome.tif"))
        assert (beside.axes, beside.z_step_nm) == (result.axes, 50.0)
        assert beside.origin_z_nm == result.origin_z_nm == 300.0
        assert beside.pixel_size is not None
        assert (beside.pixel_size.y_nm, beside.origin_nm) == (size, (corner, corner))
    tiff, zarr = (report["consistency"] for report in reports)
    for figure in ("spread", "mean_shift"):
        assert zarr[figure] == pytest.approx(tiff[figure], rel=1e-3)


def test_a_consistent_result_is_not_repeated_as_if_it_were_a_restoration(
    restored: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", str(restored), "--consistent", "--model", str(tiny_model)]) == 0
    record = restored.with_name("gold.consistent.semnet.json")
    assert main(["restore", "--from", str(record), "--model", str(tiny_model)]) == 1
    assert "made consistent with the denoised input" in capsys.readouterr().err


def test_axes_of_length_one_do_not_part_a_result_from_its_source(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.stack([acquire(particles((96, 112), 1 + n), seed=n) for n in range(2)])
    write_ome_zarr(tmp_path / "s.ome.zarr", stack[None, None], pixel_size_nm=(3.0, 3.0))
    command = ["restore", str(tmp_path / "s.ome.zarr"), *engine, "-o"]
    assert main([*command, str(tmp_path / "r.ome.tif"), "--trust"]) == 0
    assert "  r.trust.json" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "r.ome.zarr")]) == 0
    again = ["restore", "--from", str(tmp_path / "r.semnet.json"), *engine[:2]]
    assert main([*again, "-o", str(tmp_path / "again.ome.tif")]) == 0
    assert "Every pixel is the same" in capsys.readouterr().err


def test_a_lost_source_is_asked_for(
    picture: Path, restored: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture.unlink()
    assert main(["trust", str(restored), "--model", str(tiny_model)]) == 1
    assert "--source" in capsys.readouterr().err


@pytest.mark.parametrize("named", [False, True])
def test_another_picture_under_the_name_of_the_source_is_not_judged(
    picture: Path,
    restored: Path,
    tiny_model: Path,
    named: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_tiff(picture, acquire(particles((96, 112), 7), seed=8), pixel_size_nm=(3.0, 3.0))
    source = ["--source", str(picture)] if named else []
    assert main(["trust", str(restored), *source, "--model", str(tiny_model)]) == 1
    assert "is not the image that gold.ome.tif was made from" in capsys.readouterr().err
    assert not restored.with_name("gold.trust.json").exists()


def test_a_model_is_found_under_another_name(
    restored: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own models"
    folder.mkdir()
    shutil.copy(tiny_model, folder / "renamed since.safetensors")
    monkeypatch.setattr(models, "user_models_folder", lambda: folder)
    assert main(["trust", str(restored), "--device", "cpu"]) == 0


def test_what_is_no_result_is_refused(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", str(picture)]) == 1
    assert "no record of a restoration" in capsys.readouterr().err


def test_strength_is_recorded_and_repeated(
    picture: Path, tmp_path: Path, engine: list[str], tiny_model: Path
) -> None:
    target = tmp_path / "gold_weak.ome.tif"
    main(["restore", str(picture), "-o", str(target), "--quiet", "--strength", "0", *engine])
    pixels = np.asarray(read_image(target).pixels).astype(int)
    plain = np.clip(bicubic_double(read_image(picture).pixels), 0, 255)
    assert np.abs(pixels - plain).max() <= 1
    record = sidecar_path(target)
    assert read_sidecar(record).parameters["strength"] == 0
    again = tmp_path / "again.ome.tif"
    main(["restore", "--from", str(record), "-o", str(again), "--model", str(tiny_model)])
    np.testing.assert_array_equal(np.asarray(read_image(again).pixels), pixels)


def test_a_map_of_which_nothing_is_known_ends_no_batch_and_its_report_is_json(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, out = tmp_path / "a.tif", tmp_path / "out"
    pixels = read_image(picture).pixels.astype(np.float32)
    write_tiff(first, np.stack([pixels, np.full_like(pixels, np.nan), pixels]), pixel_size_nm=None)
    command = ["restore", str(first), str(picture), "-o", str(out), "--sensitivity", "--json"]
    assert main([*command, "--non-finite", "mask", *engine]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in said].count("file_written") == 2
    for report in out.glob("*.trust.json"):
        json.loads(report.read_text(), parse_constant=lambda word: pytest.fail(word))
