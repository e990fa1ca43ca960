"""What an evaluation records: methods, figures of one case, crops to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.patterns import Pattern

__all__ = ["CROP", "SHOWN", "Example", "Kind", "Method", "ModelFacts", "Score", "pictures_of"]

Grey = NDArray[np.uint8]

Kind = Literal["baseline", "oracle", "mark", "model"]
"""``baseline``: anyone can use it. ``oracle``: was told the reference. ``mark``: not a method but
a level to see the others against. ``model``: a SEMNet."""

CROP = 240
"""Side of the crops that are kept to be looked at, in restored pixels."""

SHOWN = ("bicubic", "Gaussian best PSNR + bicubic", "NLM + bicubic", "BM3D + bicubic")
"""Classical methods whose crops are kept, beside those of the models."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to restore, as a line of the table."""

    name: str
    kind: Kind
    definition: str


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model was measured, and on what it ran."""

    name: str
    """Line of the table."""
    card_name: str
    sha256: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one method on one case."""

    picture: str
    source: str
    draw: int
    method: str
    psnr: float
    """dB, data range 255."""
    ssim: float
    """Data range 255."""
    bias: float
    """Mean less the reference's mean, in grey levels."""
    bias_to_input: float
    """Mean less the poor picture's mean, in grey levels."""
    sigma: float | None
    """Of the Gaussian, in pixels of the input."""
    patterns: tuple[Pattern, ...]
    """Of 2 and 8 pixels; looked for in the results of models and of bicubic interpolation."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Example:
    """The same crop of everything, to be looked at."""

    picture: str
    draw: int
    panels: Mapping[str, Grey]
    """``input`` (each pixel as 2 x 2), the methods by their names, ``reference``."""

    @classmethod
    def cut(
        cls, picture: str, draw: int, low: Grey, high: Grey, outputs: Mapping[str, Grey]
    ) -> Example:
        """Cut the crop with the most detail out of every picture.

        Parameters
        ----------
        picture, draw
            Names of the case.
        low : ndarray of uint8, shape (Y, X)
        high : ndarray of uint8, shape (2Y, 2X)
        outputs : mapping from the name of a method to ndarray of uint8, shape (2Y, 2X)
        """
        top, left = _most_detail(high)
        place = np.s_[top : top + CROP, left : left + CROP]
        enlarged = low.repeat(2, axis=0).repeat(2, axis=1)
        pictures = {"input": enlarged, **outputs, "reference": high}
        panels = {name: np.ascontiguousarray(pixels[place]) for name, pixels in pictures.items()}
        return cls(picture, draw, MappingProxyType(panels))


def _most_detail(high: Grey) -> tuple[int, int]:
    """Upper left corner, at even pixels, of the crop with the greatest variance."""
    rows, columns = (max(1, size // CROP) for size in high.shape)
    if rows * columns == 1:
        return 0, 0
    corners = [(r * CROP, c * CROP) for r in range(rows) for c in range(columns)]
    return max(
        corners, key=lambda at: float(high[at[0] : at[0] + CROP, at[1] : at[1] + CROP].std())
    )


def pictures_of(scores: Sequence[Score]) -> tuple[str, ...]:
    """Names of the pictures, in the order in which they were measured."""
    return tuple(dict.fromkeys(score.picture for score in scores))
