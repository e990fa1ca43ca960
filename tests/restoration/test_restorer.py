"""Restoring: any array, any size, any tile, and the same result."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import napari_semnet
from napari_semnet.errors import DeviceError, ImageError, SemnetError
from napari_semnet.imaging.intensity import given_range
from napari_semnet.model import Halo, Model, load_model
from napari_semnet.restoration import restorer as restorer_module
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.events import Finished, Notice, Progress, Started, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import describe_device
from napari_semnet.restoration.tiles import plan_tiles
from tests.restoration.conftest import REDUCED, reduced_model

EXACT = Settings(precision="fp32", halo="exact")
UNIT = (0.0, 1.0)


def picture(shape: tuple[int, ...], dtype: str = "u1", seed: int = 0) -> NDArray:
    values = np.random.default_rng(seed).random(shape)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return (limits.min + values * (limits.max - limits.min)).astype(dtype)


def by_hand(model: Model, image: NDArray) -> NDArray:
    """What the network itself gives for a whole image of floats in [0, 1]."""
    with torch.inference_mode():
        return model.network(torch.from_numpy(np.float32(image))[None, None])[0, 0].numpy()


# ----- tiles and the whole -------------------------------------------------------------------


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 3),
)
def test_tiles_with_the_exact_halo_equal_the_whole_image(model, size, tile, seed) -> None:
    tile = (max(tile[0], size[0] // 3), max(tile[1], size[1] // 3))
    image = picture(size, "f4", seed)
    chosen = Settings(precision="fp32", halo="exact", tile=tile, intensity=UNIT)
    tiled = Restorer(model, chosen).restore(image).pixels
    np.testing.assert_allclose(tiled, by_hand(model, image), rtol=0, atol=1e-5)


def test_a_halo_short_of_the_reach_is_seen_and_so_the_comparison_can_fail(model) -> None:
    image = picture((60, 60), "f4")
    short = Settings(precision="fp32", halo=2, tile=20, intensity=UNIT)
    tiled = Restorer(model, short).restore(image).pixels
    assert np.abs(tiled - by_hand(model, image)).max() > 1e-4


def test_a_tile_of_the_bundled_model_equals_the_whole_on_an_odd_size() -> None:
    # Narrow, so that a tile is cut at both ends of its reach of 94 pixels without much work.
    model = load_model()
    image = picture((203, 5), "f4")
    tile = list(plan_tiles(image.shape, (5, 5), model.card.architecture.exact_halo))[1]
    assert tile.read.top > 0
    assert tile.read.bottom < 203
    backend = TorchBackend(model.network, describe_device("cpu"), "fp32")
    found = run_through(backend.restore_tile(image[tile.read.slices]))[tile.kept]
    np.testing.assert_allclose(found, by_hand(model, image)[tile.where], rtol=0, atol=1e-5)


@pytest.mark.parametrize("tile", [16, (5, 61)])
def test_8_bit_tiles_equal_the_whole_to_the_last_level(model, tile) -> None:
    image = picture((45, 61))
    whole = Restorer(model, EXACT).restore(image).pixels
    tiled = Restorer(model, Settings(precision="fp32", halo="exact", tile=tile)).restore(image)
    assert np.abs(whole.astype(int) - tiled.pixels).max() <= 1  # a half may round either way
    assert (whole != tiled.pixels).mean() < 0.001


def test_the_range_is_one_for_the_whole_stack(model) -> None:
    stack = picture((3, 24, 20), "u2")
    stack[1] //= 100
    run = Restorer(model, EXACT)
    together = run.restore(stack)
    limits = (together.plan.intensity.low, together.plan.intensity.high)
    given_settings = Settings(precision="fp32", halo="exact", intensity=limits)
    alone = Restorer(model, given_settings).restore(stack[1])
    np.testing.assert_array_equal(together.pixels[1], alone.pixels)
    assert alone.plan.intensity == given_range(*limits)


def test_the_same_image_gives_the_same_bytes(model) -> None:
    image = picture((40, 30))
    restorer = Restorer(model, Settings(tile=20))
    one, other = restorer.restore(image).pixels, restorer.restore(image).pixels
    fresh = Restorer(model, Settings(tile=20)).restore(image).pixels
    assert one.tobytes() == other.tobytes() == fresh.tobytes()


# ----- the border ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", [20, 128, 235, 250])
def test_a_flat_image_stays_flat_up_to_its_border_with_the_bundled_model(level) -> None:
    result = Restorer().restore(np.full((40, 47), level, np.uint8)).pixels.astype(int)
    assert np.abs(result - level).max() <= 2
    assert np.abs(result - level).mean() < 0.2


@pytest.mark.parametrize("halo", [Halo(pixels=4, bound=0.05), None])
def test_an_image_in_one_tile_is_what_the_network_itself_gives(halo) -> None:
    measured = reduced_model(halo=halo)
    image = picture((24, 30), "f4")
    result = Restorer(measured, Settings(precision="fp32", intensity=UNIT)).restore(image).pixels
    np.testing.assert_allclose(result, by_hand(measured, image), rtol=0, atol=1e-5)


def test_the_halo_of_tiles_changes_nothing_of_an_image_in_one_piece(model) -> None:
    image = picture((30, 30))
    narrow, wide = (Restorer(model, Settings(halo=n)).restore(image).pixels for n in (0, 10))
    np.testing.assert_array_equal(narrow, wide)


# ----- halos ---------------------------------------------------------------------------------


def plan_of(model: Model, chosen: Settings, shape: tuple[int, ...] = (30, 30)):
    return Restorer(model, chosen).restore(picture(shape)).plan


def test_the_automatic_halo_is_the_measured_one() -> None:
    measured = reduced_model(halo=Halo(pixels=4, bound=0.05))
    assert plan_of(measured, Settings()).halo == 4
    assert plan_of(measured, Settings(halo="exact")).halo == REDUCED.exact_halo == 10
    assert plan_of(measured, Settings(halo=7)).halo == 7


def test_without_a_measurement_the_automatic_halo_is_exact(model) -> None:
    assert plan_of(model, Settings()).halo == REDUCED.exact_halo


def test_a_measured_halo_beyond_the_reach_is_not_needed() -> None:
    assert plan_of(reduced_model(halo=Halo(pixels=90, bound=0.05)), Settings()).halo == 10


# ----- arrays --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_the_result_has_the_type_of_the_image(model, dtype) -> None:
    image = picture((20, 30), dtype)
    result = napari_semnet.restore(image, model)
    assert result.shape == (40, 60)
    assert result.dtype == image.dtype


def test_a_16_bit_image_is_restored_as_finely_as_a_float_one(model) -> None:
    image = picture((20, 30), "u2")
    limits = (0.0, 65535.0)
    fine = Restorer(model, Settings(precision="fp32", intensity=limits))
    as_integers, as_floats = fine.restore(image).pixels, fine.restore(image.astype("f8")).pixels
    clipped = np.clip(np.rint(as_floats), 0, 65535)
    assert np.abs(as_integers - clipped).max() == 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a: da.from_array(a, chunks=(1, 7, 9)),
        lambda a: zarr.array(a, chunks=(1, 8, 8)),
        lambda a: np.broadcast_to(a, a.shape),
        lambda a: a[:, ::-1][:, ::-1],
    ],
    ids=["dask", "zarr", "read-only", "strided"],
)
def test_however_an_image_is_stored_the_result_is_the_same(model, wrap) -> None:
    image = picture((2, 20, 26), "u2")
    restorer = Restorer(model, Settings(precision="fp32", tile=12))
    expected = restorer.restore(image).pixels
    np.testing.assert_array_equal(restorer.restore(wrap(image)).pixels, expected)


def test_only_the_tile_at_hand_is_read(model) -> None:
    image = picture((64, 64))

    class Watched:
        shape, dtype, largest = image.shape, image.dtype, 0

        def __getitem__(self, key: tuple) -> NDArray:
            part = image[key]
            self.largest = max(self.largest, part.size)
            return part

    watched = Watched()
    Restorer(model, Settings(precision="fp32", tile=8, halo=4)).restore(watched)
    assert watched.largest == 16 * 16


def test_tiles_are_written_into_a_zarr_array_as_they_finish(model) -> None:
    image = zarr.array(picture((2, 20, 20)), chunks=(1, 20, 20))
    out = zarr.create_array({}, shape=(2, 40, 40), chunks=(1, 40, 40), dtype="u1", fill_value=0)
    restorer = Restorer(model, Settings(tile=10))
    for event in restorer.run(image, out):
        if isinstance(event, TileDone):
            np.testing.assert_array_equal(out[event.where], event.pixels)
        if isinstance(event, Finished):
            assert event.restored.pixels is out
    np.testing.assert_array_equal(out[:], restorer.restore(image).pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (1, 1, 1, 1, 5), (3, 1, 1)])
def test_the_smallest_images_are_restored(model, shape) -> None:
    result = napari_semnet.restore(picture(shape), model)
    assert result.shape == (*shape[:-2], 2 * shape[-2], 2 * shape[-1])


def test_colour_that_is_grey_is_restored_as_grey(model) -> None:
    grey = picture((20, 22))
    expected = napari_semnet.restore(grey, model)
    np.testing.assert_array_equal(
        napari_semnet.restore(np.stack([grey] * 3, axis=-1), model), expected
    )


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_constant_8_bit_image_is_as_constant_in_tiles_as_whole(model, value) -> None:
    image = np.full((60, 60), value, np.uint8)
    whole = Restorer(model, EXACT).restore(image).pixels
    tiled = Restorer(model, Settings(precision="fp32", halo="exact", tile=20)).restore(image)
    assert np.ptp(whole[20:-20, 20:-20].astype(int)) == 0
    np.testing.assert_array_equal(tiled.pixels, whole)


@pytest.mark.parametrize(
    "image", [picture((9, 9)) > 3, np.zeros((0, 9)), np.zeros(9), np.zeros((9, 9), complex)]
)
def test_bad_images_are_refused_before_anything_happens(model, image) -> None:
    with pytest.raises(ImageError):
        next(iter(Restorer(model).run(image)))


@pytest.mark.parametrize(
    "out", [np.zeros((20, 21), "u1"), np.zeros((40, 42), "u2"), np.zeros((1, 40, 42), "u1")]
)
def test_a_place_that_does_not_fit_the_result_is_refused_and_left_alone(model, out) -> None:
    with pytest.raises(ImageError, match="must have shape"):
        Restorer(model).restore(picture((20, 21)), out)
    assert not out.any()


# ----- pixels without a value ----------------------------------------------------------------


def holey() -> NDArray:
    image = picture((40, 40), "f4")
    image[5, 7], image[20:26, 20:26], image[39, 0] = np.nan, np.inf, -np.inf
    return image


def test_pixels_without_a_value_are_refused_before_anything_is_written(model) -> None:
    out = np.zeros((80, 80), "f4")
    with pytest.raises(ImageError, match="mask them"):
        Restorer(model).restore(holey(), out)
    assert not out.any()


@pytest.mark.parametrize("tile", ["auto", 9])
def test_masked_pixels_become_nan_and_do_not_spread(model, tile) -> None:
    image = holey()
    result = Restorer(model, Settings(non_finite="mask", tile=tile)).restore(image).pixels
    expected = np.kron(~np.isfinite(image), np.ones((2, 2), bool))
    np.testing.assert_array_equal(np.isnan(result), expected)
    assert np.isfinite(result[~expected]).all()


def test_masked_images_in_tiles_equal_the_whole(model) -> None:
    image = holey()
    image[:, 30:] = np.nan
    masking = {"precision": "fp32", "halo": "exact", "non_finite": "mask", "intensity": UNIT}
    whole = Restorer(model, Settings(**masking)).restore(image).pixels
    tiled = Restorer(model, Settings(**masking, tile=11)).restore(image).pixels
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


def test_masking_changes_nothing_where_all_pixels_have_a_value(model) -> None:
    image = picture((30, 30), "f4")
    masked = Restorer(model, Settings(non_finite="mask")).restore(image).pixels
    np.testing.assert_array_equal(masked, Restorer(model).restore(image).pixels)


# ----- events --------------------------------------------------------------------------------


def test_events_tell_the_whole_story_in_order(model) -> None:
    image = picture((2, 30, 20), "u2")
    events = list(Restorer(model, Settings(tile=(4, 20))).run(image))
    started, *middle, finished = events
    assert isinstance(started, Started)
    assert (started.total_tiles, started.output_shape) == (6, (2, 60, 40))
    assert started.dtype == image.dtype
    assert isinstance(finished, Finished)
    assert finished.restored.plan == started.plan
    tiles = [event for event in middle if isinstance(event, TileDone)]
    assert [tile.done for tile in tiles] == [1, 2, 3, 4, 5, 6]
    assembled = np.zeros(started.output_shape, started.dtype)
    for tile in tiles:
        assert tile.pixels.shape == assembled[tile.where].shape
        assembled[tile.where] = tile.pixels
    np.testing.assert_array_equal(assembled, finished.restored.pixels)
    fractions = [event.fraction for event in middle if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] <= 1


def test_closing_midway_leaves_whole_tiles_only_and_the_restorer_usable(model) -> None:
    image, out = picture((60, 20)), np.zeros((120, 40), np.uint8)
    restorer = Restorer(model, Settings(tile=(14, 20)))
    expected = restorer.restore(image).pixels
    run = restorer.run(image, out)
    done = 0
    for event in run:
        if isinstance(event, TileDone):
            done += 1
        if done == 1 and isinstance(event, Progress):
            break  # in the middle of the second tile
    run.close()
    np.testing.assert_array_equal(out[:48], expected[:48])
    assert not out[48:].any()
    assert not torch.is_inference_mode_enabled()
    np.testing.assert_array_equal(restorer.restore(image).pixels, expected)


def test_between_events_the_thread_is_as_it_was(model) -> None:
    for _ in Restorer(model, Settings(tile=10)).run(picture((20, 20))):
        assert not torch.is_inference_mode_enabled()


def test_a_restorer_serves_several_threads_at_once(model) -> None:
    images = [picture((20, 20 + i), seed=i) for i in range(4)]
    expected = [Restorer(model, Settings(tile=16)).restore(image).pixels for image in images]
    shared = Restorer(model, Settings(tile=16))
    start = threading.Barrier(4)

    def work(image: NDArray) -> NDArray:
        start.wait()
        return shared.restore(image).pixels

    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(work, images), expected, strict=True):
            np.testing.assert_array_equal(found, right)


def test_the_network_is_prepared_once(model) -> None:
    made = []

    def counting(network, device, precision):
        made.append(precision)
        return TorchBackend(network, device, precision)

    restorer = Restorer(model, Settings(precision="fp32"), counting)
    restorer.restore(picture((9, 9)))
    restorer.restore(picture((9, 12)))
    assert made == ["fp32"]


def test_progress_is_told_for_each_tile(model) -> None:
    said = []
    napari_semnet.restore(
        picture((30, 10)), model, tile=(4, 10), progress=lambda *n: said.append(n)
    )
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_the_plan_tells_what_it_takes_to_do_it_again(model) -> None:
    image = picture((33, 21), "u2")
    first = Restorer(model, Settings(precision="fp32", tile=10)).restore(image)
    plan = first.plan
    assert (plan.model_name, plan.model_sha256) == (model.name, model.sha256)
    again = Settings(
        precision=plan.precision,
        tile=plan.tile,
        halo=plan.halo,
        intensity=(plan.intensity.low, plan.intensity.high),
    )
    np.testing.assert_array_equal(Restorer(model, again).restore(image).pixels, first.pixels)


# ----- memory and settings -------------------------------------------------------------------


def test_an_image_larger_than_the_memory_budget_is_cut(model, monkeypatch) -> None:
    image = picture((400, 90))
    whole = Restorer(model, EXACT)
    assert whole.restore(image).plan.tile == (400, 90)
    expected = whole.restore(image).pixels
    monkeypatch.setattr(restorer_module, "budget", lambda _: 3e6)
    cut = Restorer(model, EXACT).restore(image)
    assert cut.plan.tile[0] < 400
    assert np.abs(cut.pixels.astype(int) - expected).max() <= 1


def test_a_result_that_memory_cannot_hold_is_refused_with_a_way_out(model) -> None:
    endless = np.broadcast_to(np.uint8(3), (2**22, 2**22))
    with pytest.raises(ImageError, match="array on disk"):
        next(iter(Restorer(model).run(endless)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile": 0},
        {"tile": (5, 0)},
        {"tile": (5, 5, 5)},
        {"tile": "large"},
        {"tile": 2.5},
        {"tile": True},
        {"halo": -1},
        {"halo": False},
        {"halo": "wide"},
        {"non_finite": "ignore"},
        {"precision": "fp16"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(SemnetError):
        Settings(**wrong)


def test_whole_numbers_of_numpy_are_settings_as_good_as_pythons() -> None:
    found = Settings(tile=np.int64(64), halo=np.int32(8))
    assert (found.tile, found.halo) == (64, 8)
    assert (type(found.tile), type(found.halo)) == (int, int)
    both = Settings(tile=(np.uint8(64), 32)).tile
    assert both == (64, 32)
    assert [type(side) for side in both] == [int, int]


def test_a_device_that_is_not_here_is_refused(model) -> None:
    with pytest.raises(DeviceError, match="Use one of"):
        Restorer(model, Settings(device="cuda:99"))


def test_values_that_explode_are_refused_with_a_hint(model) -> None:
    tiny = Settings(precision="fp32", intensity=(0.0, 1e-38))
    with pytest.raises(ImageError, match="intensity range"):
        Restorer(model, tiny).restore(np.full((5, 5), 1e38))


def test_no_notice_is_given_when_all_goes_well(model) -> None:
    events = list(Restorer(model, Settings(tile=16)).run(picture((40, 40))))
    assert not [event for event in events if isinstance(event, Notice)]
