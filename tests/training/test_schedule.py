from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.training.schedule import averaging_decay, learning_rate
from napari_semnet.training.sections import Schedule


def test_the_posters_rate_is_halved_at_multiples_of_200_000() -> None:
    schedule = Schedule(kind="halving", halve_every=200_000)
    rates = {step: learning_rate(step, 1e-4, schedule, 544_000) for step in (0, 199_999, 200_000)}
    assert rates == {0: 1e-4, 199_999: 1e-4, 200_000: 0.5e-4}
    assert learning_rate(543_999, 1e-4, schedule, 544_000) == 0.25e-4


def test_a_cosine_goes_from_all_to_the_final_share() -> None:
    schedule = Schedule(kind="cosine", final=0.1)
    assert learning_rate(0, 1.0, schedule, 100) == 1.0
    assert learning_rate(50, 1.0, schedule, 100) == pytest.approx(0.55)
    assert learning_rate(100, 1.0, schedule, 100) == pytest.approx(0.1)


def test_a_cooldown_touches_only_the_last_steps() -> None:
    schedule = Schedule(kind="constant", cooldown=10, final=0.0)
    assert learning_rate(90, 1.0, schedule, 100) == 1.0
    assert learning_rate(95, 1.0, schedule, 100) == pytest.approx(0.5)
    # Longer runs need no other past: the rate before the cooldown does not know of the end.
    assert learning_rate(50, 1.0, schedule, 100) == learning_rate(50, 1.0, schedule, 1000)


@given(
    kind=st.sampled_from(["constant", "halving", "cosine"]),
    warmup=st.integers(0, 20),
    cooldown=st.integers(0, 20),
    step=st.integers(0, 200),
)
def test_rates_stay_between_nothing_and_the_highest(
    kind: str, warmup: int, cooldown: int, step: int
) -> None:
    schedule = Schedule(kind=kind, warmup=warmup, cooldown=cooldown, halve_every=7)  # type: ignore[arg-type]
    assert 0 < learning_rate(step, 0.3, schedule, 150) <= 0.3


def test_a_warm_up_rises_in_a_straight_line() -> None:
    schedule = Schedule(warmup=4)
    rates = [learning_rate(step, 1.0, schedule, 100) for step in range(5)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_average_forgets_its_random_start() -> None:
    assert averaging_decay(0, 0.999) == 0.1
    assert averaging_decay(10**6, 0.999) == 0.999
    assert averaging_decay(5, 0.0) == 0.0
