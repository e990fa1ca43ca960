"""The tables of a training configuration, each with what its keys mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

__all__ = [
    "REACH_CORE",
    "Augmentation",
    "Count",
    "FilePath",
    "Hardware",
    "Intervals",
    "Losses",
    "ModelCard",
    "Network",
    "Optimiser",
    "Schedule",
    "Section",
    "Source",
    "Validation",
    "beside",
]


_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

REACH_CORE = 8
"""Side, in pixels of the poor patch, of what the loss of reach compares."""


def beside(path: Path, info: ValidationInfo) -> Path:
    """Make a path relative to the folder of the configuration."""
    base = (info.context or {}).get("base")
    try:
        path = path.expanduser()
    except RuntimeError as error:
        # Python cannot tell whose folder is meant by "~name".
        raise ValueError(f"the folder of {path.parts[0]} is not known; write it out") from error
    whole = path if base is None else base / path
    try:
        str(whole).encode()
    except UnicodeEncodeError as error:
        # The run's own configuration, and the model's card, could not name it.
        said = str(whole).encode(errors="backslashreplace").decode()
        raise ValueError(f"the name {said} is not in UTF-8; rename that folder") from error
    return whole


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


def in_order(pair: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose low end lies above its high end."""
    if not pair[0] <= pair[1]:
        raise ValueError(f"the low end {pair[0]:g} lies above the high end {pair[1]:g}")
    return pair


def _not_blank(value: Any) -> Any:
    """Refuse a blank, which would mean the folder of the configuration and all that is in it."""
    if isinstance(value, str) and not value.strip():
        raise ValueError('a blank names no file or folder; that of this file is "."')
    return value


def _file_name(value: str) -> str:
    """Refuse what not every system takes as the name of a file."""
    if not _FILE_NAME.fullmatch(value):
        raise ValueError(
            "it names a file, so use A to Z, digits, '.', '_' and '-', and begin with a letter or "
            "a digit"
        )
    return value


FilePath = Annotated[Path, BeforeValidator(_not_blank), AfterValidator(beside)]
FilePaths = Annotated[tuple[FilePath, ...], BeforeValidator(_as_list)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0.1, le=10)]
FactorRange = Annotated[tuple[Factor, Factor], AfterValidator(in_order)]
Count = Annotated[int, Field(ge=1, le=10**9)]


