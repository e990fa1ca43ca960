"""What a person chose for a fine-tuning, and the one configuration that comes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_semnet.errors import TrainingError
from napari_semnet.files.atomic import replacing
from napari_semnet.training.config import TrainingConfig, config_from
from napari_semnet.training.profile import Profile
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.toml_text import to_toml

__all__ = ["KINDS", "Kind", "Pictures", "Project", "default_runs_folder", "free_folder", "runs_in"]

Kind: TypeAlias = Literal["hq", "pairs", "noise2noise"]

KINDS = {
    "hq": "Good images",
    "pairs": "Pairs: poor and good",
    "noise2noise": "Two noisy frames of each field",
}
"""What can be learnt from, and how the dialog calls it."""

_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_HEAD = """\
# A fine-tuning, as the command line takes it:
#     napari-semnet train config.toml
"""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pictures lie: files and folders, relative to the run's folder or absolute.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    first, second : tuple of Path
        Good images and none; or poor and good ones; or first and second frames.
    held_out : (tuple of Path, tuple of Path)
        Pictures to measure on, as `first` and `second`; where there are none, a share of the
        others is held out.
    """

    kind: Kind
    first: tuple[Path, ...]
    second: tuple[Path, ...] = ()
    held_out: tuple[tuple[Path, ...], tuple[Path, ...]] = ((), ())

    @property
    def are_written(self) -> bool:
        """Whether some were written into the run's folder; the others lie where they were."""
        return not all(path.is_absolute() for path in (*self.first, *self.second))

    def sources(self) -> dict[str, Any]:
        """Give the tables of the configuration that name the pictures."""
        tables: dict[str, Any] = {"data": [self._source(self.first, self.second)]}
        if self.held_out[0] and self.kind != "noise2noise":
            tables["validation"] = {"sources": [self._source(*self.held_out)]}
        return tables

    def _source(self, first: Sequence[Path], second: Sequence[Path]) -> dict[str, Any]:
        ones, others = [str(path) for path in first], [str(path) for path in second]
        name = {"name": "own images"}
        if self.kind == "hq":
            return {**name, "images": ones}
        return {"kind": self.kind, **name, "low": ones, "high": others}


@dataclass(frozen=True, slots=True)
class Project:
    """All that is chosen for one fine-tuning.

    Attributes
    ----------
    pictures : Pictures
    name : str
        Of the model; what a file's name cannot hold is replaced.
    start_from : str
        Name or path of a model; ``default`` for the bundled one.
    profile : Profile or str
        How good pictures are made poor.
    steps : int
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    """

    pictures: Pictures
    name: str = "my-microscope"
    start_from: str = "default"
    profile: Profile | str = "sem"
    steps: int = 600
    device: str = "auto"

    @property
    def file_name(self) -> str:
        """Name of the model's file, without suffix."""
        return (_NAME.sub("-", self.name.strip()).strip("-._") or "my-microscope")[:60]

    def settings(self) -> dict[str, Any]:
        """Give what the configuration says beyond its preset.

        Something is measured, shown and saved about six times, however short the run.
        """
        often = max(1, self.steps // 6)
        profile = self.profile
        if isinstance(profile, Profile):
            degradation: Any = profile.model_dump(mode="json", exclude_none=True)
        else:
            degradation = profile
        tables = self.pictures.sources()
        return {
            "preset": "finetune",
            "start_from": self.start_from,
            "steps": self.steps,
            "degradation": degradation,
            # What was written for this run alone need not fill the user's cache.
            **({"store": "store"} if self.pictures.are_written else {}),
            "schedule": {"warmup": min(20, self.steps // 10)},
            "model": {
                "name": self.file_name,
                "description": f"Fine-tuned in napari: {self.name}.",
                # Measuring on more takes longer than many a run itself.
                "halo_pictures": 1,
            },
            "hardware": {"device": self.device},
            "intervals": {
                "log": max(1, min(10, self.steps // 60)),
                "evaluate": often,
                "preview": often,
                "checkpoint": max(1, min(50, self.steps // 6)),
            },
            **tables,
        }

    def config(self, folder: Path) -> TrainingConfig:
        """Check the choices, as of a run in a folder.

        Raises
        ------
        TrainingError
            A setting is not possible.
        """
        return config_from(self.settings(), folder)

    def write(self, folder: Path) -> Path:
        """Write the configuration of a run into its folder.

        Returns
        -------
        Path
            What ``napari-semnet train`` takes.

        Raises
        ------
        TrainingError
            A setting is not possible, or the folder cannot be written to.
        """
        self.config(folder)
        path = RunFolder(folder).config
        try:
            with replacing(path) as temporary:
                temporary.write_text(_HEAD + to_toml(self.settings()), encoding="utf-8")
        except OSError as error:
            raise TrainingError(
                f"The folder {folder} cannot be written to: {error.strerror}. Choose another one "
                "for the runs, or free some space."
            ) from error
        return path


def default_runs_folder() -> Path:
    """Folder for runs where nobody chose one."""
    import platformdirs

    return platformdirs.user_data_path("napari-semnet", appauthor=False) / "runs"


def free_folder(parent: Path, name: str) -> Path:
    """Find a name for a new run: the given one, or with the first number that is free."""
    # Windows and macOS take names that differ in case alone for the same folder.
    taken = {path.name.casefold() for path in parent.iterdir()} if parent.is_dir() else set()
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return parent / next(one for one in (name, *numbered) if one.casefold() not in taken)


def runs_in(parent: Path) -> list[Path]:
    """List the runs in a folder, the latest first."""
    if not parent.is_dir():
        return []
    found = [path for path in parent.iterdir() if RunFolder(path).config.is_file()]
    return sorted(
        (path for path in found if not path.name.startswith(".")),
        key=lambda path: RunFolder(path).config.stat().st_mtime,
        reverse=True,
    )
