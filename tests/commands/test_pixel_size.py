from __future__ import annotations

import argparse
import ast
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet import files
from napari_semnet.cli import main
from napari_semnet.commands import values
from napari_semnet.files.given_size import GIVEN, given_size_of, without_request
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import Provenance, read_sidecar, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.files.tile_store import unfinished_record
from napari_semnet.restoration.restorer import Restorer
from tests.files.making import fei_header, specimen


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "grains.png"
    path.parent.mkdir()
    Image.fromarray(specimen((40, 48))).save(path)
    return path


@pytest.fixture
def fei(tmp_path: Path) -> Path:
    """A picture whose header says 4 nm."""
    path = tmp_path / "fei.tif"
    header = fei_header(4e-9, 4e-9, 48, 40).encode()
    tifffile.imwrite(path, specimen((40, 48)), extratags=[(34682, 7, len(header), header, True)])
    size = read_image(path).pixel_size
    assert size is not None
    assert size.yx == pytest.approx((4, 4))
    return path


def size_of(path: Path) -> tuple[float, float] | None:
    size = read_image(path).pixel_size
    return None if size is None else size.yx


@pytest.mark.parametrize(
    ("text", "y_nm", "x_nm"),
    [
        ("5nm", 5, 5),
        ("5 nm", 5, 5),
        ("0.012um", 12, 12),
        ("0.012µm", 12, 12),
        ("0.012μm", 12, 12),
        ("0,012um", 12, 12),
        ("1.2e-2 UM", 12, 12),
        ("120pm", 0.12, 0.12),
        ("0.001mm", 1000, 1000),
        ("5x4nm", 5, 4),
        ("5nmx4nm", 5, 4),
        ("5 nm x 0.004 µm", 5, 4),
        ("5×4 nm", 5, 4),
    ],
)
def test_lengths_are_read_with_their_units(text: str, y_nm: float, x_nm: float) -> None:
    assert values.pixel_size(text).yx == pytest.approx((y_nm, x_nm))


WRONG = [
    *("5", "", "nm", "0nm", "-5nm", "nan", "nan nm", "inf", "inf nm", "1e999nm", "five nm"),
    *("5 parsec", "5x4", "5nmx4", "x4nm", "5xnm", "5x4x3nm", "5x0nm", "2m", "1e-9nm", "1,067um"),
    *("1_0nm", "5 nm" + " " * 70 + "x"),
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_size_of_a_pixel_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="with its unit, such as 5nm"):
        values.pixel_size(text)


@pytest.mark.parametrize("text", ["5", "-5nm", "nonsense"])
def test_a_wrong_size_is_a_wrong_command_line(
    png: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["restore", str(png), "-o", str(tmp_path / "r.tif"), f"--pixel-size={text}"])
    assert refused.value.code == 2
    assert f"'{text}' is not the size of a pixel: give a length" in capsys.readouterr().err
    assert not (tmp_path / "r.tif").exists()


def test_a_picture_without_a_size_gets_half_of_the_given_one(
    png: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.csv"
    command = ["restore", str(png.parent), "-o", str(out), "--report", str(report), *engine]
    assert main([*command, "--pixel-size", "5x4nm"]) == 0
    said = capsys.readouterr().err
    assert "enter" not in said
    assert "--pixel-size" not in said
    assert "states a pixel size" not in said
    target = out / "grains_semnet-x2.ome.tif"
    assert size_of(target) == pytest.approx((2.5, 2))
    record = read_sidecar(sidecar_path(target))
    assert record.source_pixel_size_nm == (5, 4)
    assert record.source_pixel_size_from == "given on the command line (medium)"
    with report.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["pixel_size_y_nm"], row["pixel_size_x_nm"]) == ("2.5", "2.0")


