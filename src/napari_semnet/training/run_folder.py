"""The folder of a run: what it was told, where it ran, how it went, and what came of it."""

from __future__ import annotations

import csv
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from napari_semnet import __version__
from napari_semnet.errors import TrainingError
from napari_semnet.files.atomic import remove_leftovers, replacing
from napari_semnet.files.lock import holding
from napari_semnet.training.config import TrainingConfig, load_config, write_config
from napari_semnet.training.events import Evaluated, Step
from napari_semnet.training.pictures import Rejected

__all__ = ["Reports", "RunFolder", "Table"]

_HEAD = "# Written by napari-semnet: everything that the run was asked for.\n\n"

_REPORTED = ("torch", "numpy", "safetensors", "pydantic", "lightning-fabric", "scikit-image")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of all files of a run."""

    path: Path

    @property
    def config(self) -> Path:
        """Configuration with absolute paths and every default said."""
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        """Machine and versions, one entry for each time the run was started or resumed."""
        return self.path / "environment.json"

    @property
    def rejected(self) -> Path:
        """Pictures that are not used, and why."""
        return self.path / "rejected.csv"

    @property
    def log(self) -> Path:
        """Losses, learning rate and speed."""
        return self.path / "log.csv"

    @property
    def validation(self) -> Path:
        """PSNR and SSIM on the validation crops."""
        return self.path / "validation.csv"

    @property
    def events(self) -> Path:
        """Everything that the run said, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def process(self) -> Path:
        """Which process trains; see `napari_semnet.training.process`."""
        return self.path / "process.json"

    @property
    def stop_request(self) -> Path:
        """A file of this name asks a running process to stop with its state saved."""
        return self.path / "stop"

    @property
    def errors(self) -> Path:
        """What the process wrote to its error stream, where a window started it."""
        return self.path / "errors.log"

    @property
    def last(self) -> Path:
        """State to resume from."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """Model of the best validation so far."""
        return self.path / "checkpoints" / "best.safetensors"

    def preview(self, step: int) -> Path:
        """Input, output and target after a step."""
        return self.path / "previews" / f"{step:07d}.png"

    def model(self, name: str) -> Path:
        """Name the model that comes of the run."""
        return self.path / f"{name}.safetensors"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder to this process, and clear away what a killed one left half-written.

        A folder that is made for that and stays empty is taken away again.

        Raises
        ------
        TrainingError
            Another process trains in it.
        """
        busy = TrainingError(
            f"Another run is going on in {self.path}. Wait for its end, or choose another folder."
        )
        lock, was_there = self.path / ".lock", self.path.is_dir()
        with holding(lock, busy):
            for folder in (self.path, self.last.parent, self.path / "previews"):
                remove_leftovers(folder, older_than=0)
            try:
                yield
            finally:
                with suppress(OSError):  # Windows does not remove what is open
                    lock.unlink()
                    if not was_there:
                        self.path.rmdir()

    def begin(self, config: TrainingConfig, device: str, *, resumed_at: int | None) -> None:
        """Write the configuration and add the machine to `environment`.

        A configuration that says the same stays as it is; another that was written by hand is
        kept under another name.

        Raises
        ------
        TrainingError
            The folder cannot be written to.
        """
        try:
            self._keep_config(config)
            entries = _entries(self.environment) if resumed_at is not None else []
            entries.append(_environment(device, resumed_at or 0))
            with replacing(self.environment) as temporary:
                temporary.write_text(json.dumps(entries, indent=2), encoding="utf-8")
        except OSError as error:
            raise TrainingError(
                f"The folder {self.path} cannot be written to: {error.strerror}. Choose another, "
                "or free some space."
            ) from error

    def _keep_config(self, config: TrainingConfig) -> None:
        """Write the configuration, but over no file that somebody wrote by hand."""
        if self.config.exists():
            if _says(self.config, config):
                # Runs are listed by when they were begun or gone on with.
                self.config.touch()
                return
            if not self.config.read_bytes().startswith(_HEAD.encode()):
                self.config.replace(_free_name(self.config))
        with replacing(self.config) as temporary:
            temporary.write_text(_HEAD + write_config(config), encoding="utf-8")

    def list_rejected(self, rejected: Iterable[Rejected]) -> None:
        """Write which pictures are not used, and why."""
        with _rewriting(self.rejected) as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "reason"])
            writer.writerows([entry.path, entry.reason] for entry in rejected)

    def write_preview(self, step: int, pixels: NDArray[np.uint8]) -> Path:
        """Write a picture as PNG."""
        from PIL import Image

        path = self.preview(step)
        with replacing(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
        return path


class Table:
    """A CSV file that grows by one row an event.

    Parameters
    ----------
    path : Path
        The file.
    kind : type of Step or Evaluated
        Events to log; their fields are the columns.
    resumed_at : int
        Rows of later steps are dropped, as those steps are done again; all where it is 0. A table
        that is no run's is put aside.
    """

    def __init__(self, path: Path, kind: type[Step | Evaluated], resumed_at: int) -> None:
        self._path = path
        names = [name for name in kind.__dataclass_fields__ if name != "total"]
        # Read for a new run as well: a folder may hold a table of that name that is no run's.
        found = _rows_until(path, resumed_at)
        rows = found if resumed_at else []
        with _rewriting(path) as stream:
            writer = csv.DictWriter(stream, names, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self._names = names

    def add(self, event: Step | Evaluated) -> None:
        """Append an event; a disk that is full then costs a row of the log, not the run."""
        values = {key: _short(value) for key, value in asdict(event).items()}
        try:
            with self._path.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self._names, extrasaction="ignore").writerow(values)
        except OSError:
            return


@contextmanager
def _rewriting(path: Path) -> Iterator[TextIO]:
    with (
        replacing(path) as temporary,
        # A file's name need not be text: bytes in another encoding than the system's.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        yield stream


def _says(path: Path, config: TrainingConfig) -> bool:
    try:
        return load_config(path) == config
    except TrainingError:
        return False


def _free_name(path: Path) -> Path:
    """Name beside a file that no file has: ``config-1.toml``, ``config-2.toml`` ..."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """Read the rows up to a step; a table that another program has rewritten is put aside."""
    try:
        # Some programs begin a file with a mark that says how it is encoded.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, names = list(reader), reader.fieldnames
    except OSError:
        return []
    except (UnicodeDecodeError, csv.Error):
        rows, names = [], ()
    if names is not None and "step" not in names:
        path.replace(_free_name(path))
        return []
    # A row that was cut off when the process died lacks columns.
    whole = [row for row in rows if None not in row.values() and row["step"].isdigit()]
    return [row for row in whole if int(row["step"]) <= step]


class Reports:
    """Everything that events are written to: two tables and, where installed, TensorBoard.

    Parameters
    ----------
    files : RunFolder
    resumed_at : int
        Steps done before; what stands there of later ones is dropped.
    """

    def __init__(self, files: RunFolder, resumed_at: int) -> None:
        self._tables: dict[type, Table] = {
            Step: Table(files.log, Step, resumed_at),
            Evaluated: Table(files.validation, Evaluated, resumed_at),
        }
        self._board = _tensorboard(files.path / "tensorboard", resumed_at)

    def add(self, event: Step | Evaluated) -> None:
        """Write an event."""
        self._tables[type(event)].add(event)
        if self._board is None:
            return
        group = type(event).__name__.lower()
        try:
            for name, value in asdict(event).items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{group}/{name}", value, event.step)
            self._board.flush()
        except OSError:
            # As with the tables, a disk that is full costs curves, not the run.
            self.close()

    def close(self) -> None:
        """Let go of TensorBoard's file, and end the thread that writes it."""
        board, self._board = self._board, None
        if board is not None:
            with suppress(OSError):
                board.close()


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
    except UnicodeEncodeError:
        # TensorBoard takes no folder whose name is not in UTF-8; the tables say the same.
        return None


def _entries(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return entries if isinstance(entries, list) else []


def _environment(device: str, step: int) -> Mapping[str, Any]:
    # Whoever only follows a run should not wait for PyTorch.
    import torch

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": step,
        "napari-semnet": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "cpu_threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "cuda": torch.version.cuda,
        "command": sys.argv,
        "packages": {name: _version(name) for name in _REPORTED},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
