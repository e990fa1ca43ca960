"""Counted random numbers: the right distributions, and functions of nothing but their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from napari_semnet.training.randomness import (
    Draws,
    sample_keys,
    sequences,
    stream_keys,
    to_normal,
    to_uniform,
    words,
)

CPU = torch.device("cpu")


def some_words(count: int, stream: str = "here", step: int = 0) -> torch.Tensor:
    return words(sample_keys(1, step, 0, 4), stream, (count // 4,), CPU)


def test_sequence_is_that_of_splitmix64() -> None:
    # The published first outputs for the seed 1234567.
    known = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    found = sequences(torch.tensor([1234567]), 5)[0].numpy().view(np.uint64)
    assert found.tolist() == known


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), step=st.integers(0, 2**40), first=st.integers(0, 2**20))
def test_keys_of_a_part_are_part_of_the_keys_of_the_whole(seed: int, step: int, first: int) -> None:
    whole = sample_keys(seed, step, first, 6)
    assert len(set(whole.tolist())) == 6
    assert sample_keys(seed, step, first + 2, 3).tolist() == whole[2:5].tolist()


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), sample=st.integers(0, 4))
def test_words_of_a_sample_do_not_depend_on_its_companions(
    rows: int, columns: int, sample: int
) -> None:
    keys = sample_keys(3, 1, 0, 5)
    together = words(keys, "noise", (1, rows, columns), CPU)
    alone = words(keys[sample : sample + 1], "noise", (1, rows, columns), CPU)
    assert together.dtype == torch.int32
    assert torch.equal(together[sample : sample + 1], alone)


def test_uniform_numbers_fill_the_open_interval_evenly() -> None:
    values = to_uniform(some_words(200_000)).flatten().numpy()
    assert values.min() > 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_normal_numbers_are_normal() -> None:
    values = to_normal(some_words(200_000)).flatten().numpy().astype(np.float64)
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert values.var() == pytest.approx(1, abs=4 * np.sqrt(2 / values.size))
    assert stats.kurtosis(values) == pytest.approx(0, abs=4 * np.sqrt(24 / values.size))


def test_table_of_the_normal_distribution_errs_below_a_hundred_thousandth() -> None:
    extremes = torch.tensor([0, 1, 2, 2**31 - 1, 2**31 - 2, -1, -(2**31)], dtype=torch.int32)
    bits = torch.cat([some_words(200_000).flatten(), extremes])
    values = to_normal(bits).numpy()
    magnitude = ((bits.numpy().astype(np.int64) & 0x7FFFFFFF) | 1) * 2.0**-32
    exact = -special.ndtri(magnitude) * np.where(bits.numpy() < 0, -1, 1)
    assert np.abs(values - exact).max() < 1e-5
    assert np.abs(values).max() == pytest.approx(-special.ndtri(2.0**-32), rel=1e-6)


def test_neighbours_streams_samples_and_steps_are_uncorrelated() -> None:
    values = to_normal(some_words(200_000)).numpy()
    limit = 4.5 / np.sqrt(values.shape[1])
    for other in (
        np.roll(values, 1, axis=1),
        np.roll(values, 1, axis=0),
        to_normal(some_words(200_000, stream="there")).numpy(),
        to_normal(some_words(200_000, step=1)).numpy(),
    ):
        assert np.abs((values * other).mean(axis=1)).max() < limit


def test_bits_of_words_are_fair_and_independent() -> None:
    bits = some_words(40_000).flatten().numpy().view(np.uint32)
    table = np.unpackbits(bits.view(np.uint8).reshape(-1, 4), axis=1).astype(np.float64) - 0.5
    correlation = 4 * table.T @ table / len(table)
    assert np.abs(correlation - np.eye(32)).max() < 5 / np.sqrt(len(table))
    assert np.abs(table.mean(axis=0)).max() < 5 / np.sqrt(len(table)) / 2


def test_a_named_parameter_does_not_depend_on_what_else_is_drawn() -> None:
    keys = sample_keys(1, 2, 0, 8)
    alone = Draws(keys).uniform("dose")
    draws = Draws(keys)
    other = draws.uniform("blur")
    assert draws.uniform("dose").tolist() == alone.tolist()
    assert other.tolist() != alone.tolist()
    assert stream_keys(keys, "dose").tolist() != stream_keys(keys, "blur").tolist()


def test_parameters_have_the_distributions_they_are_named_for() -> None:
    draws = Draws(sample_keys(1, 2, 0, 50_000))
    plain = draws.uniform("a", -2.0, 3.0)
    assert stats.kstest(plain, "uniform", args=(-2.0, 5.0)).pvalue > 1e-3
    decades = np.log10(draws.log_uniform("b", 1e2, 1e4))
    assert stats.kstest(decades, "uniform", args=(2.0, 2.0)).pvalue > 1e-3
    assert draws.chance("c", 0.3).mean() == pytest.approx(0.3, abs=0.01)
    assert not draws.chance("d", 0.0).any()
    assert draws.chance("e", 1.0).all()
    shares = np.bincount(draws.choose("f", [1, 0, 3])) / 50_000
    assert shares.tolist() == pytest.approx([0.25, 0.0, 0.75], abs=0.01)


def test_a_range_of_no_width_gives_its_value() -> None:
    draws = Draws(sample_keys(1, 2, 0, 4))
    assert draws.uniform("a", 2.5, 2.5).tolist() == [2.5] * 4
    assert draws.log_uniform("b", 300.0, 300.0).tolist() == pytest.approx([300.0] * 4)
