"""From the noise of a lab's pictures to the degradation profile that imitates it.

`measure` looks at one picture, `measure_frames` at two frames of one field; `combine` puts what
they found together, and `Calibration.profile` writes it as the settings of a chain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range, to_unit
from napari_semnet.imaging.noise_measurement import WHITE, measure_pair, measure_picture
from napari_semnet.imaging.noise_table import NoiseTable, fit_line
from napari_semnet.training.edge_blur import edge_blur
from napari_semnet.training.profile import (
    Blur,
    Chain,
    Correlation,
    Gaussian,
    Profile,
    RowNoise,
    Shot,
)

__all__ = ["Calibration", "Measured", "PictureNoise", "combine", "measure", "measure_frames"]

_SEEN = 2.0
"""Standard errors over zero from which an effect counts as seen."""
_WELL_KNOWN = 0.25
"""Relative error up to which one picture's dose enters the range of doses."""

_DOSE_MARGIN = 1.5
"""Factor by which doses may leave the measured range: dwell and current change from day to day."""
_MARGIN = 1.25
"""The same for noise of the electronics."""
_RIM = 0.7
"""Pixels by which bright rims can make edges look sharper than the beam is."""

_FILTERED = 0.1
"""Correlation between rows above which a picture was not left as it was scanned."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and its standard error, in the same unit."""

    value: float
    error: float

    @property
    def seen(self) -> bool:
        """Whether the value stands out of its error."""
        return self.value > _SEEN * self.error

    @property
    def limit(self) -> float:
        """What the true value hardly exceeds."""
        return max(self.value, 0.0) + _SEEN * self.error


