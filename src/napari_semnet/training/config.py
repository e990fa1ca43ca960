"""What a training run is told: one TOML file, checked before anything starts.

Relative paths are relative to the TOML file. A file that names a preset needs to say only what
differs from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from napari_semnet.errors import TrainingError
from napari_semnet.training.complaints import first_complaint
from napari_semnet.training.profile import Profile
from napari_semnet.training.toml_text import to_toml

__all__ = [
    "PRESETS",
    "Hardware",
    "Intervals",
    "Losses",
    "ModelCard",
    "Network",
    "Optimiser",
    "Schedule",
    "Source",
    "TrainingConfig",
    "Validation",
    "config_from",
    "load_config",
    "preset",
    "write_config",
]

PRESETS = ("poster", "sem", "finetune")
"""Names of the presets that come with the package."""

_PRESET_FOLDER = Path(__file__).parent / "recipes"


def _beside(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    path = path.expanduser()
    return path if base is None else base / path


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


def _model_or_path(value: str, info: ValidationInfo) -> str:
    if value.endswith(".safetensors"):
        return str(_beside(Path(value), info))
    return value


def _profile(value: Any, info: ValidationInfo) -> Any:
    """Replace the path of a profile by the profile, so that a written config stands alone."""
    if isinstance(value, str) and value.endswith(".toml"):
        return _read_toml(_beside(Path(value), info))
    return value


FilePath = Annotated[Path, AfterValidator(_beside)]
FilePaths = Annotated[tuple[FilePath, ...], BeforeValidator(_as_list)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Section):
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
    def title(self) -> str:
        """Name to show."""
        if self.name:
            return self.name
        first = (self.images or self.low)[0]
        return first.stem if first.suffix or "*" in first.name else first.name


class Validation(_Section):
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


class Network(_Section):
    """Sizes of the network; the poster's by default."""

    features: Count = 64
    growth: Count = 32
    blocks: Count = 6
    rdb_per_block: Count = 3
    conv_per_rdb: Annotated[int, Field(ge=2, le=64)] = 5


class Optimiser(_Section):
    """Adam."""

    learning_rate: Positive = 1e-4
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    largest_gradient: Positive | None = None
    """Norm to which larger gradients are scaled down; not at all when absent."""


class Schedule(_Section):
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


class Losses(_Section):
    """Weights of the loss terms."""

    l1: NotNegative = 1.0
    histogram: NotNegative = 0.1
    total_variation: NotNegative = 0.01

    @model_validator(mode="after")
    def _some_weight(self) -> Losses:
        if not self.l1 + self.histogram + self.total_variation > 0:
            raise ValueError("at least one loss needs a weight above 0")
        return self


class Hardware(_Section):
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


class Intervals(_Section):
    """Steps between events."""

    log: Count = 50
    evaluate: Count = 1000
    preview: Count = 1000
    checkpoint: Count = 500


class ModelCard(_Section):
    """What the card of the finished model says beyond what the run knows."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)] = (
        "my-semnet"
    )
    """Also the name of the model's file."""
    description: str = ""
    licence: str = ""
    limits: str = ""
    """What the model must not be used for."""
    pixel_size_range_nm: tuple[Positive, Positive] | None = None
    keep: Literal["last", "best"] = "last"
    """Whether the weights of the last step or of the best validation become the model."""


class TrainingConfig(_Section):
    """A whole training run."""

    preset: Literal["poster", "sem", "finetune"] | None = None
    """Where what is not said here comes from."""
    start_from: Annotated[str, AfterValidator(_model_or_path)] | None = None
    """Model to start from, by name or path, or ``default`` for the bundled one; its network is
    used. Random weights when absent."""
    steps: Count = 100_000
    batch: Annotated[int, Field(ge=1, le=65536)] = 4
    """Samples in a step, over all devices together."""
    patch: Annotated[int, Field(ge=8, le=1024)] = 72
    """Side of the poor patches in pixels; the good ones have twice that."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the average of the weights that becomes the model; 0 for no average."""
    degradation: Annotated[str | Profile, BeforeValidator(_profile)] = Field(
        default="sem", union_mode="left_to_right"
    )
    """Name of a profile, path of its TOML file, or the profile itself as a table."""
    store: FilePath | None = None
    """Folder for the decoded pictures; the user's cache by default."""
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    model: ModelCard = ModelCard()
    network: Network = Network()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    losses: Losses = Losses()
    validation: Validation = Validation()
    hardware: Hardware = Hardware()
    intervals: Intervals = Intervals()

    @model_validator(mode="after")
    def _consistent(self) -> TrainingConfig:
        processes = self.hardware.devices * self.hardware.nodes
        if self.batch % processes:
            raise ValueError(f"a batch of {self.batch} cannot be split over {processes} devices")
        if any(source.kind == "noise2noise" for source in self.validation.sources):
            raise ValueError('validation needs good references: kind "hq" or "pairs"')
        return self


def preset(name: str) -> dict[str, Any]:
    """Read a preset's settings.

    Parameters
    ----------
    name : str
        One of `PRESETS`.

    Returns
    -------
    dict
        As in the TOML file; it names no data, so it is not yet a whole configuration.

    Raises
    ------
    TrainingError
        There is no such preset.
    """
    if name not in PRESETS:
        raise TrainingError(f"There is no preset '{name}'. Use one of: {', '.join(PRESETS)}.")
    return _read_toml(_PRESET_FOLDER / f"{name}.toml")


def config_from(values: Mapping[str, Any], base: Path | None = None) -> TrainingConfig:
    """Check settings, and add what their preset says.

    Parameters
    ----------
    values : mapping
        Settings as in the TOML file.
    base : Path, optional
        Folder that relative paths are relative to; the present one by default.

    Raises
    ------
    TrainingError
        A key is unknown (the nearest known one is named) or a value is not possible.
    """
    name = values.get("preset")
    whole = _merged(preset(str(name)), values) if name is not None else dict(values)
    try:
        return TrainingConfig.model_validate(whole, context={"base": (base or Path()).absolute()})
    except ValidationError as error:
        raise TrainingError(first_complaint(error, TrainingConfig)) from error


def load_config(path: str | Path) -> TrainingConfig:
    """Read a configuration.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Raises
    ------
    TrainingError
        The file cannot be read, is not TOML, or `config_from` refuses it.
    """
    file = Path(path)
    values = _read_toml(file)
    try:
        return config_from(values, file.absolute().parent)
    except TrainingError as error:
        raise TrainingError(f"{file.name}: {error}") from error


def write_config(config: TrainingConfig) -> str:
    """Write a configuration as TOML, with absolute paths and everything said."""
    return to_toml(config.model_dump(mode="json", exclude_none=True))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path.name} is not valid TOML: {error}.") from error
