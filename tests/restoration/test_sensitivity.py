from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from napari_semnet.imaging.noise_level import measure_noise
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.model import Model
from napari_semnet.restoration import sensitivity as module
from napari_semnet.restoration.events import Finished, Progress, Started, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.sensitivity import (
    ORIENTATIONS,
    SensitivityRun,
    sensitivity,
    spread,
)

IMAGE = acquire(particles((72, 80), 1))
ONLY_TURNED = SensitivityRun(has_fresh_noise=False, has_residual=False)
SETTINGS = Settings(device="cpu", precision="fp32")


def test_it_is_the_deviation_over_eight_orientations(model: Model) -> None:
    found = spread(IMAGE, model, settings=SETTINGS, run=ONLY_TURNED)
    restorer = Restorer(model, Settings("cpu", "fp32", intensity=(0.0, 255.0)))
    results = []
    for turns, is_transposed in ORIENTATIONS:
        turned = np.rot90(IMAGE.astype(np.float32), turns)
        out = restorer.restore(turned.T if is_transposed else turned).pixels
        results.append(np.rot90(out.T if is_transposed else out, -turns))
    assert len(results) == 8
    np.testing.assert_allclose(found, np.std(results, axis=0, ddof=1), atol=2e-3)


def test_fresh_noise_makes_it_larger(model: Model) -> None:
    turned = spread(IMAGE, model, settings=SETTINGS, run=ONLY_TURNED)
    noisy = spread(IMAGE, model, settings=SETTINGS, run=SensitivityRun(has_residual=False))
    assert noisy.mean() > 1.02 * turned.mean()


def test_the_same_seed_gives_the_same_map(model: Model) -> None:
    one = spread(IMAGE, model, settings=SETTINGS)
    np.testing.assert_array_equal(one, spread(IMAGE, model, settings=SETTINGS))
    assert (one != spread(IMAGE, model, settings=SETTINGS, run=SensitivityRun(seed=1))).any()


