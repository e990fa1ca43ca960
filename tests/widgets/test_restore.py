"""The restore widget in a real viewer."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest

from napari_semnet import __version__, restore
from napari_semnet.imaging.geometry import Region, restored_shape, whole
from napari_semnet.model import load_model
from napari_semnet.widgets.pace import SHORTEST_PAUSE
from napari_semnet.widgets.preferences import load_choices, save_choices
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

NM = ("nanometer", "nanometer")
Open = Callable[..., Any]
Finish = Callable[[Any], None]


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def script(image: Any, model: Path, **settings: Any) -> np.ndarray:
    """Make the same call without a viewer."""
    return restore(image, model, precision="fp32", tile=512, **settings)


def messages() -> list[str]:
    from napari.utils.notifications import notification_manager

    return [record.message for record in notification_manager.records]


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    """Warnings while a worker runs go to napari's notifications, past pytest."""
    from napari.utils.notifications import NotificationSeverity, notification_manager

    notification_manager.records.clear()
    yield
    warned = [
        record.message
        for record in notification_manager.records
        if record.severity == NotificationSeverity.WARNING
    ]
    notification_manager.records.clear()
    assert warned == []


@pytest.fixture
def click(qtbot: Any) -> Callable[[Any], None]:
    from qtpy.QtCore import Qt

    def press(button: Any) -> None:
        assert button.isEnabled()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    return press


def test_one_press_restores_the_layer_over_itself(
    viewer: Any, open_widget: Open, finish: Finish, click: Any, reduced_model: Path
) -> None:
    image = picture(70, 90)
    source = viewer.add_image(image, name="gold", scale=(4, 4), units=NM, colormap="magma")
    before = hashlib.sha256(image).hexdigest(), source.scale.copy(), dict(source.metadata)
    widget = open_widget()
    click(widget.restore_button)
    assert not widget.restore_button.isEnabled()
    finish(widget)

    result = viewer.layers["gold [SEMNet 2x]"]
    np.testing.assert_array_equal(result.data, script(image, reduced_model))
    assert tuple(result.scale) == (2, 2)
    assert tuple(result.translate) == (-1, -1)
    assert result.units == source.units
    assert result.colormap.name == "magma"
    source.contrast_limits = (7, 99)
    assert result.contrast_limits == [7, 99]
    after = hashlib.sha256(source.data).hexdigest(), source.scale.copy(), dict(source.metadata)
    assert after[0] == before[0]
    assert after[2] == before[2]
    np.testing.assert_array_equal(after[1], before[1])
    assert widget.status.text().startswith("Restored 1 layer in")
    assert widget.restore_button.isEnabled()
    assert not widget.cancel_button.isEnabled()


def test_the_result_says_how_it_was_made(
    viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path
) -> None:
    from napari_semnet.files.provenance import Provenance

    viewer.add_image(picture(40, 50), name="gold", scale=(3, 4), units=("nm", "nm"))
    widget = open_widget(tile=32)
    widget.start()
    finish(widget)
    record = Provenance.model_validate(viewer.layers[-1].metadata["semnet"])
    assert record.version == __version__
    assert record.model == "reduced"
    assert record.model_sha256 == load_model(reduced_model).sha256
    assert record.source == "gold"
    assert record.intensity_range == (0, 255)
    assert record.source_pixel_size_nm == (3, 4)
    assert record.pixel_size_nm == (1.5, 2)
    assert record.parameters["tile"] == 32
    assert record.tile == (32, 32)
    assert record.date
    assert record.seconds is not None


