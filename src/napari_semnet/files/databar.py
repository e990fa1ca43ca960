"""Find the databar of a picture from its pixels, where no header states it.

A databar is drawn: most of each of its rows has one single grey level, with text in another.
Specimen has noise, so that no level holds more than a few percent of a row. On genuine pictures
that share is 0.47 to 1 in databars and 0.02 to 0.1 in ordinary specimen, but it can be high in
saturated or black specimen too. Whenever the picture does not show the one clear pattern, no
rows are given and the user is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Databar", "find_databar"]

_LEVELS = 256
_MOST_COLUMNS = 4096
_BAND = 1024
"""Rows that are counted at once, so that little memory is taken for a large picture."""
_LOWER_PART = 0.25
"""A databar takes at most this share of the height."""
_FEWEST_ROWS = 12
_BORDER_ROWS = 3
"""Rows of frame or stray pixels that may follow below the databar."""
_DRAWN = 0.3
"""Least share of one grey level in a row of databar; text rows come down to about 0.4."""
_SPECIMEN = 0.2
"""Largest share of one grey level in the row of specimen above."""
_EDGE = 0.25
"""Least rise of the share from that row to the databar's first."""
_SAME_LEVEL = 0.6
"""Least share of the databar's rows that have its background as their commonest level."""
_TEXT = (0.005, 0.65)
"""Share of the databar's pixels that differ from its background by a quarter of the range."""

_UNSURE = (
    "There may be a databar or a label drawn into the picture, but its place is not certain. "
    "Please check which rows are specimen before restoring."
)


@dataclass(frozen=True, slots=True)
class Databar:
    """What the pixels show."""

    first: int | None
    """First row of the databar, which goes down to the last row; None where there is none, or
    where it is not certain."""
    warning: str = ""
    """What to ask the user; empty when there is nothing to ask."""


def find_databar(image: Any) -> Databar:
    """Look for a databar at the bottom of a picture.

    Parameters
    ----------
    image : array-like, shape (Y, X)
        Grey levels of any real type.
    """
    height, width = image.shape
    if height < 4 * _FEWEST_ROWS or width < 64:
        return Databar(None)
    step = -(-width // _MOST_COLUMNS)
    lower = height - int(height * _LOWER_PART) - _BORDER_ROWS - 2
    low, high = _range(image, step)
    if high <= low:
        return Databar(None)
    bottom = _quantised(np.asarray(image[lower:, ::step]), low, high)
    share, level = _commonest(bottom)
    sampled = image[: max(lower, 1) : max(1, lower // 256), ::step]
    above, _ = _commonest(_quantised(np.asarray(sampled), low, high))
    if float(np.median(above)) >= _SPECIMEN:
        # Specimen as uniform as a databar: nothing can be told apart.
        return Databar(None, _UNSURE)
    run = _run_at_bottom(share)
    if run is None:
        return Databar(None, _UNSURE if _longest_run(share >= _DRAWN) >= 8 else "")
    first, stop = run
    bar, background = bottom[first:stop], int(np.bincount(level[first:stop]).argmax())
    far = float(np.mean(np.abs(bar.astype(np.int16) - background) > _LEVELS // 4))
    clear = (
        stop - first >= _FEWEST_ROWS
        and first > 1
        and share[first - 1] < _SPECIMEN
        and share[first] - share[first - 1] >= _EDGE
        and float(np.mean(level[first:stop] == background)) >= _SAME_LEVEL
        and _TEXT[0] <= far <= _TEXT[1]
    )
    return Databar(lower + first) if clear else Databar(None, _UNSURE)


def _range(image: Any, step: int) -> tuple[float, float]:
    """Lowest and highest finite grey level, sampled where the picture is large."""
    if getattr(image, "dtype", None) == np.uint8:
        return 0.0, 255.0
    rows = max(1, image.shape[0] // 2048)
    sample = np.asarray(image[::rows, ::step])
    finite = sample[np.isfinite(sample)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _quantised(rows: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    if rows.dtype == np.uint8:
        return rows
    unit = (np.nan_to_num(rows.astype(np.float64), nan=low) - low) / (high - low)
    return (np.clip(unit, 0, 1) * (_LEVELS - 1)).astype(np.uint8)


def _commonest(
    rows: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Share and value of the commonest grey level of each row."""
    parts = [_counted(rows[top : top + _BAND]) for top in range(0, len(rows), _BAND)]
    highest, level = (np.concatenate(part) for part in zip(*parts, strict=True))
    return highest / rows.shape[1], level


def _counted(rows: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    keys = rows.astype(np.intp) + np.arange(len(rows))[:, None] * _LEVELS
    counts = np.bincount(keys.ravel(), minlength=len(rows) * _LEVELS).reshape(-1, _LEVELS)
    return counts.max(axis=1), counts.argmax(axis=1)


def _run_at_bottom(share: npt.NDArray[np.float64]) -> tuple[int, int] | None:
    """First and last-plus-one of the drawn rows that end at the bottom, border rows aside."""
    drawn = share >= _DRAWN
    stop = len(drawn)
    while stop > len(drawn) - _BORDER_ROWS and not drawn[stop - 1]:
        stop -= 1
    if not drawn[stop - 1]:
        return None
    first = stop
    while first > 0 and drawn[first - 1]:
        first -= 1
    return first, stop


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))
