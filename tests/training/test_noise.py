"""Statistics of every stage that adds something to a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from napari_semnet.training import noise
from napari_semnet.training.randomness import sample_keys, words

CPU = torch.device("cpu")


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def flat(value: float, rows: int = 200, columns: int = 200, count: int = 1) -> torch.Tensor:
    return torch.full((count, 1, rows, columns), value)


def correlation(values: np.ndarray, dy: int, dx: int) -> float:
    centred = values - values.mean()
    rows, columns = centred.shape[-2:]
    here = centred[..., : rows - dy, : columns - dx]
    there = centred[..., dy:, dx:]
    return float((here * there).mean() / centred.var())


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.5, 2.0, 7.9, 8.1, 30.0, 1e3, 1e4])
def test_counts_have_the_mean_and_variance_of_poisson(mean: float) -> None:
    shape = (1, 300, 300)
    bits = words(sample_keys(5, 0, 0, 1), "counts", shape, CPU)
    counts = noise.poisson(flat(mean, 300, 300), bits).double().numpy()
    assert np.array_equal(counts, np.rint(counts))
    size = counts.size
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / size))
    # The variance of a sample's variance: the fourth central moment is mean (1 + 3 mean).
    spread = np.sqrt((mean + 2 * mean**2) / size)
    assert counts.var() == pytest.approx(mean, abs=4 * spread)


@pytest.mark.parametrize("mean", [0.2, 3.0, 7.999, 8.0, 12.0, 40.0])
def test_distribution_of_counts_is_poissons(mean: float) -> None:
    # Evenly spaced words instead of random ones: what is left is the error of the method.
    step = 2**13
    bits = torch.arange(-(2**31) + step // 2, 2**31, step, dtype=torch.int64).to(torch.int32)
    counts = noise.poisson(torch.full(bits.shape, mean), bits).to(torch.int64)
    found = np.cumsum(np.bincount(counts.numpy(), minlength=200)) / len(bits)
    exact = stats.poisson.cdf(np.arange(len(found)), mean)
    assert np.abs(found - exact).max() < (1e-4 if mean >= noise.SEARCH_BELOW else 3e-6)


def test_shot_noise_grows_with_the_signal_over_black() -> None:
    keys = sample_keys(6, 0, 0, 2)
    for value in (0.0, 0.1, 0.5, 1.0):
        noisy = noise.add_shot_noise(
            flat(value, count=2), column(100, 5000), column(0, -0.25), column(1.0, 1.8), keys
        )
        noisy = noisy.double().numpy()
        expected = (value / 100, 1.8 * 1.25 * (value + 0.25) / 5000)
        for one, variance in zip(noisy, expected, strict=True):
            assert one.mean() == pytest.approx(value, abs=4 * np.sqrt(variance / one.size) + 1e-6)
            assert one.var() == pytest.approx(variance, rel=0.04, abs=1e-12)


def test_nothing_is_counted_below_the_black_level() -> None:
    keys = sample_keys(6, 0, 0, 1)
    noisy = noise.add_shot_noise(flat(0.05), column(100), column(0.1), None, keys)
    assert torch.equal(noisy, flat(0.05))


def test_shot_noise_is_white() -> None:
    keys = sample_keys(7, 0, 0, 1)
    noisy = noise.add_shot_noise(flat(0.5), column(300), column(0), None, keys)[0, 0].numpy()
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2)):
        assert abs(correlation(noisy, dy, dx)) < 4.5 / 200


@pytest.mark.parametrize("lag_one", [0.0, 0.3, 0.7, 0.95])
def test_correlated_noise_keeps_its_variance_and_decays_along_x_only(lag_one: float) -> None:
    white = noise.add_gaussian(flat(0.0, 500, 300), column(1.0), sample_keys(8, 0, 0, 1))
    noisy = noise.correlate(white, column(lag_one))[0, 0].double().numpy()
    for distance in (1, 2, 5):
        assert correlation(noisy, 0, distance) == pytest.approx(lag_one**distance, abs=0.02)
    assert abs(correlation(noisy, 1, 0)) < 0.03
    # From the first pixel on; 500 rows give the variance of a column to 6 %.
    for part in (noisy[:, :1], noisy[:, 1:3], noisy[:, 150:]):
        assert part.var() == pytest.approx(1, rel=0.2)
    assert noisy.var() == pytest.approx(1, rel=0.08)


def test_no_correlation_leaves_the_noise_as_it_is() -> None:
    white = noise.add_gaussian(flat(0.0, 20, 20), column(1.0), sample_keys(8, 0, 0, 1))
    assert torch.equal(noise.correlate(white, column(0.0)), white)


def test_row_noise_moves_whole_rows() -> None:
    keys = sample_keys(9, 0, 0, 2)
    rows = noise.add_row_noise(flat(0.5, 2000, 5, 2), column(0.02, 0.1), keys) - 0.5
    assert torch.equal(rows, rows[..., :1].expand_as(rows))
    offsets = rows[:, 0, :, 0].numpy()
    assert offsets.std(axis=1).tolist() == pytest.approx([0.02, 0.1], rel=0.06)
    assert abs(np.corrcoef(offsets[0, 1:], offsets[0, :-1])[0, 1]) < 0.1
    assert abs(np.corrcoef(offsets)[0, 1]) < 0.1


@pytest.mark.parametrize("sigma", [2.0, 25.0])
def test_gaussian_noise_has_its_sigma_everywhere(sigma: float) -> None:
    keys = sample_keys(10, 0, 0, 1)
    picture = torch.linspace(0, 1, 200).expand(1, 1, 200, 200)
    added = (noise.add_gaussian(picture, column(sigma / 255), keys) - picture)[0, 0].numpy() * 255
    assert added.mean() == pytest.approx(0, abs=4 * sigma / 200)
    assert added.std() == pytest.approx(sigma, rel=0.02)
    assert added[:, :100].std() == pytest.approx(added[:, 100:].std(), rel=0.03)
    assert stats.kstest(added.ravel() / sigma, "norm").pvalue > 1e-3
    for dy, dx in ((0, 1), (1, 0)):
        assert abs(correlation(added, dy, dx)) < 4.5 / 200


def test_shading_is_a_plane_through_one() -> None:
    shaded = noise.shade(flat(0.5, 40, 60), column(0.2), column(0.6), column(0.8))[0, 0].numpy()
    assert shaded.mean() == pytest.approx(0.5, rel=1e-5)
    steps_x, steps_y = np.diff(shaded, axis=1), np.diff(shaded, axis=0)
    assert np.allclose(steps_x, 0.5 * 0.2 * 0.6 * 2 / 60, atol=1e-6)
    assert np.allclose(steps_y, 0.5 * 0.2 * 0.8 * 2 / 40, atol=1e-6)


def test_streaks_start_as_often_and_as_high_as_asked_and_fade_along_x() -> None:
    density, amplitude, decay = 0.002, 0.3, 0.8
    keys = sample_keys(11, 0, 0, 1)
    streaks = (
        noise.add_streaks(
            flat(0.0, 600, 400), column(density), column(amplitude), column(decay), keys
        )[0, 0]
        .double()
        .numpy()
    )
    starts = streaks[:, 1:] - decay * streaks[:, :-1]
    heights = starts[starts > 1e-5]
    assert np.abs(starts[starts <= 1e-5]).max() < 1e-6
    assert len(heights) / starts.size == pytest.approx(density, rel=0.2)
    assert heights.mean() == pytest.approx(amplitude, rel=0.1)
    assert heights.max() < 2 * amplitude


def test_quantising_rounds_to_whole_levels_and_clips() -> None:
    values = torch.tensor([-0.2, 0.0, 0.4999 / 255, 0.5001 / 255, 0.5, 1.0, 1.7]).view(1, 1, 1, -1)
    eight = noise.quantise(values, column(255.0)) * 255
    assert eight.flatten().tolist() == [0, 0, 0, 1, 128, 255, 255]
    assert noise.quantise(values, column(3.0)).unique().numel() == 3


def test_quantising_noise_has_a_variance_of_a_twelfth() -> None:
    values = torch.rand(1, 1, 300, 300, generator=torch.Generator().manual_seed(1))
    error = (noise.quantise(values, column(255.0)) - values).numpy() * 255
    assert error.var() == pytest.approx(1 / 12, rel=0.02)
