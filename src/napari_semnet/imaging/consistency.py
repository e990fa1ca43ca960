"""Put a restored picture back through the microscope's pixels and hold it against its input.

The mean of 2 x 2 restored pixels is what the restoration says that one input pixel should have
measured. Input less that mean is the residual: what was taken away. It is given in units of the
noise that the input has at that grey level, so that 1 is ordinary everywhere.

Images are looked at in bands of rows, so that lazy ones stay lazy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import FACTOR
from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range, to_unit
from napari_semnet.imaging.noise_level import NoiseLevel, measure_noise, noise_of_residual
from napari_semnet.imaging.noise_measurement import WHITE
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.slices import telling_index, telling_slice
from napari_semnet.imaging.whiteness import Tally, Whiteness

__all__ = [
    "Consistency",
    "ResidualBand",
    "check_consistency",
    "check_doubled",
    "consistency_steps",
    "noise_for_check",
    "residual_bands",
    "scale_ends",
]

Floats = NDArray[np.float64]

BAND_ROWS = 1024
"""Input rows of a band; a whole number of the whiteness test's windows."""
_LARGEST_BAND = 2**23
_WINDOW_ROWS = 32
_CLIPPED_SHARE = 1e-3
"""Share of the pixels that must have the extreme value for it to count as an end of the scale."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """How well a restored picture agrees with its input.

    Attributes
    ----------
    noise : NoiseLevel
        Of the input, grey levels of 255.
    spread : float
        Root mean square of the residual in units of the noise. 1: as much as the noise was taken
        away; less: a part of it was kept; more: more than noise was taken away.
    mean_shift : float
        Mean of the restored picture less that of the input, grey levels of 255.
    whiteness : Whiteness
        Whether the residual looks like noise.
    """

    noise: NoiseLevel
    spread: float
    mean_shift: float
    whiteness: Whiteness


@dataclass(frozen=True, slots=True)
class ResidualBand:
    """Some full-width rows of a residual."""

    index: tuple[int, ...]
    """Which picture of a stack."""
    top: int
    """First row."""
    residual: Floats
    """Input less the 2 x 2 mean of the restored picture, grey levels of 255; NaN where a pixel has
    no value."""
    predicted: Floats
    """Mean of 2 x 2 restored pixels, grey levels of 255; 0 where a pixel has no value."""
    standardised: Floats
    """The residual without offsets of rows, over the noise's standard deviation."""
    usable: NDArray[np.bool_]
    """Pixels that are neither black, white, nor without a value."""


