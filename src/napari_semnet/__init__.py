"""SEMNet for napari: denoise scanning electron microscope images and double their pixels.

Public names are loaded on first use, so that ``import napari_semnet`` stays light: it imports
neither torch nor Qt nor napari.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Architecture": "network",
    "Card": "model",
    "Model": "model",
    "Restorer": "restoration.restorer",
    "SEMNet": "network",
    "SemnetError": "errors",
    "evaluate": "training.evaluation",
    "load_model": "model",
    "restore": "restoration.restorer",
    "save_model": "model",
    "train": "training.trainer",
}

__all__ = [
    "Architecture",
    "Card",
    "Model",
    "Restorer",
    "SEMNet",
    "SemnetError",
    "__version__",
    "evaluate",
    "load_model",
    "restore",
    "save_model",
    "train",
]

if TYPE_CHECKING:
    from napari_semnet.errors import SemnetError
    from napari_semnet.model import Card, Model, load_model, save_model
    from napari_semnet.network import Architecture, SEMNet
    from napari_semnet.restoration.restorer import Restorer, restore
    from napari_semnet.training.evaluation import evaluate
    from napari_semnet.training.trainer import train


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