def test_blocks_make_no_difference(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spread(IMAGE, model, settings=SETTINGS, run=ONLY_TURNED)
    monkeypatch.setattr(module, "BLOCK_SIDE", 32)
    blocks = spread(IMAGE, model, settings=SETTINGS, run=ONLY_TURNED)
    np.testing.assert_allclose(blocks, whole, atol=2e-3)


def test_what_is_sought_in_the_residual_does_not_depend_on_where_blocks_begin(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks are as wide as the image, as the offset of a row is still that within its block, and
    # begin at odd rows.
    image = acquire(particles((160, 64), 2))
    whole, blocks = whole_and_in_blocks(image, model, monkeypatch)
    np.testing.assert_allclose(blocks, whole, rtol=2e-3, atol=2e-3)


def test_a_block_of_few_grey_levels_is_cut_off_only_where_the_image_is(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = acquire(particles((160, 64), 2))
    image[:100] = np.random.default_rng(0).integers(40, 44, (100, 64))
    # So the image ends far below the lowest of these levels.
    image[150, 30] = 10
    whole, blocks = whole_and_in_blocks(image, model, monkeypatch)
    np.testing.assert_allclose(blocks, whole, rtol=2e-3, atol=2e-3)


def whole_and_in_blocks(
    image: np.ndarray, model: Model, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, np.ndarray]:
    run = SensitivityRun(measure_noise(image), has_fresh_noise=False)
    whole = spread(image, model, settings=SETTINGS, run=run)
    monkeypatch.setattr(module, "BLOCK_SIDE", 64)
    return whole, spread(image, model, settings=SETTINGS, run=run)


def test_grey_levels_are_those_of_the_image(model: Model) -> None:
    eight = spread(IMAGE, model, settings=Settings("cpu", "fp32", intensity=(0.0, 255.0)))
    wide = IMAGE.astype(np.uint16) * 100
    sixteen = spread(wide, model, settings=Settings("cpu", "fp32", intensity=(0.0, 25500.0)))
    assert sixteen.mean() == pytest.approx(100 * eight.mean(), rel=0.05)


def test_a_stack_gets_a_map_of_each_slice(model: Model) -> None:
    stack = np.stack([IMAGE, IMAGE[::-1]])
    found = spread(stack, model, settings=SETTINGS)
    assert found.shape == (2, 144, 160)
    assert (found > 0).any(axis=(1, 2)).all()


def test_it_says_how_far_it_is_and_stops_when_asked(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_SIDE", 40)
    out = np.full((144, 160), -1, np.float32)
    events = list(sensitivity(Restorer(model, SETTINGS), IMAGE, out))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    parts = [event.fraction for event in events if isinstance(event, Progress)]
    assert parts == sorted(parts)
    assert parts[-1] <= 1
    assert [e.done for e in events if isinstance(e, TileDone)] == [1, 2, 3, 4]
    assert (out >= 0).all()

    out[:] = -1
    stopped = sensitivity(Restorer(model, SETTINGS), IMAGE, out)
    for event in stopped:
        if isinstance(event, TileDone):
            break
    stopped.close()
    assert (out[:72, :80] >= 0).all()
    assert (out[72:] == -1).all()


def test_a_lost_slice_in_the_middle_does_not_hide_the_noise_of_the_others(model: Model) -> None:
    stack = np.stack([IMAGE, np.zeros_like(IMAGE), IMAGE])
    found = spread(stack, model, settings=SETTINGS)
    assert (found[[0, 2]] > 0).all()


def test_pixels_without_a_value_have_no_sensitivity(model: Model) -> None:
    image = IMAGE.astype(np.float32)
    image[30, 40] = np.nan
    masked = Settings("cpu", "fp32", non_finite="mask")
    found = spread(image, model, settings=masked)
    assert np.isnan(found[60:62, 80:82]).all()
    assert np.isfinite(found).mean() > 0.99


def test_an_infinite_pixel_counts_as_little_as_one_without_a_value(model: Model) -> None:
    masked = Settings("cpu", "fp32", intensity=(0.0, 255.0), non_finite="mask")
    maps = []
    for missing in (np.nan, np.inf):
        image = IMAGE.astype(np.float32)
        image[30, 40] = missing
        maps.append(spread(image, model, settings=masked))
    np.testing.assert_array_equal(maps[0], maps[1])


def test_a_small_contrast_on_a_large_offset_is_as_sensitive_as_without_it(model: Model) -> None:
    near, far = (
        spread(
            IMAGE.astype(np.float64) + offset,
            model,
            settings=Settings("cpu", "fp32", intensity=(offset, offset + 255)),
        )
        for offset in (0.0, 1e9)
    )
    np.testing.assert_allclose(far, near, rtol=1e-4)


def test_the_range_that_is_told_is_that_of_the_image(model: Model) -> None:
    settings = Settings("cpu", "fp32", intensity=(-50.0, 300.0))
    events = list(sensitivity(Restorer(model, settings), IMAGE, run=ONLY_TURNED))
    for plan in (events[0].plan, events[-1].restored.plan):
        assert (plan.intensity.low, plan.intensity.high) == (-50, 300)


def test_what_the_network_wipes_out_counts(model: Model) -> None:
    lattice = 60 * np.sign(np.sin(2 * np.pi * (np.arange(80) + 0.25) / 2.5))
    noise = 8 * np.random.default_rng(0).standard_normal((72, 80))
    image = np.clip(np.rint(120 + noise), 0, 255)
    image[:, 40:] += lattice[40:]
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    # A network that gives nothing but the mean: it wipes everything out, always alike.
    network = copy.deepcopy(model.network)
    for weight in network.parameters():
        weight.zero_()
    network.last.bias.fill_(120 / 255)
    blank = dataclasses.replace(model, network=network)
    found = spread(image, blank, settings=SETTINGS)
    assert found[:, 96:].mean() > 30
    assert found[:, 96:].mean() > 6 * found[:, :64].mean()
