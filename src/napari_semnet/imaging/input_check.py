"""Is a picture of the kind that a model can restore? What it shows, and what stands against it.

Nothing is said of a picture that is as it should be. All figures are in grey levels of 255.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_semnet.imaging.consistency import scale_ends
from napari_semnet.imaging.intensity import IntensityRange, as_grey, measure_range
from napari_semnet.imaging.noise_level import NoiseLevel, measure_noise
from napari_semnet.imaging.slices import telling_slice
from napari_semnet.imaging.whiteness import FILTERED

__all__ = ["InputCheck", "Ranges", "check_input"]

Range = tuple[float, float]

_SATURATED = 0.01
"""Share of black or of white pixels that is worth a word."""
_SLOW_DETECTOR = 0.3
"""Correlation along rows from which noise looks like structure."""
_ROWS = 0.3
"""Row offsets, in units of the pixels' own noise, from which streaks are seen."""
_LEAST_ROWS = 1.0
_MARGIN = 0.1
"""Relative amount by which a range may be left without a word: no noise is known better."""
_ROUGH_MARGIN = 0.5
_HARDLY_ANY = 2.0
"""Noise, grey levels, below which nothing speaks for a picture as the microscope scanned it."""
_ONE_LEVEL = "All pixels have the same grey level: there is nothing in the image to restore."


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a model was trained on, as its card states it; None where it does not."""

    noise: Range | None = None
    """Standard deviation of the noise, grey levels of 255."""
    pixel_size_nm: Range | None = None
    """Side of an input pixel."""


@dataclass(frozen=True, slots=True)
class InputCheck:
    """What was found on a picture.

    Attributes
    ----------
    noise : NoiseLevel
    black, white : float
        Share of pixels at the ends of the scale.
    pixel_size_nm : (float, float) or None
        (y, x); None where it is not known.
    warnings : tuple of str
        Sentences for the user; empty for a picture that is as it should be.
    unstated : tuple of str
        What the card says nothing of, so that nothing can be said against the picture either.
    """

    noise: NoiseLevel
    black: float
    white: float
    pixel_size_nm: tuple[float, float] | None
    warnings: tuple[str, ...]
    unstated: tuple[str, ...]


def check_input(
    image: Any,
    ranges: Ranges | None = None,
    *,
    intensity: IntensityRange | None = None,
    pixel_size_nm: tuple[float, float] | None = None,
    noise: NoiseLevel | None = None,
) -> InputCheck:
    """Look at a picture before, or after, it is restored.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Specimen only, without the databar; of a stack the slice nearest to the
        middle that shows something is looked at.
    ranges : Ranges, optional
        What the model was trained on.
    intensity : IntensityRange, optional
        Which values are black and white; measured by default.
    pixel_size_nm : (float, float), optional
        (y, x).
    noise : NoiseLevel, optional
        Measured by default.

    Returns
    -------
    InputCheck

    Raises
    ------
    ImageError
        The picture is smaller than 8 pixels, or all of it is black or white.
    """
    grey = as_grey(image)
    ranges = ranges or Ranges()
    pixels = telling_slice(grey)
    noise = noise or measure_noise(pixels, intensity or measure_range(grey))
    low, high = scale_ends(grey)
    black, white = float(np.mean(pixels <= low)), float(np.mean(pixels >= high))
    if low == high:
        black = white = 0.0
    unstated = [
        name
        for name, stated in (("noise", ranges.noise), ("pixel sizes", ranges.pixel_size_nm))
        if stated is None
    ]
    of_pixels = (
        (_ONE_LEVEL,)
        if low == high
        else (*_of_noise(noise, ranges.noise), *_of_rows(noise), *_of_saturation(black, white))
    )
    warnings = (
        *of_pixels,
        *_of_pixel_size(pixel_size_nm, ranges.pixel_size_nm),
    )
    return InputCheck(noise, black, white, pixel_size_nm, warnings, tuple(unstated))


def _of_noise(noise: NoiseLevel, stated: Range | None) -> Iterator[str]:
    if noise.source == "flat" and noise.between_rows > FILTERED:
        yield (
            f"Noise is correlated from row to row ({noise.between_rows:.2f}): the image was "
            "filtered, resized or compressed after scanning. The model expects images as the "
            "microscope scans them; what is left of the noise may be taken for structure."
        )
    if noise.lag_one > _SLOW_DETECTOR:
        yield (
            f"Noise is correlated along the rows ({noise.lag_one:.2f}), as with a slow detector or "
            "a fast scan; short dashes in the result may be noise."
        )
    if noise.source == "whole" and noise.sigma < _HARDLY_ANY:
        yield (
            f"There is next to no noise from pixel to pixel ({noise.sigma:.1f} grey levels): the "
            "image was filtered or resized after scanning, or needs no denoising."
        )
        return
    if stated is None:
        return
    low, high = stated
    # A rough figure counts fine texture as noise.
    margin = _MARGIN if noise.source != "whole" else _ROUGH_MARGIN
    if noise.sigma > high * (1 + margin):
        yield (
            f"The noise, {noise.sigma:.1f} grey levels, is stronger than the model was trained on "
            f"({low:g} to {high:g}): expect invented and lost detail. Scan slower, or average."
        )
    elif noise.sigma < low * (1 - margin):
        yield (
            f"The noise, {noise.sigma:.1f} grey levels, is weaker than the model was trained on "
            f"({low:g} to {high:g}): fine detail may be taken for noise. Consider a lower strength."
        )


def _of_rows(noise: NoiseLevel) -> Iterator[str]:
    if noise.row_sigma > max(_ROWS * noise.sigma, _LEAST_ROWS):
        yield (
            f"Whole rows are offset by {noise.row_sigma:.1f} grey levels (pixels: "
            f"{noise.sigma:.1f}): horizontal streaks in the result need not be specimen."
        )


def _of_saturation(black: float, white: float) -> Iterator[str]:
    for share, name in ((black, "black"), (white, "white")):
        if share > _SATURATED:
            yield (
                f"{100 * share:.1f} % of the pixels are {name}: what they showed is lost, and the "
                "grey level of the result is wrong there."
            )


def _of_pixel_size(size: tuple[float, float] | None, stated: Range | None) -> Iterator[str]:
    if size is None or stated is None:
        return
    low, high = stated
    if max(size) > high * (1 + _MARGIN) or min(size) < low * (1 - _MARGIN):
        yield (
            f"Pixels of {max(size):.3g} nm lie outside what the model was trained on ({low:g} to "
            f"{high:g} nm): it may not know structures of this size."
        )
