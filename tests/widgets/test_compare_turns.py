"""Work of the compare widget whose turn is over: other buttons were pressed meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.imaging.geometry import whole
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.widgets.layers import add_restored_layer
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

SPECIMEN = particles((48, 64), 2)
RAW = acquire(SPECIMEN)
TRUTH = np.rint(255 * SPECIMEN.truth).astype(np.uint8)


@pytest.fixture
def layers(viewer: Any) -> tuple[Any, Any]:
    """A raw layer and a restored one, as the restore widget leaves them behind."""
    raw = viewer.add_image(RAW.copy(), name="raw", contrast_limits=(9, 240))
    restored = add_restored_layer(viewer, raw, TRUTH.copy(), whole(RAW.shape), {"source": "raw"})
    return raw, restored


@pytest.fixture
def widget(viewer: Any, layers: tuple[Any, Any], qtbot: Any) -> Any:
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    return widget


def shown(widget: Any) -> tuple[str, ...]:
    """Which way of looking the buttons say, and which one the viewer shows."""
    view = widget.view
    pressed = [button.text() for button in view.modes.buttons() if button.isChecked()]
    arranged = view.arrangement
    seen = "Nothing"
    if arranged.is_active:
        seen = "Swipe" if arranged.swipe else "Blink" if arranged.blink else "Grid"
    return (*(pressed or ["Nothing"]), seen)


@pytest.mark.parametrize("later", ["swipe", "blink"])
def test_what_is_pressed_while_a_grid_is_computed_is_what_is_seen(
    widget: Any, qtbot: Any, later: str
) -> None:
    widget.view.grid_button.click()
    assert widget.task.is_running
    getattr(widget.view, f"{later}_button").click()
    until(qtbot, lambda: not widget.task.is_running)
    assert shown(widget) == (later.capitalize(), later.capitalize())


def test_a_grid_that_other_work_took_the_turn_of_is_not_said_to_be_shown(
    widget: Any, qtbot: Any
) -> None:
    widget.view.grid_button.click()
    assert widget.task.is_running
    widget.frequencies.spectrum_button.click()
    until(qtbot, lambda: widget.frequencies.plot.curves)
    until(qtbot, lambda: not widget.task.is_running)
    assert shown(widget) == ("Nothing", "Nothing")


def test_a_grid_that_is_cancelled_leaves_the_swipe_before_it(widget: Any) -> None:
    widget.view.swipe_button.click()
    assert shown(widget) == ("Swipe", "Swipe")
    widget.view.grid_button.click()
    widget.cancel_button.click()
    assert shown(widget) == ("Swipe", "Swipe")
    assert widget.view.divider.isEnabled()


def test_leaving_a_swipe_does_not_stop_a_figure_that_is_written(
    widget: Any, qtbot: Any, tmp_path: Path
) -> None:
    path = tmp_path / "figure.png"
    widget.view.swipe_button.click()
    widget.figure.save(path)
    assert widget.task.is_running
    widget.view.swipe_button.click()
    assert shown(widget) == ("Nothing", "Nothing")
    until(qtbot, lambda: not widget.task.is_running)
    assert path.is_file()
    assert widget.status.text() == f"Saved {path}"


def test_figures_of_a_difference_go_with_the_layers_that_they_speak_of(
    widget: Any, qtbot: Any
) -> None:
    widget.view.difference_button.click()
    until(qtbot, lambda: widget.view.figures.text())
    widget.subject.raw_list.choose(None)
    assert widget.view.figures.text() == ""