def residual_bands(
    image: Any,
    restored: Any,
    intensity: IntensityRange,
    noise: NoiseLevel,
    ends: tuple[float, float] | None = None,
) -> Iterator[ResidualBand]:
    """Compute a residual band by band.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
    restored : array-like, shape (..., 2Y, 2X)
    intensity : IntensityRange
        Which values are black and white.
    noise : NoiseLevel
        Of `image`.
    ends : (float, float), optional
        Values at which the image is cut off; those of `scale_ends` by default. A part of an image
        needs those of the whole.

    Yields
    ------
    ResidualBand
        Slice by slice, from top to bottom.

    Raises
    ------
    ImageError
        The restored picture has not twice the input's pixels.
    """
    grey, fine = as_grey(image), as_grey(restored)
    check_doubled(grey.shape, fine.shape)
    ends = ends or scale_ends(grey)
    height, width = grey.shape[-2:]
    rows = max(_WINDOW_ROWS, min(BAND_ROWS, _LARGEST_BAND // width // _WINDOW_ROWS * _WINDOW_ROWS))
    for index in np.ndindex(*grey.shape[:-2]):
        for top in range(0, height, rows):
            stop = min(top + rows, height)
            pixels = np.asarray(grey[(*index, slice(top, stop))])
            doubled = np.asarray(fine[(*index, slice(FACTOR * top, FACTOR * stop))])
            yield _band(index, top, pixels, doubled, intensity, noise, ends)


def _band(
    index: tuple[int, ...],
    top: int,
    pixels: NDArray[Any],
    doubled: NDArray[Any],
    intensity: IntensityRange,
    noise: NoiseLevel,
    ends: tuple[float, float],
) -> ResidualBand:
    measured = WHITE * to_unit(pixels, intensity).astype(np.float64)
    predicted = block_mean(WHITE * to_unit(doubled, intensity)).astype(np.float64)
    residual = measured - predicted
    usable = np.isfinite(residual) & (pixels > ends[0]) & (pixels < ends[1])
    predicted = np.where(np.isfinite(predicted), predicted, 0.0)
    sigma = np.sqrt(noise.variance(predicted))
    # A row's offset is one number of grey levels, whatever the noise of the places it crosses.
    weight = np.where(usable, sigma**-2, 0.0)
    known = np.where(usable, residual, 0.0)
    offset = (weight * known).sum(axis=1, keepdims=True) / np.maximum(
        weight.sum(axis=1, keepdims=True), np.finfo(float).tiny
    )
    standardised = np.where(usable, (known - offset) / sigma, 0.0)
    return ResidualBand(index, top, residual, predicted, standardised, usable)


def consistency_steps(
    image: Any,
    restored: Any,
    intensity: IntensityRange | None = None,
    noise: NoiseLevel | None = None,
) -> Iterator[float | Consistency]:
    """Hold a restored picture against its input, step by step.

    Parameters
    ----------
    image, restored, intensity, noise
        As for `check_consistency`.

    Yields
    ------
    float
        Part of the work that is done.
    Consistency
        At last.
    """
    grey = as_grey(image)
    check_doubled(grey.shape, as_grey(restored).shape)
    intensity = intensity or measure_range(grey)
    noise = noise or noise_for_check(grey, restored, intensity)
    tally = Tally(noise)
    squares = total = 0.0
    pixels = finite = done = 0
    whole = math.prod(grey.shape)
    for band in residual_bands(grey, restored, intensity, noise):
        tally.add(band.standardised, band.usable, noise.error(band.predicted), band.top)
        squares += float(np.square(band.standardised).sum())
        pixels += int(band.usable.sum())
        valid = band.residual[np.isfinite(band.residual)]
        total, finite = total + float(valid.sum()), finite + valid.size
        done += band.residual.size
        yield done / whole
    spread = math.sqrt(squares / pixels) if pixels else 0.0
    yield Consistency(noise, spread, -total / max(finite, 1), tally.verdict())


def check_consistency(
    image: Any,
    restored: Any,
    intensity: IntensityRange | None = None,
    noise: NoiseLevel | None = None,
) -> Consistency:
    """Hold a restored picture against its input.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Specimen only, without the databar.
    restored : array-like, shape (..., 2Y, 2X)
        Its restoration, on the same scale of grey levels.
    intensity : IntensityRange, optional
        Which values are black and white; measured on `image` by default.
    noise : NoiseLevel, optional
        Of `image`; see `noise_for_check` for the default.

    Returns
    -------
    Consistency

    Raises
    ------
    ImageError
        The restored picture has not twice the input's pixels, or the input shows no noise
        because all of it is black or white.
    """
    for step in consistency_steps(image, restored, intensity, noise):
        if isinstance(step, Consistency):
            return step
    raise AssertionError("The last step is the result.")


def noise_for_check(image: Any, restored: Any, intensity: IntensityRange) -> NoiseLevel:
    """Measure the noise of an image, in the residual of its restoration if need be.

    Parameters
    ----------
    image, restored, intensity
        As for `check_consistency`.

    Returns
    -------
    NoiseLevel
        Of a stack that of `napari_semnet.imaging.slices.telling_slice`.
    """
    grey, fine = as_grey(image), as_grey(restored)
    index = telling_index(grey)
    pixels = np.asarray(grey[index])
    noise = measure_noise(pixels, intensity)
    if noise.source != "whole":
        return noise
    measured = WHITE * to_unit(pixels, intensity).astype(np.float64)
    guide = block_mean(WHITE * to_unit(np.asarray(fine[index]), intensity)).astype(np.float64)
    ends = scale_ends(grey)
    usable = np.isfinite(measured - guide) & (pixels > ends[0]) & (pixels < ends[1])
    return noise_of_residual(measured - guide, guide, usable) or noise


def check_doubled(shape: tuple[int, ...], restored: tuple[int, ...]) -> None:
    """Refuse pictures of which one has not twice the other's pixels.

    Raises
    ------
    ImageError
        They do not.
    """
    expected = (*shape[:-2], *(FACTOR * n for n in shape[-2:]))
    if tuple(restored) != expected:
        raise ImageError(
            f"An image of {tuple(shape)} pixels has a restoration of {expected}, not of "
            f"{tuple(restored)}. Choose the image that the restoration was made from, without its "
            "databar."
        )


def scale_ends(image: Any) -> tuple[float, float]:
    """Values at which an image is cut off: those of its data type, or where values pile up.

    Twelve bits in sixteen end at a value of their own, and the pile there shows it.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Of a stack the slice nearest to the middle that shows something is looked at.

    Returns
    -------
    (float, float)
        In units of the image; infinite where nothing is cut off.
    """
    dtype = np.dtype(image.dtype)
    pixels = telling_slice(image)
    is_whole = dtype.kind in "iu"
    limits = np.iinfo(dtype) if is_whole else None
    ends = [float(limits.min), float(limits.max)] if limits else [-math.inf, math.inf]
    values = pixels if is_whole else pixels[np.isfinite(pixels)]
    if values.size:
        for side, extreme in enumerate((values.min(), values.max())):
            if float(np.mean(values == extreme)) > _CLIPPED_SHARE:
                ends[side] = float(extreme)
    return ends[0], ends[1]
