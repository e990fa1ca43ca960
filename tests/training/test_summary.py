from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.errors import SemnetError
from napari_semnet.training.scores import Score
from napari_semnet.training.summary import bootstrap_mean, gain_of, per_picture, summarise


def _score(picture: str, draw: int, method: str, psnr: float, ssim: float = 0.5) -> Score:
    return Score(picture, "", draw, method, psnr, ssim, psnr - 30, 0.0, None, (), 1.0)


SCORES = [
    *(_score("a", draw, "one", 20.0 + draw) for draw in (0, 1)),
    *(_score("b", draw, "one", 30.0 + draw, 0.7) for draw in (0, 1)),
    *(_score("a", draw, "two", 22.0 + draw, 0.4) for draw in (0, 1)),
    *(_score("b", draw, "two", 31.0 + draw, 0.8) for draw in (0, 1)),
]


def test_draws_of_a_picture_are_averaged_first() -> None:
    assert per_picture(SCORES, "one", "psnr").tolist() == [20.5, 30.5]


def test_a_summary_averages_pictures_and_finds_the_worst_bias() -> None:
    summary = summarise(SCORES, "one")
    assert summary.psnr.mean == 25.5
    assert summary.ssim.mean == pytest.approx(0.6)
    assert summary.bias == pytest.approx(-4.5)
    assert summary.largest_bias == pytest.approx(9.5)
    assert summary.pictures == 2


def test_gains_are_paired_by_picture() -> None:
    gain = gain_of(SCORES, "two", "one")
    assert gain.psnr.mean == 1.5
    # Pictures differ by 10 dB, but the gain by one only: pairing must not let the 10 dB in.
    assert (gain.psnr.low, gain.psnr.high) == (1.0, 2.0)
    assert (gain.better_psnr, gain.better_ssim, gain.pictures) == (2, 1, 2)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400)
    interval = bootstrap_mean(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12))
def test_an_interval_encloses_the_mean_and_lies_among_the_values(values: list[float]) -> None:
    interval = bootstrap_mean(np.array(values))
    slack = 1e-9
    assert min(values) - slack <= interval.low <= interval.mean + slack
    assert interval.mean - slack <= interval.high <= max(values) + slack
    assert bootstrap_mean(np.array(values)) == interval


def test_one_picture_or_an_infinite_figure_has_no_interval() -> None:
    assert bootstrap_mean(np.array([3.0])) == bootstrap_mean(np.array([3.0, 3.0, 3.0]))
    infinite = bootstrap_mean(np.array([3.0, np.inf]))
    assert infinite.low == infinite.mean == np.inf


def test_a_gain_over_a_method_that_was_not_measured_names_those_that_were() -> None:
    with pytest.raises(SemnetError, match=r"no figures of 'BM3D \+ bicubic'.*one of: one, two\."):
        gain_of(SCORES, "one", "BM3D + bicubic")