def test_a_second_restoration_gets_a_name_of_its_own_and_leaves_the_first(
    viewer: Any, open_widget: Open, finish: Finish, click: Any, reduced_model: Path
) -> None:
    source = viewer.add_image(picture(40, 50), name="gold", scale=(4, 4), units=NM)
    widget = open_widget()
    click(widget.restore_button)
    finish(widget)
    first = viewer.layers["gold [SEMNet 2x]"]
    kept = first.data.copy(), dict(first.metadata["semnet"])
    source.data = 255 - source.data
    click(widget.restore_button)
    finish(widget)

    assert [layer.name for layer in viewer.layers] == [
        "gold",
        "gold [SEMNet 2x]",
        "gold [SEMNet 2x] [1]",  # on top, where it is seen
    ]
    second = viewer.layers["gold [SEMNet 2x] [1]"]
    assert viewer.layers["gold [SEMNet 2x]"] is first
    np.testing.assert_array_equal(first.data, kept[0])
    assert first.metadata["semnet"] == kept[1]
    np.testing.assert_array_equal(second.data, script(source.data, reduced_model))
    np.testing.assert_array_equal(second.translate, first.translate)
    source.contrast_limits = (7, 99)
    assert first.contrast_limits == second.contrast_limits == [7, 99]


def test_every_result_of_several_is_drawn_whole_when_the_run_is_over(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    for name in ("a", "b", "c"):
        viewer.add_image(picture(70, 90), name=name)
    widget = open_widget(tile=32)
    widget.layers.choose(list(viewer.layers))
    widget.start()
    finish(widget)
    for name in ("a", "b", "c"):
        result = viewer.layers[f"{name} [SEMNet 2x]"]
        thumbnail = result.thumbnail.copy()
        np.testing.assert_array_equal(result._slice.image.view, result.data)
        result.refresh()
        np.testing.assert_array_equal(result.thumbnail, thumbnail)


SOURCES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "stack": lambda: (picture(3, 30, 40), {"scale": (9, 2, 2), "units": ("s", *NM)}),
    "multiscale": lambda: ([picture(40, 60), picture(40, 60)[::2, ::2]], {"multiscale": True}),
    "grey as RGB": lambda: (picture(30, 40)[..., None].repeat(3, -1), {"rgb": True}),
    "dask": lambda: (dask.array.from_array(picture(30, 40), chunks=16), {"scale": (2, 2)}),
    "16 bit": lambda: (picture(30, 40).astype(np.uint16) * 200, {"rotate": 30, "shear": [0.2]}),
    "float": lambda: (picture(30, 40).astype(np.float32) / 17, {}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_layer_becomes_what_a_script_makes_of_it(
    name: str, viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path
) -> None:
    data, look = SOURCES[name]()
    source = viewer.add_image(data, name="s", **look)
    widget = open_widget()
    widget.start()
    finish(widget)
    full = np.asarray(data[0] if name == "multiscale" else data)
    grey = full[..., 0] if name == "grey as RGB" else full
    result = viewer.layers["s [SEMNet 2x]"]
    np.testing.assert_array_equal(result.data, script(grey, reduced_model))
    here = corners(source, grey.shape)
    np.testing.assert_allclose(corners(result, result.data.shape), here, rtol=0, atol=1e-9)
    assert result.units == source.units


def corners(layer: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(
        [layer.data_to_world(c) for c in itertools.product(*((-0.5, n - 0.5) for n in shape))]
    )


def test_several_layers_are_restored_one_after_the_other(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    for name in ("one", "two", "three"):
        viewer.add_image(picture(30, 40), name=name)
    widget = open_widget()
    widget.layers.choose([viewer.layers["one"], viewer.layers["three"]])
    widget.start()
    finish(widget)
    names = [layer.name for layer in viewer.layers]
    assert names == ["one", "one [SEMNet 2x]", "two", "three", "three [SEMNet 2x]"]
    assert "Restored 2 layers" in widget.status.text()
    assert [layer.name for layer in widget.layers.chosen()] == ["three", "one"]


def test_tiles_appear_in_the_layer_while_the_run_goes_on(
    viewer: Any, open_widget: Open, finish: Finish, qtbot: Any, tiles: Any
) -> None:
    image = picture(480, 480)
    viewer.add_image(image, name="s")
    widget = open_widget(tile=16)
    values = []
    widget.progress.valueChanged.connect(values.append)
    begun, tiles.most = time.perf_counter(), 300
    widget.start()
    until(qtbot, lambda: widget.progress.value() > 0)
    partial = viewer.layers["s [SEMNet 2x]"].data.copy()
    shown, tiles.most = widget.progress.value(), 600
    until(qtbot, lambda: widget.progress.value() > shown)
    tiles.let_all()
    finish(widget)
    pauses = (time.perf_counter() - begun) / SHORTEST_PAUSE
    final = viewer.layers["s [SEMNet 2x]"].data
    np.testing.assert_array_equal(partial[:32, :32], final[:32, :32])
    rising = [value for value in values if value > 0]
    assert rising == sorted(rising)
    # There are some 800 tiles; no more news are shown than a window has time for.
    assert 3 <= len(set(rising)) <= pauses + 2
    assert widget.progress.value() == widget.progress.maximum()


def test_cancel_takes_effect_within_a_tile_and_leaves_no_layer(
    viewer: Any, open_widget: Open, finish: Finish, click: Any, qtbot: Any, tiles: Any
) -> None:
    viewer.add_image(picture(400, 400), name="s")
    widget = open_widget(tile=16)
    tiles.most = 300
    widget.start()
    until(qtbot, lambda: widget.progress.value() > 0)
    until(qtbot, lambda: tiles.given == 300)
    click(widget.cancel_button)
    tiles.most = 310
    finish(widget)
    # It is heard with the news of the tile that was computed last, or of the one after it.
    assert tiles.given in (300, 301)
    assert [layer.name for layer in viewer.layers] == ["s"]
    assert widget.status.text() == "Cancelled"
    assert widget.progress.value() == 0
    assert widget.restore_button.isEnabled()
    widget.advanced.tile.setValue(400)
    widget.start()
    finish(widget)
    assert "s [SEMNet 2x]" in viewer.layers


def test_cancel_does_not_wait_for_a_model_that_is_made_ready_and_the_next_run_uses_it(
    viewer: Any, open_widget: Open, finish: Finish, click: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(picture(40, 40), name="s")
    widget = open_widget()
    ready, get, asked = threading.Event(), widget._restorer.get, []

    def slowly(choices: Any) -> Any:
        asked.append(choices)
        ready.wait(10)
        return get(choices)

    monkeypatch.setattr(widget._restorer, "get", slowly)
    widget.start()
    click(widget.cancel_button)
    assert widget.status.text() == "Cancelled"
    assert widget.restore_button.isEnabled()
    widget.start()
    assert [layer.name for layer in viewer.layers] == ["s"]
    ready.set()
    finish(widget)
    assert [layer.name for layer in viewer.layers] == ["s", "s [SEMNet 2x]"]
    assert len(asked) == 2
    assert messages() == []


@pytest.mark.parametrize("which", ["source", "result"])
def test_a_layer_removed_during_the_run_stops_it(
    which: str, viewer: Any, open_widget: Open, finish: Finish, qtbot: Any, tiles: Any
) -> None:
    source = viewer.add_image(picture(400, 400), name="s")
    widget = open_widget(tile=16)
    tiles.most = 300
    widget.start()
    until(qtbot, lambda: widget.progress.value() > 0)
    removed = source if which == "source" else viewer.layers["s [SEMNet 2x]"]
    viewer.layers.remove(removed)
    tiles.let_all()
    finish(widget)
    left = [layer.name for layer in viewer.layers]
    assert left == ([] if which == "source" else ["s"])
    assert "removed" in widget.status.text()
    assert messages() == []


def test_closing_the_dock_stops_the_run_and_leaves_nothing(
    viewer: Any, open_widget: Open, qtbot: Any, tiles: Any
) -> None:
    from napari.qt.threading import WorkerBase

    viewer.add_image(picture(400, 400), name="s")
    widget = open_widget(tile=16)
    tiles.most = 300
    widget.start()
    until(qtbot, lambda: widget.progress.value() > 0)
    viewer.window.remove_dock_widget(widget)
    tiles.let_all()
    assert [layer.name for layer in viewer.layers] == ["s"]
    until(qtbot, lambda: not WorkerBase._worker_set)
    viewer.add_image(picture(4, 4))  # nothing may listen any more
    del viewer.layers[0]


def test_closing_the_viewer_stops_the_run(
    viewer: Any, open_widget: Open, qtbot: Any, tiles: Any
) -> None:
    from napari.qt.threading import WorkerBase

    viewer.add_image(picture(400, 400), name="s")
    widget = open_widget(tile=16)
    tiles.most = 300
    widget.start()
    until(qtbot, lambda: widget.progress.value() > 0)
    viewer.close()
    tiles.let_all()
    until(qtbot, lambda: not WorkerBase._worker_set)


def test_an_image_that_cannot_be_restored_is_said_in_a_notification(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    viewer.add_image(picture(20, 30, 3), rgb=True, name="colour")
    viewer.add_image(picture(20, 30), name="grey")
    widget = open_widget()
    widget.layers.choose(list(viewer.layers))
    widget.start()
    finish(widget)
    assert len(messages()) == 1
    assert messages()[0].startswith("colour: The image is in colour")
    assert [layer.name for layer in viewer.layers] == ["colour", "grey", "grey [SEMNet 2x]"]
    assert widget.restore_button.isEnabled()
    assert widget.status.text() == "Restored 1 layer, not all: see the notification"
    assert widget.progress.value() == 0


def test_what_is_refused_for_nan_names_the_option_of_the_widget(
    viewer: Any, open_widget: Open, finish: Finish, click: Any
) -> None:
    image = picture(20, 30).astype(np.float32)
    image[3, 4] = np.nan
    viewer.add_image(image, name="gap")
    widget = open_widget()
    click(widget.restore_button)
    finish(widget)
    (message,) = messages()
    assert "NaN pixels, under Advanced" in message


def test_choices_that_cannot_be_are_said_and_nothing_begins(viewer: Any, open_widget: Open) -> None:
    viewer.add_image(picture(20, 30), name="s")
    widget = open_widget()
    widget.advanced.halo.setEditText("wide")
    widget.start()
    assert not widget.run.is_running
    assert "halo 'wide'" in messages()[0]


def test_a_broken_model_file_is_said_at_once_and_again_on_start(
    viewer: Any, open_widget: Open, finish: Finish, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    viewer.add_image(picture(20, 30), name="s")
    widget = open_widget(model=str(broken))
    assert "cut off" in widget.model.summary.text()
    widget.start()
    finish(widget)
    assert "cut off" in messages()[0]
    assert len(viewer.layers) == 1


def test_a_fault_of_the_program_is_shown_whole_and_does_not_block_the_widget(
    viewer: Any, open_widget: Open, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.utils.notifications import ErrorNotification, notification_manager

    viewer.add_image(picture(20, 30), name="s")
    widget = open_widget()

    def break_down(*_: Any) -> None:
        # What PyTorch raises, and what napari's workers lose without a word.
        raise RuntimeError("expected all tensors to be on the same device")

    monkeypatch.setattr("napari_semnet.restoration.planned.from_unit", break_down)
    widget.start()
    finish(widget)
    assert isinstance(notification_manager.records[-1], ErrorNotification)
    assert "same device" in messages()[-1]
    assert [layer.name for layer in viewer.layers] == ["s"]
    assert widget.restore_button.isEnabled()


def test_the_current_slice_lies_in_its_place_in_the_stack(
    viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path
) -> None:
    stack = picture(5, 30, 40)
    source = viewer.add_image(stack, name="s", scale=(10, 2, 2))
    viewer.dims.set_current_step(0, 3)
    widget = open_widget(region="slice")
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    np.testing.assert_array_equal(result.data, script(stack[3:4], reduced_model))
    place = Region((3, 0, 0), (4, 30, 40))
    for corner in itertools.product((0, 1), repeat=3):
        ours, theirs = (
            [a + c * (b - a) - 0.5 for a, b, c in zip(r.start, r.stop, corner, strict=True)]
            for r in (whole(restored_shape(place.shape)), place)
        )
        np.testing.assert_allclose(
            result.data_to_world(ours), source.data_to_world(theirs), atol=1e-9
        )


def test_the_current_view_is_what_the_canvas_shows(
    make_napari_viewer: Any, plugin: Any, qtbot: Any
) -> None:
    from napari_semnet.widgets.layers import region_of

    viewer = make_napari_viewer(show=True)
    source = viewer.add_image(picture(300, 400), scale=(2, 2), translate=(30, 40), rotate=10)
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = (350, 330)
    qtbot.wait(100)
    # What napari itself found to be visible when it drew the layer.
    first, last = source.corner_pixels
    region = region_of(source, "view", viewer)
    np.testing.assert_allclose(region.start, first, atol=1)
    np.testing.assert_allclose(region.stop, last, atol=1)


def test_choices_last_until_the_next_widget(
    viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path
) -> None:
    from napari.settings import get_plugin_settings

    viewer.add_image(picture(3, 20, 30), name="s")
    widget = open_widget()
    widget.advanced.tile.setValue(128)
    widget.advanced.halo.setEditText("10")
    widget.advanced.non_finite.setCurrentIndex(1)
    widget.region.setCurrentIndex(widget.region.findData("slice"))
    widget.start()
    finish(widget)
    stored = get_plugin_settings("napari-semnet").restoration
    assert (stored.tile, stored.halo, stored.non_finite) == (128, "10", "mask")
    assert stored.model == str(reduced_model)
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    assert again.advanced.tile.value() == 128
    assert again.advanced.halo.currentText() == "10"
    assert again.region.currentData() == "slice"


def test_choices_last_without_a_restoration(viewer: Any, open_widget: Open, tmp_path: Path) -> None:
    viewer.add_image(picture(3, 20, 30), name="s")
    widget = open_widget()
    widget.advanced.tile.setValue(128)
    assert load_choices().tile == 128
    widget.region.setCurrentIndex(widget.region.findData("slice"))
    widget.region.activated.emit(widget.region.currentIndex())
    assert load_choices().region == "slice"
    viewer.layers.clear()
    viewer.add_image(picture(20, 30), name="flat")
    assert widget.region.currentData() == "layer"
    assert load_choices().region == "slice"  # it was not the user who chose another
    widget.model.choose_file(tmp_path / "other.safetensors")
    assert load_choices().model == str(tmp_path / "other.safetensors")
    widget.use_model("ours")
    assert load_choices().model == "ours"
    assert load_choices().tile == 128


def test_a_choice_leaves_alone_what_was_kept_elsewhere_meanwhile(
    viewer: Any, open_widget: Open
) -> None:
    widget = open_widget()
    save_choices(replace(load_choices(), tile=192))  # another window, or the preferences
    widget.advanced.halo.setEditText("12")
    assert (load_choices().tile, load_choices().halo) == (192, "12")
    widget.advanced.tile.setValue(64)
    assert load_choices().tile == 64


def test_the_widget_opens_on_the_source_of_a_restoration_and_not_on_the_result(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(20, 30), name="s")
    other = viewer.add_image(picture(20, 30), name="other")
    widget = open_widget()
    widget.layers.choose([source])
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    viewer.layers.selection = {result}
    viewer.window.remove_dock_widget(widget)
    widget = open_widget()
    assert widget.layers.chosen() == [source]
    viewer.window.remove_dock_widget(widget)
    viewer.layers.remove(source)
    viewer.layers.selection = {result}
    assert open_widget().layers.chosen() == [other]


def test_the_list_follows_the_viewer_and_keeps_what_was_chosen(
    viewer: Any, open_widget: Open
) -> None:
    first = viewer.add_image(picture(8, 8), name="first")
    viewer.add_points(np.zeros((1, 2)))
    widget = open_widget()
    assert widget.layers.chosen() == [first]
    viewer.add_image(picture(8, 8), name="second")
    first.name = "renamed"
    viewer.layers.move(0, 3)
    shown = [widget.layers.item(row).text() for row in range(widget.layers.count())]
    assert shown == ["renamed", "second"]
    assert widget.layers.chosen() == [first]
    viewer.layers.remove(first)
    assert [layer.name for layer in widget.layers.chosen()] == ["second"]
    viewer.layers.clear()
    assert not widget.restore_button.isEnabled()
    assert "Open an image" in widget.status.text()


def test_the_card_and_the_device_are_shown_by_name(viewer: Any, open_widget: Open) -> None:
    from napari_semnet.restoration.runtime import describe_device

    widget = open_widget()
    assert widget.model.combo.currentText() == "reduced (file)"
    assert "Noise seen: 2 to 25 grey levels of 255" in widget.model.summary.text()
    assert "For tests only." in widget.model.summary.text()
    assert describe_device("auto").name in widget.device.currentText()


def test_a_given_intensity_range_reaches_the_engine(
    viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path
) -> None:
    image = picture(30, 40)
    viewer.add_image(image, name="s")
    widget = open_widget()
    widget.advanced.intensity.setCurrentIndex(1)
    widget.advanced.suggest_range(20, 200)
    widget.start()
    finish(widget)
    np.testing.assert_array_equal(
        viewer.layers[-1].data, script(image, reduced_model, intensity=(20, 200))
    )


def test_the_menu_command_restores_the_active_layer(
    viewer: Any, reduced_model: Path, finish: Finish, qtbot: Any
) -> None:
    from napari._app_model import get_app_model

    from napari_semnet.widgets.choices import Choices

    save_choices(Choices(model=str(reduced_model), precision="fp32"))
    viewer.add_image(picture(20, 30), name="below")
    viewer.add_image(picture(20, 30), name="active")
    command = "napari-semnet.restore_active_layer"
    get_app_model().commands.execute_command(command).result()
    until(qtbot, lambda: "active [SEMNet 2x]" in viewer.layers)
    widget = viewer.window.dock_widgets["Restore (napari-semnet)"]
    finish(widget)
    assert "below [SEMNet 2x]" not in viewer.layers


def test_a_genuine_file_is_restored_without_its_databar(
    viewer: Any, open_widget: Open, finish: Finish, reduced_model: Path, shared: Path
) -> None:
    path = shared / "vendor-samples" / "test_tiff_Zeiss_SEM_512pix.tif"
    (source,) = viewer.open(path, plugin="napari-semnet")
    widget = open_widget()
    assert "rows 0 to 349 show the specimen" in widget.databar.text.text()
    widget.start()
    finish(widget)
    result = viewer.layers[-1]
    assert result.data.shape == (700, 1024)
    np.testing.assert_array_equal(result.data, script(source.data[:350], reduced_model))
    for corner in [(0, 0), (0, 512), (350, 0), (350, 512)]:
        ours = np.asarray(corner) * 2 - 0.5
        np.testing.assert_allclose(
            result.data_to_world(ours), source.data_to_world(np.asarray(corner) - 0.5), atol=1e-9
        )
    assert result.units == source.units
    np.testing.assert_allclose(result.scale, source.scale / 2)
    assert result.metadata["semnet"]["specimen_rows"] == [0, 350]


def test_a_layer_that_goes_before_the_models_are_known_leaves_the_others_unrestored(
    viewer: Any, qtbot: Any
) -> None:
    viewer.add_image(np.zeros((24, 24), np.uint8), name="other")
    meant = viewer.add_image(np.zeros((24, 24), np.uint8), name="meant")
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    assert not widget.is_ready
    widget.restore_layer(meant)
    viewer.layers.remove(meant)
    until(qtbot, lambda: widget.is_ready)
    assert [layer.name for layer in widget.layers.chosen()] == ["other"]
    assert not widget.run.is_running
