"""Pictures out of layers and into layers; napari's model of a viewer needs no display."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import Placement, restored_placement
from napari_semnet.imaging.plane import onto_grid
from napari_semnet.widgets.planes import (
    add_picture,
    flat_placement,
    part_placement,
    plane_of,
    refuse_other_slices,
    rounded,
    slice_origin,
    world_points,
)

NM = ("nanometer", "nanometer")
UM = ("micrometer", "micrometer")
TURN = np.array([[0.8, -0.6, 3.0], [0.5, 0.9, -7.0], [0.0, 0.0, 1.0]])


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


def shown(layer: Image) -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_layer(layer)
    return viewer


def test_a_plane_lies_in_nanometres_whatever_the_units_of_its_layer() -> None:
    layer = Image(picture(20, 30), scale=(0.002, 0.003), translate=(0.1, 0.2), units=UM)
    plane = plane_of(layer, shown(layer))
    assert plane.grid.unit == "nm"
    assert plane.grid.pixel_size == pytest.approx((2.0, 3.0))
    assert plane.grid.places([(0, 0)])[0] == pytest.approx((100, 200))
    assert np.shares_memory(plane.pixels, layer.data)


def test_a_layer_without_units_lies_in_pixels_of_the_world() -> None:
    layer = Image(picture(20, 30), scale=(2, 2))
    assert plane_of(layer, shown(layer)).grid.unit == "px"


def test_layers_in_nanometres_and_in_micrometres_lie_over_one_another() -> None:
    raw = Image(picture(20, 30), scale=(2, 2), units=NM)
    other = Image(raw.data, scale=(0.002, 0.002), units=UM)
    viewer = shown(raw)
    viewer.add_layer(other)
    one, two = plane_of(raw, viewer), plane_of(other, viewer)
    np.testing.assert_allclose(onto_grid(two, one.grid), raw.data, atol=1e-3)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"scale": (2, 3), "translate": (5, 6)},
        {"scale": (2, 2), "rotate": 33},
        {"scale": (2, 3), "shear": [0.4], "affine": TURN},
    ],
    ids=["translated", "rotated", "sheared and affine"],
)
def test_every_pixel_of_a_plane_lies_where_napari_draws_it(kwargs: dict[str, Any]) -> None:
    layer = Image(picture(20, 30), units=NM, **kwargs)
    grid = plane_of(layer, shown(layer)).grid
    for index in ((0, 0), (3, 7), (19.5, -0.5)):
        assert grid.places([index])[0] == pytest.approx(layer.data_to_world(index))


def test_of_a_stack_the_slice_in_view_is_taken() -> None:
    layer = Image(picture(2, 4, 20, 30), scale=(1, 5, 2, 2), units=("s", "um", *NM))
    viewer = shown(layer)
    viewer.dims.current_step = (1, 2, 0, 0)
    plane = plane_of(layer, viewer)
    assert slice_origin(layer, viewer) == (1, 2)
    np.testing.assert_array_equal(plane.pixels, layer.data[1, 2])
    assert plane.grid.unit == "nm"


def test_a_layer_without_a_picture_at_the_slice_in_view_is_refused() -> None:
    stack = Image(picture(4, 20, 30), scale=(5, 2, 2))
    viewer = shown(stack)
    one = Image(picture(1, 40, 60), name="slice 2", scale=(5, 1, 1), translate=(10, 0, 0))
    viewer.add_layer(one)
    for step in range(4):
        viewer.dims.current_step = (step, 0, 0)
        np.testing.assert_array_equal(plane_of(stack, viewer).pixels, stack.data[step])
        if step == 2:
            np.testing.assert_array_equal(plane_of(one, viewer).pixels, one.data[0])
        else:
            with pytest.raises(ImageError, match="“slice 2” has no picture at the slice"):
                plane_of(one, viewer)


@pytest.mark.parametrize("shape", [(40, 60), (1, 40, 60)])  # as a TIFF and an OME-Zarr come back
def test_a_restored_slice_that_was_opened_again_is_compared_with_its_own_slice_only(
    shape: tuple[int, ...],
) -> None:
    viewer = ViewerModel()
    source = viewer.add_image(picture(5, 20, 30), name="s")
    record = {
        "source": "s",
        "source_shape": (5, 20, 30),
        "parameters": {"region_start": [3, 0, 0], "region_stop": [4, 20, 30]},
    }
    again = viewer.add_image(picture(*shape), name="r", metadata={"semnet": record})
    viewer.dims.set_current_step(0, 0)
    with pytest.raises(ImageError, match="restoration of slice 3 of “s”, where slice 0 is in view"):
        refuse_other_slices(source, again, viewer)
    viewer.dims.set_current_step(0, 3)
    refuse_other_slices(source, again, viewer)


def test_restored_slices_of_a_stack_that_lie_elsewhere_are_not_compared() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(picture(5, 20, 30), name="s")
    parameters = {"region_start": [2, 0, 0], "region_stop": [4, 20, 30]}
    record = {"source": "s", "source_shape": (5, 20, 30), "parameters": parameters}
    again = viewer.add_image(picture(2, 40, 60), name="r", metadata={"semnet": record})
    viewer.dims.set_current_step(0, 1)
    with pytest.raises(ImageError, match="slice 2 to 3"):
        refuse_other_slices(source, again, viewer)
    again.translate = (2, 0, 0)
    for index in (2, 3):
        viewer.dims.set_current_step(0, index)
        refuse_other_slices(source, again, viewer)


def test_lazy_multiscale_and_grey_colour_layers_give_their_finest_grey_pixels() -> None:
    full = picture(20, 30)
    layers = [
        Image(dask.array.from_array(full, chunks=8)),
        Image([full, full[::2, ::2]], multiscale=True),
        Image(full[..., None].repeat(3, -1), rgb=True),
    ]
    for layer in layers:
        np.testing.assert_array_equal(plane_of(layer, shown(layer)).floats(), full)


def test_colour_and_masks_are_refused_and_so_is_three_dimensional_view() -> None:
    colour = Image(picture(20, 30, 3), rgb=True)
    with pytest.raises(ImageError, match="colour"):
        plane_of(colour, shown(colour))
    mask = Image(picture(20, 30) > 99)
    with pytest.raises(ImageError, match="grey"):
        plane_of(mask, shown(mask))
    stack = Image(picture(4, 20, 30))
    viewer = shown(stack)
    viewer.dims.ndisplay = 3
    with pytest.raises(ImageError, match="2D"):
        plane_of(stack, viewer)


@pytest.mark.parametrize("kwargs", [{}, {"rotate": 20}, {"affine": TURN, "shear": [0.2]}])
def test_a_part_lies_where_it_was_cut_out(kwargs: dict[str, Any]) -> None:
    layer = Image(picture(20, 30), scale=(2, 3), translate=(7, 8), **kwargs)
    part = part_placement(Placement.of(layer), (4, 9))
    assert part.to_world((0, 0)) == pytest.approx(layer.data_to_world((4, 9)))
    assert part.to_world((2, 5)) == pytest.approx(layer.data_to_world((6, 14)))


def test_points_of_a_drawing_lie_in_nanometres() -> None:
    layer = Shapes(ndim=2, scale=(0.002, 0.002), translate=(1, 2), units=UM)
    expected = [(1000, 2000), (1020, 2040)]
    np.testing.assert_allclose(world_points(layer, [(0, 0), (10, 20)]), expected)


def test_drawings_over_a_stack_have_its_last_two_axes() -> None:
    layer = Image(picture(4, 20, 30), scale=(5, 2, 3), translate=(1, 8, 9), units=("um", *NM))
    flat = flat_placement(Placement.of(layer))
    assert flat.ndim == 2
    assert flat.to_world((3, 4)) == pytest.approx(layer.data_to_world((0, 3, 4))[1:])
    assert flat.units == Placement.of(layer).units[1:]


def test_a_picture_of_a_stack_is_added_in_its_slice_with_units_and_scale() -> None:
    layer = Image(
        picture(4, 20, 30), scale=(5, 2, 2), units=("um", *NM), axis_labels=("z", "y", "x")
    )
    viewer = shown(layer)
    viewer.dims.current_step = (2, 0, 0)
    placement = restored_placement(Placement.of(layer), (*slice_origin(layer, viewer), 0, 0))
    added = add_picture(viewer, picture(40, 60), "classical", placement)
    assert added.data.shape == (1, 40, 60)
    assert added.data_to_world((0, 0, 0)) == pytest.approx(layer.data_to_world((2, -0.25, -0.25)))
    assert added.units == layer.units
    assert added.axis_labels == layer.axis_labels
    assert viewer.layers.extent.units is not None


def test_grey_levels_are_rounded_and_clipped_only_for_whole_numbers() -> None:
    values = np.array([-3.0, 1.5, 2.4, 300.0], dtype=np.float32)
    assert rounded(values, np.uint8).tolist() == [0, 2, 2, 255]
    assert rounded(values, np.float32).tolist() == values.tolist()
