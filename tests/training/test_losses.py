"""Losses: their values against oracles, their gradients, and how large they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.losses import (
    LossWeights,
    brightness_loss,
    combined_loss,
    histogram_loss,
    l1_loss,
    psnr_loss,
    reach_loss,
    soft_histogram,
    total_variation,
)


def pictures(seed: int, count: int = 2, side: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(count, 1, side, side, generator=generator)
    second = torch.rand(count, 1, side, side, generator=generator) ** 2
    return first, second


def sorted_distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Oracle: the exact earth mover's distance of equally many values."""
    return (first.flatten(1).sort().values - second.flatten(1).sort().values).abs().mean()


def test_shares_of_a_histogram_sum_to_one_and_whole_levels_fall_in_one_bin() -> None:
    levels = torch.tensor([0, 7, 7, 255]) / 255
    histogram = soft_histogram(levels.view(1, 1, 2, 2))
    assert histogram.shape == (1, 256)
    assert float(histogram.sum()) == pytest.approx(1)
    assert histogram[0, [0, 7, 255]].tolist() == pytest.approx([0.25, 0.5, 0.25], abs=1e-5)


def test_values_beyond_the_range_count_as_its_ends() -> None:
    beyond = torch.tensor([-3.0, 1.5]).view(1, 1, 1, 2)
    assert soft_histogram(beyond)[0, [0, -1]].tolist() == [0.5, 0.5]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_w1_agrees_with_sorted_values(seed: int) -> None:
    first, second = pictures(seed)
    assert float(histogram_loss(first, second, distance="w1")) == pytest.approx(
        float(sorted_distance(first, second)), abs=0.5 / 255
    )


def test_w1_of_whole_grey_levels_is_exactly_that_of_sorted_values() -> None:
    first, second = ((image * 255).round().double() / 255 for image in pictures(3))
    assert float(histogram_loss(first, second, distance="w1")) == pytest.approx(
        float(sorted_distance(first, second)), rel=1e-9
    )


def test_gradient_of_w1_agrees_with_sorted_values() -> None:
    # The shifted distributions stay apart by more than a bin, where both gradients are defined.
    reference = pictures(4)[0].double() * 0.5 + 0.1
    restored = (pictures(5)[0].double() * 0.5 + 0.3).requires_grad_()
    (binned,) = torch.autograd.grad(histogram_loss(restored, reference, distance="w1"), restored)
    (exact,) = torch.autograd.grad(sorted_distance(restored, reference), restored)
    torch.testing.assert_close(binned, exact, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("distance", ["emd2", "w1"])
def test_gradient_agrees_with_finite_differences(distance: str) -> None:
    generator = torch.Generator().manual_seed(8)
    # Between two levels, where the linear kernel has a slope.
    bins = torch.randint(0, 31, (2, 1, 5, 5), generator=generator)
    part = 0.2 + 0.6 * torch.rand(2, 1, 5, 5, generator=generator, dtype=torch.float64)
    restored = ((bins + part) / 31).requires_grad_()
    reference = torch.rand(2, 1, 5, 5, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda image: histogram_loss(image, reference, bins=32, distance=distance), (restored,)
    )


def test_following_the_gradient_matches_the_histogram() -> None:
    reference = pictures(6)[1]
    restored = pictures(6)[0].clone().requires_grad_()
    before = float(histogram_loss(restored.detach(), reference))
    optimiser = torch.optim.Adam([restored], lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        histogram_loss(restored, reference).backward()
        optimiser.step()
    assert float(histogram_loss(restored.detach(), reference)) < 0.02 * before


@pytest.mark.parametrize(("shift", "magnitude"), [(1, 0.0042), (5, 0.1052), (20, 1.647)])
def test_reduction_is_the_sum_over_levels(shift: int, magnitude: float) -> None:
    ramp = (torch.arange(236).repeat(64) / 255).view(1, 1, 118, 128)
    level = np.arange(256)
    gap = np.clip(level + 1, 0, 236) - np.clip(level + 1 - shift, 0, 236)
    value = float(histogram_loss(ramp + shift / 255, ramp))
    assert value == pytest.approx(float(((gap / 236) ** 2).sum()), rel=1e-3)
    assert value == pytest.approx(magnitude, rel=0.01)
    w1 = float(histogram_loss(ramp + shift / 255, ramp, distance="w1"))
    assert w1 == pytest.approx(shift / 255, rel=1e-4)


def test_histograms_are_compared_image_by_image() -> None:
    dark, bright = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.8)
    swapped = histogram_loss(torch.cat([dark, bright]), torch.cat([bright, dark]))
    assert float(swapped) == pytest.approx(float(histogram_loss(dark, bright)), rel=1e-6)
    assert float(swapped) > 100


def test_total_variation_of_a_ramp_is_its_slopes() -> None:
    y = torch.arange(9.0).view(1, 1, 9, 1) * 0.02
    x = torch.arange(7.0) * -0.05
    assert float(total_variation(y + x)) == pytest.approx(0.07, rel=1e-5)
    assert float(total_variation(torch.ones(1, 1, 4, 4))) == 0


def test_total_is_the_weighted_sum_of_the_terms_shown() -> None:
    restored, reference = pictures(9)
    difference = float((restored - reference).abs().mean())
    weights = LossWeights(l1=0.7, histogram=0.2, total_variation=0.03, brightness=0.5, psnr=0.4)
    terms = combined_loss(restored.requires_grad_(), reference, weights)
    expected = 0.7 * terms.l1 + 0.2 * terms.histogram + 0.03 * terms.total_variation
    expected += 0.5 * terms.brightness + 0.4 * terms.psnr
    assert float(terms.total.detach()) == pytest.approx(float(expected))
    assert float(terms.l1) == pytest.approx(difference)
    assert not terms.histogram.requires_grad
    terms.total.backward()
    assert restored.grad is not None


@pytest.mark.parametrize("distance", ["emd2", "w1"])
def test_the_chosen_distance_of_histograms_is_the_one_in_the_total(distance: str) -> None:
    restored, reference = pictures(9)
    terms = combined_loss(restored, reference, LossWeights(distance=distance))
    alone = histogram_loss(restored, reference, distance=distance)
    assert float(terms.histogram) == pytest.approx(float(alone))
    assert float(histogram_loss(restored, reference, distance="w1")) != pytest.approx(
        float(histogram_loss(restored, reference, distance="emd2")), rel=1e-3
    )


def test_weights_are_the_posters() -> None:
    weights = LossWeights()
    assert (weights.l1, weights.histogram, weights.total_variation) == (1.0, 0.1, 0.01)
    assert weights.brightness == weights.psnr == 0.0


def test_brightness_is_the_difference_of_the_means_of_each_picture() -> None:
    reference = torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(3))
    shift = torch.tensor([0.02, -0.04])[:, None, None, None]
    assert float(brightness_loss(reference + shift, reference)) == pytest.approx(0.03, abs=1e-6)
    assert float(brightness_loss(reference.roll(2, -1), reference)) == pytest.approx(0, abs=1e-6)


