"""What there is to choose from: models with their cards, and devices by name. No Qt here.

Finding out imports PyTorch, which takes seconds on a cold start; widgets do it beside the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.errors import SemnetError
from napari_semnet.widgets.choices import AUTO

if TYPE_CHECKING:
    from napari_semnet.model import Card

__all__ = [
    "Catalogue",
    "DeviceEntry",
    "ModelEntry",
    "load_catalogue",
    "model_entries",
    "read_entry",
]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be chosen."""

    key: str
    """Name, or path of a file outside the models folders; empty for the package's default."""
    label: str
    card: Card | None
    problem: str = ""
    """Why the file cannot be used, where there is no card."""


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """A device that can be chosen."""

    key: str
    """As `Choices.device` has it."""
    label: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models and devices."""

    models: tuple[ModelEntry, ...]
    """The package's default first."""
    devices: tuple[DeviceEntry, ...]
    """The automatic choice first."""
    folder: Path
    """Where the user's own models are; it may not exist yet."""


def load_catalogue(chosen: str = "") -> Catalogue:
    """Look for models and devices.

    Parameters
    ----------
    chosen : str
        A model that was chosen before; listed even if it is a file elsewhere.
    """
    from napari_semnet.model import user_models_folder
    from napari_semnet.restoration.runtime import available_devices, describe_device

    automatic = describe_device(AUTO)
    devices = [DeviceEntry(AUTO, f"Auto: {automatic.name}")]
    devices += [DeviceEntry(str(d.torch_device), d.name) for d in available_devices()]
    return Catalogue(model_entries(chosen), tuple(devices), user_models_folder())


def model_entries(chosen: str = "") -> tuple[ModelEntry, ...]:
    """List all models that can be chosen, the package's default first.

    Parameters
    ----------
    chosen : str
        A model that was chosen before; listed even if it is a file elsewhere, or gone.
    """
    from napari_semnet.model import DEFAULT_MODEL, model_paths

    names = [name for name in model_paths() if name != DEFAULT_MODEL]
    models = [read_entry("", DEFAULT_MODEL), *(read_entry(name, name) for name in names)]
    if chosen and chosen not in names and chosen != DEFAULT_MODEL:
        models.append(read_entry(chosen))
    return tuple(models)


def read_entry(key: str, name: str = "") -> ModelEntry:
    """Read one model's card.

    Parameters
    ----------
    key : str
        What to keep as the choice.
    name : str
        What to look the model up by, where that is something else.
    """
    from napari_semnet.model import read_card

    try:
        card = read_card(name or key)
    except SemnetError as error:
        return ModelEntry(key, name or key, None, str(error))
    # A renamed model keeps the name on its card; the name that commands take is the file's.
    label = name if key in ("", name) else f"{card.name} (file)"
    return ModelEntry(key, label, card)
