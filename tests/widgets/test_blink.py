from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_semnet.widgets.blink import FASTEST, KEY, Blink

pytestmark = pytest.mark.gui


def three_layers(viewer: Any) -> list[Any]:
    return [viewer.add_image(np.full((8, 8), value), name=f"{value}") for value in (1, 2, 3)]


def test_one_layer_is_shown_at_a_time_by_its_name(qapp: Any) -> None:
    viewer = ViewerModel()
    one, two, three = three_layers(viewer)
    blink = Blink(viewer, [one, two])
    seen = []
    blink.shown.connect(seen.append)
    for expected in (one, two, one):
        assert [layer.visible for layer in (one, two, three)] == [
            layer is expected for layer in (one, two, three)
        ]
        assert expected.name_overlay.visible
        blink.flip()
    assert seen == ["2", "1", "2"]
    blink.stop()


def test_the_clock_changes_by_itself_until_stopped_and_never_too_fast(qtbot: Any) -> None:
    viewer = ViewerModel()
    blink = Blink(viewer, three_layers(viewer))
    with qtbot.waitSignal(blink.shown, timeout=30_000):
        blink.run(100.0)
    assert blink._timer.interval() >= 1000 / FASTEST - 1
    blink.run(0.0)
    with qtbot.assertNotEmitted(blink.shown, wait=500):
        pass
    blink.stop()


def test_a_binding_that_the_key_had_comes_back(qapp: Any) -> None:
    viewer = ViewerModel()

    def own(viewer: Any) -> None:
        """Do nothing."""

    viewer.bind_key(KEY, own)
    blink = Blink(viewer, three_layers(viewer))
    blink.stop()
    assert viewer.bind_key(KEY, None) is own
    blink = Blink(viewer, list(viewer.layers))
    blink.stop()
    assert viewer.bind_key(KEY, None) is None


def test_the_key_changes_by_hand(make_napari_viewer: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    viewer = make_napari_viewer(show=True, strict_qt="raise")
    one, two, _ = three_layers(viewer)
    viewer.layers.selection = {one}
    blink = Blink(viewer, [one, two])
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_B)
    qtbot.waitUntil(lambda: two.visible and not one.visible, timeout=30_000)
    blink.stop()
