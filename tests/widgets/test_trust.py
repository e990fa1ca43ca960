from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.files.reader import read_image
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import bicubic_double, block_mean
from napari_semnet.widgets.trust import TrustPage
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

SHAPE = (96, 112)
NM = ("nm", "nm")


@pytest.fixture
def image() -> np.ndarray:
    return acquire(particles(SHAPE, 1))


@pytest.fixture
def restored(
    viewer: Any,
    image: np.ndarray,
    open_widget: Callable[..., Any],
    finish: Callable[[Any], None],
    qtbot: Any,
) -> tuple[Any, Any]:
    """The restore widget after a restoration, and the restored layer."""
    viewer.add_image(image, name="gold", scale=(4, 4), units=NM)
    widget = open_widget()
    widget.layers.choose([viewer.layers["gold"]])
    widget.start()
    finish(widget)
    until(qtbot, lambda: not widget.trust.task.is_running)
    return widget, viewer.layers["gold [SEMNet 2x]"]


def wait(page: Any, qtbot: Any) -> None:
    until(qtbot, lambda: not page.task.is_running)


def test_a_restoration_is_checked_at_its_end(restored: tuple[Any, Any]) -> None:
    widget, _ = restored
    # Random weights: nothing of the specimen is left.
    assert "has structure" in widget.trust.words.text()
    assert widget.trust.words.text().startswith("“gold [SEMNet 2x]”")
    assert "grey levels of 255" in widget.trust.words.toolTip()
    # The page is folded away, and what it warns of must be seen all the same.
    assert widget.status.text().startswith("Restored 1 layer in")
    assert widget.status.text().endswith("“gold [SEMNet 2x]”: 1 warning under Trust")


def test_the_check_at_the_end_is_of_what_was_restored(
    viewer: Any,
    restored: tuple[Any, Any],
    finish: Callable[[Any], None],
    qtbot: Any,
    tiles: Any,
) -> None:
    widget, gold = restored
    second = viewer.add_image(acquire(particles(SHAPE, 2)), name="tin", scale=(4, 4), units=NM)
    widget.layers.choose([second])
    assert widget.trust.words.text() == ""
    tiles.most = tiles.given
    widget.start()
    until(qtbot, lambda: "tin [SEMNet 2x]" in viewer.layers)
    viewer.layers.selection = {gold}
    tiles.let_all()
    finish(widget)
    wait(widget.trust, qtbot)
    assert widget.trust.words.text().startswith("“tin [SEMNet 2x]”")
    assert "“tin [SEMNet 2x]”" in widget.status.text()
    viewer.add_points([[0, 0]])
    assert widget.trust.words.text() != ""
    viewer.layers.remove(viewer.layers["tin [SEMNet 2x]"])
    assert widget.trust.words.text() == ""
    widget.trust.check()
    viewer.layers.clear()
    wait(widget.trust, qtbot)
    assert widget.trust.words.text() == ""


def test_a_long_name_in_what_was_found_does_not_widen_the_dock(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any
) -> None:
    widget, result = restored
    width = widget.trust.minimumSizeHint().width()
    result.name = "sampleA_very_long_name_without_any_space_" * 4
    widget.trust.check()
    wait(widget.trust, qtbot)
    assert widget.trust.words.text().startswith(f"“{result.name}”")
    qtbot.wait(100)
    assert widget.trust.minimumSizeHint().width() <= width


def test_a_warning_that_comes_late_does_not_hide_what_was_said_since(
    viewer: Any, image: np.ndarray, open_widget: Callable[..., Any], qtbot: Any
) -> None:
    viewer.add_image(image, name="gold", scale=(4, 4), units=NM)
    widget = open_widget()
    widget.run.ended.connect(lambda _: widget.results.said.emit("Saved"))
    widget.start()
    until(qtbot, lambda: widget.trust.words.text())
    assert widget.status.text() == "Saved"
    assert widget.folded_trust.isExpanded()


def test_the_residual_lies_over_the_image(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any
) -> None:
    widget, _ = restored
    widget.trust.residual_button.click()
    wait(widget.trust, qtbot)
    layer = viewer.layers["gold: residual (units of noise)"]
    assert layer.data.shape == SHAPE
    np.testing.assert_allclose(layer.extent.world, viewer.layers["gold"].extent.world)
    assert tuple(layer.contrast_limits) == (-4, 4)


