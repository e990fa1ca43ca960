"""What came of fine-tuning is said in a sentence, with what follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semnet.training.judgement import FieldScore, Figures, Judgement


def judgement(*gains: float) -> Judgement:
    picture = np.zeros((2, 2), np.uint8)
    fields = (
        FieldScore(
            "field",
            *(picture,) * 4,
            of_bicubic=Figures(20, 0.3),
            of_base=Figures(25 + number, 0.5),
            of_tuned=Figures(25 + number + gain, 0.5 + gain / 100),
        )
        for number, gain in enumerate(gains)
    )
    return Judgement("semnet-x2", "ours", tuple(fields))


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.3, -0.1), "Fine-tuning helped. PSNR +0.10 dB, SSIM +0.0010 against semnet-x2; better "),
        ((0.06, -0.06), "Fine-tuning changed little. PSNR +0.00 dB"),
        ((-0.3, 0.1), "Fine-tuning did harm. PSNR -0.10 dB"),
        ((0.001, -0.002), "Fine-tuning gained nothing: no step did better than semnet-x2"),
    ],
)
def test_the_verdict_says_whether_it_was_worth_it(gains: tuple[float, ...], said: str) -> None:
    assert judgement(*gains).verdict().startswith(said)


def test_the_fields_that_gained_are_counted() -> None:
    assert "better in 2 of 3 held-out fields" in judgement(0.3, -0.1, 0.2).verdict()


def test_means_are_those_of_all_fields() -> None:
    both = judgement(0.3, -0.1)
    assert both.mean("of_base") == Figures(25.5, 0.5)
    assert both.gain.psnr == pytest.approx(0.1)
    assert both.gain.ssim == pytest.approx(0.001)
