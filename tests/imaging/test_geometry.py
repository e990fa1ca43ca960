from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.imaging.geometry import (
    Placement,
    Region,
    current_slice,
    current_view,
    restored_placement,
    restored_shape,
    whole,
)

Floats = npt.NDArray[np.float64]


def corners_of(region: Region) -> Floats:
    """Outer corners of a block of pixels, in indices."""
    ends = [(a - 0.5, b - 0.5) for a, b in zip(region.start, region.stop, strict=True)]
    return np.array(list(itertools.product(*ends)))


def rotation(angles: list[float], ndim: int) -> Floats:
    matrix = np.eye(ndim)
    for angle, (i, j) in zip(angles, itertools.combinations(range(ndim), 2), strict=False):
        turn = np.eye(ndim)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def rows(matrix: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))


def test_the_place_of_a_layer_is_read_in_all_its_parts() -> None:
    """A napari layer speaks so; its shear may be a full matrix or the upper triangle alone."""
    layer = SimpleNamespace(
        ndim=3,
        scale=np.array([30, 4, 5]),
        translate=[1, 2, 3],
        rotate=np.diag([1, -1, -1]),
        shear=[0.1, 0.2, 0.3],
        affine=np.diag([2, 2, 2, 1]),
        units=("nanometer", "nanometer", "micrometer"),
        axis_labels=("z", "y", "x"),
    )
    found = Placement.of(layer)
    assert (found.scale, found.translate) == ((30.0, 4.0, 5.0), (1.0, 2.0, 3.0))
    assert found.rotate == ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    assert found.shear == ((1.0, 0.1, 0.2), (0.0, 1.0, 0.3), (0.0, 0.0, 1.0))
    assert found.affine == rows(np.diag([2.0, 2.0, 2.0, 1.0]))
    assert (found.units, found.axis_labels) == (layer.units, layer.axis_labels)
    assert Placement.of(Whole(found)) == found
    layer.shear = [0.0]
    assert Placement.of(layer).shear == rows(np.eye(3))


class Whole:
    """A placement as a layer would say it, with its shear as a full matrix."""

    def __init__(self, placement: Placement) -> None:
        self.ndim = placement.ndim
        self.__dict__ |= placement.as_layer_kwargs()


finite = st.floats(-100, 100, allow_nan=False)


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    n = draw(st.integers(2, 4))
    sizes = st.floats(0.01, 50)
    signs = st.sampled_from([1.0, 1.0, 1.0, -1.0])
    small = st.floats(-0.8, 0.8)
    # napari computes with a shear of less than 1e-8, and says that a layer has none.
    sheared = small.filter(lambda part: part == 0 or abs(part) > 1e-6)
    shear = np.eye(n)
    shear[np.triu_indices(n, 1)] = draw(
        st.lists(sheared, min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2)
    )
    if draw(st.booleans()):
        shear = shear.T
    affine = np.eye(n + 1)
    affine[:-1] += (
        np.array(draw(st.lists(small, min_size=n * (n + 1), max_size=n * (n + 1)))).reshape(
            n, n + 1
        )
        * 0.3
    )
    return Placement(
        scale=tuple(draw(sizes) * draw(signs) for _ in range(n)),
        translate=tuple(draw(finite) for _ in range(n)),
        rotate=rows(rotation(draw(st.lists(finite, min_size=6, max_size=6)), n)),
        shear=rows(shear),
        affine=rows(affine),
        units=("nanometer",) * n,
        axis_labels=("t", "z", "y", "x")[-n:],
    )


@st.composite
def placed_regions(draw: st.DrawFn) -> tuple[Placement, Region]:
    placement = draw(placements())
    start = [draw(st.integers(0, 500)) for _ in range(placement.ndim)]
    stop = [first + draw(st.integers(1, 500)) for first in start]
    return placement, Region(tuple(start), tuple(stop))


@given(placed_regions())
def test_corners_of_a_restored_region_coincide_with_the_source(
    placed: tuple[Placement, Region],
) -> None:
    source, region = placed
    result = restored_placement(source, region.origin)
    there = corners_of(whole(restored_shape(region.shape)))
    here = corners_of(region)
    np.testing.assert_allclose(result.to_world(there), source.to_world(here), rtol=1e-12, atol=1e-9)


@given(placements(), st.integers(0, 30), st.integers(0, 30))
def test_each_source_pixel_holds_the_centre_of_its_four_restored_pixels(
    source: Placement, y: int, x: int
) -> None:
    result = restored_placement(source)
    leading = [0] * (source.ndim - 2)
    four = [(*leading, 2 * y + dy, 2 * x + dx) for dy in (0, 1) for dx in (0, 1)]
    np.testing.assert_allclose(
        result.to_world(four).mean(axis=0), source.to_world([*leading, y, x]), atol=1e-9
    )


@given(placements())
def test_all_but_scale_and_translate_is_the_sources(source: Placement) -> None:
    result = restored_placement(source)
    for name in ("rotate", "shear", "affine", "units", "axis_labels"):
        assert getattr(result, name) == getattr(source, name)
    assert result.scale[:-2] == source.scale[:-2]