class Section(BaseModel):
    """Part of a configuration; it cannot be changed, and knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """Pictures to learn from, and how often they are drawn."""

    kind: Literal["hq", "pairs", "noise2noise"] = "hq"
    """``hq``: good pictures, which are degraded for training. ``pairs``: a poor and a good
    picture of each field. ``noise2noise``: two equally noisy pictures of each field."""
    images: FilePaths = ()
    """Of ``hq``: files, folders (searched through) or patterns such as ``scans/*.tif``."""
    low: FilePaths = ()
    """Of ``pairs`` the poor pictures, of ``noise2noise`` the first frames."""
    high: FilePaths = ()
    """Of ``pairs`` the good pictures, of ``noise2noise`` the second frames. Pictures belong
    together when their names without suffix are equal, or in order where none are."""
    name: str = ""
    """For logs and the card; the folder's name by default."""
    weight: Positive = 1.0
    """How often the source is drawn, relative to the others and whatever the number of files."""
    content: Literal["sem", "natural", "synthetic"] = "sem"
    """What the pictures show."""
    licence: str = ""
    """Licence of the pictures, for the model's card, where no table names it."""
    reference: Literal["as is", "binned"] = "as is"
    """``binned`` takes the mean of 2 x 2 pixels of a noisy reference, which halves its noise."""
    largest_noise: Positive | None = None
    """Leave out pictures that are noisier: standard deviation in grey levels of 255."""
    draw_by: Literal["image", "area", "group"] = "image"
    """Whether each image, each pixel or each group is drawn as often."""
    table: FilePath | None = None
    """CSV file that says more about the pictures, one row each."""
    file_column: str = "file"
    """Column with the picture's path; its end must be that of the picture's path."""
    group_column: str = "group"
    """Column that names the specimen, for splits that keep a specimen together."""
    noise_column: str = "noise_sigma"
    """Column with the noise, in grey levels of 255; measured where there is none."""
    licence_column: str = "licence"
    """Column with the licence."""

    @model_validator(mode="after")
    def _complete(self) -> Source:
        if self.kind == "hq" and (not self.images or self.low or self.high):
            raise ValueError('a source of kind "hq" needs "images", and neither "low" nor "high"')
        if self.kind != "hq" and (self.images or not self.low or not self.high):
            raise ValueError(f'a source of kind "{self.kind}" needs "low" and "high", no "images"')
        if self.kind != "hq" and self.reference == "binned":
            raise ValueError('"reference" can be "binned" for kind "hq" only')
        return self

    @property
    def named_columns(self) -> tuple[str, ...]:
        """Columns that somebody named, beside the file's, and that the table must then have.

        A configuration that a run wrote says the defaults as well, so they are no sign of that.
        """
        names = ("group_column", "licence_column", "noise_column")
        defaults = {name: type(self).model_fields[name].default for name in names}
        return tuple(getattr(self, name) for name in names if getattr(self, name) != defaults[name])

    @property
    def title(self) -> str:
        """Name to show."""
        if self.name:
            return self.name
        first = (self.images or self.low)[0]
        if any(sign in first.name for sign in "*?["):
            return first.parent.name or first.name
        # "good.2024" is a folder's name, of which a year is no suffix.
        return first.stem if first.suffix[1:].isalpha() else first.name


class Augmentation(Section):
    """Changes of good patches before they are degraded, for variety; none by default.

    Each patch is drawn in one of its eight symmetries besides.
    """

    gamma: FactorRange = (1.0, 1.0)
    """Exponent of the grey values, log-uniform between the two."""
    contrast: FactorRange = (1.0, 1.0)
    """Factor on the distance from the patch's mean grey value, log-uniform; clipped at 0 and 1."""
    invert: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the patches that are turned from positive to negative."""


class Validation(Section):
    """Pictures to measure progress on; they are never trained on."""

    sources: tuple[Source, ...] = ()
    """Of kind ``hq`` or ``pairs``. Where there is none, a share of the training groups is
    held out."""
    share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Share of the groups of each source that is held out when `sources` is empty."""
    crops: Annotated[int, Field(ge=0, le=1000)] = 16
    """Number of fixed crops to restore; 0 for no validation."""
    crop: Annotated[int, Field(ge=16, le=2048)] = 128
    """Side of the poor crop in pixels."""


class Network(Section):
    """Sizes of the network; the poster's by default."""

    features: Count = 64
    growth: Count = 32
    blocks: Count = 6
    rdb_per_block: Count = 3
    conv_per_rdb: Annotated[int, Field(ge=2, le=64)] = 5


class Optimiser(Section):
    """Adam, or Muon for the kernels between feature maps and Adam for all else."""

    kind: Literal["adam", "muon"] = "adam"
    learning_rate: Positive = 1e-4
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Of Muon."""
    largest_gradient: Positive | None = None
    """Norm to which larger gradients are scaled down; not at all when absent."""
    without_grid: bool = False
    """Never let the last convolution learn to answer to a pitch of two pixels, which is how
    enlarging draws a grid. What it answers already, in a model that is started from, stays."""


class Schedule(Section):
    """Learning rate as a function of the step alone."""

    kind: Literal["constant", "halving", "cosine"] = "constant"
    warmup: Annotated[int, Field(ge=0)] = 0
    """Steps over which the rate rises from zero in a straight line."""
    halve_every: Count = 200_000
    """Steps after which ``halving`` halves the rate."""
    cooldown: Annotated[int, Field(ge=0)] = 0
    """Last steps over which ``constant`` falls in a straight line to the final share."""
    final: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the learning rate at which ``cosine`` and a cooldown end."""


class Losses(Section):
    """Weights of the loss terms."""

    l1: NotNegative = 1.0
    histogram: NotNegative = 0.1
    total_variation: NotNegative = 0.01
    brightness: NotNegative = 0.0
    psnr: NotNegative = 0.0
    reach: NotNegative = 0.0
    halo: Count = 16
    """Pixels beyond which `reach` wants nothing to count."""
    power: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Of the mean that `reach` takes over pixels; the higher, the more the worst one counts."""

    @model_validator(mode="after")
    def _some_weight(self) -> Losses:
        if not sum(self.model_dump(exclude={"halo", "power"}).values()) > 0:
            raise ValueError("at least one loss needs a weight above 0")
        return self


class Hardware(Section):
    """Where and how the network is trained."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """Devices in each node, or processes on a CPU."""
    nodes: Annotated[int, Field(ge=1, le=4096)] = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto`` is bf16 where the hardware computes it natively."""
    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    """Mode of ``torch.compile``; minutes at the start, faster steps on a GPU."""
    deterministic: bool = False
    """Ask a GPU for the same result each time, which costs speed. A CPU needs no asking."""


class Intervals(Section):
    """Steps between events."""

    log: Count = 50
    evaluate: Count = 1000
    preview: Count = 1000
    checkpoint: Count = 500


class ModelCard(Section):
    """What the card of the finished model says beyond what the run knows."""

    name: Annotated[str, Field(max_length=80), AfterValidator(_file_name)] = "my-semnet"
    """Also the name of the model's file."""
    description: str = ""
    licence: str = ""
    limits: str = ""
    """What the model must not be used for."""
    pixel_size_range_nm: Annotated[tuple[Positive, Positive], AfterValidator(in_order)] | None = (
        None
    )
    halo_pictures: Annotated[int, Field(ge=0, le=100)] = 3
    """Pictures on which the halo is measured at the end; without it tiles use the exact one."""
    keep: Literal["last", "best"] = "last"
    """Whether the weights of the last step or of the best validation become the model."""
