"""Where no pixel size is known the user is asked, and can take the answer back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_semnet.widgets.calibrating import calibrate
from napari_semnet.widgets.layers import specimen_rows
from napari_semnet.widgets.record import pixel_size_nm
from napari_semnet.widgets.specimen import state_specimen
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

Open = Callable[..., Any]
Finish = Callable[[Any], None]
NM = ("nanometer", "nanometer")


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def place(layer: Any) -> tuple[Any, ...]:
    return (
        tuple(layer.scale),
        tuple(layer.translate),
        np.asarray(layer.affine).tolist(),
        tuple(str(unit) for unit in layer.units),
    )


def test_a_layer_without_units_is_asked_for_until_it_has_them(
    viewer: Any, open_widget: Open
) -> None:
    bare = viewer.add_image(picture(8, 8), name="bare")
    widget = open_widget()
    assert not widget.pixel_size.isHidden()
    assert "'bare' has no physical units" in widget.pixel_size.text.text()
    bare.units = NM
    assert widget.pixel_size.isHidden()


def test_a_typed_pixel_size_calibrates_the_layer_and_its_restoration(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(40, 60), name="s", translate=(3, 4), rotate=15)
    widget = open_widget()
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    before = place(source), place(result)
    zoom = viewer.scene.camera.zoom
    widget.pixel_size.value.setText("5")
    widget.pixel_size.set_button.click()
    assert tuple(source.scale) == (5, 5)
    assert tuple(result.scale) == (2.5, 2.5)
    assert {str(unit) for unit in (*source.units, *result.units)} == {"nanometer"}
    for corner in itertools.product((-0.5, 39.5), (-0.5, 59.5)):
        fine = 2 * np.asarray(corner) + 0.5
        np.testing.assert_allclose(
            result.data_to_world(fine), source.data_to_world(corner), atol=1e-9
        )
    assert viewer.scene.camera.zoom == pytest.approx(zoom / 5)
    assert "5 nm per pixel, typed by the user" in widget.pixel_size.text.text()
    widget.pixel_size.undo_button.click()
    assert (place(source), place(result)) == before
    assert viewer.scene.camera.zoom == pytest.approx(zoom)
    assert "has no physical units" in widget.pixel_size.text.text()


def test_undo_reaches_restorations_that_were_made_since(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(40, 60), name="s", translate=(3, 4), rotate=15)
    widget = open_widget()
    widget.pixel_size.value.setText("5")
    widget.pixel_size.set_button.click()
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    assert result.metadata["semnet"]["pixel_size_nm"] == pytest.approx([2.5, 2.5])
    widget.pixel_size.undo_button.click()
    assert tuple(result.scale) == pytest.approx((0.5, 0.5))
    assert {str(unit) for unit in (*source.units, *result.units)} == {"pixel"}
    for corner in itertools.product((-0.5, 39.5), (-0.5, 59.5)):
        fine = 2 * np.asarray(corner) + 0.5
        np.testing.assert_allclose(
            result.data_to_world(fine), source.data_to_world(corner), atol=1e-9
        )
    assert result.metadata["semnet"]["pixel_size_nm"] is None


def test_undo_leaves_layers_where_they_were_moved_and_turned_to_since(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(40, 60), name="s")
    widget = open_widget()
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    widget.pixel_size.value.setText("4")
    widget.pixel_size.set_button.click()
    for layer in (source, result):
        layer.translate = np.add(layer.translate, (400, 800))
        layer.affine = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    widget.pixel_size.undo_button.click()
    np.testing.assert_allclose(source.translate, (100, 200))
    np.testing.assert_allclose(np.asarray(source.affine)[:2, :2], [[0.8, -0.6], [0.6, 0.8]])
    for corner in itertools.product((-0.5, 39.5), (-0.5, 59.5)):
        fine = 2 * np.asarray(corner) + 0.5
        np.testing.assert_allclose(
            result.data_to_world(fine), source.data_to_world(corner), atol=1e-9
        )


def test_each_of_several_sizes_can_be_taken_back(viewer: Any, open_widget: Open) -> None:
    first = viewer.add_image(picture(8, 8), name="a")
    second = viewer.add_image(picture(8, 8), name="b")
    widget = open_widget()
    panel = widget.pixel_size
    for layer, size in ((first, "3"), (second, "5")):
        widget.layers.choose([layer])
        panel.value.setText(size)
        panel.set_button.click()
    assert (tuple(first.scale), tuple(second.scale)) == ((3, 3), (5, 5))
    panel.undo_button.click()
    assert (tuple(first.scale), tuple(second.scale)) == ((3, 3), (1, 1))
    panel.undo_button.click()
    assert (tuple(first.scale), tuple(second.scale)) == ((1, 1), (1, 1))
    assert {str(unit) for unit in (*first.units, *second.units)} == {"pixel"}
    assert panel.undo_button.isHidden()


def test_what_lies_over_a_layer_gets_its_pixel_size_too_and_other_layers_do_not(
    viewer: Any, open_widget: Open, finish: Finish, qtbot: Any
) -> None:
    source = viewer.add_image(picture(40, 60), name="s")
    widget = open_widget()
    widget.start()
    finish(widget)
    until(qtbot, lambda: not widget.trust.task.is_running)
    widget.trust.residual_button.click()
    until(qtbot, lambda: not widget.trust.task.is_running)
    residual = viewer.layers["s: residual (units of noise)"]
    _, compare = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    compare.line.draw_button.click()
    drawn = compare.line.drawing.layer
    beside = viewer.add_image(picture(8, 8), name="beside")
    widget.layers.choose([source])
    before = [place(layer) for layer in (residual, drawn)]
    widget.pixel_size.value.setText("5")
    widget.pixel_size.set_button.click()
    for layer in (residual, drawn):
        assert tuple(layer.scale) == (5, 5)
        assert {str(unit) for unit in layer.units} == {"nanometer"}
    assert tuple(beside.scale) == (1, 1)
    widget.pixel_size.undo_button.click()
    assert [place(layer) for layer in (residual, drawn)] == before


def test_undo_leaves_what_was_said_of_other_things_since(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(40, 60), name="s")
    widget = open_widget()
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    widget.pixel_size.value.setText("5")
    widget.pixel_size.set_button.click()
    state_specimen(source, (0, 30))
    widget.trust.strength.slider.setValue(40)
    strength = result.metadata["semnet"]["parameters"]["strength"]
    assert strength == pytest.approx(0.4)
    widget.pixel_size.undo_button.click()
    assert specimen_rows(source) == (0, 30)
    assert "pixel_size" not in source.metadata["semnet_file"]
    assert result.metadata["semnet"]["parameters"]["strength"] == strength
    assert result.metadata["semnet"]["pixel_size_nm"] is None


@pytest.mark.parametrize("stretch", [(2.0, 2.0), (1.0, 2.0)])
def test_the_given_size_counts_whatever_an_affine_makes_of_the_pixels(
    stretch: tuple[float, float], viewer: Any
) -> None:
    layer = viewer.add_image(picture(40, 60), affine=np.diag([*stretch, 1.0]))
    calibrate(viewer, layer, 5.0, "typed by the user")
    height = 5.0 * stretch[0] / stretch[1]
    assert pixel_size_nm(layer) == pytest.approx((height, 5.0))
    assert layer.metadata["semnet_file"]["pixel_size"]["y_nm"] == pytest.approx(height)


def test_a_line_over_the_scale_bar_gives_the_pixel_size(
    viewer: Any, open_widget: Open, finish: Finish, qtbot: Any
) -> None:
    source = viewer.add_image(picture(40, 60), name="s")
    widget = open_widget()
    panel = widget.pixel_size
    panel.draw_button.click()
    panel.value.setText("1")
    panel.unit.setCurrentText("µm")
    panel.set_button.click()
    assert "Draw a line" in widget.status.text()
    assert tuple(source.scale) == (1, 1)
    shapes = panel.drawing.layer
    assert viewer.layers.selection == {shapes}
    shapes.add_lines(np.array([(30, 5), (30, 45)]))
    qtbot.wait(150)
    assert "40.0 pixels long" in panel.text.text()
    panel.set_button.click()
    assert tuple(source.scale) == (25, 25)
    assert [layer.name for layer in viewer.layers] == ["s"]
    widget.start()
    finish(widget)
    record = viewer.layers["s [SEMNet 2x]"].metadata["semnet"]
    assert record["source_pixel_size_nm"] == [25, 25]
    assert "scale bar of 1 µm drawn over" in record["source_pixel_size_from"]


def test_pixels_that_are_not_square_stay_so(viewer: Any, open_widget: Open, qtbot: Any) -> None:
    source = viewer.add_image(picture(3, 40, 60), name="s", scale=(9, 2, 1))
    widget = open_widget()
    widget.pixel_size.value.setText("0,5")
    widget.pixel_size.set_button.click()
    assert tuple(source.scale) == (9, 1, 0.5)
    assert [str(unit) for unit in source.units] == ["pixel", "nanometer", "nanometer"]


@pytest.mark.parametrize("text", ["", "five", "-2", "0", "nan", "1e12"])
def test_what_is_no_length_changes_nothing(text: str, viewer: Any, open_widget: Open) -> None:
    source = viewer.add_image(picture(8, 8), name="s")
    widget = open_widget()
    before = place(source)
    widget.pixel_size.value.setText(text)
    widget.pixel_size.set_button.click()
    assert place(source) == before
    assert widget.status.text()


def test_a_doubtful_pixel_size_is_asked_about_and_can_be_corrected(
    viewer: Any, open_widget: Open
) -> None:
    size = {"y_nm": 2000.0, "x_nm": 2000.0, "source": "magnification", "confidence": "low"}
    source = viewer.add_image(
        picture(8, 8),
        name="s",
        scale=(2000, 2000),
        units=NM,
        metadata={"semnet_file": {"pixel_size": size}},
    )
    widget = open_widget()
    assert "2 µm per pixel is doubtful" in widget.pixel_size.text.text()
    widget.pixel_size.value.setText("1.9")
    widget.pixel_size.unit.setCurrentText("µm")
    widget.pixel_size.set_button.click()
    np.testing.assert_allclose(source.scale, (1900, 1900))
    widget.pixel_size.undo_button.click()
    np.testing.assert_allclose(source.scale, (2000, 2000))
    assert source.metadata["semnet_file"]["pixel_size"] == size
