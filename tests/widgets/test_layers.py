"""Layers without a window: napari's model of a viewer needs no display."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import Region, restored_shape, whole
from napari_semnet.widgets.layers import (
    METADATA_KEY,
    SOURCE_KEY,
    add_restored_layer,
    identity,
    image_layers,
    region_of,
    source_pixels,
    source_shape,
    specimen_rows,
)

NM = ("nanometer", "nanometer")
TURN = np.array([[0.8, -0.6, 3.0], [0.5, 0.9, -7.0], [0.0, 0.0, 1.0]])


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


SOURCES: dict[str, Callable[[], Image]] = {
    "plain": lambda: Image(picture(20, 30)),
    "scaled": lambda: Image(picture(20, 30), scale=(3.45, 2.1), units=NM),
    "translated": lambda: Image(picture(20, 30), translate=(10, -20.5), scale=(2, 2)),
    "rotated": lambda: Image(picture(20, 30), rotate=33, scale=(2, 3), units=NM),
    "sheared": lambda: Image(picture(20, 30), shear=[0.4], scale=(2, 3), translate=(5, 6)),
    "sheared downwards": lambda: Image(picture(20, 30), shear=[[1, 0], [0.4, 1]]),
    "affine": lambda: Image(picture(20, 30), affine=TURN, scale=(0.5, 0.25)),
    "all at once": lambda: Image(
        picture(20, 30),
        scale=(1.5, 2.5),
        translate=(100, 200),
        rotate=-20,
        shear=[0.3],
        affine=TURN,
        units=("um", "um"),
        axis_labels=("row", "column"),
    ),
    "flipped": lambda: Image(picture(20, 30), scale=(-2, 3)),
    "stack": lambda: Image(picture(4, 20, 30), scale=(5, 2, 2), units=("s", *NM)),
    "series of stacks": lambda: Image(picture(2, 3, 20, 30), scale=(1, 5, 2, 2)),
    "multiscale": lambda: Image(
        [picture(20, 30), picture(10, 15)], multiscale=True, scale=(2, 2), units=NM
    ),
    "grey as RGB": lambda: Image(picture(20, 30)[..., None].repeat(3, -1), rgb=True, scale=(2, 2)),
    "dask": lambda: Image(dask.array.from_array(picture(20, 30), chunks=8), scale=(2, 2)),
    "float": lambda: Image(picture(20, 30).astype(np.float32) / 7, gamma=0.7, opacity=0.5),
}


def corners(layer: Image, region: Region) -> np.ndarray:
    ends = [(a - 0.5, b - 0.5) for a, b in zip(region.start, region.stop, strict=True)]
    return np.array([layer.data_to_world(corner) for corner in itertools.product(*ends)])


def restored(viewer: ViewerModel, source: Image, region: Region) -> Image:
    pixels = np.zeros(restored_shape(region.shape), source.dtype)
    return add_restored_layer(viewer, source, pixels, region, {"model": "m"})


@pytest.mark.parametrize("name", SOURCES)
def test_corners_of_a_result_coincide_with_its_sources(name: str) -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES[name]())
    everything = whole(source_shape(source))
    result = restored(viewer, source, everything)
    all_of_result = whole(restored_shape(everything.shape))
    np.testing.assert_allclose(
        corners(result, all_of_result), corners(source, everything), rtol=0, atol=1e-9
    )
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    # None would say that the units of the layers do not go together.
    assert viewer.layers.extent.units == source.units


@pytest.mark.parametrize("name", ["all at once", "rotated", "stack", "multiscale"])
def test_corners_of_a_restored_part_coincide_with_the_part(name: str) -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES[name]())
    shape = source_shape(source)
    region = Region((*(1 for _ in shape[:-2]), 3, 7), (*(2 for _ in shape[:-2]), 15, 26))
    result = restored(viewer, source, region)
    all_of_result = whole(restored_shape(region.shape))
    np.testing.assert_allclose(
        corners(result, all_of_result), corners(source, region), rtol=0, atol=1e-9
    )


def test_a_result_looks_like_its_source_and_says_where_it_comes_from() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(
        picture(20, 30),
        name="gold",
        colormap="magma",
        gamma=0.6,
        blending="additive",
        opacity=0.4,
        interpolation2d="linear",
        contrast_limits=(20, 180),
    )
    viewer.add_image(picture(5, 5), name="above")
    result = restored(viewer, source, whole((20, 30)))
    assert result.name == "gold [SEMNet 2x]"
    for what in ("gamma", "blending", "opacity", "interpolation2d", "contrast_limits"):
        assert getattr(result, what) == getattr(source, what), what
    assert result.colormap.name == "magma"
    assert result.metadata == {METADATA_KEY: {"model": "m"}, SOURCE_KEY: identity(source)}
    assert [layer.name for layer in viewer.layers] == ["gold", "gold [SEMNet 2x]", "above"]
    assert restored(viewer, source, whole((20, 30))).name != result.name


def test_contrast_limits_are_linked_both_ways_and_nothing_else_is() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES["scaled"]())
    result = restored(viewer, source, whole((20, 30)))
    source.contrast_limits = (10, 90)
    assert result.contrast_limits == [10, 90]
    result.contrast_limits = (30, 60)
    assert source.contrast_limits == [30, 60]
    result.gamma = 0.5
    assert source.gamma == 1
    assert tuple(source.scale) == (3.45, 2.1)


def test_a_removed_result_is_forgotten_with_its_pixels() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES["plain"]())
    result = weakref.ref(restored(viewer, source, whole((20, 30))))
    viewer.layers.remove(result())
    viewer.add_points(np.zeros((1, 2)))  # napari itself remembers the last active layer
    source.contrast_limits = (1, 2)
    gc.collect()
    assert result() is None


def test_the_result_of_a_colour_layer_spans_its_data_type() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES["grey as RGB"]())
    result = restored(viewer, source, whole((20, 30)))
    assert not result.rgb
    assert result.contrast_limits == [0, 255]


def test_pixels_are_those_of_full_resolution_and_as_lazy_as_before() -> None:
    assert source_shape(SOURCES["multiscale"]()) == (20, 30)
    assert source_shape(SOURCES["grey as RGB"]()) == (20, 30)
    assert isinstance(source_pixels(SOURCES["dask"]()), dask.array.Array)


def test_image_layers_are_listed_from_the_top() -> None:
    viewer = ViewerModel()
    viewer.add_image(picture(4, 4), name="lower")
    viewer.add_points(np.zeros((1, 2)))
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.add_image(picture(4, 4), name="upper")
    assert [layer.name for layer in image_layers(viewer.layers)] == ["upper", "lower"]


def test_the_current_slice_follows_the_viewer() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES["stack"]())
    viewer.dims.set_current_step(0, 2)
    assert region_of(source, "slice", viewer) == Region((2, 0, 0), (3, 20, 30))
    assert region_of(source, "layer", viewer) == whole((4, 20, 30))


def test_the_current_view_is_what_the_camera_sees() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(picture(400, 600), scale=(2, 2), translate=(50, 70), units=NM)
    viewer.canvas.size = (100, 120)
    viewer.scene.camera.center = (50 + 2 * 200, 70 + 2 * 300)
    viewer.scene.camera.zoom = 0.5
    # 100 screen pixels are 200 nm, and these 100 source pixels around number 200.
    assert region_of(source, "view", viewer) == Region((150, 240), (251, 361))
    viewer.scene.camera.center = (-9000, 0)
    with pytest.raises(ImageError, match="Nothing of"):
        region_of(source, "view", viewer)


def test_in_grid_mode_the_current_view_is_what_one_cell_shows() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(picture(400, 600), scale=(2, 2), units=NM)
    viewer.add_image(picture(400, 600), scale=(2, 2), units=NM)
    # What is hidden has no cell.
    viewer.add_image(picture(400, 600), scale=(2, 2), units=NM, visible=False)
    viewer.canvas.grid.enabled = True
    viewer.canvas.size = (100, 240)
    viewer.scene.camera.center = (2 * 200, 2 * 300)
    viewer.scene.camera.zoom = 0.5
    assert region_of(source, "view", viewer) == Region((150, 240), (251, 361))


def test_layers_in_other_units_of_length_are_seen_at_the_same_place() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(picture(400, 600), scale=(0.002, 0.002), units=("um", "um"))
    other = viewer.add_image(picture(400, 600), scale=(2, 2), units=NM)
    viewer.canvas.size = (100, 120)
    scale = 1.0 if viewer.layers.extent.units[-1] == other.units[-1] else 1e-3
    viewer.scene.camera.center = (400 * scale, 600 * scale)
    viewer.scene.camera.zoom = 0.5 / scale
    assert region_of(source, "view", viewer) == region_of(other, "view", viewer)
    assert region_of(source, "view", viewer).shape == (101, 121)


def test_a_view_in_3d_or_across_the_stack_cannot_be_cut_out() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(SOURCES["stack"]())
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(ImageError, match="Y and X in 2D"):
        region_of(source, "view", viewer)
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    with pytest.raises(ImageError, match="Y and X in 2D"):
        region_of(source, "view", viewer)


def with_databar(*shape: int) -> Image:
    """Layer whose file says that its last five rows are the databar."""
    told = {"semnet_file": {"specimen_rows": [0, shape[-2] - 5]}}
    return Image(picture(*shape), metadata=told, scale=(2,) * len(shape), name="vendor")


def test_the_databar_is_left_out_of_whatever_is_chosen() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(with_databar(3, 20, 30))
    viewer.dims.set_current_step(0, 1)
    assert specimen_rows(source) == (0, 15)
    assert region_of(source, "layer", viewer) == Region((0, 0, 0), (3, 15, 30))
    assert region_of(source, "slice", viewer) == Region((1, 0, 0), (2, 15, 30))


def test_a_view_of_the_databar_alone_is_refused() -> None:
    viewer = ViewerModel()
    source = viewer.add_layer(with_databar(400, 600))
    viewer.canvas.size = (2, 100)
    viewer.scene.camera.center = (2 * 398, 600)
    viewer.scene.camera.zoom = 1
    with pytest.raises(ImageError, match="Only the databar of 'vendor'"):
        region_of(source, "view", viewer)


def test_a_layer_that_is_all_specimen_has_no_databar() -> None:
    told = {"semnet_file": {"specimen_rows": [0, 20]}}
    assert specimen_rows(Image(picture(20, 30), metadata=told)) is None
    assert specimen_rows(Image(picture(20, 30))) is None