def test_where_no_size_is_known_it_says_what_can_be_given(
    png: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", str(png), "-o", str(tmp_path / "r.tif"), "--json", *engine]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = [event["text"] for event in events if event["event"] == "notice"]
    assert any("--pixel-size 5nm" in text for text in said)
    assert not any("enter" in text or "draw" in text for text in said)
    # In napari a person is asked as before.
    (warning,) = (text for text in read_image(png).warnings if "pixel size" in text)
    assert warning == (
        "Nothing in the file states a pixel size that can be trusted. Please enter it, or draw "
        "over the scale bar."
    )


def test_no_reader_asks_the_command_line_to_enter_a_size() -> None:
    folder = Path(files.__file__).parent
    readers = [folder / "reader.py", folder / "calibration.py", *(folder / "vendors").glob("*.py")]
    nodes = (node for path in readers for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    asking = [text for text in texts if isinstance(text, str) and "lease enter" in text]
    assert len(asking) >= 9
    # What follows a value in an f-string has no sentence before it.
    assert [text for text in asking if "enter" in without_request(f".{text}")] == []


def test_the_given_size_counts_where_the_file_says_another(
    fei: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["restore", str(fei), *engine, "--json", "-o"]
    assert main([*command, str(tmp_path / "r.tif"), "--pixel-size", "5nm"]) == 0
    source = read_image(fei).pixel_size
    assert source is not None
    expected = f"The file says 4 nm a pixel ({source.source}); the 5 nm that were given count."
    assert expected in capsys.readouterr().out
    result = read_image(tmp_path / "r.tif")
    assert size_of(tmp_path / "r.tif") == pytest.approx((2.5, 2.5))
    assert result.origin_nm == pytest.approx((-1.25, -1.25))
    assert main([*command, str(tmp_path / "same.tif"), "--pixel-size", "4.001nm"]) == 0
    assert "The file says" not in capsys.readouterr().out
    assert size_of(tmp_path / "same.tif") == pytest.approx((2.0005, 2.0005))


def test_a_repeated_run_keeps_the_given_size(fei: Path, tmp_path: Path, engine: list[str]) -> None:
    target, again = tmp_path / "r.tif", tmp_path / "again.tif"
    assert main(["restore", str(fei), "-o", str(target), "--pixel-size", "5nm", *engine]) == 0
    record = sidecar_path(target)
    assert main(["restore", "--from", str(record), "-o", str(again), *engine[:2]]) == 0
    assert size_of(again) == pytest.approx((2.5, 2.5))
    first, second = (read_sidecar(sidecar_path(path)) for path in (target, again))
    assert second.source_pixel_size_from == first.source_pixel_size_from
    assert second.source_pixel_size_nm == first.source_pixel_size_nm


def test_a_repeated_run_takes_no_other_size(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["restore", "--from", "r.semnet.json", "--pixel-size", "5nm"])
    assert refused.value.code == 2
    assert "leave out --pixel-size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("given on the command line (medium)", "given on the command line"),
        ("typed by the user (medium)", "typed by the user"),
        (
            "a scale bar of 1 µm drawn over by the user, 250.0 pixels (medium)",
            "a scale bar of 1 µm drawn over by the user, 250.0 pixels",
        ),
        ("FEI header (high)", None),
        ("half of the source's: given on the command line (medium) (medium)", None),
        ("the layer's scale and units", None),
        ("", None),
    ],
)
def test_a_record_tells_whether_a_person_gave_the_size(origin: str, words: str | None) -> None:
    record = Provenance(source_pixel_size_nm=(5, 4), source_pixel_size_from=origin)
    size = given_size_of(record)
    assert (size and size.source) == words
    assert size is None or (size.yx, size.confidence) == ((5, 4), "medium")


def test_maps_and_checks_of_a_result_have_the_given_size(
    png: Path, tmp_path: Path, tiny_model: Path, engine: list[str]
) -> None:
    target = tmp_path / "out" / "grains.ome.tif"
    command = ["restore", str(png), "-o", str(target), "--pixel-size", "5nm", "--trust", *engine]
    assert main(command) == 0
    report = json.loads((target.parent / "grains.trust.json").read_text())
    assert report["input"]["pixel_size_nm"] == [5, 5]
    wanted = ["--residual", "--consistent", "--model", str(tiny_model)]
    assert main(["trust", str(target), *wanted]) == 0
    assert size_of(target.parent / "grains.residual.ome.tif") == pytest.approx((5, 5))
    assert size_of(target.parent / "grains.consistent.ome.tif") == pytest.approx((2.5, 2.5))


def test_a_volume_has_the_given_size_and_its_place_grows_with_it(
    tmp_path: Path, engine: list[str]
) -> None:
    pixels = np.random.default_rng(5).integers(0, 250, (2, 60, 80), np.uint8)
    source = write_ome_zarr(
        tmp_path / "a.ome.zarr", pixels, pixel_size_nm=(6, 4), z_step_nm=30, origin_nm=(60, 40)
    )
    target = tmp_path / "out.ome.zarr"
    command = ["restore", str(source), "-o", str(target), *engine]
    assert main([*command, "--pixel-size", "3x8nm"]) == 0
    result = read_image(target)
    assert size_of(target) == pytest.approx((1.5, 4))
    assert result.z_step_nm == pytest.approx(30)
    assert result.origin_nm == pytest.approx((30 - 0.75, 80 - 2))
    assert read_sidecar(sidecar_path(target)).source_pixel_size_from == f"{GIVEN} (medium)"


@pytest.fixture
def begun(tmp_path: Path, engine: list[str]) -> list[str]:
    """Command that goes on with a volume, of which one of two parts was restored with 5 nm."""
    pixels = np.random.default_rng(5).integers(0, 250, (600, 64), np.uint8)
    source = write_ome_zarr(tmp_path / "a.ome.zarr", pixels, pixel_size_nm=None)
    command = ["restore", str(source), "-o", str(tmp_path / "out.ome.zarr"), "--quiet", *engine]
    assert main([*command, "--shard", "1/2", "--pixel-size", "5nm"]) == 0
    assert unfinished_record(tmp_path / "out.ome.zarr") is not None
    return command


@pytest.mark.parametrize("more", [[], ["--pixel-size", "5nm"], ["--shard", "2/2"]])
def test_who_goes_on_with_a_volume_keeps_its_size(
    begun: list[str], tmp_path: Path, more: list[str]
) -> None:
    assert main([*begun, *more]) == 0
    assert unfinished_record(tmp_path / "out.ome.zarr") is None
    assert size_of(tmp_path / "out.ome.zarr") == pytest.approx((2.5, 2.5))


def test_another_size_than_a_volume_was_begun_with_is_refused(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*begun, "--pixel-size", "4nm"]) == 1
    assert "begun with pixels of 5 nm, and 4 nm are given now" in capsys.readouterr().err
    assert main([*begun, "--pixel-size", "4nm", "--overwrite"]) == 0
    assert size_of(tmp_path / "out.ome.zarr") == pytest.approx((2, 2))


