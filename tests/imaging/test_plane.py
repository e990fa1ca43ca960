from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import (
    Grid,
    Plane,
    bicubic_double,
    block_mean,
    onto_grid,
    overlap,
)


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def turned(shape: tuple[int, int], degrees: float, size: float = 1.0) -> Grid:
    angle = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = size * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    return Grid(shape, matrix)


@given(
    factor=st.integers(1, 4),
    row=st.integers(-7, 12),
    column=st.integers(-7, 12),
    size=st.floats(0.3, 30),
)
def test_a_grid_coarser_by_a_whole_factor_holds_the_means_of_whole_blocks(
    factor: int, row: int, column: int, size: float
) -> None:
    pixels = noise((24, 21))
    fine = Plane("fine", pixels, Grid.upright(pixels.shape, (size, size), (5.0, -3.0)))
    # Coarse pixel (0, 0) begins at the fine pixel (row, column), inside the picture or not.
    corner = fine.grid.places([(row + (factor - 1) / 2, column + (factor - 1) / 2)])[0]
    grid = Grid.upright((4, 5), (factor * size, factor * size), (corner[0], corner[1]))

    try:
        found = onto_grid(fine, grid)
    except ImageError:
        found = np.full(grid.shape, np.nan)

    for t in range(4):
        for u in range(5):
            y, x = row + factor * t, column + factor * u
            block = pixels[max(y, 0) : max(y + factor, 0), max(x, 0) : max(x + factor, 0)]
            if block.shape == (factor, factor):
                assert found[t, u] == pytest.approx(block.mean(), rel=1e-5)
            else:
                assert np.isnan(found[t, u])


