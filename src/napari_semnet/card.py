"""What a model says of itself: how it was made, how good it is, and where it can be trusted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_semnet.network import Architecture

__all__ = ["FORMAT_VERSION", "Card", "Halo", "Metric", "Training"]

FORMAT_VERSION = 1
"""Version of the card's format that this package writes, and the newest it reads."""


_CONTROL = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
"""What would move a terminal's cursor, colour it or name its window, and its replacement."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _without_control_characters(cls, value: Any) -> Any:
        return value.translate(_CONTROL) if isinstance(value, str) else value


class Metric(_Record):
    """One measured figure, with what it means."""

    name: str
    """Short name, such as ``PSNR``."""
    value: float
    unit: str = ""
    """Unit of `value`; empty for a pure number."""
    definition: str = ""
    """How it was computed (data range, border, window)."""
    data: str = ""
    """What it was measured on."""


class Training(_Record):
    """How a model was made."""

    data: tuple[str, ...] = ()
    """Sources of the training pictures, with their licences."""
    recipe: str = ""
    """Profile, losses, schedule."""
    steps: int | None = Field(default=None, ge=0)
    hardware: str = ""
    hours: float | None = Field(default=None, ge=0)
    started_from: str = ""
    """Name and sha256 of the model it was fine-tuned from; empty when trained from scratch."""
    steps_before: int | None = Field(default=None, ge=0)
    """Steps that the former model had behind it; None where nobody counted."""

    @property
    def all_steps(self) -> int | None:
        """Steps since the weights were random; None where nobody counted."""
        if not self.started_from:
            return self.steps
        if self.steps is None or self.steps_before is None:
            return None
        return self.steps_before + self.steps

    @property
    def steps_text(self) -> str:
        """Steps in words; empty where nobody counted.

        Examples
        --------
        >>> Training(steps=300, started_from="semnet-x2", steps_before=42_095).steps_text
        '300 steps after 42,095'
        """
        if self.steps is None:
            return ""
        before = "" if self.steps_before is None else f" after {self.steps_before:,}"
        return f"{self.steps:,} steps{before}"


class Halo(_Record):
    """Smallest halo for which tiles were measured to equal the whole image."""

    pixels: Annotated[int, Field(ge=0, le=4096)]
    """Input pixels around each tile."""
    later: tuple[Annotated[int, Field(ge=0, le=4096)], ...] = ()
    """Of these, pixels that are still kept after each RRDB; empty where it was not measured."""
    bound: float = Field(gt=0)
    """Largest difference to the whole-image result that was allowed, in grey levels of 255."""
    differences: dict[int, float] = {}
    """Largest difference measured at each halo tried, in grey levels of 255."""
    measured_on: str = ""
    """Pictures the measurement was made on."""


class Card(_Record):
    """What a model is, what it was made from, and where it can be trusted.

    The card travels in the header of the model file, as JSON.
    """

    format_version: int = FORMAT_VERSION
    name: str
    description: str = ""
    status: str = ""
    """Empty for a finished model; else what it is, such as ``stand-in``."""
    architecture: Architecture = Architecture()
    training: Training = Training()
    metrics: tuple[Metric, ...] = ()
    noise_range: tuple[float, float] | None = None
    """Weakest and strongest noise seen in training: standard deviation in grey levels of 255."""
    pixel_size_range_nm: tuple[float, float] | None = None
    """Smallest and largest pixel size seen in training, in nanometres, where it was known."""
    limits: str = ""
    """What the model must not be used for."""
    licence: str = ""
    date: str = ""
    """Day the weights were written, ISO 8601."""
    package_version: str = ""
    halo: Halo | None = None
    """Measured halo; without it only the exact halo is safe."""
