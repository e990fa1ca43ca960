"""What can be done with a restored layer, from the restore widget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.cli import main
from napari_semnet.files.provenance import read_sidecar, sha256_of
from napari_semnet.files.reader import read_image
from napari_semnet.widgets.results import TIFF_FILTER, ZARR_FILTER, latest_result
from tests.files.making import databar, fei_header, specimen, write

pytestmark = pytest.mark.gui

Open = Callable[..., Any]
Finish = Callable[[Any], None]


@pytest.fixture
def restored(viewer: Any, open_widget: Open, finish: Finish) -> Any:
    """The widget, after it restored one layer."""
    image = np.random.default_rng(3).integers(0, 256, (60, 90), dtype=np.uint8)
    told = {"conditions": {"acceleration voltage": "5 kV"}, "vendor": "Zeiss"}
    viewer.add_image(
        image, name="gold", scale=(4, 4), units=("nm", "nm"), metadata={"semnet_file": told}
    )
    widget = open_widget()
    for button in ("compare_button", "save_button", "methods_button"):
        assert not getattr(widget.results, button).isEnabled()
    widget.start()
    finish(widget)
    return widget


def answer(monkeypatch: pytest.MonkeyPatch, path: Path, kind: str = "") -> None:
    """Choose a file and its type, whenever one is asked for."""
    monkeypatch.setattr(
        "napari_semnet.widgets.results.QFileDialog.getSaveFileName",
        lambda *_args, **_kwargs: (str(path), kind),
    )


def wait(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not widget.results.task.is_running, timeout=60_000)


def test_one_click_compares_the_result_with_its_source(
    viewer: Any, restored: Any, qtbot: Any
) -> None:
    restored.results.compare_button.click()
    comparison = viewer.window.dock_widgets["Compare (napari-semnet)"]
    assert comparison.subject.raw().name == "gold"
    assert comparison.subject.restored().name == "gold [SEMNet 2x]"
    qtbot.waitUntil(lambda: viewer.canvas.grid.enabled, timeout=60_000)
    viewer.window.remove_dock_widget(comparison)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.tif", "out"])
def test_save_writes_a_calibrated_file_with_its_record(
    name: str,
    viewer: Any,
    restored: Any,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, tmp_path / name)
    restored.results.save_button.click()
    wait(restored, qtbot)
    path = tmp_path / (name if "." in name else "out.ome.tif")
    assert restored.status.text() == f"Saved {path}"
    written = read_image(path)
    assert written.pixel_size is not None
    assert written.pixel_size.yx == pytest.approx((2, 2), rel=1e-6)
    result = viewer.layers["gold [SEMNet 2x]"]
    np.testing.assert_array_equal(written.pixels, result.data)
    assert written.provenance is not None
    assert written.provenance.model == "reduced"
    assert read_sidecar(tmp_path / "out.semnet.json").result == path.name


def test_a_file_that_the_dialog_did_not_ask_about_is_not_replaced(
    restored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.ome.tif").write_text("precious")
    answer(monkeypatch, tmp_path / "out")
    restored.results.save_button.click()
    assert not restored.results.task.is_running
    assert "out.ome.tif is there already" in restored.status.text()
    assert (tmp_path / "out.ome.tif").read_text() == "precious"


def test_save_writes_an_ome_zarr(
    viewer: Any, restored: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, tmp_path / "out.ome.zarr")
    restored.results.save_button.click()
    wait(restored, qtbot)
    (layer,) = viewer.open(tmp_path / "out.ome.zarr", plugin="napari-semnet")
    np.testing.assert_allclose(layer.scale, (2, 2))
    assert {str(unit) for unit in layer.units} == {"nanometer"}


def test_the_chosen_file_type_decides_where_the_name_leaves_it_open(
    restored: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {
        ("plain", ZARR_FILTER): "plain.ome.zarr",
        ("suggested.ome.tif", ZARR_FILTER): "suggested.ome.zarr",
        ("typed.zarr", TIFF_FILTER): "typed.zarr",
        ("v1.2", TIFF_FILTER): "v1.2.ome.tif",
    }
    for (name, kind), expected in written.items():
        answer(monkeypatch, tmp_path / name, kind)
        restored.results.save_button.click()
        wait(restored, qtbot)
        assert restored.status.text() == f"Saved {tmp_path / expected}"
        assert (tmp_path / expected).is_dir() == expected.endswith("zarr")


def test_what_cannot_be_written_is_said(
    restored: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    answer(monkeypatch, tmp_path / "file" / "out.ome.tif")
    restored.results.save_button.click()
    wait(restored, qtbot)
    assert "could not be written" in restored.status.text()
    assert restored.results.save_button.isEnabled()


def test_methods_writes_the_paragraph_and_the_figure(
    viewer: Any, restored: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image
    from qtpy.QtWidgets import QApplication

    answer(monkeypatch, tmp_path / "gold_methods.txt")
    restored.results.methods_button.click()
    wait(restored, qtbot)
    text = (tmp_path / "gold_methods.txt").read_text(encoding="utf-8")
    assert "acquired on a Zeiss with an acceleration voltage of 5 kV" in text
    assert "pixel size of 2 nm" in text
    assert "estimates, not measurements" in text
    assert QApplication.clipboard().text() == text.strip()
    assert (tmp_path / "gold_methods.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "gold_methods.png") as figure:
        # Three panels of the picture, each raw pixel as 2 x 2.
        assert figure.width > 3 * 180
    assert "Written to" in restored.status.text()


def test_methods_says_why_there_is_no_figure_once_the_source_is_gone(
    viewer: Any, restored: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.layers.remove("gold")
    answer(monkeypatch, tmp_path / "gold_methods.txt")
    restored.results.methods_button.click()
    wait(restored, qtbot)
    assert "No figure: the source, gold, is not open any more." in restored.status.text()
    assert not (tmp_path / "gold_methods.png").exists()


def test_what_was_saved_can_be_repeated_by_the_command_line_bit_for_bit(
    viewer: Any,
    open_widget: Open,
    finish: Finish,
    qtbot: Any,
    tmp_path: Path,
    reduced_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(
        tmp_path / "grains.tif",
        np.vstack([specimen(), databar()]),
        {34682: fei_header(x=5e-9, y=5e-9)},
    )
    viewer.open(path, plugin="napari-semnet")
    widget = open_widget(device="cpu")
    widget.databar.edit()
    widget.databar.drawing.layer.data = [np.array([(149.5, 0), (149.5, 256), (230, 256), (230, 0)])]
    widget.start()
    finish(widget)
    record = viewer.layers[-1].metadata["semnet"]
    assert record["specimen_rows"] == [0, 150]
    assert record["source_sha256"] == sha256_of(path)
    assert record["source_pixel_size_from"].endswith("(high)")
    answer(monkeypatch, tmp_path / "first.ome.tif")
    widget.results.save_button.click()
    wait(widget, qtbot)
    command = ["restore", "--from", str(tmp_path / "first.semnet.json"), "-o"]
    again = tmp_path / "again.ome.tif"
    assert main([*command, str(again), "--model", str(reduced_model), "--quiet"]) == 0
    one, other = read_image(tmp_path / "first.ome.tif"), read_image(again)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.pixels.shape == (300, 512)
    assert one.pixel_size is not None
    assert one.pixel_size == other.pixel_size


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (("2026-11-25T10:00:00+00:00", "2026-11-25T11:30:00+02:00"), 0),
        (("2026-11-25T10:00:00+00:00", "2026-11-25T10:00:01+00:00"), 1),
        (("2026-11-25T10:00:00+00:00", "2026-11-25T10:00:00+00:00"), 0),
        (("2026-11-25T10:00:00+00:00", "some day"), 0),
        (("2026-11-25T10:00:00+00:00", None), 0),
    ],
)
def test_the_restoration_that_was_made_last_is_the_one_meant_wherever_it_lies(
    dates: tuple[Any, Any], expected: int
) -> None:
    from napari.components import ViewerModel

    viewer = ViewerModel()
    raw = viewer.add_image(np.zeros((8, 8)), name="gold")
    made = [
        viewer.add_image(np.zeros((16, 16)), metadata={"semnet": {"source": "gold", "date": date}})
        for date in dates
    ]
    viewer.layers.selection.active = made[0]
    assert latest_result(viewer, [raw]) is made[expected]
    assert latest_result(viewer, [made[1]]) is made[1]
