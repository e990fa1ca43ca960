"""What a training run says while it runs: typed events, in the order in which they happen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "Checkpointed",
    "Evaluated",
    "Event",
    "Finished",
    "MeasuringHalo",
    "Notice",
    "Preparing",
    "Preview",
    "Started",
    "Step",
    "Stopped",
]


@dataclass(frozen=True, slots=True)
class Preparing:
    """Pictures are being decoded into the store."""

    source: str
    done: int
    total: int
    """Files, both counts."""


@dataclass(frozen=True, slots=True)
class Started:
    """Everything is ready and the first step begins."""

    step: int
    """Steps that were done before; above 0 when a run is resumed."""
    total: int
    images: int
    megapixels: float
    """Of the references that are trained on, in millions of pixels."""
    device: str
    precision: str
    parameters: int


@dataclass(frozen=True, slots=True)
class Step:
    """Means over the steps since the last event of this kind.

    Losses and the gradient's norm are those of the steps that were not skipped; NaN where all were.
    """

    step: int
    total: int
    learning_rate: float
    loss: float
    """Weighted sum."""
    l1: float
    histogram: float
    total_variation: float
    brightness: float
    psnr: float
    reach: float
    """Terms before weighting."""
    gradient_norm: float
    steps_per_second: float
    waiting_ms: float
    """Milliseconds a step that the network waited for its batch."""
    skipped: int
    """Steps skipped so far because a gradient was not finite."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Averaged weights were measured on the fixed validation crops."""

    step: int
    psnr: float
    """dB, data range 255 grey levels."""
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture was written: input, output and target beside one another."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """The run can be resumed from here."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the person should know; a sentence to show."""

    text: str


@dataclass(frozen=True, slots=True)
class MeasuringHalo:
    """Training is over, and it is measured how far the model looks, for its card."""

    done: float
    """Share of the work, 0 ... 1."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The last event of a run that was asked to stop; it can be resumed."""

    step: int
    total: int
    reason: str
    model: Path
    """Model file of the averaged weights so far; its card says that it is unfinished."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a whole run."""

    step: int
    model: Path


Event: TypeAlias = (
    Preparing
    | Started
    | Step
    | Evaluated
    | Preview
    | Checkpointed
    | Notice
    | MeasuringHalo
    | Stopped
    | Finished
)
