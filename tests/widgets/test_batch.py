"""A folder is restored in a process of its own, and the table says what became of each image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import psutil
import pytest

from napari_semnet.commands.queue import FileRow
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.widgets.batch_process import BatchProcess, batch_command
from napari_semnet.widgets.choices import Choices
from napari_semnet.widgets.preferences import save_choices

pytestmark = pytest.mark.gui

PATIENCE = 120_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for name in ("a", "b"):
        pixels = np.random.default_rng(1).integers(0, 250, (40, 50), np.uint8)
        write_tiff(path / f"{name}.tif", pixels, pixel_size_nm=(4.0, 4.0))
    (path / "bad.tif").write_bytes(b"II*\0 and nothing more")
    return path


@pytest.fixture
def widget(viewer: Any, reduced_model: Path) -> Any:
    save_choices(replace(Choices(model=str(reduced_model)), device="cpu", precision="fp32"))
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore folder")
    return widget


def states(widget: Any) -> dict[str, str]:
    table = widget.table
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount())}


def test_a_folder_is_restored_and_what_failed_can_be_tried_again(
    widget: Any, viewer: Any, folder: Path, qtbot: Any
) -> None:
    assert not widget.start_button.isEnabled()
    widget.folder.line.setText(str(folder))
    assert widget.results.line.placeholderText() == str(folder / "semnet")
    widget.start_button.click()
    assert states(widget) == {"a.tif": "waiting", "b.tif": "waiting", "bad.tif": "waiting"}
    assert widget.stop_button.isEnabled()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert states(widget) == {"a.tif": "done", "b.tif": "done", "bad.tif": "failed"}
    assert widget.status.text() == "2 of 3 images have a result, 1 failed"
    assert widget.table.item(0, 2).text().startswith("100 x 80 px, 2 nm/px")
    result = folder / "semnet" / "a_semnet-x2.ome.tif"
    assert read_image(result).pixels.shape == (80, 100)
    assert (folder / "semnet" / "semnet-report.csv").is_file()

    widget.table.itemDoubleClicked.emit(widget.table.item(0, 0))
    assert [layer.data.shape for layer in viewer.layers] == [(40, 50), (80, 100)]

    (folder / "bad.tif").write_bytes((folder / "a.tif").read_bytes())
    widget.retry_button.click()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert states(widget) == {"a.tif": "skipped", "b.tif": "skipped", "bad.tif": "done"}
    assert not widget.retry_button.isEnabled()


def show_done(widget: Any, source: Path, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Double-click the line of an image that is done."""
    row = FileRow(str(source), str(result), "done")
    monkeypatch.setattr(BatchProcess, "rows", (row,))
    widget.process.row_changed.emit(row)
    widget.table.itemDoubleClicked.emit(widget.table.item(widget.table.rowCount() - 1, 0))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_result_lies_over_its_source_also_without_a_pixel_size(
    widget: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source, result = tmp_path / name, tmp_path / "r.ome.tif"
    imageio.v3.imwrite(source, np.random.default_rng(1).integers(0, 250, (40, 50), np.uint8))
    record = Provenance(source=name, specimen_rows=(10, 40))
    write_tiff(result, np.zeros((60, 100), np.uint8), pixel_size_nm=None, provenance=record)
    show_done(widget, source, result, monkeypatch)
    below, above = viewer.layers
    assert (below.data.shape, above.data.shape) == ((40, 50), (60, 100))
    for corner, of_source in (((-0.5, -0.5), (9.5, -0.5)), ((59.5, 99.5), (39.5, 49.5))):
        np.testing.assert_allclose(above.data_to_world(corner), below.data_to_world(of_source))


def test_a_result_that_cannot_be_read_is_told_of(
    widget: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "r.ome.tif"):
        (tmp_path / name).write_bytes(b"no picture any more")
    show_done(widget, tmp_path / "a.png", tmp_path / "r.ome.tif", monkeypatch)
    assert "a.png" in widget.status.text()
    assert len(viewer.layers) == 0


def test_the_model_and_the_options_are_shown_as_they_are_kept(widget: Any) -> None:
    assert widget.options.text() == (
        "Model: reduced.safetensors; device: cpu; precision: fp32 (most exact); tile: automatic; "
        "halo: automatic; NaN pixels: refuse the image"
    )
    save_choices(Choices(tile=128, halo="12", non_finite="mask"))
    assert widget.options.text() == (
        "Model: the one that comes with the package; device: automatic; precision: automatic; "
        "tile: 128 px; halo: 12 px; NaN pixels: keep them, restore around them"
    )


def test_pictures_that_tell_no_pixel_size_are_given_one(
    widget: Any, tmp_path: Path, qtbot: Any
) -> None:
    imageio.v3.imwrite(tmp_path / "a.png", np.full((30, 40), 90, np.uint8))
    widget.folder.line.setText(str(tmp_path))
    widget.pixel_size.setText("5")
    widget.start_button.click()
    assert "with its unit" in widget.status.text()
    assert not widget.process.is_running
    widget.pixel_size.setText("0,005 um")
    widget.start_button.click()
    assert not widget.pixel_size.isEnabled()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert widget.table.item(0, 2).text().startswith("80 x 60 px, 2.5 nm/px")
    restored = read_image(tmp_path / "semnet" / "a_semnet-x2.ome.tif")
    assert restored.pixel_size is not None
    assert restored.pixel_size.yx == (2.5, 2.5)


def test_waiting_for_new_images_is_ended_by_stop(widget: Any, folder: Path, qtbot: Any) -> None:
    widget.folder.line.setText(str(folder))
    widget.watch.setChecked(True)
    widget.start_button.click()
    qtbot.waitUntil(lambda: states(widget).get("b.tif") == "done", timeout=PATIENCE)
    assert "waiting for new ones" in widget.status.text()
    widget.stop_button.click()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert "waiting" not in widget.status.text()
    assert widget.start_button.isEnabled()


def test_an_image_that_is_stopped_in_the_midst_of_it_waits_again(
    widget: Any, folder: Path, qtbot: Any
) -> None:
    save_choices(Choices(device="cpu"))  # with the bundled model it takes minutes
    large = np.random.default_rng(1).integers(0, 250, (3000, 4000), np.uint8)
    write_tiff(folder / "0.tif", large, pixel_size_nm=(4.0, 4.0))
    widget.folder.line.setText(str(folder))
    widget.start_button.click()
    qtbot.waitUntil(lambda: "restoring" in states(widget)["0.tif"], timeout=PATIENCE)
    widget.stop_button.click()
    assert not widget.stop_button.isEnabled()
    widget.process.stop()  # as closing the window does: no second signal
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert set(states(widget).values()) == {"waiting"}
    assert widget.table.item(0, 2).text() == "stopped"


def test_what_failed_in_one_folder_is_not_tried_again_in_another(
    widget: Any, tmp_path: Path, qtbot: Any
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "bad.tif").write_bytes(b"II*\0 and nothing more")
    widget.folder.line.setText(str(first))
    widget.start_button.click()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert widget.retry_button.isEnabled()
    widget.folder.line.setText(str(second))
    assert not widget.retry_button.isEnabled()
    assert widget.start_button.isEnabled()
    widget.folder.line.setText(str(first))
    assert widget.retry_button.isEnabled()


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closing_the_window_ends_the_process_and_keeps_what_is_finished(
    widget: Any, viewer: Any, folder: Path, qtbot: Any, what: str
) -> None:
    widget.folder.line.setText(str(folder))
    widget.watch.setChecked(True)
    widget.start_button.click()
    qtbot.waitUntil(lambda: states(widget).get("a.tif") == "done", timeout=PATIENCE)
    (process,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if str(folder) in " ".join(child.cmdline())
    ]
    if what == "dock":
        viewer.window.remove_dock_widget(widget)
    else:
        viewer.close()
    qtbot.waitUntil(lambda: not is_alive(process), timeout=PATIENCE)
    assert read_image(folder / "semnet" / "a_semnet-x2.ome.tif").pixels.shape == (80, 100)


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_what_cannot_be_used_is_said(widget: Any, folder: Path, qtbot: Any) -> None:
    widget.folder.line.setText(str(folder / "nowhere"))
    widget.start_button.click()
    assert "Choose the folder" in widget.status.text()
    save_choices(Choices(model="no such model"))
    widget.folder.line.setText(str(folder))
    widget.start_button.click()
    qtbot.waitUntil(lambda: not widget.process.is_running, timeout=PATIENCE)
    assert "There is no model" in widget.status.text()


def test_the_command_says_all_that_was_chosen(tmp_path: Path) -> None:
    choices = Choices(model="m", device="cuda:0", precision="bf16", tile=256, halo="12")
    command = batch_command(tmp_path, tmp_path / "out", choices, watch=True)
    from napari_semnet.cli import build_parser

    arguments = build_parser().parse_args(command[2:])
    assert (arguments.model, arguments.device, arguments.precision) == ("m", "cuda:0", "bf16")
    assert (arguments.tile, arguments.halo, arguments.watch) == (256, 12, True)
