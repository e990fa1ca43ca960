"""The divider: what it shows, what it leaves alone, and how the mouse moves it."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_semnet.imaging.geometry import Placement, restored_placement
from napari_semnet.widgets.swipe import Swipe

pytestmark = pytest.mark.gui

NM = ("nanometer", "nanometer")


def two_layers(viewer: Any, **kwargs: Any) -> tuple[Any, Any]:
    """A raw layer and its restoration with half the pixel size, exactly over it."""
    generator = np.random.default_rng(1)
    raw = viewer.add_image(
        generator.integers(0, 255, (40, 60), np.uint8), name="raw", scale=(2, 2), units=NM, **kwargs
    )
    fine = generator.integers(0, 255, (80, 120), np.uint8)
    placement = restored_placement(Placement.of(raw))
    restored = viewer.add_image(fine, name="restored", **placement.as_layer_kwargs())
    return raw, restored


@pytest.mark.parametrize("kwargs", [{}, {"rotate": 25, "translate": (7, -3)}, {"shear": [0.3]}])
def test_each_column_stays_where_it_was_wherever_the_divider_is(
    kwargs: dict[str, Any], qtbot: Any
) -> None:
    viewer = ViewerModel()
    raw, restored = two_layers(viewer, **kwargs)
    swipe = Swipe(viewer, raw, restored)
    for part, column in ((0.5, 60), (0.0, 0), (0.9, 108), (1.0, 119)):
        swipe.move_to(part)
        qtbot.waitUntil(lambda: not swipe._redraw.isActive())
        shown = swipe.layer
        assert np.shares_memory(shown.data, restored.data)
        np.testing.assert_array_equal(shown.data, restored.data[:, column:])
        assert shown.data_to_world((3, 1)) == pytest.approx(restored.data_to_world((3, column + 1)))
        assert shown.units == restored.units
        assert shown.visible == (part < 1)
    swipe.stop()


def test_the_layers_that_are_compared_are_only_hidden_or_shown(qtbot: Any) -> None:
    viewer = ViewerModel()
    raw, restored = two_layers(viewer)
    before = [
        (layer.data.copy(), layer.scale.copy(), layer.translate.copy()) for layer in (raw, restored)
    ]
    swipe = Swipe(viewer, raw, restored)
    assert (raw.visible, restored.visible) == (True, False)
    swipe.move_to(0.2)
    qtbot.waitUntil(lambda: not swipe._redraw.isActive())
    swipe.stop()
    assert [layer.name for layer in viewer.layers] == ["raw", "restored"]
    assert viewer.mouse_drag_callbacks == ViewerModel().mouse_drag_callbacks
    for layer, (data, scale, translate) in zip((raw, restored), before, strict=True):
        np.testing.assert_array_equal(layer.data, data)
        np.testing.assert_array_equal(layer.scale, scale)
        np.testing.assert_array_equal(layer.translate, translate)


def test_stacks_colour_lazy_and_multiscale_layers_can_be_swiped(qtbot: Any) -> None:
    generator = np.random.default_rng(1)
    for data, kwargs in (
        (generator.integers(0, 255, (3, 20, 30), np.uint8), {}),
        (generator.integers(0, 255, (20, 30, 3), np.uint8), {"rgb": True}),
        (dask.array.zeros((20, 30), chunks=8, dtype=np.uint8), {}),
        ([np.zeros((20, 30), np.uint8), np.zeros((10, 15), np.uint8)], {"multiscale": True}),
    ):
        viewer = ViewerModel()
        raw = viewer.add_image(np.zeros((20, 30), np.uint8), name="raw")
        swipe = Swipe(viewer, raw, viewer.add_image(data, name="over", **kwargs))
        shape = tuple(swipe.layer.data.shape)
        assert (shape[:-1] if kwargs.get("rgb") else shape)[-2:] == (20, 15)
        swipe.stop()


def test_of_a_volume_on_the_disk_only_slices_in_view_are_read(qtbot: Any) -> None:
    read = []

    class OnDisk:
        shape, dtype, ndim, size = (24, 20, 30), np.dtype(np.uint8), 3, 24 * 20 * 30

        def __getitem__(self, key: Any) -> np.ndarray:
            piece = np.broadcast_to(np.arange(24, dtype=np.uint8)[:, None, None], self.shape)[key]
            read.append(piece.size)
            return np.array(piece)

    viewer = ViewerModel()
    raw = viewer.add_image(np.zeros((24, 20, 30), np.uint8), name="raw")
    over = viewer.add_image(OnDisk(), name="over", contrast_limits=(0, 30))
    read.clear()
    swipe = Swipe(viewer, raw, over)
    swipe.move_to(0.1)
    qtbot.waitUntil(lambda: not swipe._redraw.isActive())
    viewer.dims.set_current_step(0, 7)
    assert swipe.layer.get_value(swipe.layer.data_to_world((7, 2, 2)), world=True) == 7
    assert sum(read) < 8 * 20 * 30
    swipe.stop()


def test_contrast_and_new_pixels_of_the_layer_are_followed(qtbot: Any) -> None:
    viewer = ViewerModel()
    raw, restored = two_layers(viewer)
    swipe = Swipe(viewer, raw, restored)
    restored.contrast_limits = (10, 50)
    assert tuple(swipe.layer.contrast_limits) == (10, 50)
    restored.data[:] = 77
    restored.refresh()
    assert swipe.layer.get_value(swipe.layer.data_to_world((2, 2)), world=True) == 77
    swipe.stop()


def canvas_of(viewer: Any) -> Any:
    return viewer.window._qt_viewer.canvas.native


def place_on_canvas(viewer: Any, world: tuple[float, float]) -> Any:
    """Where on the canvas a place of the world is drawn."""
    from qtpy.QtCore import QPoint

    canvas = canvas_of(viewer)
    centre, zoom = viewer.scene.camera.center[-2:], viewer.scene.camera.zoom
    y, x = ((w - c) * zoom for w, c in zip(world, centre, strict=True))
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def drag(viewer: Any, qtbot: Any, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Press, move and release; QTest's own moves tell nothing of the button that is down."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    canvas = canvas_of(viewer)
    first, last = (place_on_canvas(viewer, place) for place in (start, stop))
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(canvas, left, pos=first)
    for step in range(1, 7):
        place = QPointF(first) + (QPointF(last) - QPointF(first)) * (step / 6)
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            place,
            QPointF(canvas.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, move)
    qtbot.mouseRelease(canvas, left, pos=last)


def test_the_mouse_drags_the_divider_and_not_the_picture_with_it(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    raw, restored = two_layers(viewer)
    viewer.window.resize(900, 700)
    qtbot.wait(50)
    viewer.reset_view()
    swipe = Swipe(viewer, raw, restored)
    moves: list[tuple[float, bool]] = []
    swipe.moved.connect(lambda part: moves.append((part, viewer.scene.camera.mouse_pan)))
    # World x of the divider: 120 restored pixels of 1 nm from -1 nm on.
    drag(viewer, qtbot, (40, 59), (45, 29))
    assert swipe.part == pytest.approx(0.25, abs=0.02)
    assert moves[-1][0] == swipe.part
    assert not any(pans for _, pans in moves)
    assert viewer.scene.camera.mouse_pan
    qtbot.waitUntil(lambda: swipe.layer.data.shape[1] == 120 - swipe.column)

    told = len(moves)
    drag(viewer, qtbot, (40, 90), (40, 70))
    assert len(moves) == told
    swipe.stop()
