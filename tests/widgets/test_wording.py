from __future__ import annotations

import pytest

from napari_semnet.model import Card, Metric, Training
from napari_semnet.widgets.wording import (
    card_details,
    card_summary,
    describe_duration,
    time_left,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (41.4, "41 s"),
        (59.7, "1 min"),
        (134, "2 min 10 s"),
        (725, "12 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_durations_are_said_as_a_person_would(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words


def test_time_left_follows_from_what_is_done() -> None:
    assert time_left(0.0, 5.0) is None
    assert time_left(0.25, 5.0) == pytest.approx(15.0)
    assert time_left(1.0, 5.0) == 0.0


def test_a_card_is_summed_up_in_what_it_knows() -> None:
    card = Card(
        name="m",
        status="stand-in",
        training=Training(steps=7300, data=("pictures",), recipe="L1"),
        metrics=(Metric(name="PSNR", value=27.95, unit="dB", definition="range 255", data="d"),),
        noise_range=(2, 25),
        pixel_size_range_nm=(0.8, 40),
        licence="BSD",
    )
    assert card_summary(card) == (
        "Status: stand-in",
        "Trained: 7,300 steps",
        "Noise seen: 2 to 25 grey levels of 255",
        "Pixel sizes seen: 0.8 to 40 nm",
        "Measured: PSNR 27.95 dB",
    )
    assert "PSNR: 27.95 dB (range 255), on d" in card_details(card).splitlines()
    assert card_summary(Card(name="m")) == ()


def test_steps_of_models_before_are_told_apart_from_those_of_a_model() -> None:
    one = Training(steps=300, started_from="m (sha256 a)", steps_before=42_095)
    assert card_summary(Card(name="m", training=one)) == ("Trained: 300 steps after 42,095",)
    assert one.all_steps == 42_395
    uncounted = Training(steps=300, started_from="m (sha256 a)")
    assert (uncounted.steps_text, uncounted.all_steps) == ("300 steps", None)