def test_brightness_sees_a_pattern_of_two_pixels_whose_mean_is_right() -> None:
    reference = torch.full((1, 1, 6, 8), 0.5)
    pattern = torch.tensor([0.01, -0.01]).repeat(4)
    assert float(brightness_loss(reference + pattern, reference)) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 8), (2, 2), (7, 5), (2, 9)])
def test_brightness_is_that_of_each_place_of_two_by_two(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(4)
    restored, reference = (torch.rand(3, 1, *shape, generator=generator) for _ in range(2))
    difference = (restored - reference)[:, 0].numpy()
    means = [np.abs(difference[:, y::2, x::2].mean((1, 2))) for y in (0, 1) for x in (0, 1)]
    assert float(brightness_loss(restored, reference)) == pytest.approx(np.mean(means), rel=1e-5)


@pytest.mark.parametrize("loss", [l1_loss, histogram_loss, brightness_loss, psnr_loss])
def test_half_precision_is_widened_before_anything_is_summed(loss: Any) -> None:
    restored, reference = (image.to(torch.bfloat16) for image in pictures(11))
    found = loss(restored, reference)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(restored.float(), reference.float()))
    assert torch.equal(total_variation(restored), total_variation(restored.float()))


def test_a_picture_of_one_row_has_one_mean() -> None:
    reference = torch.tensor([0.2, 0.4, 0.9]).view(1, 1, 1, 3)
    assert float(brightness_loss(reference + 0.1, reference)) == pytest.approx(0.1, rel=1e-5)


def test_psnr_is_that_of_each_picture_in_decibels_with_the_sign_turned() -> None:
    reference = torch.full((2, 1, 4, 4), 0.5)
    shift = torch.tensor([0.1, 0.01])[:, None, None, None]
    levels = 1 / 255**2
    expected = (10 * np.log10(0.01 + levels) + 10 * np.log10(0.0001 + levels)) / 2
    assert float(psnr_loss(reference + shift, reference)) == pytest.approx(expected, rel=1e-5)


def test_psnr_of_a_perfect_picture_is_finite_and_has_no_gradient() -> None:
    reference = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    restored = reference.clone().requires_grad_()
    loss = psnr_loss(restored, reference)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-20 * np.log10(255), rel=1e-5)
    assert restored.grad is not None
    assert float(restored.grad.abs().max()) == 0.0


def test_psnr_restores_what_is_uncertain_to_its_mean() -> None:
    # One pixel in four is white, and nobody can say which.
    reference = torch.zeros(1, 1, 8, 8)
    reference[..., ::2, ::2] = 1.0
    guess = torch.tensor(0.25, requires_grad=True)
    psnr_loss(guess.expand(1, 1, 8, 8), reference).backward()
    assert guess.grad is not None
    assert float(guess.grad) == pytest.approx(0, abs=1e-5)


