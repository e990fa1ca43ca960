"""The grey scale: what is refused, which range is chosen, and that values come back."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import (
    IntensityRange,
    as_grey,
    bands,
    check_finite,
    from_unit,
    given_range,
    measure_range,
    to_unit,
)

GREY = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)


def stacked(grey: NDArray, channels: int) -> NDArray:
    return np.stack([grey] * channels, axis=-1)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_grey_numbers_pass_as_they_are(dtype: str) -> None:
    image = GREY.astype(dtype)
    assert as_grey(image) is image


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (GREY > 3, "mask"),
        (GREY.astype(complex), "magnitude"),
        (GREY.astype(np.int64), "label"),
        (GREY.astype(np.uint64), "uint16"),
        (GREY.astype(np.longdouble), "float32"),
        (GREY.astype("datetime64[s]"), "uint16"),
        (np.array([["a", "b"]]), "uint16"),
        (np.float32(3), "two axes"),
        (GREY[0], "two axes"),
        (GREY[:0], "empty"),
        (np.zeros((0, 5, 5), np.uint8), "empty"),
    ],
)
def test_what_cannot_be_restored_is_refused_with_a_hint(image: NDArray, hint: str) -> None:
    with pytest.raises(ImageError, match=hint):
        as_grey(image)


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_with_equal_channels_becomes_grey(channels: int) -> None:
    colour = stacked(GREY, channels)
    colour[..., 3:] = 77  # alpha says nothing
    grey = as_grey(colour)
    assert grey.shape == GREY.shape
    assert grey.dtype == GREY.dtype
    np.testing.assert_array_equal(grey[1:3, ::2], GREY[1:3, ::2])
    np.testing.assert_array_equal(grey[2], GREY[2])
    np.testing.assert_array_equal(grey[..., 1], GREY[:, 1])


def test_a_stack_of_colour_images_becomes_a_stack_of_grey_ones() -> None:
    grey = as_grey(stacked(np.stack([GREY, GREY + 1]), 3))
    np.testing.assert_array_equal(grey[1, 2:4, 1:5], (GREY + 1)[2:4, 1:5])


def test_equal_channels_may_share_their_gaps() -> None:
    image = stacked(GREY.astype(np.float32), 3)
    image[2, 2] = np.nan
    assert np.isnan(as_grey(image)[2, 2])


def test_one_pixel_of_colour_is_enough_to_refuse() -> None:
    colour = stacked(GREY, 3)
    colour[5, 7, 2] += 1
    with pytest.raises(ImageError, match="colour"):
        as_grey(colour)


def test_colour_in_a_lazy_image_is_found_when_it_is_read() -> None:
    colour = stacked(GREY, 3)
    colour[5, 7, 2] += 1
    grey = as_grey(da.from_array(colour, chunks=(3, 4, 3)))
    np.testing.assert_array_equal(grey[:5], GREY[:5])
    with pytest.raises(ImageError, match="colour"):
        grey[5:6]


def test_lists_become_images() -> None:
    assert as_grey([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 2)


def test_lazy_images_stay_lazy() -> None:
    image = da.from_delayed(_explode(), shape=(100, 100), dtype=np.uint8)
    assert as_grey(image) is image
    assert measure_range(image) == IntensityRange(0.0, 255.0, "dtype")


def _explode():
    import dask

    @dask.delayed
    def read() -> NDArray:
        raise AssertionError("was read")

    return read()


def test_8_bit_images_keep_the_range_of_their_type() -> None:
    assert measure_range(GREY) == IntensityRange(0.0, 255.0, "dtype")
    assert measure_range(GREY.astype(np.int8)) == IntensityRange(-128.0, 127.0, "dtype")


def test_wider_images_get_the_range_of_their_pixels() -> None:
    ramp = np.linspace(1000, 5000, 10_000).reshape(100, 100).astype(np.uint16)
    assert measure_range(ramp) == IntensityRange(1000.0, 5000.0, "measured")


def test_hot_pixels_do_not_stretch_the_range() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(100, 200, (300, 300)).astype(np.float32)
    image[7, 7], image[9, 9] = 1e6, -1e6
    measured = measure_range(image)
    assert 80 < measured.low < 100
    assert 200 < measured.high < 220


def test_pixels_without_a_value_do_not_count() -> None:
    image = np.linspace(0, 1, 100).reshape(10, 10)
    expected = measure_range(image[1:])
    image[0] = np.nan, np.inf, -np.inf, *[np.nan] * 7
    assert measure_range(image) == expected


def test_an_image_without_any_value_is_refused() -> None:
    with pytest.raises(ImageError, match="nothing to restore"):
        measure_range(np.full((4, 4), np.nan))


@pytest.mark.parametrize("value", [0.0, 7.0, -3.5, 1e-30, 65535.0])
def test_a_constant_image_lies_inside_its_range(value: float) -> None:
    image = np.full((5, 5), value)
    intensity = measure_range(image)
    unit = to_unit(image, intensity)
    assert ((unit >= 0) & (unit <= 1)).all()
    np.testing.assert_allclose(from_unit(unit, intensity, float), image, rtol=1e-12)


def test_rounding_noise_is_not_taken_for_contrast() -> None:
    image = np.full((50, 50), 1000, np.float32)
    image[::2] = np.nextafter(np.float32(1000), np.float32(2000))
    intensity = measure_range(image)
    assert intensity.high - intensity.low > 100


@pytest.mark.parametrize("wrap", [da.from_array, zarr.array])
def test_the_range_does_not_depend_on_how_the_image_is_stored(wrap) -> None:
    image = np.random.default_rng(1).normal(500, 90, (3, 90, 70)).astype(np.int16)
    assert measure_range(wrap(image)) == measure_range(image)


def test_of_a_large_stack_only_a_sample_is_read() -> None:
    class Counted:
        shape, dtype, read = (5000, 512, 512), np.dtype(np.uint16), 0

        def __getitem__(self, key: tuple) -> NDArray:
            rows = np.arange(self.shape[1])[key[-1]]
            self.read += rows.size * self.shape[2]
            return np.broadcast_to((rows % 100)[:, None], (rows.size, self.shape[2])).astype("u2")

    stack = Counted()
    assert measure_range(stack) == IntensityRange(0.0, 99.0, "measured")
    assert stack.read < 2**26


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (2, 1), (0, np.inf), (np.nan, 1), (-1e308, 1e308)]
)
def test_an_empty_or_endless_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ImageError, match="range"):
        given_range(low, high)


@given(
    dtype=st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_integers_of_up_to_16_bits_come_back_exactly(dtype: type, seed: int) -> None:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    image = rng.integers(limits.min, limits.max, (9, 9), dtype, endpoint=True)
    intensity = measure_range(image)
    np.testing.assert_array_equal(from_unit(to_unit(image, intensity), intensity, dtype), image)


@given(offset=st.floats(-1e9, 1e9), span=st.floats(1.0, 1e9))
def test_floats_come_back_to_a_millionth_of_their_span(offset: float, span: float) -> None:
    image = offset + span * np.linspace(0, 1, 50).reshape(5, 10)
    intensity = given_range(offset, offset + span)
    back = from_unit(to_unit(image, intensity), intensity, np.float64)
    np.testing.assert_allclose(back, image, rtol=1e-15, atol=1e-6 * span)


def test_integers_are_rounded_and_clipped_at_the_type_only() -> None:
    intensity = given_range(0, 255)
    assert intensity.source == "given"
    values = np.array([-0.1, 0.0, 100.4 / 255, 100.6 / 255, 1.0, 1.099], np.float32)
    assert from_unit(values, intensity, np.uint8).tolist() == [0, 0, 100, 101, 255, 255]
    assert from_unit(values, intensity, np.int16).tolist() == [-26, 0, 100, 101, 255, 280]
    assert from_unit(values, intensity, np.float32)[-1] == pytest.approx(280.245)


def test_floats_are_clipped_at_their_type_instead_of_becoming_infinite() -> None:
    assert np.isfinite(from_unit(np.float32([2.0]), given_range(0, 6e4), np.float16)).all()


def test_bands_cover_the_image_once_and_in_order() -> None:
    image = np.arange(2 * 7 * 5).reshape(2, 7, 5)
    parts = list(bands(image, largest=12))
    assert max(part.shape[0] for part in parts) == 2
    np.testing.assert_array_equal(np.concatenate(parts), image.reshape(14, 5))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_pixel_without_a_value_is_found(value: float) -> None:
    image = np.zeros((3, 40, 50), np.float32)
    check_finite(image)
    image[2, 39, 49] = value
    with pytest.raises(ImageError, match="mask them"):
        check_finite(image)
