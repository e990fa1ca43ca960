"""Ask for a model file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

__all__ = ["ask_for_model"]


def ask_for_model(parent: QWidget) -> Path | None:
    """Ask for a model file that lies anywhere; None when nothing is chosen."""
    name, _ = QFileDialog.getOpenFileName(
        parent, "Choose a model", "", "SEMNet models (*.safetensors);;All files (*)"
    )
    return Path(name) if name else None
