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
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from napari_semnet.errors import TrainingError
from napari_semnet.training.complaints import first_complaint
from napari_semnet.training.profile import Profile
from napari_semnet.training.sections import (
    REACH_CORE,
    Augmentation,
    Count,
    FilePath,
    Hardware,
    Intervals,
    Losses,
    ModelCard,
    Network,
    Optimiser,
    Schedule,
    Section,
    Source,
    Validation,
    beside,
)
from napari_semnet.training.toml_text import to_toml

__all__ = [
    "PRESETS",
    "Augmentation",
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

_LARGEST_TOML = 2**20
_PRESET_FOLDER = Path(__file__).parent / "recipes"

_OF_BACKSLASHES = ("Unescaped '\\'", "Invalid hex value")
"""What is said of the folders of Windows in double quotes, where a backslash means a sign."""
_PATHS = (
    " Write paths with / or in single quotes: in double ones a backslash begins a special sign."
)


def _model_or_path(value: str, info: ValidationInfo) -> str:
    if value.endswith(".safetensors"):
        return str(beside(Path(value), info))
    return value


def _is_list(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise ValueError("it may name several sources: write [[data]] in place of [data]")
    return value


def _profile(value: Any, info: ValidationInfo) -> Any:
    """Replace the path of a profile by the profile, so that a written config stands alone."""
    if isinstance(value, str) and value.endswith(".toml"):
        return _read_toml(beside(Path(value), info))
    return value


class TrainingConfig(Section):
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
    data: Annotated[tuple[Source, ...], Field(min_length=1), BeforeValidator(_is_list)]
    model: ModelCard = ModelCard()
    network: Network = Network()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    losses: Losses = Losses()
    augmentation: Augmentation = Augmentation()
    validation: Validation = Validation()
    hardware: Hardware = Hardware()
    intervals: Intervals = Intervals()

    @model_validator(mode="after")
    def _consistent(self) -> TrainingConfig:
        processes = self.hardware.devices * self.hardware.nodes
        if self.batch % processes:
            raise ValueError(f"a batch of {self.batch} cannot be split over {processes} devices")
        least = REACH_CORE + 2 * self.losses.halo
        if self.losses.reach > 0 and self.patch < least:
            raise ValueError(
                f"a loss of reach beyond {self.losses.halo} pixels needs patches of {least} pixels"
            )
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
    values = config.model_dump(mode="json", exclude_none=True)
    # TOML has no word for nothing: what a preset would fill in again is kept by not naming it.
    if config.preset is not None and config_from(values) != config:
        del values["preset"]
    return to_toml(values)


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
        with path.open("rb") as file:
            content = file.read(_LARGEST_TOML + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{path} cannot be read: {reason}.") from error
    if len(content) > _LARGEST_TOML:
        raise TrainingError(f"{path.name} is far too large for a configuration.")
    try:
        # Some editors of Windows begin a file with a mark that says how it is encoded.
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        hint = _PATHS if any(words in str(error) for words in _OF_BACKSLASHES) else ""
        raise TrainingError(f"{path.name} is not valid TOML: {error}.{hint}") from error
