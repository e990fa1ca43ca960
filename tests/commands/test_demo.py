from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semnet.cli import main
from napari_semnet.commands.demo import DemoFiles, why_no_viewer, write_demo
from napari_semnet.commands.figure import bicubic
from napari_semnet.files.reader import read_image
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.quality import psnr
from napari_semnet.restoration.restorer import Restorer, Settings

has_napari = pytest.mark.skipif(
    importlib.util.find_spec("napari") is None, reason="napari is not installed"
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="displays are named on Linux only")


@pytest.fixture
def written(tmp_path: Path, tiny_model: Path) -> DemoFiles:
    restorer = Restorer(tiny_model, Settings(device="cpu", precision="fp32"))
    *_, files = write_demo(particles((40, 60), 0), restorer, tmp_path)
    assert isinstance(files, DemoFiles)
    return files


def test_the_restored_file_is_calibrated_at_half_the_samples_pixel_size(written: DemoFiles) -> None:
    sample, restored = read_image(written.sample), read_image(written.restored)
    assert sample.pixel_size is not None
    assert restored.pixel_size is not None
    assert (sample.pixel_size.x_nm, restored.pixel_size.x_nm) == pytest.approx((2.0, 1.0))
    assert restored.pixels.shape == (80, 120)


def test_the_figures_psnr_is_that_of_the_files(written: DemoFiles) -> None:
    truth = np.rint(255 * particles((40, 60), 0).truth).astype(np.uint8)
    restored = np.asarray(read_image(written.restored).pixels)
    assert written.psnr_restored == pytest.approx(psnr(restored, truth, 255))
    enlarged = bicubic(np.asarray(read_image(written.sample).pixels))
    assert written.psnr_bicubic == pytest.approx(psnr(enlarged, truth, 255))


def test_the_sample_is_the_one_of_the_open_sample_menu(written: DemoFiles) -> None:
    pixels = np.asarray(read_image(written.sample).pixels)
    np.testing.assert_array_equal(pixels, acquire(particles((40, 60), 0), seed=0))


def test_the_figure_shows_four_panels_of_the_finer_grid(written: DemoFiles) -> None:
    with Image.open(written.figure) as figure:
        width, height = figure.size
    assert width >= 4 * 120
    assert height >= 80


def test_without_a_viewer_the_demo_writes_files_and_says_where(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--no-viewer", "-o", str(tmp_path / "d"), "--model", str(tiny_model)]
    assert main([*command, "--specimen", "grating", "--device", "cpu", "--precision", "fp32"]) == 0
    shown = capsys.readouterr().out
    names = ("grating.tif", "grating_semnet-x2.ome.tif", "grating_side-by-side.png")
    for name in names:
        assert (tmp_path / "d" / name).is_file()
        assert str(tmp_path / "d" / name) in shown
    assert "PSNR against the truth" in shown


@has_napari
@on_linux
def test_without_a_display_there_is_no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert why_no_viewer() == "there is no screen"


@has_napari
def test_an_offscreen_qt_has_no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert why_no_viewer() == "QT_QPA_PLATFORM is offscreen"


@has_napari
@on_linux
def test_a_display_that_does_not_answer_is_noticed_without_ending_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setenv("DISPLAY", ":987")
    assert why_no_viewer().startswith("Qt cannot open a window (")
