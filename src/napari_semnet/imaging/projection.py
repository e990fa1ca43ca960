"""Make a restored picture agree with what was measured, as far as that is not noise.

The residual (input less the 2 x 2 mean of the restored picture) holds noise, and the detail that
the restoration removed. Its noise is taken out by what tells the two apart: in the cosine
transform of overlapping blocks, only coefficients that stand far out of the noise's known power
are kept, along with the mean. What is left is *denoised input less restored picture*; it is added
to all four restored pixels of each input pixel. Where the residual is nothing but noise, nothing
changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_semnet.imaging.consistency import (
    ResidualBand,
    check_doubled,
    noise_for_check,
    residual_bands,
)
from napari_semnet.imaging.geometry import FACTOR
from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range
from napari_semnet.imaging.noise_level import NoiseLevel
from napari_semnet.imaging.noise_measurement import WHITE
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.whiteness import BLOCK, expected_power

__all__ = [
    "ProjectedBand",
    "kept_of_residual",
    "make_consistent",
    "projected_bands",
    "shift_blocks",
]

Floats = NDArray[np.float64]

KEPT_FROM = 3.5
"""Standard deviations of the noise from which a coefficient counts as detail: one in 2,000 of pure
noise does."""
_STEP = 2
"""Pixels between blocks; each pixel is in 16 of them."""


@dataclass(frozen=True, slots=True)
class ProjectedBand:
    """Some full-width rows of a picture that was made to agree with its input."""

    where: tuple[slice, ...]
    """Place in the restored picture; one slice for each axis."""
    pixels: NDArray[Any]
    """In the restored picture's data type, with one axis for each of its own."""
    wanted: NDArray[np.float64]
    """Denoised input, ``(Y, X)``: what the 2 x 2 mean of `pixels` is meant to be, in the image's
    own grey levels."""
    done: float
    """Part of the work that is done with this band."""