def test_worker_processes_write_the_given_size(tmp_path: Path, engine: list[str]) -> None:
    pytest.importorskip("distributed")
    pixels = np.random.default_rng(5).integers(0, 250, (600, 64), np.uint8)
    source = write_ome_zarr(tmp_path / "a.ome.zarr", pixels, pixel_size_nm=None)
    target = tmp_path / "out.ome.zarr"
    command = ["restore", str(source), "-o", str(target), "--quiet", "--workers", "2", *engine]
    assert main([*command, "--pixel-size", "5nm"]) == 0
    assert size_of(target) == pytest.approx((2.5, 2.5))


def test_watching_gives_the_size_to_what_comes(
    png: Path, tmp_path: Path, engine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Restorer.run

    def last(restorer: Restorer, *image: object):  # type: ignore[no-untyped-def]
        yield from whole(restorer, *image)  # type: ignore[arg-type]
        monkeypatch.setattr("napari_semnet.commands.watching.ripe_jobs", stop)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Restorer, "run", last)
    out = tmp_path / "out"
    command = ["restore", str(png.parent), "-o", str(out), "--watch", "--settle", "0", *engine]
    assert main([*command, "--pixel-size", "5nm"]) == 0
    assert size_of(out / "grains_semnet-x2.ome.tif") == pytest.approx((2.5, 2.5))