def test_brightness_pulls_the_median_of_a_skewed_choice_to_its_mean() -> None:
    # One block in four is white, and nobody can say which: the median is black, the mean is 1/4.
    reference = torch.zeros(1, 1, 8, 8)
    reference[..., 0:2, 0:2] = reference[..., 0:2, 4:6] = 1.0
    reference[..., 4:6, 0:2] = reference[..., 4:6, 4:6] = 1.0
    guess = torch.zeros(1, requires_grad=True)
    for weights, darker in ((LossWeights(1, 0, 0, 0), False), (LossWeights(1, 0, 0, 1), True)):
        restored = (guess + 0.1).expand(1, 1, 8, 8)
        (gradient,) = torch.autograd.grad(combined_loss(restored, reference, weights).total, guess)
        assert (float(gradient) < 0) is darker


def test_losses_stay_in_single_precision_under_autocast() -> None:
    restored, reference = pictures(10)
    plain = combined_loss(restored, reference)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = combined_loss(restored.to(torch.bfloat16), reference)
        same = combined_loss(restored, reference)
    assert mixed.total.dtype == torch.float32
    assert torch.equal(same.total, plain.total)


def test_a_saturated_pixel_still_gets_a_gradient_from_l1() -> None:
    restored = torch.full((1, 1, 4, 4), 1.2, requires_grad=True)
    l1_loss(restored, torch.ones(1, 1, 4, 4)).backward()
    assert restored.grad is not None
    assert float(restored.grad.min()) > 0


def test_values_that_are_not_numbers_make_the_loss_one_and_nothing_worse() -> None:
    restored = torch.rand(2, 1, 8, 8)
    restored[0, 0, 3, 3] = torch.nan
    assert torch.isnan(histogram_loss(restored, torch.rand(2, 1, 8, 8)))


def test_reach_is_nothing_for_a_network_that_looks_no_further_than_the_halo() -> None:
    torch.manual_seed(0)
    near = SEMNet(Architecture(features=4, growth=2, blocks=1, rdb_per_block=1, conv_per_rdb=2))
    images = torch.rand(2, 1, 40, 40)
    halo = near.architecture.exact_halo
    with torch.no_grad():
        assert float(reach_loss(near, images, near(images), halo)) < 1e-6
        assert float(reach_loss(near, images, near(images), 1)) > 1e-4


def test_reach_is_what_comes_from_beyond_the_halo() -> None:
    def shifted(images: torch.Tensor) -> torch.Tensor:
        moved = torch.nn.functional.pad(images, (6, 0))[..., :-6]
        return torch.nn.functional.interpolate(moved, scale_factor=2)

    images = torch.rand(2, 1, 32, 32) + 1.0
    assert float(reach_loss(shifted, images, shifted(images), 6)) == 0.0
    # Of 8 columns those see zeros that lie nearer to the cut than the shift.
    seen = images[..., 12:20, 6:9]
    expected = seen.sum() / (2 * 8 * 8)
    assert float(reach_loss(shifted, images, shifted(images), 3)) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_with_a_higher_power_reach_counts_the_worst_pixel_more() -> None:
    def offset(difference: torch.Tensor, power: float) -> float:
        whole = torch.zeros(1, 1, 48, 48)
        alone = whole.clone()
        alone[..., 16:32, 16:32] += difference
        return float(reach_loss(lambda _: alone, torch.zeros(1, 1, 24, 24), whole, 8, power))

    one, all_alike = torch.zeros(16, 16), torch.full((16, 16), 0.1)
    one[3, 5] = 1.0
    assert offset(one, 1) == pytest.approx(1 / 256, rel=1e-5)
    assert offset(one, 4) == pytest.approx((1 / 256) ** 0.25, rel=1e-5)
    assert offset(all_alike, 1) == pytest.approx(0.1, rel=1e-5)
    assert offset(all_alike, 4) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_where_nothing_comes_from_far_away_the_gradient_of_reach_is_nothing(power: float) -> None:
    shade = torch.tensor(0.5, requires_grad=True)
    images = torch.ones(1, 1, 24, 24)

    def flat(given: torch.Tensor) -> torch.Tensor:
        return shade * torch.nn.functional.interpolate(given, scale_factor=2)

    reach_loss(flat, images, flat(images), 8, power).backward()
    assert shade.grad is not None
    assert float(shade.grad) == 0.0


def test_reach_counts_by_its_weight() -> None:
    restored, reference = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    reach = torch.tensor(0.25)
    without = combined_loss(restored, reference, LossWeights(reach=2.0))
    weighted = combined_loss(restored, reference, LossWeights(reach=2.0), reach)
    assert float(weighted.total - without.total) == pytest.approx(0.5, rel=1e-5)
    assert (float(without.reach), float(weighted.reach)) == (0.0, 0.25)
