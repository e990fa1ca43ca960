from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import bicubic_double, block_mean
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

SHAPE = (96, 112)


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
    viewer.add_image(image, name="gold", scale=(4, 4), units=("nm", "nm"))
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
    assert "grey levels of 255" in widget.trust.words.toolTip()


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
