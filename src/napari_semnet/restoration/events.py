"""What a restoration says while it runs: typed events, in the order in which they happen.

Progress, live display, streaming to disk and cancelling all hang on the one generator that yields
these; who runs it needs to know nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.intensity import IntensityRange

__all__ = [
    "BlockWritten",
    "Event",
    "Finished",
    "Notice",
    "Progress",
    "Restoration",
    "RunPlan",
    "Started",
    "TileDone",
]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How an image is restored: all that it takes to do the same again."""

    intensity: IntensityRange
    """What the network saw as 0 and 1."""
    device_name: str
    """Such as ``CPU (AVX-512 bf16)``."""
    precision: str
    """``fp32`` or ``bf16``."""
    tile: tuple[int, int]
    """Largest core of a tile inside the image in input pixels, (Y, X); of a piece where it is
    swept."""
    halo: int
    """Input pixels read around each core."""
    model_name: str
    model_sha256: str
    backend: str = "torch"
    """What computed: ``torch``, ``torch-stacked`` or ``openvino``."""
    later: tuple[int, ...] | None = None
    """Of the halo, pixels that are kept after each RRDB; by default what the model's card says."""
    swept: bool = False
    """Whether tiles take over from their neighbours what they need of them."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """A restored image and how it came about."""

    pixels: Any
    """Array (..., 2Y, 2X) in the image's data type, or the array that was given to be filled."""
    plan: RunPlan
    seconds: float
    """Wall-clock time from the start to the last tile."""


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: what is going to happen."""

    total_tiles: int
    output_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    plan: RunPlan


@dataclass(frozen=True, slots=True)
class Progress:
    """Some work is done within a tile; said often, and what lets a run be stopped within one."""

    fraction: float
    """Part of the whole run that is done, from 0 to 1; never less than said before, and often the
    same: not everything that computes knows how far it is within a tile."""


@dataclass(frozen=True, slots=True)
class TileDone:
    """A tile is restored and written; tiles come slice by slice in reading order."""

    where: tuple[slice, ...]
    """Place of the tile in the output; one slice for each axis."""
    pixels: NDArray[Any]
    """The restored tile, in the output's data type, with one axis for each of the output's."""
    done: int
    """Tiles finished so far, this one included."""
    total: int


@dataclass(frozen=True, slots=True)
class BlockWritten:
    """A block of a volume is restored and on the disk; blocks may come in any order."""

    where: tuple[slice, ...]
    """Its place in the output; one slice for each axis."""
    done: int
    """Blocks on the disk so far, those of earlier runs included."""
    total: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something went otherwise than planned and was dealt with; a sentence to show."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event: the result."""

    restored: Restoration


Event: TypeAlias = Started | Progress | TileDone | BlockWritten | Notice | Finished