def test_the_sensitivity_becomes_a_layer_in_grey_levels(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any
) -> None:
    widget, result = restored
    widget.trust.sensitivity_button.click()
    assert widget.trust.bar.isVisibleTo(widget.trust)
    wait(widget.trust, qtbot)
    layer = viewer.layers["gold [SEMNet 2x]: sensitivity (grey levels)"]
    assert layer.data.shape == result.data.shape
    assert (layer.data >= 0).all()
    np.testing.assert_allclose(layer.extent.world, result.extent.world)
    assert "Sensitivity" in widget.trust.words.text()


def test_the_sensitivity_can_be_cancelled(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any
) -> None:
    widget, _ = restored
    count = len(viewer.layers)
    widget.trust.sensitivity_button.click()
    widget.trust.cancel_button.click()
    assert widget.trust.words.text() == "Cancelled"
    qtbot.wait(300)
    assert len(viewer.layers) == count


@pytest.mark.parametrize("what", ["dock", "viewer", "raw layer", "restored layer"])
def test_closing_what_is_mapped_leaves_nothing(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any, what: str, tiles: Any
) -> None:
    from napari.qt.threading import WorkerBase

    widget, result = restored
    tiles.most = 5
    widget.trust.sensitivity_button.click()
    until(qtbot, lambda: widget.trust.progress.value() > 0)
    assert widget.trust.task.is_running
    if what == "viewer":
        viewer.close()
        tiles.let_all()
    elif what == "dock":
        viewer.window.remove_dock_widget(widget)
        tiles.let_all()
        assert len(viewer.layers) == 2
    else:
        viewer.layers.remove(result if what == "restored layer" else viewer.layers["gold"])
        tiles.let_all()
        wait(widget.trust, qtbot)
        mapped = [layer for layer in viewer.layers if "sensitivity" in layer.name]
        assert len(mapped) == (what == "raw layer")
    until(qtbot, lambda: not WorkerBase._worker_set)


def test_a_consistent_result_has_the_means_of_the_image(
    viewer: Any, restored: tuple[Any, Any], image: np.ndarray, qtbot: Any
) -> None:
    widget, result = restored
    widget.trust.consistent_button.click()
    wait(widget.trust, qtbot)
    layer = viewer.layers["gold [SEMNet 2x] consistent"]
    before = np.abs(block_mean(result.data) - image).mean()
    assert np.abs(block_mean(layer.data) - image).mean() < before
    assert "made consistent" in layer.metadata["semnet"]["operation"]


def test_a_consistent_part_lies_where_it_was_compared_and_its_record_says_which_part_it_is(
    viewer: Any, restored: tuple[Any, Any], image: np.ndarray, qtbot: Any
) -> None:
    _, result = restored
    crop = viewer.add_image(image[20:60, 30:80], name="part", translate=(80, 120), scale=(4, 4))
    crop.units = NM
    page = TrustPage(viewer, lambda: (crop, result))
    page.make_consistent()
    wait(page, qtbot)
    layer = viewer.layers["gold [SEMNet 2x] consistent"]
    assert layer.data_to_world((-0.5, -0.5)) == pytest.approx(crop.data_to_world((-0.5, -0.5)))
    parameters = layer.metadata["semnet"]["parameters"]
    assert (parameters["region_start"], parameters["region_stop"]) == ((20, 30), (60, 80))
    page.let_go()


def test_strength_moves_between_enlargement_and_model_and_back(
    restored: tuple[Any, Any], image: np.ndarray
) -> None:
    widget, result = restored
    full = result.data.copy()
    slider = widget.trust.strength.slider
    slider.setValue(0)
    plain = np.clip(np.rint(bicubic_double(image)), 0, 255)
    np.testing.assert_allclose(result.data, plain, atol=1)
    assert result.metadata["semnet"]["parameters"]["strength"] == 0
    slider.setValue(50)
    half = np.clip((bicubic_double(image) + full.astype(float)) / 2, 0, 255)
    np.testing.assert_allclose(result.data, half, atol=0.51)
    slider.setValue(100)
    np.testing.assert_array_equal(result.data, full)


def test_another_raw_layer_is_enlarged_anew(
    viewer: Any, restored: tuple[Any, Any], image: np.ndarray
) -> None:
    _, result = restored
    raw, inverted = viewer.layers["gold"], viewer.add_image(255 - image, scale=(4, 4), units=NM)
    chosen = [raw, result]
    page = TrustPage(viewer, lambda: (chosen[0], chosen[1]))
    page.strength.slider.setValue(50)
    chosen[0] = inverted
    page.strength.slider.setValue(0)
    plain = np.clip(np.rint(bicubic_double(255 - image)), 0, 255)
    np.testing.assert_allclose(result.data, plain, atol=1)
    inverted.data = image
    page.strength.slider.setValue(10)
    page.strength.slider.setValue(0)
    plain = np.clip(np.rint(bicubic_double(image)), 0, 255)
    np.testing.assert_allclose(result.data, plain, atol=1)
    page.let_go()