def kept_of_residual(standardised: Floats, noise: NoiseLevel) -> Floats:
    """Take the noise out of a residual.

    Parameters
    ----------
    standardised : ndarray, shape (Y, X)
        Residual over the noise's standard deviation, without offsets of rows.
    noise : NoiseLevel
        Of the input.

    Returns
    -------
    ndarray, shape (Y, X)
        What is not noise, in the same unit.
    """
    height, width = standardised.shape
    pads = [(BLOCK, BLOCK + (-n) % BLOCK) for n in (height, width)]
    padded = np.pad(standardised, pads, mode="symmetric")
    total = np.zeros_like(padded)
    bound = KEPT_FROM * np.sqrt(expected_power(noise, 1))[None, :]
    for top in range(0, BLOCK, _STEP):
        for left in range(0, BLOCK, _STEP):
            part = padded[top : top - BLOCK, left : left - BLOCK]
            blocks = part.reshape(part.shape[0] // BLOCK, BLOCK, -1, BLOCK).swapaxes(1, 2)
            coefficients = fft.dctn(blocks, axes=(2, 3), norm="ortho")
            coefficients[np.abs(coefficients) < bound] = 0.0
            kept = fft.idctn(coefficients, axes=(2, 3), norm="ortho")
            total[top : top - BLOCK, left : left - BLOCK] += kept.swapaxes(1, 2).reshape(part.shape)
    inside = total[BLOCK : BLOCK + height, BLOCK : BLOCK + width]
    return inside * (_STEP / BLOCK) ** 2


def shift_blocks(
    doubled: Floats, shift: Floats, low: float = -np.inf, high: float = np.inf
) -> Floats:
    """Change the mean of each 2 x 2 pixels by a given amount without leaving a range.

    Parameters
    ----------
    doubled : ndarray, shape (2Y, 2X)
        Within the range.
    shift : ndarray, shape (Y, X)
        What to add to each mean.
    low, high : float
        Ends of the range.

    Returns
    -------
    ndarray, shape (2Y, 2X)
        All four pixels are shifted alike; where one meets an end, the others take its share. Only
        a mean that would itself leave the range stays at its end.
    """
    rows, columns = shift.shape
    blocks = doubled.reshape(rows, FACTOR, columns, FACTOR)
    wanted = np.clip(blocks.mean(axis=(1, 3)) + shift, low, high)
    for _ in range(FACTOR**2):
        missing = wanted - blocks.mean(axis=(1, 3))
        up = (missing > 0)[:, None, :, None]
        free = np.where(up, blocks < high, blocks > low)
        share = FACTOR**2 / np.maximum(free.sum(axis=(1, 3)), 1) * missing
        blocks = np.clip(blocks + free * share[:, None, :, None], low, high)
    return np.asarray(blocks.reshape(doubled.shape))


def projected_bands(
    image: Any,
    restored: Any,
    intensity: IntensityRange | None = None,
    noise: NoiseLevel | None = None,
) -> Iterator[ProjectedBand]:
    """Make a restored picture agree with its denoised input, band by band.

    What comes out does not depend on the bands; the residual is looked at twice for that.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Specimen only, without the databar.
    restored : array-like, shape (..., 2Y, 2X)
    intensity : IntensityRange, optional
        Which values are black and white; measured on `image` by default.
    noise : NoiseLevel, optional
        Of `image`; measured by default.

    Yields
    ------
    ProjectedBand

    Raises
    ------
    ImageError
        As `napari_semnet.imaging.consistency.check_consistency`.
    """
    grey, fine = as_grey(image), as_grey(restored)
    check_doubled(grey.shape, fine.shape)
    intensity = intensity or measure_range(grey)
    noise = noise or noise_for_check(grey, fine, intensity)
    dtype = np.dtype(fine.dtype)
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = (float(limits.min), float(limits.max)) if limits else (-np.inf, np.inf)
    unit = (intensity.high - intensity.low) / WHITE
    means = _means(residual_bands(grey, fine, intensity, noise))
    for band, kept in _kept_in_context(residual_bands(grey, fine, intensity, noise), noise):
        # The mean is known far better than any pixel, so it is no noise.
        kept = means[band.index] + np.sqrt(noise.variance(band.predicted)) * kept
        shift = np.where(band.usable, unit * kept, 0.0)
        rows = slice(FACTOR * band.top, FACTOR * (band.top + shift.shape[0]))
        where = (*(slice(i, i + 1) for i in band.index), rows, slice(0, fine.shape[-1]))
        doubled = np.asarray(fine[where]).astype(np.float64).reshape(-1, fine.shape[-1])
        moved = shift_blocks(doubled, shift, low, high)
        wanted = block_mean(moved, FACTOR, dtype=np.float64)
        pixels = np.rint(moved) if limits else moved
        yield ProjectedBand(
            where,
            pixels.astype(dtype).reshape((1,) * len(band.index) + pixels.shape),
            wanted,
            _done(grey.shape, band.index, band.top + shift.shape[0]),
        )


def _means(bands: Iterator[ResidualBand]) -> dict[tuple[int, ...], float]:
    """Average the residual of each slice: a mean for each band would show as a step between two."""
    sums: dict[tuple[int, ...], tuple[float, int]] = {}
    for band in bands:
        total, count = sums.get(band.index, (0.0, 0))
        usable = band.residual[band.usable]
        sums[band.index] = total + float(usable.sum()), count + usable.size
    return {index: total / max(count, 1) for index, (total, count) in sums.items()}


def _kept_in_context(
    bands: Iterator[ResidualBand], noise: NoiseLevel
) -> Iterator[tuple[ResidualBand, Floats]]:
    """Give each band with what of it is no noise, as all of its slice at once would have it."""
    above: Floats | None = None
    band = next(bands, None)
    while band is not None:
        below = next(bands, None)
        rows = [band.standardised]
        if above is not None:
            rows.insert(0, above)
        if below is not None and below.index == band.index:
            rows.append(below.standardised[:BLOCK])
        top = 0 if above is None else len(above)
        kept = kept_of_residual(np.concatenate(rows), noise)
        yield band, kept[top : top + len(band.standardised)]
        # A pixel's blocks reach less than one block away.
        ends_slice = below is None or below.index != band.index
        above = None if ends_slice else band.standardised[-BLOCK:].copy()
        band = below


def make_consistent(
    image: Any,
    restored: Any,
    intensity: IntensityRange | None = None,
    noise: NoiseLevel | None = None,
) -> NDArray[Any]:
    """Make a restored picture agree with its denoised input.

    Parameters
    ----------
    image, restored, intensity, noise
        As for `projected_bands`.

    Returns
    -------
    ndarray, shape (..., 2Y, 2X)
        In the data type of `restored`. The mean of each 2 x 2 pixels is that of the denoised
        input to half a grey level, which is what rounding to whole ones takes.

    Raises
    ------
    ImageError
        As `napari_semnet.imaging.consistency.check_consistency`.
    """
    result = np.empty(restored.shape, restored.dtype)
    for band in projected_bands(image, restored, intensity, noise):
        result[band.where] = band.pixels
    return result


def _done(shape: tuple[int, ...], index: tuple[int, ...], rows: int) -> float:
    slices = int(np.prod(shape[:-2], dtype=np.int64))
    number = int(np.ravel_multi_index(index, shape[:-2])) if index else 0
    return (number + rows / shape[-2]) / slices
