from __future__ import annotations

import gc
import weakref

import numpy as np
from napari.components import ViewerModel

from napari_semnet.widgets.viewer_state import SharedContrast, ViewerState


def three_layers() -> ViewerModel:
    viewer = ViewerModel()
    for name in "abc":
        viewer.add_image(np.zeros((8, 8), np.uint8), name=name, contrast_limits=(1, 200))
    return viewer


def test_everything_that_a_comparison_changes_comes_back() -> None:
    viewer = three_layers()
    viewer.canvas.grid.stride = -1
    viewer.canvas.grid.shape = (2, -1)
    viewer.layers["b"].visible = False
    viewer.layers.selection = {viewer.layers["a"]}
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 3, 4), 2.5
    state = ViewerState.of(viewer)

    viewer.layers.move(2, 0)
    for layer in viewer.layers:
        layer.visible = not layer.visible
        layer.contrast_limits = (30, 40)
        layer.name_overlay.visible = True
        layer.name_overlay.font_size = 33
    viewer.canvas.grid.enabled = True
    viewer.canvas.grid.stride, viewer.canvas.grid.shape = 1, (1, 3)
    viewer.canvas.overlays.scale_bar.visible = viewer.canvas.overlays.scale_bar.gridded = True
    viewer.layers.selection = {viewer.layers["c"]}
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 9, 9), 1.0
    state.restore(viewer)

    assert [layer.name for layer in viewer.layers] == ["a", "b", "c"]
    assert [layer.visible for layer in viewer.layers] == [True, False, True]
    assert all(tuple(layer.contrast_limits) == (1, 200) for layer in viewer.layers)
    assert not any(layer.name_overlay.visible for layer in viewer.layers)
    assert all(layer.name_overlay.font_size != 33 for layer in viewer.layers)
    grid, bar = viewer.canvas.grid, viewer.canvas.overlays.scale_bar
    assert (grid.enabled, grid.stride, grid.shape) == (False, -1, (2, -1))
    assert not bar.visible
    assert not bar.gridded
    assert set(viewer.layers.selection) == {viewer.layers["a"]}
    assert tuple(viewer.scene.camera.center) == (0, 3, 4)
    assert viewer.scene.camera.zoom == 2.5


def test_layers_that_went_or_came_meanwhile_do_no_harm() -> None:
    viewer = three_layers()
    state = ViewerState.of(viewer)
    viewer.layers.remove("b")
    viewer.add_image(np.zeros((8, 8)), name="new")
    viewer.layers.move(1, 0)
    state.restore(viewer)
    assert [layer.name for layer in viewer.layers] == ["a", "c", "new"]


def test_a_removed_layer_is_not_kept_in_memory() -> None:
    viewer = three_layers()
    state = ViewerState.of(viewer)
    gone = weakref.ref(viewer.layers["b"])
    viewer.layers.remove("b")
    gc.collect()
    assert gone() is None
    state.restore(viewer)


def test_shared_contrast_follows_any_of_the_layers_until_released() -> None:
    viewer = three_layers()
    a, b, c = viewer.layers
    other = viewer.add_image(np.zeros((8, 8), np.float32), contrast_limits=(0, 1))
    shared = SharedContrast([a, b, c, other])
    c.contrast_limits = (5, 50)
    assert tuple(a.contrast_limits) == tuple(b.contrast_limits) == (5, 50)
    assert tuple(other.contrast_limits) == (0, 1)
    shared.release()
    a.contrast_limits = (7, 70)
    assert tuple(b.contrast_limits) == (5, 50)