def test_layers_that_lie_together_no_longer_are_not_blended(
    viewer: Any, restored: tuple[Any, Any]
) -> None:
    widget, result = restored
    full = result.data.copy()
    viewer.layers["gold"].translate = (40, 40)
    widget.trust.strength.slider.setValue(50)
    assert "does not lie under all of “gold [SEMNet 2x]”" in widget.trust.words.text()
    assert widget.trust.strength.value.text() == "100 %"
    np.testing.assert_array_equal(result.data, full)
    viewer.layers["gold"].translate = (0, 0)
    widget.trust.strength.slider.setValue(50)
    assert (result.data != full).any()


def test_a_layer_that_was_scaled_alone_is_named_with_what_to_do(
    viewer: Any, restored: tuple[Any, Any]
) -> None:
    widget, _ = restored
    rows, columns = viewer.layers["gold"].data.shape
    viewer.layers["gold"].scale = viewer.layers["gold"].scale * 2
    widget.trust.check_button.click()
    said = widget.trust.words.text()
    half = f"{rows // 2} x {columns // 2}"
    assert f"Where “gold” lies under “gold [SEMNet 2x]” it has {half} pixels" in said
    assert "not twice as many each way. Undo what scaled or moved one of the two" in said


def test_another_strength_takes_back_what_was_said_of_the_former_one(
    viewer: Any, restored: tuple[Any, Any]
) -> None:
    widget, _ = restored
    assert widget.trust.words.text()
    widget.trust.strength.slider.setValue(50)
    assert widget.trust.words.text() == ""
    assert widget.trust.words.toolTip() == ""


@pytest.mark.parametrize("button", ["check_button", "consistent_button"])
def test_work_on_the_pixels_of_another_strength_is_stopped_and_shows_nothing(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any, button: str
) -> None:
    page = restored[0].trust
    layers = list(viewer.layers)
    getattr(page, button).click()
    assert page.task.is_running
    page.strength.slider.setValue(0)
    assert not page.task.is_running
    qtbot.wait(300)
    assert page.words.text() == "Stopped: the pixels are others now"
    assert list(viewer.layers) == layers


def test_the_strength_of_a_result_leaves_the_map_of_its_sensitivity_be(
    restored: tuple[Any, Any],
) -> None:
    page = restored[0].trust
    page.sensitivity_button.click()
    page.strength.slider.setValue(0)
    assert page.task.is_running
    page.cancel_button.click()


