"""What was chosen in the fine-tune dialog, kept for the next time. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.files.home import from_home
from napari_semnet.training.adjustment import Adjustment
from napari_semnet.training.project import default_runs_folder
from napari_semnet.widgets.preferences import stored_group

if TYPE_CHECKING:
    from napari_semnet.training.project import Kind

__all__ = ["FinetuneChoices", "load_finetune_choices", "save_finetune_choices"]

GROUP = "finetuning"
"""Of the manifest's configuration, with the same keys."""


@dataclass(frozen=True, slots=True)
class FinetuneChoices:
    """Everything that can be chosen besides layers."""

    kind: Kind = "hq"
    """A key of `napari_semnet.training.project.KINDS`."""
    first_folder: str = ""
    """Of good, or poor, or first pictures; empty for layers alone."""
    second_folder: str = ""
    name: str = "my-microscope"
    """Of the model."""
    start_from: str = ""
    """Name or path of a model; empty for the one that comes with the package."""
    device: str = "auto"
    steps: int = 600
    profile: str = "sem"
    """Name of a degradation profile, or path of its file."""
    noise: float = 1.0
    blur: float = 1.0
    lines: float = 1.0
    """Factors of `napari_semnet.training.adjustment.Adjustment`."""
    goes_on: bool = False
    """Whether a run goes on when the dialog is closed."""
    shows_previews: bool = True
    """Whether previews become layers of the viewer."""
    runs_folder: str = ""
    """Where runs are kept; empty for a folder of the user's data."""
    last_run: str = ""
    """Folder of the run that was followed last."""

    @property
    def adjustment(self) -> Adjustment:
        """Factors on the profile."""
        return Adjustment(self.noise, self.blur, self.lines)

    @property
    def runs(self) -> Path:
        """Folder in which new runs get a folder each."""
        if not self.runs_folder:
            return default_runs_folder()
        # A run's process begins in the run's folder, from where a relative path leads elsewhere.
        return from_home(self.runs_folder).absolute()


def load_finetune_choices() -> FinetuneChoices:
    """Read the choices of the last time, or the manifest's defaults."""
    stored = stored_group(GROUP)
    names = [field.name for field in fields(FinetuneChoices)]
    if stored is None:
        return FinetuneChoices()
    return replace(FinetuneChoices(), **{name: getattr(stored, name) for name in names})


def save_finetune_choices(choices: FinetuneChoices) -> None:
    """Keep choices for the next time."""
    stored = stored_group(GROUP)
    if stored is None:
        return
    for field in fields(FinetuneChoices):
        value = getattr(choices, field.name)
        if getattr(stored, field.name) != value:
            setattr(stored, field.name, value)
