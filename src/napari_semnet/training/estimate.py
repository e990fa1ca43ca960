"""What a run will cost: time, memory and disk, measured by its first few steps in a child."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from napari_semnet.errors import TrainingError
from napari_semnet.training.config import TrainingConfig, write_config
from napari_semnet.training.event_log import read_events
from napari_semnet.training.events import Evaluated, Started, Step
from napari_semnet.training.following import why_it_ended
from napari_semnet.training.run_folder import RunFolder

__all__ = ["Cost", "Speed", "cost_of", "measure_speed", "train_command"]

_STEPS = 4
"""Steps that are timed; the first one, which also sets everything up, does not count."""
_PAUSE = 0.1
_LONGEST = 300.0
"""Seconds after which a device that has not taken the steps yet is too slow to go on timing."""
_BYTES_PER_WEIGHT = 2 * 16 + 4 + 2
"""On disk: the state (weights, their average and at most two moments in float32), once more while
it is replaced; the best model in float32; the model in float16."""
_ALWAYS = 50 * 2**20
"""Bytes for previews, logs and what else a run writes."""
_MARGIN = 1.25


@dataclass(frozen=True, slots=True)
class Speed:
    """What the first steps of a run took.

    Attributes
    ----------
    device : str
        As the run calls it.
    seconds_per_step : float
    seconds_per_evaluation : float
        Measuring on what is held out.
    memory : int
        Bytes of main memory at their most.
    weights : int
        Number of the network's weights.
    """

    device: str
    seconds_per_step: float
    seconds_per_evaluation: float
    memory: int
    weights: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a whole run needs, and what there is.

    Attributes
    ----------
    seconds : float
        Without measuring the halo at the end.
    memory, free_memory : int
        Bytes.
    disk, free_disk : int
        Bytes.
    """

    seconds: float
    memory: int
    free_memory: int
    disk: int
    free_disk: int

    @property
    def complaints(self) -> tuple[str, ...]:
        """Say what there is too little of, and what to do."""
        found = []
        if self.memory * _MARGIN > self.free_memory:
            found.append(
                f"Training takes {_size(self.memory)} of memory and {_size(self.free_memory)} are "
                "free. Close other programs or large layers first."
            )
        if self.disk * _MARGIN > self.free_disk:
            found.append(
                f"The run writes {_size(self.disk)} and {_size(self.free_disk)} are free on that "
                "disk. Free some space, or choose another folder for the runs."
            )
        return tuple(found)

    def summary(self) -> str:
        """Say memory and disk in a line."""
        return (
            f"Memory {_size(self.memory)} of {_size(self.free_memory)} free, "
            f"disk {_size(self.disk)} of {_size(self.free_disk)} free"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def cost_of(config: TrainingConfig, speed: Speed, folder: Path) -> Cost:
    """Work out what a run needs from how its first steps went.

    Parameters
    ----------
    config : TrainingConfig
    speed : Speed
        Measured by `measure_speed` with the same network, batch and patch.
    folder : Path
        Where the run will be; need not exist yet.
    """
    evaluations = config.steps // config.intervals.evaluate + 1
    seconds = config.steps * speed.seconds_per_step + evaluations * speed.seconds_per_evaluation
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())
    return Cost(
        seconds=seconds,
        memory=speed.memory,
        free_memory=int(psutil.virtual_memory().available),
        disk=speed.weights * _BYTES_PER_WEIGHT + _ALWAYS,
        free_disk=shutil.disk_usage(place).free,
    )


def train_command(config: Path, *, resume: bool = False) -> list[str]:
    """Command that trains as a configuration says: program and arguments."""
    command = [sys.executable, "-m", "napari_semnet", "train", str(config), "--json"]
    return [*command, "--resume"] if resume else command


def measure_speed(config: TrainingConfig, folder: Path) -> Generator[float, None, Speed]:
    """Take the first few steps of a run in a child process, and throw them away.

    Closing the generator ends the child.

    Parameters
    ----------
    config : TrainingConfig
    folder : Path
        For files of no further use; made, and removed again.

    Yields
    ------
    float
        Finished part, 0 to 1, ten times a second.

    Raises
    ------
    TrainingError
        The run could not begin, in its own words, or took longer than five minutes.
    """
    files = RunFolder(folder)
    intervals = config.intervals.model_copy(
        update={"log": 1, "evaluate": 10**9, "preview": 10**9, "checkpoint": 10**9}
    )
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        trial = config.model_copy(update={"intervals": intervals})
        files.config.write_text(write_config(trial), encoding="utf-8")
        with files.errors.open("wb") as errors:
            child = subprocess.Popen(
                # A limit of its own, should this very process be killed meanwhile.
                [*train_command(files.config), "--max-minutes", f"{_LONGEST / 60:g}"],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=child_environment(),
            )
        try:
            speed = yield from _timed(child, files)
        finally:
            child.kill()
            child.wait()
    except OSError as error:
        raise TrainingError(
            f"The speed could not be measured in {folder}: {error.strerror or error}. Free some "
            "space, or choose another folder for the runs."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return speed


def child_environment() -> dict[str, str]:
    """Give a child what this process was given, less what a launcher of several would read."""
    launcher: Sequence[str] = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_", "TORCHELASTIC")
    return {key: value for key, value in os.environ.items() if not key.startswith(tuple(launcher))}


def _timed(child: subprocess.Popen[bytes], files: RunFolder) -> Generator[float, None, Speed]:
    process = psutil.Process(child.pid)
    offset, most, end = 0, 0, time.monotonic() + _LONGEST
    started: Started | None = None
    before = evaluation = 0.0
    steps: list[Step] = []
    while len(steps) < _STEPS:
        is_over = child.poll() is not None
        events, offset = read_events(files.events, offset)
        for event in events:
            if isinstance(event, Started):
                started, before = event, time.monotonic()
            elif isinstance(event, Evaluated):
                evaluation = time.monotonic() - before
            elif isinstance(event, Step):
                steps.append(event)
        if is_over and len(steps) < _STEPS:
            # Very short runs end before they are looked at.
            if len(steps) > 1:
                break
            why = why_it_ended(files.path) or "The training process ended at once."
            raise TrainingError(why)
        if time.monotonic() > end:
            raise TrainingError(
                f"The device did not take {_STEPS} steps within {_LONGEST:.0f} s. Choose a faster "
                "device, or train on another computer with the command napari-semnet train."
            )
        with suppress(psutil.Error):
            most = max(most, int(process.memory_info().rss))
        yield (0.3 if started else 0.0) + 0.7 * len(steps) / _STEPS
        time.sleep(_PAUSE)
    assert started is not None
    speeds = [step.steps_per_second for step in steps[1:] if step.steps_per_second > 0]
    each = sorted(1 / speed for speed in speeds)[len(speeds) // 2]
    return Speed(started.device, each, evaluation, most, started.parameters)