def test_a_result_is_saved_as_it_was_when_that_was_asked_for(
    restored: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    widget, result = restored
    full, path = result.data.copy(), tmp_path / "full.ome.tif"
    widget.results.save(path)
    widget.trust.strength.slider.setValue(0)
    until(qtbot, lambda: not widget.results.task.is_running)
    saved = read_image(path)
    np.testing.assert_array_equal(saved.pixels, full)
    assert saved.provenance.parameters.get("strength", 1) == 1


def test_a_result_on_a_disk_is_said_to_be_on_a_disk(viewer: Any, restored: tuple[Any, Any]) -> None:
    import dask.array

    widget, result = restored
    result.data = dask.array.from_array(result.data, chunks=64)
    widget.trust.strength.slider.setValue(50)
    assert "is on a disk" in widget.trust.words.text()
    assert "too large" not in widget.trust.words.text()


def test_strength_and_check_are_of_the_layer_that_is_chosen_in_the_list(
    viewer: Any, restored: tuple[Any, Any], finish: Callable[[Any], None], qtbot: Any
) -> None:
    widget, gold = restored
    second = viewer.add_image(acquire(particles(SHAPE, 2)), name="tin", scale=(4, 4), units=NM)
    widget.layers.choose([second])
    widget.start()
    finish(widget)
    wait(widget.trust, qtbot)
    tin = viewer.layers["tin [SEMNet 2x]"]
    viewer.layers.selection = {tin}
    widget.layers.choose([viewer.layers["gold"]])
    untouched, full = tin.data.copy(), gold.data.copy()
    widget.trust.strength.slider.setValue(40)
    np.testing.assert_array_equal(tin.data, untouched)
    assert (gold.data != full).any()
    widget.trust.check_button.click()
    wait(widget.trust, qtbot)
    assert widget.trust.words.text().startswith("“gold [SEMNet 2x]”")
    # Nothing is chosen: the slider is of the active one, and shows its strength.
    widget.layers.choose([])
    assert widget.trust.strength.value.text() == "100 %"
    viewer.layers.selection = {gold}
    assert widget.trust.strength.value.text() == "40 %"


def test_what_a_run_has_not_finished_is_left_alone_by_the_strength(
    viewer: Any,
    image: np.ndarray,
    open_widget: Callable[..., Any],
    finish: Callable[[Any], None],
    qtbot: Any,
    tiles: Any,
) -> None:
    viewer.add_image(image, name="gold", scale=(4, 4), units=NM)
    widget = open_widget(tile=32)
    _, compare = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    tiles.most = 4
    widget.start()
    until(qtbot, lambda: "gold [SEMNet 2x]" in viewer.layers and tiles.given == 4)
    result = viewer.layers["gold [SEMNet 2x]"]
    assert not widget.trust.strength.isEnabled()
    for page in (widget.trust, compare.trust):
        page.strength.slider.setValue(60)
        page.strength.slider.setValue(100)
    assert "not finished" in compare.trust.words.text()
    tiles.let_all()
    finish(widget)
    wait(widget.trust, qtbot)
    assert widget.trust.strength.isEnabled()
    full = result.data.copy()
    widget.trust.strength.slider.setValue(50)
    assert (result.data != full).any()
    widget.trust.strength.slider.setValue(100)
    np.testing.assert_array_equal(result.data, full)


def test_a_restored_slice_is_not_blended_with_another_slice(
    viewer: Any, open_widget: Callable[..., Any], finish: Callable[[Any], None], qtbot: Any
) -> None:
    stack = np.stack([acquire(particles((48, 64), seed)) for seed in range(3)])
    source = viewer.add_image(stack, name="s", scale=(5, 4, 4), units=("nm", "nm", "nm"))
    viewer.dims.set_current_step(0, 2)
    widget = open_widget(region="slice")
    widget.layers.choose([source])
    widget.start()
    finish(widget)
    wait(widget.trust, qtbot)
    full = viewer.layers["s [SEMNet 2x]"].data.copy()
    viewer.dims.set_current_step(0, 0)
    widget.trust.strength.slider.setValue(0)
    np.testing.assert_array_equal(viewer.layers["s [SEMNet 2x]"].data, full)
    assert "Move the slider of the viewer" in widget.trust.words.text()
    viewer.dims.set_current_step(0, 2)
    widget.trust.strength.slider.setValue(0)
    plain = np.clip(np.rint(bicubic_double(stack[2])), 0, 255)
    np.testing.assert_allclose(viewer.layers["s [SEMNet 2x]"].data[0], plain, atol=1)


def test_a_residual_lies_in_the_slice_that_was_checked(
    viewer: Any, open_widget: Callable[..., Any], finish: Callable[[Any], None], qtbot: Any
) -> None:
    stack = np.stack([acquire(particles((48, 64), seed)) for seed in range(3)])
    source = viewer.add_image(stack, name="s", scale=(5, 4, 4), units=("nm", "nm", "nm"))
    widget = open_widget()
    widget.layers.choose([source])
    widget.start()
    finish(widget)
    viewer.dims.set_current_step(0, 2)
    widget.trust.residual_button.click()
    viewer.dims.set_current_step(0, 0)
    wait(widget.trust, qtbot)
    assert viewer.layers["s: residual (units of noise)"].translate[0] == 10


def test_the_compare_widget_has_the_same_page(
    viewer: Any, restored: tuple[Any, Any], qtbot: Any
) -> None:
    _, compare = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    compare.tabs.setCurrentWidget(compare.trust)
    assert compare.subject.pair()[1] is restored[1]
    compare.trust.check_button.click()
    wait(compare.trust, qtbot)
    assert "has structure" in compare.trust.words.text()


def test_without_a_restoration_it_says_what_to_do(
    viewer: Any, open_widget: Callable[..., Any], tmp_path: Path
) -> None:
    widget = open_widget()
    widget.trust.check_button.click()
    assert "Restore an image first" in widget.trust.words.text()
    viewer.add_image(np.zeros((8, 8), np.uint8))
    widget.trust.strength.slider.setValue(40)
    assert "Restore an image first" in widget.trust.words.text()
    assert widget.trust.strength.slider.value() == 100
