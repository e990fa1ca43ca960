"""Where a restoration can be believed: the cheap checks in one call, and what they mean in words.

`judge` holds a restored image against its input and the input against the model's card; it takes
about a second for each 2 megapixels, and no network. `napari_semnet.restoration.sensitivity` is
the costly other half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.consistency import Consistency, consistency_steps, noise_for_check
from napari_semnet.imaging.input_check import InputCheck, Ranges, check_input
from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range
from napari_semnet.imaging.whiteness import FALSE_ALARMS

if TYPE_CHECKING:
    from napari_semnet.card import Card

__all__ = [
    "Judgement",
    "as_record",
    "describe_input",
    "describe_sensitivity",
    "judge",
    "judge_steps",
    "ranges_of",
    "sentences",
]

_SHIFT = 0.5
"""Change of the mean, grey levels of 255, that is worth a word."""
_KEPT = 0.9
"""Share of the noise below which the result is said to keep some of it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the cheap checks found."""

    input: InputCheck
    consistency: Consistency


def ranges_of(card: Card | None) -> Ranges:
    """Take from a model's card what it was trained on."""
    return Ranges() if card is None else Ranges(card.noise_range, card.pixel_size_range_nm)


def judge_steps(
    image: Any,
    restored: Any,
    card: Card | None = None,
    *,
    intensity: IntensityRange | None = None,
    pixel_size_nm: tuple[float, float] | None = None,
) -> Iterator[float | Judgement]:
    """Judge a restoration step by step.

    Parameters
    ----------
    image, restored, card, intensity, pixel_size_nm
        As for `judge`.

    Yields
    ------
    float
        Part of the work that is done.
    Judgement
        At last.
    """
    grey = as_grey(image)
    intensity = intensity or measure_range(grey)
    noise = noise_for_check(grey, restored, intensity)
    yield 0.0
    found = check_input(
        grey, ranges_of(card), intensity=intensity, pixel_size_nm=pixel_size_nm, noise=noise
    )
    for step in consistency_steps(grey, restored, intensity, noise):
        yield Judgement(found, step) if isinstance(step, Consistency) else step


def judge(
    image: Any,
    restored: Any,
    card: Card | None = None,
    *,
    intensity: IntensityRange | None = None,
    pixel_size_nm: tuple[float, float] | None = None,
) -> Judgement:
    """Judge a restoration: its input against the model's card, and the result against its input.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        What was restored: specimen only, without the databar.
    restored : array-like, shape (..., 2Y, 2X)
        The restoration.
    card : Card, optional
        Of the model, for the ranges that it was trained on.
    intensity : IntensityRange, optional
        Which values are black and white; measured on `image` by default.
    pixel_size_nm : (float, float), optional
        (y, x) of `image`.

    Returns
    -------
    Judgement
        `sentences` puts it into words.

    Raises
    ------
    ImageError
        The two do not belong together, or the input is black or white all over.
    """
    for step in judge_steps(
        image, restored, card, intensity=intensity, pixel_size_nm=pixel_size_nm
    ):
        if isinstance(step, Judgement):
            return step
    raise AssertionError("The last step is the result.")


def sentences(judgement: Judgement) -> tuple[str, ...]:
    """Say what was found: warnings about the input first, then the verdict on the result."""
    found = judgement.consistency
    said = [*judgement.input.warnings, _of_residual(found)]
    if abs(found.mean_shift) > _SHIFT:
        said.append(f"The mean grey level changed by {found.mean_shift:+.1f} of 255.")
    if found.whiteness.judged < 0.9:
        part = 100 * (1 - found.whiteness.judged)
        said.append(f"{part:.0f} % of the image is black, white or missing, and was not judged.")
    return tuple(said)


def describe_input(check: InputCheck) -> str:
    """Give the figures of an input in one line."""
    noise = check.noise
    how = {
        "flat": "",
        "residual": " (in the residual: the image has no flat places)",
        "whole": " (rough: the image has no flat places)",
    }[noise.source]
    return (
        f"noise {noise.sigma:.1f} grey levels of 255{how}, rows {noise.row_sigma:.1f}, correlation "
        f"{noise.lag_one:.2f} along and {noise.between_rows:.2f} across rows, "
        f"{100 * check.black:.1f} % black, {100 * check.white:.1f} % white"
    )


def describe_sensitivity(spread: NDArray[np.floating]) -> str:
    """Give the figures of a map of sensitivity in one line."""
    known = spread[np.isfinite(spread)]
    if not known.size:
        return "The sensitivity is not known anywhere."
    middle, high = (float(value) for value in np.percentile(known, (50, 99)))
    return (
        f"Sensitivity: {middle:.2g} grey levels at the median, {high:.2g} in the most sensitive "
        "hundredth of the image."
    )


def as_record(judgement: Judgement) -> dict[str, Any]:
    """Give a judgement as plain values for JSON, with its words."""
    return {
        "sentences": list(sentences(judgement)),
        "input": asdict(judgement.input),
        "consistency": asdict(judgement.consistency)
        | {
            "is_structured": judgement.consistency.whiteness.is_structured,
            "false_alarm_rate": FALSE_ALARMS,
        },
        "unit": "grey levels of 255",
    }


def _of_residual(found: Consistency) -> str:
    white = found.whiteness
    amount = f"The residual is {found.spread:.2f} of the noise"
    if white.p_value is None:
        return f"{amount}. Whether detail was removed cannot be judged: {white.reason}."
    chance = f"p = {white.p_value:.2g}" if white.p_value >= 1e-4 else "p < 0.0001"
    if not white.is_structured:
        kept = "; some noise is left in the result" if found.spread < _KEPT else ""
        rough = (
            ". The input has no flat places, so what is removed everywhere alike may be missed"
            if found.noise.source == "residual"
            else ""
        )
        return f"{amount} and looks like noise ({chance}){kept}{rough}."
    where = []
    if white.period is not None:
        where.append(f"a period of about {white.period:.2g} input pixels stands out")
    if white.place is not None:
        y, x = white.place
        where.append(
            f"strongest around row {y}, column {x} of the input; {100 * white.windows:.1f} % of "
            "the image stands out"
        )
    return (
        f"{amount} and has structure ({chance}): detail was removed or changed. "
        f"{'; '.join(where).capitalize()}."
    )
