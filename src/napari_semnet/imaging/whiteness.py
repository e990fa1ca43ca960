"""Is what a restoration took away only noise? A test with a stated rate of false alarms.

The residual, input less restored picture, is divided by the noise that its grey level has and
cut into blocks of 8 x 8 pixels, whose cosine transform tells periods and directions apart. Noise
alone leaves in each coefficient the power that its correlation along rows predicts, whatever the
row and whatever the place. Detail that was removed leaves more: of one period all over the
picture (a lattice, a texture), or at one place (a line, a letter). Noise that the restoration
left in its result makes the residual's power smaller and never counts as structure.

The same is done on means over 2 x 2 pixels, so that periods of 2 to 32 pixels are looked at.
Offsets of rows are taken off first, because a scanned row has noise of its own; structure that
stays constant along a whole row cannot be told from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from napari_semnet.imaging.noise_level import NoiseLevel
from napari_semnet.imaging.plane import block_mean

__all__ = ["BLOCK", "FALSE_ALARMS", "Tally", "Whiteness", "block_powers", "expected_power"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BLOCK = 8
"""Side of a block in pixels."""
FALSE_ALARMS = 0.01
"""Rate at which a residual of nothing but noise is called structured, at most."""
SCALES = (1, 2)
"""Sides, in pixels of the input, of what is one pixel to the test."""

_WINDOW = 2
"""Blocks along a side of the places that are looked at."""
_COARSE = 4.0
"""Cosine coefficients up to this distance from the constant have periods of 4 pixels or more."""
_FEWEST_BLOCKS = 32

_ORDER = np.hypot(*np.mgrid[:BLOCK, :BLOCK])
_BANDS = ((_ORDER > 0), (_ORDER > 0) & (_ORDER <= _COARSE))


@dataclass(frozen=True, slots=True)
class Whiteness:
    """What the test found.

    Attributes
    ----------
    p_value : float or None
        Probability that noise alone looks at least as structured; None where the test cannot be
        made.
    reason : str
        Why it cannot be made; empty where it was.
    period : float or None
        Period of the strongest structure, input pixels; None where there is none.
    place : (int, int) or None
        Input pixel (y, x) in the middle of the most structured window; None where no place stands
        out by itself.
    side : int
        Side of that window, input pixels.
    windows : float
        Share of the windows that stand out by themselves.
    judged : float
        Share of the picture that was looked at; the rest is black, white, or missing.
    """

    p_value: float | None
    reason: str = ""
    period: float | None = None
    place: tuple[int, int] | None = None
    side: int = 0
    windows: float = 0.0
    judged: float = 1.0

    @property
    def is_structured(self) -> bool:
        """Whether more than noise was taken away, at `FALSE_ALARMS`."""
        return self.p_value is not None and self.p_value < FALSE_ALARMS


def expected_power(noise: NoiseLevel, scale: int) -> Floats:
    """Power of standardised noise in the cosine coefficients of a block.

    Parameters
    ----------
    noise : NoiseLevel
        Rows independent, pixels of a row correlated as it says.
    scale : int
        1 for pixels, 2 for means over 2 x 2 pixels times 2.

    Returns
    -------
    ndarray, shape (8,)
        By the number of half periods along x; along y noise is white.
    """
    lags = np.zeros(2 * BLOCK + 1)
    measured = np.asarray(noise.along_x)[: len(lags)]
    lags[: len(measured)] = measured
    if scale == 2:
        near = np.arange(BLOCK)
        lags = lags[2 * near] + (lags[2 * near + 1] + lags[np.abs(2 * near - 1)]) / 2
    distance = np.abs(np.subtract.outer(np.arange(BLOCK), np.arange(BLOCK)))
    basis = fft.dct(np.eye(BLOCK), axis=0, norm="ortho")
    power: Floats = np.einsum("ki,ij,kj->k", basis, lags[distance], basis)
    # A fitted correlation need not be that of any process.
    return np.asarray(np.maximum(power, 0.05 * power.mean()), dtype=np.float64)


def block_powers(standardised: Floats) -> Floats:
    """Squared cosine coefficients of the blocks of a picture.

    Parameters
    ----------
    standardised : ndarray, shape (Y, X)
        Left-over rows and columns are dropped.

    Returns
    -------
    ndarray, shape (Y // 8, X // 8, 8, 8)
    """
    rows, columns = (n // BLOCK for n in standardised.shape)
    cut = standardised[: rows * BLOCK, : columns * BLOCK]
    blocks = cut.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return np.asarray(np.square(fft.dctn(blocks, axes=(2, 3), norm="ortho")), dtype=np.float64)


@dataclass(slots=True)
class _Scale:
    """What was seen at one scale."""

    expected: Floats
    blocks: int = 0
    doubt: float = 0.0
    power: Floats = field(default_factory=lambda: np.zeros((BLOCK, BLOCK)))
    square: Floats = field(default_factory=lambda: np.zeros((BLOCK, BLOCK)))
    highest: list[float] = field(default_factory=lambda: [-math.inf] * len(_BANDS))
    places: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * len(_BANDS))
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    windows: int = 0


class Tally:
    """Takes the bands of a residual one by one and gives the verdict in the end.

    Parameters
    ----------
    noise : NoiseLevel
        Of the input.
    """

    def __init__(self, noise: NoiseLevel) -> None:
        self._noise = noise
        self._scales = [_Scale(expected_power(noise, scale)[None, :]) for scale in SCALES]
        self._pixels = 0
        self._judged = 0

    def add(self, standardised: Floats, usable: Mask, error: Floats, top: int) -> None:
        """Look at some full-width rows.

        Parameters
        ----------
        standardised : ndarray, shape (Y, X)
            Residual over the noise's standard deviation, without row offsets.
        usable : ndarray of bool, shape (Y, X)
            Pixels whose noise is not cut off at black or white.
        error : ndarray, shape (Y, X)
            Relative error of the noise's variance.
        top : int
            Number of the first row in the picture.
        """
        for scale, seen in zip(SCALES, self._scales, strict=True):
            values, kept = _reduced(standardised, usable, scale)
            rows, columns = (n // BLOCK for n in values.shape)
            if not rows or not columns:
                continue
            whole = kept[: rows * BLOCK, : columns * BLOCK]
            valid = np.asarray(whole.reshape(rows, BLOCK, columns, BLOCK).all(axis=(1, 3)))
            powers = block_powers(values) / seen.expected
            doubt = block_mean(error, BLOCK * scale, dtype=np.float64)[:rows, :columns]
            if scale == 1:
                # What is left beyond whole blocks is not looked at, whatever it shows.
                self._pixels += whole.size
                self._judged += int(valid.sum()) * BLOCK**2
            seen.blocks += int(valid.sum())
            seen.power += powers[valid].sum(axis=0)
            seen.doubt += float(doubt[valid].sum())
            seen.square += np.square(powers[valid]).sum(axis=0)
            self._add_windows(seen, powers, valid, doubt, scale, top)

    def _add_windows(
        self, seen: _Scale, powers: Floats, valid: Mask, doubt: Floats, scale: int, top: int
    ) -> None:
        rows, columns = (n // _WINDOW for n in valid.shape)
        if not rows or not columns:
            return

        def gathered(values: NDArray[np.generic]) -> Floats:
            cut = values[: rows * _WINDOW, : columns * _WINDOW].astype(np.float64)
            return np.asarray(cut.reshape(rows, _WINDOW, columns, _WINDOW).sum(axis=(1, 3)))

        full = gathered(valid) == _WINDOW**2
        if not full.any():
            return
        seen.windows += int(full.sum())
        side = _WINDOW * BLOCK * scale
        for number, band in enumerate(_BANDS):
            energy = gathered(powers[:, :, band].sum(axis=2))
            score = _standard_score(
                energy, _WINDOW**2 * int(band.sum()), gathered(doubt) / _WINDOW**2
            )
            score = np.where(full, score, -np.inf)
            y, x = np.unravel_index(int(score.argmax()), score.shape)
            if score[y, x] > seen.highest[number]:
                seen.highest[number] = float(score[y, x])
                seen.places[number] = (
                    top + int(y) * side + side // 2,
                    int(x) * side + side // 2,
                )
            if number == 0:
                seen.scores.append(score[full].astype(np.float32))

    def verdict(self) -> Whiteness:
        """Say whether what was added is noise."""
        judged = self._judged / self._pixels if self._pixels else 1.0
        reason = self._hindrance()
        if reason:
            return Whiteness(None, reason, judged=judged)
        chances = [*self._patterns(), *self._places()]
        # Half of the false alarms are left to periods and half to places.
        p_value = min(1.0, 2 * min(chance for chance, _ in chances))
        places = [found for found in self._places() if 2 * found[0] < FALSE_ALARMS]
        pattern = min(self._patterns(), key=lambda found: found[0])
        _, (scale, band) = min(self._places(), key=lambda found: found[0])
        seen = self._scales[SCALES.index(scale)]
        return Whiteness(
            p_value,
            period=pattern[1] if 2 * pattern[0] < FALSE_ALARMS else None,
            place=seen.places[band] if places else None,
            side=_WINDOW * BLOCK * scale,
            windows=self._share_of_windows(),
            judged=judged,
        )

    def _hindrance(self) -> str:
        if self._scales[0].blocks < _FEWEST_BLOCKS or not self._scales[0].windows:
            if self._judged == self._pixels:
                return "the picture is too small"
            return "too little of the picture is neither black nor white"
        if self._noise.source == "whole":
            return "the noise of the input could not be measured"
        if self._noise.between_rows > FILTERED:
            filtered = "the input was filtered, resized or compressed after scanning"
            if self._noise.source == "flat":
                return filtered
            return f"detail was removed, or {filtered}; no flat places tell which"
        return ""

    def _patterns(self) -> Iterator[tuple[float, float]]:
        """Chance of the strongest period at each scale, and the period in input pixels."""
        for scale, seen in zip(SCALES, self._scales, strict=True):
            if seen.blocks < _FEWEST_BLOCKS:
                continue
            mean = seen.power / seen.blocks
            # Squares of normal values scatter by 2; those of rare electrons by a little more.
            scatter = np.maximum(seen.square / seen.blocks - mean**2, 0.0)
            doubt = seen.doubt / seen.blocks
            spread = np.sqrt(np.clip(scatter, 2.0, 3.0) / seen.blocks + doubt**2)
            score = np.where(_ORDER > 0, (mean - 1) / spread, -np.inf)
            k = int(score.argmax())
            tests = len(SCALES) * (score.size - 1)
            period = 2 * BLOCK * scale / float(_ORDER.flat[k])
            yield _any_of(tests, float(special.ndtr(-score.flat[k]))), period

    def _places(self) -> Iterator[tuple[float, tuple[int, int]]]:
        """Chance of the most structured window at each scale in each band, scale and band."""
        for scale, seen in zip(SCALES, self._scales, strict=True):
            for number in range(len(_BANDS)):
                if seen.windows:
                    tests = len(SCALES) * len(_BANDS) * seen.windows
                    alone = float(special.ndtr(-seen.highest[number]))
                    yield _any_of(tests, alone), (scale, number)

    def _share_of_windows(self) -> float:
        scores = np.concatenate(self._scales[0].scores)
        bound = -float(special.ndtri(FALSE_ALARMS / len(scores)))
        return float(np.mean(scores > bound))


FILTERED = 0.1
"""Correlation between rows above which a picture was not left as it was scanned."""


def _reduced(values: Floats, usable: Mask, scale: int) -> tuple[Floats, Mask]:
    if scale == 1:
        return values, usable
    # The mean over a square of white noise has its deviation over the side.
    means = scale * block_mean(values, scale, dtype=np.float64)
    rows, columns = means.shape
    whole = usable[: rows * scale, : columns * scale].reshape(rows, scale, columns, scale)
    return means, np.asarray(whole.all(axis=(1, 3)))


def _standard_score(energy: Floats, freedom: int, error: Floats) -> Floats:
    """Turn a sum of squares into a normal score, by the cube root of Wilson and Hilferty (1931)."""
    spread = 2 / (9 * freedom)
    # The noise is known to a relative error of its variance; of its cube root to a third.
    return np.asarray(
        (np.cbrt(energy / freedom) - (1 - spread)) / np.sqrt(spread + (error / 3) ** 2)
    )


def _any_of(tests: int, chance: float) -> float:
    """Chance that at least one of so many tests gives less than `chance`."""
    return -math.expm1(tests * math.log1p(-min(chance, 1 - 1e-16)))
