"""The whole state of a run in one safetensors file: weights, their average, optimiser, counts.

Random numbers need no saving, since they are functions of the step. Nothing in the file can run
code. Names of tensors: ``weights.<name>``, ``average.<name>``, ``first_moment.<name>``,
``second_moment.<name>`` with the names of `SEMNet`, all float32; a kernel that Muon learns has no
second moment. Counts stand as JSON under the key ``progress`` of the header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_semnet.errors import TrainingError
from napari_semnet.files.atomic import replacing
from napari_semnet.network import Architecture
from napari_semnet.training.split import Split

__all__ = [
    "CHECKPOINT_VERSION",
    "Best",
    "Progress",
    "Start",
    "load_checkpoint",
    "read_progress",
    "save_checkpoint",
]

CHECKPOINT_VERSION = 2
"""1: without what was held out, which a release that knows no other would choose anew."""

_MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}
"""Names of the optimiser's tensors in the file, and what the optimiser calls them."""

_GROUPS = ("weights", "average", *_MOMENTS)


@dataclass(slots=True)
class Best:
    """The best validation so far."""

    step: int
    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float
    crops: str = ""
    """What it was measured on, see `napari_semnet.training.validation.fingerprint`; empty where
    an earlier release measured."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run began with; a model that it started from need not be there any more."""

    origin: str
    """Name and hash of that model, for the card; empty for random weights."""
    architecture: Architecture
    steps: int | None = None
    """Steps that the model had behind it; None where nobody counted, or for random weights."""