def test_a_plain_layer_moves_up_and_left_by_a_quarter_of_its_pixel() -> None:
    result = restored_placement(Placement.plain((3.0, 4.0)))
    assert result.scale == (1.5, 2.0)
    assert result.translate == (-0.75, -1.0)


def test_an_origin_for_y_and_x_leaves_the_leading_axes_at_the_start() -> None:
    source = Placement.plain((5.0, 1.0, 1.0))
    assert restored_placement(source, (8, 6)).translate == (0.0, 7.75, 5.75)
    assert restored_placement(source, (2, 8, 6)).translate == (10.0, 7.75, 5.75)


@pytest.mark.parametrize("leading", [(), (3,), (2, 5)])
@pytest.mark.parametrize(
    ("rows", "kept"), [((0, 99), (4, 9)), ((6, 99), (6, 9)), ((0, 7), (4, 7)), ((5, 6), (5, 6))]
)
def test_a_region_is_cut_to_rows_and_keeps_all_else(
    leading: tuple[int, ...], rows: tuple[int, int], kept: tuple[int, int]
) -> None:
    region = Region((*leading, 4, 20), (*(n + 1 for n in leading), 9, 31))
    expected = Region((*leading, kept[0], 20), (*(n + 1 for n in leading), kept[1], 31))
    assert region.between_rows(*rows) == expected


@pytest.mark.parametrize("rows", [(0, 4), (9, 20), (6, 6)])
def test_a_region_without_rows_in_common_is_none(rows: tuple[int, int]) -> None:
    assert Region((4, 20), (9, 31)).between_rows(*rows) is None


# napari says this of every layer that leans out of its slices, the source as much as the result.
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
@settings(max_examples=60, deadline=None)
@given(placed_regions())
def test_napari_layers_put_in_place_have_the_same_corners(
    placed: tuple[Placement, Region],
) -> None:
    layers = pytest.importorskip("napari.layers")
    source, region = placed
    shape = (1,) * source.ndim
    layer = layers.Image(np.zeros(shape, np.uint8), **source.as_layer_kwargs())
    read = Placement.of(layer)
    result = layers.Image(
        np.zeros(shape, np.uint8), **restored_placement(read, region.origin).as_layer_kwargs()
    )
    here = [layer.data_to_world(corner) for corner in corners_of(region)]
    there = [
        result.data_to_world(corner) for corner in corners_of(whole(restored_shape(region.shape)))
    ]
    np.testing.assert_allclose(there, here, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(source.to_world(corners_of(region)), here, rtol=1e-12, atol=1e-9)
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels


def test_physical_units_are_known_from_pixels() -> None:
    assert not Placement.plain((1, 1)).has_physical_units
    assert Placement.plain((1, 1), units=("nanometer", "nanometer")).has_physical_units
    assert Placement.plain((1, 2, 2), units=("pixel", "um", "um")).has_physical_units


def test_numbers_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="units"):
        Placement.plain((1.0, 1.0), units=("nm",))
    with pytest.raises(ValueError, match="origin"):
        restored_placement(Placement.plain((1.0, 1.0)), (0, 0, 0))
    with pytest.raises(ValueError, match="no pixel"):
        Region((0, 5), (3, 5))


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40)),
    st.floats(-20, 20, allow_nan=False),
)
def test_the_current_slice_is_one_whole_picture_of_the_stack(
    shape: tuple[int, int, int], z: float
) -> None:
    region = current_slice(shape, (z, 3.0, 3.0))
    assert region.shape == (1, *shape[1:])
    assert 0 <= region.start[0] < shape[0]
    assert abs(region.start[0] - min(max(z, 0), shape[0] - 1)) <= 0.5


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.lists(st.tuples(st.floats(-80, 80), st.floats(-80, 80)), min_size=4, max_size=4),
)
def test_the_current_view_holds_just_the_pixels_that_can_be_seen(
    shape: tuple[int, int], corners: list[tuple[float, float]]
) -> None:
    region = current_view(shape, (0, 0), corners)
    lowest, highest = np.min(corners, axis=0), np.max(corners, axis=0)
    seen = [
        {i for i in range(size) if i + 0.5 > low and i - 0.5 < high}
        for size, low, high in zip(shape, lowest, highest, strict=True)
    ]
    if region is None:
        assert not all(seen)
        return
    for axis in range(2):
        taken = set(range(region.start[axis], region.stop[axis]))
        assert seen[axis] <= taken
        # Rounding may add a pixel that the view just touches, never more.
        assert len(taken) <= len(seen[axis]) + 2


def test_a_view_beside_the_image_is_none() -> None:
    assert current_view((10, 10), (0, 0), [(20, 20), (30, 30)]) is None


def test_a_view_of_a_stack_is_cut_from_the_current_picture() -> None:
    region = current_view((7, 10, 10), (4, 0, 0), [(2.2, 3.0), (5.0, 6.6)])
    assert region == Region((4, 2, 3), (5, 6, 8))
