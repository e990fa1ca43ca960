"""``methods`` writes what a paper needs, from the record and the pictures on the disk."""

from __future__ import annotations

import codecs
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet.cli import main
from napari_semnet.files.methods import write_methods_files
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.methods_figure import draw_figure
from tests.files.making import databar, fei_header, specimen, write


@pytest.fixture
def result(tmp_path: Path, tiny_model: Path) -> Path:
    """A vendor file with a databar, restored on the command line."""
    pixels = np.vstack([specimen(), databar()])
    path = write(tmp_path / "grains.tif", pixels, {34682: fei_header()})
    options = ["--model", str(tiny_model), "--precision", "fp32", "--device", "cpu", "--quiet"]
    assert main(["restore", str(path), "-o", str(tmp_path), *options]) == 0
    return tmp_path / "grains_semnet-x2.ome.tif"


def test_paragraph_and_figure_are_written(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = result.with_name("grains_semnet-x2.semnet.json")
    assert main(["methods", str(record), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    text, png, pdf = (Path(name) for name in told["files"])
    assert text.read_text(encoding="utf-8").strip() == told["paragraph"]
    assert pdf.read_bytes().startswith(b"%PDF")
    with Image.open(png) as figure:
        pixels = np.asarray(figure)
    # 512 restored columns of 2 nm: the longest round bar in 0.3 of them is 200 nm, 100 pixels.
    dark = pixels[56 + 400 + 8 + 2, 16:].sum(axis=-1) < 150
    assert int(np.argmin(dark)) == pytest.approx(100, abs=1)
    paragraph = told["paragraph"]
    for fact in ("tiny", "pixel size 4 nm", "pixel size of 2 nm", "Rows 0 to 199", "2 kV", "fp32"):
        assert fact in paragraph
    record_values = json.loads(record.read_text())
    assert record_values["model_sha256"] in paragraph
    assert record_values["source_sha256"] in paragraph


def test_the_picture_itself_is_enough(result: Path, tmp_path: Path) -> None:
    result.with_name("grains_semnet-x2.semnet.json").unlink()
    assert main(["methods", str(result), "-o", str(tmp_path / "paper")]) == 0
    assert sorted(p.suffix for p in (tmp_path / "paper").iterdir()) == [".pdf", ".png", ".txt"]


NO_TEXT = pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")


@pytest.mark.parametrize("name", ["grains", pytest.param("gr\udcfcn", marks=NO_TEXT)])
def test_the_pdf_has_the_title_of_its_file_whatever_the_name(name: str, tmp_path: Path) -> None:
    figure = Image.new("RGB", (8, 8))
    written = write_methods_files(tmp_path / f"{name}_methods.txt", "Text.", figure)
    said = f"{name}_methods".encode("utf-8", "backslashreplace").decode()
    title = b"/Title (" + codecs.BOM_UTF16_BE + said.encode("utf-16-be").replace(b"\\", b"\\\\")
    assert title + b")" in written.figures[1].read_bytes()


def test_results_whose_names_begin_alike_get_files_of_their_own(
    tmp_path: Path, tiny_model: Path
) -> None:
    write(tmp_path / "a.tif", specimen((40, 48)))
    options = ["--model", str(tiny_model), "--device", "cpu", "--quiet"]
    for name in ("a.semnet-1", "a.semnet-2"):
        result = tmp_path / f"{name}.ome.tif"
        assert main(["restore", str(tmp_path / "a.tif"), "-o", str(result), *options]) == 0
        assert main(["methods", str(result)]) == 0
    told = sorted(path.name for path in tmp_path.glob("*.txt"))
    assert told == ["a.semnet-1_methods.txt", "a.semnet-2_methods.txt"]


def test_the_figure_shows_the_slice_that_was_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As napari saves the restoration of one slice of a stack, and of one of two detectors."""
    shown = []

    def draw(raw: np.ndarray, restored: np.ndarray, **about: object) -> object:
        shown.append(raw)
        return draw_figure(raw, restored, **about)  # type: ignore[arg-type]

    monkeypatch.setattr("napari_semnet.imaging.methods_figure.draw_figure", draw)
    stack = np.stack([specimen((64, 80), seed) for seed in range(4)])
    write_tiff(tmp_path / "s.ome.tif", stack, pixel_size_nm=(4, 4), axes="ZYX")
    region = {"region_start": [3, 8, 0], "region_stop": [4, 64, 80]}
    record = Provenance(source="s.ome.tif", source_shape=stack.shape, parameters=region)
    fine = np.kron(stack[3, 8:], np.ones((2, 2), np.uint8))
    write_tiff(tmp_path / "r.ome.tif", fine, pixel_size_nm=(2, 2), provenance=record)
    assert main(["methods", str(tmp_path / "r.ome.tif")]) == 0
    said = capsys.readouterr().out
    assert "Of it was processed, counted from 0: slice 3, rows 8 to 63." in said
    assert np.array_equal(shown[0], stack[3, 8:])
    one = record.model_copy(update={"source_shape": (64, 80), "parameters": {}})
    write_tiff(tmp_path / "d.ome.tif", fine, pixel_size_nm=(2, 2), provenance=one)
    assert main(["methods", str(tmp_path / "d.ome.tif")]) == 0
    assert "4 x 80 x 64 pixels, where a layer of 80 x 64 pixels was" in capsys.readouterr().out


def test_without_the_source_there_is_still_the_paragraph(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result.with_name("grains.tif").unlink()
    assert main(["methods", str(result)]) == 0
    said = capsys.readouterr().out
    assert "No figure" in said
    assert "convolutional neural network" in said


def test_another_image_of_the_source_s_name_is_not_drawn_nor_described(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = np.vstack([specimen(seed=2), databar()])
    write(result.with_name("grains.tif"), other, {34682: fei_header()})
    assert main(["methods", str(result)]) == 0
    said = capsys.readouterr().out
    assert "its contents have changed" in said
    assert "2 kV" not in said
    assert not list(result.parent.glob("*_methods.p*"))


def test_a_picture_without_a_record_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["methods", str(write(tmp_path / "a.tif", specimen()))]) == 1
    assert "no record" in capsys.readouterr().err


class TestReplay:
    def test_finds_the_same_pixels_in_an_ome_zarr_whose_axes_are_in_another_order(
        self, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("zarr")
        stack = np.random.default_rng(0).integers(0, 255, (3, 2, 24, 24), np.uint8)
        tifffile.imwrite(tmp_path / "fib.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
        first = tmp_path / "fib.ome.zarr"
        common = ["--model", str(tiny_model), "--precision", "fp32"]
        assert main(["restore", str(tmp_path / "fib.tif"), "-o", str(first), *common]) == 0
        capsys.readouterr()
        assert (
            main(["restore", "--from", str(first), "-o", str(tmp_path / "again.tif"), *common[:2]])
            == 0
        )
        assert "Every pixel is the same" in capsys.readouterr().err

    def test_repeats_bit_for_bit(
        self, result: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record = result.with_name("grains_semnet-x2.semnet.json")
        assert main(["restore", "--from", str(record), "--json", "--model", str(tiny_model)]) == 0
        assert "Every pixel is the same" in capsys.readouterr().out
        again = result.with_name("grains_semnet-x2_again.ome.tif")
        assert np.array_equal(read_image(again).pixels, read_image(result).pixels)

    def test_masked_pixels_are_the_same_too(
        self, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pixels = specimen((40, 48)).astype(np.float32)
        pixels[10:14, 20:24] = np.nan
        write_tiff(tmp_path / "a.tif", pixels, pixel_size_nm=(4, 4))
        options = ["--model", str(tiny_model), "--precision", "fp32", "--device", "cpu"]
        masked = [*options, "--non-finite", "mask", "-o", str(tmp_path)]
        assert main(["restore", str(tmp_path / "a.tif"), *masked]) == 0
        record = tmp_path / "a_semnet-x2.semnet.json"
        assert main(["restore", "--from", str(record), *options[:2]]) == 0
        assert "Every pixel is the same" in capsys.readouterr().err

    def test_a_changed_source_is_refused(
        self, result: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = result.with_name("grains.tif")
        source.write_bytes(source.read_bytes() + b"\0")
        assert main(["restore", "--from", str(result)]) == 1
        assert "changed" in capsys.readouterr().err

    def test_another_model_is_refused(
        self, result: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record = result.with_name("grains_semnet-x2.semnet.json")
        values = json.loads(record.read_text()) | {"model_sha256": "0" * 64}
        record.write_text(json.dumps(values))
        assert main(["restore", "--from", str(record), "--model", str(tiny_model)]) == 1
        assert "not the one of the record" in capsys.readouterr().err

    def test_what_is_repeated_is_not_overwritten(
        self, result: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = result.read_bytes()
        assert main(["restore", "--from", str(result), "-o", str(result)]) == 1
        assert "overwrite" in capsys.readouterr().err
        assert result.read_bytes() == before

    def test_a_choice_that_the_record_holds_is_refused_not_ignored(
        self, result: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            main(["restore", "--from", str(result), "--strength", "0.5", "--non-finite", "mask"])
        assert stop.value.code == 2
        assert "leave out --non-finite, --strength" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["restore"], ["restore", "a.tif", "--from", "b.json"]])
    def test_a_wrong_command_line_is_refused(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_the_result_lies_over_the_specimen(result: Path) -> None:
    source = read_image(result.with_name("grains.tif"))
    restored = read_image(result)
    assert source.specimen_rows is not None
    assert source.pixel_size is not None
    assert restored.pixel_size is not None
    assert restored.origin_nm is not None
    assert restored.pixels.shape == (400, 512)
    # Outer corners of the first and of the last pixel, in nanometres.
    for axis, count in ((0, 200), (1, 256)):
        fine, coarse = restored.pixel_size.yx[axis], source.pixel_size.yx[axis]
        start = restored.origin_nm[axis] - fine / 2
        assert start == pytest.approx(-coarse / 2, abs=1e-9)
        assert start + 2 * count * fine == pytest.approx((count - 0.5) * coarse, abs=1e-9)
    assert restored.pixel_size.confidence == "high"