@dataclass(slots=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps done, skipped ones included."""
    updates: int = 0
    """Steps that changed the weights, which Adam counts for its bias correction."""
    skipped: int = 0
    """Steps that changed nothing, because their gradient was not a finite number."""
    seconds: float = 0.0
    """Time spent in training, over all resumed parts."""
    best: Best | None = None
    latest: Best | None = None
    """The last validation."""
    hardware: list[str] = field(default_factory=list)
    """Devices that took part."""
    held_out: list[str] | None = None
    """Digests of the pictures that are measured on; None where an earlier release wrote it."""
    trained_on: list[str] = field(default_factory=list)
    """Digests of the pictures that the weights have seen."""
    learnt_from: dict[str, int] = field(default_factory=dict)
    """What the card says of each source, and the last step at which it was learnt from."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The configuration of the last part of the run; empty where an earlier release wrote it."""
    start: Start | None = None
    """None where an earlier release wrote it."""

    @property
    def split(self) -> Split:
        """Which pictures the run was measured and trained on."""
        held_out = None if self.held_out is None else frozenset(self.held_out)
        return Split(held_out, frozenset(self.trained_on))

    def take(self, split: Split) -> None:
        """Note which pictures the run is measured and trained on from now on."""
        self.held_out, self.trained_on = sorted(split.held_out or ()), sorted(split.trained_on)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write the state; the old file stays until the new one is complete.

    Parameters
    ----------
    path : Path
        File to replace.
    network, average : Module
        Trained weights and their average.
    optimiser : Optimizer
        Adam or Muon over the parameters of `network`.
    progress : Progress
        Counts.

    Raises
    ------
    TrainingError
        The disk is full or cannot be written to. The old file is as it was.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        state = optimiser.state.get(parameter, {})
        tensors[f"weights.{name}"] = parameter
        for group, key in _MOMENTS.items():
            if key in state:
                tensors[f"{group}.{name}"] = state[key]
    for name, parameter in average.named_parameters():
        tensors[f"average.{name}"] = parameter
    plain = {key: value.detach().to("cpu").contiguous() for key, value in tensors.items()}
    header = {"version": str(CHECKPOINT_VERSION), "progress": json.dumps(asdict(progress))}
    try:
        with replacing(path) as temporary:
            save_file(plain, temporary, metadata=header)
    except (OSError, SafetensorError) as error:
        what_next = (
            "The state before it is intact: free some space and resume."
            if path.is_file()
            else "Nothing was saved before: free some space and start again."
        )
        raise TrainingError(
            f"The state of the run could not be written to {path} ({error}). {what_next}"
        ) from error


def load_checkpoint(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> Progress:
    """Read a state into a network, its average and its optimiser.

    Raises
    ------
    TrainingError
        The file is missing or damaged, from a newer version, or of another network or optimiser.
        Nothing is changed then.
    """
    tensors, progress = _read(path)
    single = _with_one_moment(optimiser)
    # Where every step so far was skipped, the optimiser has moments and has made no update.
    has_moments = progress.updates > 0 or any(key.startswith("first_moment.") for key in tensors)
    expected = {
        f"{group}.{name}": parameter.shape
        for group in _GROUPS
        for name, parameter in network.named_parameters()
        if group in {"weights", "average"}
        or (has_moments and (group == "first_moment" or parameter not in single))
    }
    found = {key: value.shape for key, value in tensors.items()}
    if expected != found:
        # Adam and Muon keep other moments of the same weights.
        what = "network" if _of_weights(expected) != _of_weights(found) else "optimiser"
        raise TrainingError(
            f"{path} is the state of another {what}. Resume with the configuration that the run "
            "was started with."
        )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[f"weights.{name}"])
            if has_moments:
                state = {"step": _count(optimiser, parameter, progress.updates)}
                for group, key in _MOMENTS.items():
                    if f"{group}.{name}" in tensors:
                        # Memory format must be the parameter's: fused kernels go by memory.
                        moment = torch.empty_like(parameter)
                        state[key] = moment.copy_(tensors[f"{group}.{name}"])
                optimiser.state[parameter] = state
        for name, parameter in average.named_parameters():
            parameter.copy_(tensors[f"average.{name}"])
    return progress


def _of_weights(shapes: Mapping[str, torch.Size]) -> Mapping[str, torch.Size]:
    return {key: shape for key, shape in shapes.items() if key.split(".")[0] not in _MOMENTS}


def read_progress(path: Path) -> Progress:
    """Read how far a run has come, without its tensors.

    Raises
    ------
    TrainingError
        The file is missing or damaged, or from a newer version.
    """
    with _opened(path) as (_, progress):
        return progress


def _with_one_moment(optimiser: torch.optim.Optimizer) -> set[Tensor]:
    """Weights of which Muon keeps the averaged gradient alone."""
    return {
        weight
        for group in optimiser.param_groups
        if "momentum" in group
        for weight in group["params"]
    }


def _count(optimiser: torch.optim.Optimizer, parameter: Tensor, updates: int) -> Tensor:
    fused = bool(optimiser.param_groups[0].get("fused"))
    device = parameter.device if fused else torch.device("cpu")
    return torch.tensor(float(updates), dtype=torch.float32, device=device)


def _read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    with _opened(path) as (file, progress):
        return {key: file.get_tensor(key) for key in file.keys()}, progress  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Progress]]:
    """Open a state whose header can be used, and word what is wrong with it."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header: dict[str, str] = file.metadata() or {}
            version = int(header["version"])
            if version > CHECKPOINT_VERSION:
                raise TrainingError(
                    f"{path} was written by a newer napari-semnet. Update, then resume."
                )
            yield file, _progress(json.loads(header["progress"]))
    except FileNotFoundError as error:
        raise TrainingError(
            f"There is no run to resume: {path} does not exist. Start without --resume."
        ) from error
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"{path} is damaged ({error!s:.200}), so the run cannot be resumed."
        ) from error


def _progress(values: Any) -> Progress:
    # A key that a later version added has its default; one that it dropped is ignored.
    known = {f.name for f in fields(Progress)}
    kept = {key: value for key, value in dict(values).items() if key in known}
    progress = TypeAdapter(Progress).validate_python(kept)
    if min(progress.step, progress.updates) < 0:
        raise ValueError("it counts fewer than no steps")
    return progress
