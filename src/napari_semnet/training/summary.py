"""Means over pictures, their uncertainty, and gains of one method over another.

The picture is the unit: its draws are averaged first, and intervals come from drawing pictures
anew (a paired bootstrap). With a handful of pictures such intervals are too narrow rather than
too wide, and they say nothing about pictures of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError
from napari_semnet.training.scores import Score, pictures_of

__all__ = [
    "BOOTSTRAP_DEFINITION",
    "Gain",
    "Interval",
    "Summary",
    "bootstrap_mean",
    "gain_of",
    "per_picture",
    "summarise",
]

RESAMPLES = 10_000
BOOTSTRAP_DEFINITION = (
    f"95 %, by the percentile bootstrap of the mean over pictures with {RESAMPLES} resamples; "
    "draws of one picture are averaged first, and gains are paired by picture"
)

Floats = NDArray[np.float64]
Figure = Literal["psnr", "ssim", "bias", "bias_to_input", "seconds"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One method over all pictures."""

    method: str
    pictures: int
    psnr: Interval
    """dB."""
    ssim: Interval
    bias: float
    """Mean over pictures of the mean's difference to the reference, in grey levels."""
    largest_bias: float
    """Of a single picture, whichever sign."""
    bias_to_input: float
    """As `bias`, to the poor picture."""
    seconds: float
    """A case."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better one method is than another."""

    method: str
    over: str
    psnr: Interval
    """dB."""
    ssim: Interval
    better_psnr: int
    """Pictures in which its PSNR is higher."""
    better_ssim: int
    pictures: int


def per_picture(scores: Sequence[Score], method: str, figure: Figure) -> Floats:
    """Give one number for each picture: the mean over its draws, in the order of the pictures."""
    here = [score for score in scores if score.method == method]
    return np.array(
        [
            np.mean([getattr(score, figure) for score in here if score.picture == picture])
            for picture in pictures_of(here)
        ]
    )


def bootstrap_mean(values: Floats, seed: int = 0) -> Interval:
    """Mean and its 95 % interval, by drawing the values anew with replacement.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
    seed : int
        Chooses what is drawn; equal seeds give equal intervals.

    References
    ----------
    B. Efron, R. Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 13.
    """
    mean = float(np.mean(values))
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(mean, mean, mean)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return Interval(mean, float(low), float(high))


def summarise(scores: Sequence[Score], method: str) -> Summary:
    """Average one method's figures."""
    bias = per_picture(scores, method, "bias")
    return Summary(
        method,
        len(bias),
        bootstrap_mean(per_picture(scores, method, "psnr")),
        bootstrap_mean(per_picture(scores, method, "ssim")),
        float(bias.mean()),
        float(np.abs(bias).max()),
        float(per_picture(scores, method, "bias_to_input").mean()),
        float(per_picture(scores, method, "seconds").mean()),
    )


def gain_of(scores: Sequence[Score], method: str, over: str) -> Gain:
    """Compare two methods, picture by picture.

    Raises
    ------
    SemnetError
        One of them was not measured; the text names those that were.
    """
    measured = list(dict.fromkeys(score.method for score in scores))
    for name in (method, over):
        if name not in measured:
            raise SemnetError(
                f"There are no figures of '{name}'. Use one of: {', '.join(measured)}."
            )
    psnr, ssim = (
        per_picture(scores, method, figure) - per_picture(scores, over, figure)
        for figure in ("psnr", "ssim")
    )
    return Gain(
        method,
        over,
        bootstrap_mean(psnr),
        bootstrap_mean(ssim),
        int((psnr > 0).sum()),
        int((ssim > 0).sum()),
        len(psnr),
    )
