from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.comparison import (
    classical,
    classical_bands,
    common_grid,
    difference,
    difference_bands,
    symmetric_limit,
)
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import Grid, Plane, bicubic_double, block_mean


def pair(region: tuple[int, int] = (0, 0)) -> tuple[Plane, Plane]:
    """A raw picture and a truth with half its pixel size, of the part from `region` on."""
    specimen = particles((40, 50), 3)
    raw = acquire(specimen)
    grid = Grid.upright(raw.shape, (2.0, 2.0), (11.0, 13.0))
    rows = slice(region[0], raw.shape[0])
    columns = slice(region[1], raw.shape[1])
    truth = 255 * specimen.truth[2 * region[0] :, 2 * region[1] :]
    return Plane("raw", raw, grid), Plane("restored", truth, grid.crop(rows, columns).refined(2))


@pytest.mark.parametrize("region", [(0, 0), (7, 12)])
def test_on_the_raw_grid_the_restored_pixels_are_averaged(region: tuple[int, int]) -> None:
    raw, restored = pair(region)
    found = difference(restored, raw, common_grid(raw.grid, restored.grid))
    expected = block_mean(restored.pixels) - raw.pixels[region[0] :, region[1] :].astype(float)
    np.testing.assert_allclose(found.pixels, expected, atol=1e-3)
    np.testing.assert_allclose(found.grid.corners(), restored.grid.corners())
    assert found.pixels.dtype == np.float32


@pytest.mark.parametrize("region", [(0, 0), (7, 12)])
def test_on_the_restored_grid_the_raw_pixels_are_interpolated(region: tuple[int, int]) -> None:
    raw, restored = pair(region)
    found = difference(restored, raw, common_grid(restored.grid, raw.grid))
    doubled = bicubic_double(raw.pixels)[2 * region[0] :, 2 * region[1] :]
    np.testing.assert_allclose(found.pixels, restored.pixels - doubled, atol=1e-3)
    assert found.pixels.shape == restored.pixels.shape


def test_the_mean_of_a_faithful_restoration_differs_only_by_the_noise() -> None:
    raw, restored = pair()
    left = difference(restored, raw, raw.grid).pixels
    assert abs(left.mean()) < 2
    # Noise has no neighbours that look alike; a shift by a pixel would leave outlines.
    neighbours = np.corrcoef(left[:, :-1].ravel(), left[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.1


def test_bands_arrive_in_order_and_count_to_the_end() -> None:
    grid = Grid.upright((200, 2**16))
    plane = Plane("flat", np.zeros(grid.shape, dtype=np.uint8), grid)
    bands = list(difference_bands(plane, plane, grid))
    assert [band.rows.start for band in bands] == [0] + [band.rows.stop for band in bands[:-1]]
    assert bands[-1].done == bands[-1].total == 200
    assert len(bands) > 3


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60))
def test_the_limit_of_a_centred_map_is_positive_and_no_larger_than_needed(
    values: list[float],
) -> None:
    limit = symmetric_limit([*values, np.nan])
    assert limit > 0
    assert limit <= max(np.abs(np.float32(values)).max(), 1.0) * (1 + 1e-6)


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_the_limit_leaves_out_the_share_that_it_is_told(size: float) -> None:
    values = size * np.arange(-1000, 1001)
    assert symmetric_limit(values, 90) == pytest.approx(900 * size, rel=0.01)
    assert symmetric_limit(np.zeros(5)) == 1
    assert symmetric_limit([np.nan]) == 1
    assert symmetric_limit([0] * 999 + [size], 50) == pytest.approx(size)


def test_the_classical_restoration_blurs_and_doubles() -> None:
    raw, _ = pair()
    found = classical(raw.pixels, 1.5)
    blurred = ndimage.gaussian_filter(raw.pixels.astype(np.float32), 1.5)
    np.testing.assert_allclose(found, bicubic_double(blurred), atol=1e-4)
    assert found.shape == (80, 100)


def test_without_blur_the_classical_restoration_is_an_interpolation() -> None:
    raw, _ = pair()
    np.testing.assert_array_equal(classical(raw.pixels, 0), bicubic_double(raw.pixels))


def test_a_negative_blur_is_refused() -> None:
    with pytest.raises(ImageError, match="0 px or more"):
        classical(np.zeros((8, 8)), -1)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.7])
def test_bands_of_the_classical_restoration_have_the_values_of_the_whole(sigma: float) -> None:
    tall = np.random.default_rng(0).integers(0, 255, (70, 2**14), dtype=np.uint8)
    bands = list(classical_bands(tall, sigma))
    assert len(bands) > 2
    np.testing.assert_array_equal(
        np.concatenate([band.pixels for band in bands]), classical(tall, sigma)
    )
    assert bands[-1].done == bands[-1].total == 140
    rows = [(band.rows.start, band.rows.stop) for band in bands]
    assert rows[0][0] == 0
    assert [start for start, _ in rows[1:]] == [stop for _, stop in rows[:-1]]
    assert all(len(band.pixels) == band.rows.stop - band.rows.start for band in bands)
    assert {band.pixels.dtype for band in bands} == {np.dtype(np.float32)}