@pytest.mark.parametrize("origin", [(0, 0), (3, 1), (-2, 5)])
def test_a_grid_twice_as_fine_is_interpolated_by_the_bicubic_rule(
    origin: tuple[int, int],
) -> None:
    pixels = noise((20, 30))
    coarse = Plane("coarse", pixels, Grid.upright(pixels.shape, (4.0, 4.0), (7.0, 9.0)))
    whole = coarse.grid.refined(2)
    rows, columns = slice(origin[0], origin[0] + 12), slice(origin[1], origin[1] + 10)

    found = onto_grid(coarse, whole.crop(rows, columns))

    expected = np.full((12, 10), np.nan)
    inside = bicubic_double(pixels)[max(rows.start, 0) : rows.stop, columns]
    expected[-len(inside) :] = inside
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bicubic_doubling_is_that_of_pillow_inside_the_border() -> None:
    pixels = noise((24, 31))
    theirs = np.asarray(Image.fromarray(pixels).resize((62, 48), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(bicubic_double(pixels)[4:-4, 4:-4], theirs[4:-4, 4:-4], atol=1e-3)


def test_bicubic_doubling_keeps_planes_and_their_place() -> None:
    rows, columns = np.mgrid[:16, :16]
    doubled = bicubic_double(2.0 * rows + 3.0 * columns)
    fine_rows, fine_columns = np.mgrid[:32, :32] / 2 - 0.25
    expected = 2 * fine_rows + 3 * fine_columns
    np.testing.assert_allclose(doubled[4:-4, 4:-4], expected[4:-4, 4:-4], rtol=1e-6)


def test_a_block_mean_takes_whole_blocks_and_counts_in_floating_point() -> None:
    pixels = np.full((5, 7), 255, dtype=np.uint8)
    assert block_mean(pixels).shape == (2, 3)
    assert (block_mean(pixels) == 255).all()
    assert block_mean(pixels).dtype == np.float32
    large = np.array([[2**24 + 1, 2**24 + 1], [2**24 + 1, 2**24 + 1]])
    assert block_mean(large, dtype=np.float64) == 2**24 + 1


@pytest.mark.parametrize(
    "grid",
    [
        Grid.upright((60, 50), (2.0, 2.0), (10.0, 12.0)),
        Grid.upright((70, 55), (0.5, 0.5), (20.25, 3.75)),
        Grid.upright((45, 35), (1.7, 1.3), (3.3, 5.1)),
        turned((60, 60), 20, 0.8),
    ],
    ids=["coarser", "finer", "between", "turned"],
)
@given(cut=st.integers(1, 44))
@settings(max_examples=10)
def test_bands_of_a_grid_have_the_values_of_the_whole(grid: Grid, cut: int) -> None:
    pixels = noise((130, 120))
    source = Plane("source", pixels, Grid.upright(pixels.shape))
    whole = onto_grid(source, grid)
    rows, width = grid.shape
    parts = [
        onto_grid(source, grid.crop(slice(a, b), slice(0, width)))
        for a, b in ((0, cut), (cut, rows))
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-3)


def test_any_other_grid_shows_the_same_place_of_the_specimen() -> None:
    def specimen(places: np.ndarray) -> np.ndarray:
        return 100 + 50 * np.sin(places[:, 0] / 6) * np.cos(places[:, 1] / 7)

    def picture(grid: Grid) -> np.ndarray:
        indices = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 2)
        return specimen(grid.places(indices)).reshape(grid.shape)

    source_grid = Grid.upright((80, 80), (1.0, 1.0), (-20.0, -20.0))
    grid = turned((24, 24), 33, 0.9)
    found = onto_grid(Plane("source", picture(source_grid), source_grid), grid)
    np.testing.assert_allclose(found, picture(grid), atol=0.1)


def test_a_coarser_grid_off_the_pixels_does_not_let_noise_through() -> None:
    pixels = noise((200, 200))
    grid = Grid.upright((60, 60), (3.0, 3.0), (4.3, 4.7))
    found = onto_grid(Plane("noise", pixels, Grid.upright(pixels.shape)), grid)
    # The mean over 3 x 3 pixels leaves a third of the deviation.
    assert found.std() == pytest.approx(pixels.std() / 3, rel=0.15)
    assert found.mean() == pytest.approx(ndimage.uniform_filter(pixels, 3).mean(), rel=0.01)


def test_pixels_outside_the_source_are_nan_and_half_a_pixel_around_it_is_not() -> None:
    source = Plane("source", np.ones((4, 4)), Grid.upright((4, 4)))
    found = onto_grid(source, Grid.upright((1, 30), (1.0, 0.3), (1.0, -2.0)))
    places = -2.0 + 0.3 * np.arange(30)
    assert (np.isfinite(found[0]) == ((places >= -0.5) & (places <= 3.5))).all()


def test_a_picture_that_ends_on_the_middle_of_a_pixel_covers_that_pixel() -> None:
    grid = Grid.upright((20, 20))
    # Bounds from 4 to 8 and from 2 to 12, give or take a rounding error.
    other = Grid.upright((4, 10), origin=(4.5 + 1e-12, 2.5 - 1e-12))
    assert overlap(grid, other) == (slice(4, 9), slice(2, 13))


@pytest.mark.parametrize("grid", [turned((9, 9), 20), Grid.upright((9, 9), (2.0, 2.0), (4.5, 4.5))])
def test_pictures_come_in_single_precision(grid: Grid) -> None:
    source = Plane("source", noise((40, 40)).astype(np.uint8), Grid.upright((40, 40)))
    assert onto_grid(source, grid).dtype == np.float32
    assert bicubic_double(source.pixels).dtype == np.float32
    assert bicubic_double(source.pixels.astype(np.float64)).dtype == np.float32


def test_pictures_that_do_not_touch_are_refused_in_a_sentence() -> None:
    with pytest.raises(ImageError, match="same place"):
        overlap(Grid.upright((4, 4)), Grid.upright((4, 4), origin=(90.0, 0.0)))


def test_a_picture_with_a_pixel_size_is_not_laid_over_one_without() -> None:
    with pytest.raises(ImageError, match="pixel size"):
        overlap(Grid.upright((4, 4), unit="nm"), Grid.upright((4, 4), unit="px"))


def test_a_plane_must_be_one_grey_picture() -> None:
    with pytest.raises(ImageError, match="2-D"):
        Plane("stack", np.zeros((3, 4, 4)), Grid.upright((4, 4)))


def test_a_lazy_picture_is_read_only_where_it_is_needed() -> None:
    read: list[tuple[int, int]] = []

    class Lazy:
        shape = (4000, 4000)

        def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
            shape = tuple(len(range(*part.indices(4000))) for part in key)
            read.append(shape)
            return np.ones(shape, dtype=np.uint8)

    grid = Grid.upright((20, 20), (2.0, 2.0), (100.5, 100.5))
    assert (onto_grid(Plane("huge", Lazy(), Grid.upright((4000, 4000))), grid) == 1).all()
    assert max(max(shape) for shape in read) < 200
