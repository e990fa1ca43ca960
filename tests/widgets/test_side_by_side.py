from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_semnet.errors import SemnetError
from napari_semnet.widgets.side_by_side import show_side_by_side

pytestmark = pytest.mark.gui


def test_layers_stand_in_a_row_in_one_look(make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    units = ("nanometer", "nanometer")
    white = np.full((40, 40), 255, np.uint8)
    left = viewer.add_image(white, name="left", colormap="red", scale=(2, 2), units=units)
    other = viewer.add_image(white, name="other")
    viewer.layers.remove(other)
    hidden = viewer.add_image(white, name="hidden", colormap="blue", units=units)
    right = viewer.add_image(
        white.repeat(2, 0).repeat(2, 1), name="right", colormap="green", units=units
    )
    show_side_by_side(viewer, [left, right])
    qtbot.wait(100)
    shot = viewer.screenshot(canvas_only=True, flash=False, size=(300, 600)).astype(int)
    seen_left = shot[150, 60:240, :3].mean(axis=0)
    seen_right = shot[150, 360:540, :3].mean(axis=0)
    assert seen_left[0] > 200
    assert seen_left[1] < 50
    assert seen_right[1] > 150
    assert seen_right[0] < 50
    assert not hidden.visible
    left.contrast_limits = (20, 90)
    assert right.contrast_limits == [20, 90]
    assert left.name_overlay.visible
    assert viewer.canvas.overlays.scale_bar.visible
    hidden.visible = True
    hidden.visible = False


def test_one_layer_cannot_be_compared(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.zeros((4, 4), np.uint8))
    with pytest.raises(SemnetError, match="at least two"):
        show_side_by_side(viewer, [layer])
    assert not viewer.canvas.grid.enabled