@dataclass(frozen=True, slots=True)
class PictureNoise:
    """What one picture, or one pair of frames, told.

    Attributes
    ----------
    table : NoiseTable
        Noise by grey value.
    blur : float or None
        Blur of the steepest edges, pixels; see `napari_semnet.training.edge_blur`.
    """

    table: NoiseTable
    blur: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Noise of a lab's pictures, by the model of `napari_semnet.training.profile`.

    Attributes
    ----------
    electrons : Measured or None
        Expected electrons a pixel at white, for as much noise; None when the noise does not grow
        with the brightness.
    doses : (low, high) or None
        Smallest and largest number of electrons among single pictures that tell it well.
    black_level : float
        Grey value at which no electrons arrive, share of white. 0 unless there is less noise in
        the dark than electrons from 0 on would make.
    read_noise : Measured
        Noise of the electronics, grey levels of 255: what is left at the black level.
    row_noise : Measured or None
        Offsets of rows, grey levels of 255; None when too few rows were flat.
    lag_one : Measured or None
        Correlation of the counting noise between neighbours along x; None without `electrons`.
    blur : float or None
        Blur of the steepest edges, pixels; median of the pictures.
    flat_share : float
        Mean share of the pixels that could be used.
    pictures : int
        How many pictures, or pairs of frames, were measured.
    remarks : tuple of str
        Sentences for the user: what the figures do not show.
    """

    electrons: Measured | None
    doses: tuple[float, float] | None
    black_level: float
    read_noise: Measured
    row_noise: Measured | None
    lag_one: Measured | None
    blur: float | None
    flat_share: float
    pictures: int
    remarks: tuple[str, ...]

    @property
    def blur_bound(self) -> float | None:
        """Largest sigma that the beam can have, in pixels of the measured pictures."""
        return None if self.blur is None else self.blur + _RIM

    def profile(self, name: str) -> Profile:
        """Make the degradation profile that imitates these pictures.

        Ranges surround what was measured: doses by a factor of 1.5, noise of the electronics by
        1.25, correlation by two standard errors. Blur goes from none to the bound.

        Parameters
        ----------
        name : str
            Name of the profile.
        """
        return Profile(
            name=name,
            chains=(
                Chain(
                    blur=Blur(sigma=(0.0, _rounded(min(2 * (self.blur_bound or 1.0), 20.0)))),
                    shot=self._shot(),
                    correlation=self._correlation(),
                    row_noise=self._row_noise(),
                    gaussian=Gaussian(sigma=_around(self.read_noise)),
                ),
            ),
        )

    def _shot(self) -> Shot | None:
        if self.electrons is None or self.doses is None:
            return None
        low, high = self.doses
        level = round(self.black_level, 4)
        return Shot(
            electrons=(_rounded(low / _DOSE_MARGIN), _rounded(high * _DOSE_MARGIN)),
            black_level=(level, level),
        )

    def _row_noise(self) -> RowNoise | None:
        if self.row_noise is None or not self.row_noise.seen:
            return None
        return RowNoise(sigma=_around(self.row_noise))

    def _correlation(self) -> Correlation | None:
        if self.lag_one is None or not self.lag_one.seen:
            return None
        reach = _SEEN * self.lag_one.error
        low, high = (np.clip(self.lag_one.value + side * reach, 0.0, 0.95) for side in (-1, 1))
        return Correlation(lag_one=(_rounded(float(low)), _rounded(float(high))))


def _around(measured: Measured) -> tuple[float, float]:
    if not measured.seen:
        return 0.0, _rounded(measured.limit)
    return _rounded(measured.value / _MARGIN), _rounded(measured.value * _MARGIN)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def measure(pixels: Any, intensity: IntensityRange | None = None) -> PictureNoise:
    """Measure one ordinary picture.

    Parameters
    ----------
    pixels : array-like, shape (Y, X)
        Specimen only, without the databar.
    intensity : IntensityRange, optional
        Black and white; measured by default.

    Returns
    -------
    PictureNoise

    Raises
    ------
    ImageError
        Its noise cannot be told from its texture, or it is too small.
    """
    table = measure_picture(pixels, intensity)
    return PictureNoise(table, _blur(pixels, table, intensity))


def measure_frames(
    first: Any, second: Any, intensity: IntensityRange | None = None
) -> PictureNoise:
    """Measure two frames of one field.

    Parameters
    ----------
    first, second : array-like, shape (Y, X)
        Taken one after the other with equal settings, without the databar.
    intensity : IntensityRange, optional
        Black and white of both; measured by default.

    Returns
    -------
    PictureNoise
        Of one frame.

    Raises
    ------
    ImageError
        They do not show the same field, or are one and the same picture.
    """
    table = measure_pair(first, second, intensity)
    return PictureNoise(table, _blur(first, table, intensity))


def _blur(pixels: Any, table: NoiseTable, intensity: IntensityRange | None) -> float | None:
    plane = np.asarray(as_grey(pixels))
    grey = to_unit(plane, intensity or measure_range(plane)) * WHITE
    return edge_blur(grey, math.sqrt(float(np.median(table.variance)) + table.row_variance))


def combine(found: Sequence[PictureNoise]) -> Calibration:
    """Put the measurements of pictures taken with one instrument together.

    Parameters
    ----------
    found : sequence of PictureNoise
        At least one.

    Returns
    -------
    Calibration
    """
    tables = [one.table for one in found]
    pooled = _pooled(tables)
    gain, floor = _gain_and_floor(pooled)
    is_raised = gain.seen and floor.value < -_SEEN * floor.error
    black_level = min(-floor.value / gain.value / WHITE, 0.9) if is_raised else 0.0
    # Electrons are counted from the black level on: that many fewer make white.
    white = WHITE * (1 - black_level)
    electrons = (
        Measured(white / gain.value, white * gain.error / gain.value**2) if gain.seen else None
    )
    blurs = [one.blur for one in found if one.blur is not None]
    return Calibration(
        electrons=electrons,
        doses=None if electrons is None else _doses(tables, electrons.value, white),
        black_level=black_level,
        read_noise=_root(floor),
        row_noise=_row_noise(tables),
        lag_one=_lag_one(pooled, gain, black_level * WHITE) if gain.seen else None,
        blur=float(np.median(blurs)) if blurs else None,
        flat_share=float(np.mean([table.flat_share for table in tables])),
        pictures=len(tables),
        remarks=tuple(_remarks(tables, gain, is_raised)),
    )


def _pooled(tables: Sequence[NoiseTable]) -> NoiseTable:
    """All bins of all pictures as if they were of one."""
    return dataclasses.replace(
        tables[0],
        mean=np.concatenate([table.mean for table in tables]),
        mean_error=np.concatenate([table.mean_error for table in tables]),
        variance=np.concatenate([table.variance for table in tables]),
        covariance=np.concatenate([table.covariance for table in tables]),
        error=np.concatenate([table.error for table in tables]),
    )


def _gain_and_floor(table: NoiseTable) -> tuple[Measured, Measured]:
    """Growth of the variance with the grey level, and what is left of it at black."""
    values, covariance = fit_line(table)
    errors = np.sqrt(np.diag(covariance))
    gain = Measured(float(values[0]), float(errors[0]))
    if gain.seen:
        return gain, Measured(float(values[1]), float(errors[1]))
    # Without a slope to tell, all of the noise is noise of the electronics.
    weight = 1 / np.square(table.error)
    floor = float(np.average(table.variance, weights=weight))
    scatter = float(np.average(np.abs(table.variance - floor), weights=weight))
    return gain, Measured(floor, max(scatter, 1 / math.sqrt(float(weight.sum()))))


def _doses(tables: Sequence[NoiseTable], all_together: float, white: float) -> tuple[float, float]:
    """Range of doses: of all pictures together, and of each that tells its own well."""
    doses = [all_together]
    for table in tables:
        gain, _ = _gain_and_floor(table)
        if gain.value > 0 and gain.error < _WELL_KNOWN * gain.value:
            doses.append(white / gain.value)
    return min(doses), max(doses)


def _row_noise(tables: Sequence[NoiseTable]) -> Measured | None:
    known = [table for table in tables if math.isfinite(table.row_error) and table.row_error > 0]
    if not known:
        return None
    weight = np.array([table.row_error for table in known]) ** -2.0
    mean = float(np.average([table.row_variance for table in known], weights=weight))
    return _root(Measured(mean, 1 / math.sqrt(float(weight.sum()))))


def _lag_one(table: NoiseTable, gain: Measured, black: float) -> Measured:
    """Covariance of neighbours over the variance that counting makes, by least squares.

    Electrons are counted from `black` on, in grey levels of 255; below it none arrive.
    """
    counted = gain.value * np.maximum(table.mean - black, 0.0)
    weight = 1 / np.square(table.error)
    scale = float((weight * counted**2).sum())
    value = float((weight * table.covariance * counted).sum()) / scale
    return Measured(value, math.hypot(1 / math.sqrt(scale), value * gain.error / gain.value))


def _root(square: Measured) -> Measured:
    """Square root, with an error that stays sensible at zero."""
    value = max(square.value, 0.0)
    high, low = math.sqrt(value + square.error), math.sqrt(max(value - square.error, 0.0))
    return Measured(math.sqrt(value), (high - low) / 2)


def _remarks(tables: Sequence[NoiseTable], gain: Measured, is_raised: bool) -> Iterator[str]:
    if not gain.seen:
        yield (
            "The noise does not grow with the brightness, so no dose is stated: the pictures have "
            "too little contrast in their flat places, or were processed."
        )
    if is_raised:
        yield (
            "There is less noise in the dark than counting from black on would make, so electrons "
            "are counted from a grey value above black."
        )
    vertical = float(np.median([table.vertical_lag_one for table in tables]))
    if vertical > _FILTERED:
        yield (
            f"Noise is correlated between rows too ({vertical:.2f}): the pictures were filtered, "
            "resized or compressed after scanning. What is stated is less than the noise they had "
            "when scanned; use files as the microscope saves them."
        )
    drifts = [table.shift for table in tables if table.shift is not None]
    if drifts and max(math.hypot(*shift) for shift in drifts) >= 1:
        furthest = max(math.hypot(*shift) for shift in drifts)
        yield f"Frames drifted by up to {furthest:.1f} pixels and were laid over one another."
