"""Train a SEMNet, from a configuration to a model file."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from napari_semnet.errors import DeviceError, SemnetError, TrainingError
from napari_semnet.model import resolve_model
from napari_semnet.restoration.backends import is_out_of_memory
from napari_semnet.training.checkpoint import Progress, read_progress
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data, prepare_data
from napari_semnet.training.engine import Engine, engine_for, is_lost_partner
from napari_semnet.training.events import Event, Finished, Notice, Preparing, Stopped
from napari_semnet.training.learner import profile_of, started_from
from napari_semnet.training.run import Run
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.split import Split
from napari_semnet.training.stopping import is_asked_to_stop, stop_request

__all__ = ["train", "training_run"]


def train(
    config: TrainingConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    callback: Callable[[Event], None] | None = None,
) -> Path:
    """Train a model.

    Parameters
    ----------
    config : TrainingConfig
        See `napari_semnet.training.config.load_config`.
    folder : str or Path
        Folder of the run; see `napari_semnet.training.run_folder.RunFolder`.
    resume : bool
        Go on with the run in `folder`.
    max_minutes : float, optional
        Stop after this time, in a state that can be resumed. A run that has taken all its steps
        by then is finished, without a measured halo.
    callback : callable, optional
        Called with each event.

    Returns
    -------
    Path
        The model file. When the time ran out its card says that it is unfinished.

    Raises
    ------
    SemnetError
        The configuration, the data or the device cannot be used, or training diverged. What is
        in the folder stays usable.
    """
    model: Path | None = None
    for event in training_run(config, folder, resume=resume, max_minutes=max_minutes):
        if callback is not None:
            callback(event)
        if isinstance(event, Finished | Stopped):
            model = event.model
    assert model is not None
    return model


def training_run(
    config: TrainingConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a model, event by event.

    Parameters
    ----------
    config, folder, resume, max_minutes
        See `train`.
    stop : callable
        Asked after every step whether to stop, in a state that can be resumed; also after every
        picture that is read, and while the halo of the finished model is measured. A file named
        ``stop`` that comes into the folder asks for the same.

    Yields
    ------
    Event
        See `napari_semnet.training.events`. Closing the generator saves the state.

    Raises
    ------
    SemnetError
        See `train`.
    """
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    files = RunFolder(Path(folder))
    if not resume and files.last.exists():
        raise TrainingError(
            f"{files.path} already holds a run. Go on with it by --resume (resume=True in "
            "Python), or choose another folder."
        )
    model_file = files.model(config.model.name)
    # A run saves its state before it writes a model, so this one is not of a run that was killed.
    if not resume and model_file.exists():
        raise TrainingError(
            f"{model_file} exists already, and the run would replace it. Give model.name another "
            "name, choose another folder, or move that file away."
        )
    engine = engine_for(config.hardware)
    wish = stop_request(files.path)

    def asked() -> bool:
        return stop() or is_asked_to_stop(files.path, wish)

    def why_stop() -> str:
        return _why_stop(asked, deadline)

    with _alone(files, engine, resume), _backend(config), _explained(config, files):
        before = read_progress(files.last) if resume else None
        _check_names(config, before)
        split = None if before is None else before.split
        data = yield from _prepared(config, engine, asked, split)
        with closing(Run(config, files, engine, data, resume)) as run:
            yield from run.beginning()
            try:
                reason = yield from run.steps(why_stop)
            except GeneratorExit:
                run.save()
                raise
            model = run.write_model()
            if reason:
                yield Stopped(run.progress.step, config.steps, reason, model)
            else:
                yield from run.finish(model, why_stop)
                yield Finished(run.progress.step, model)


def _alone(files: RunFolder, engine: Engine, resume: bool) -> AbstractContextManager[None]:
    """Keep other runs out of the folder."""
    if engine.rank > 0 or (resume and not files.path.is_dir()):
        return nullcontext()
    return files.held()


def _check_names(config: TrainingConfig, before: Progress | None) -> None:
    """Refuse names that mean nothing before hours go into reading pictures."""
    profile_of(config)
    start = started_from(config)
    # A run that goes on has its weights, and needs the model no more that it started from.
    if start is not None and (before is None or before.start is None):
        resolve_model(start)


def _prepared(
    config: TrainingConfig, engine: Engine, stop: Callable[[], bool], before: Split | None
) -> Generator[Preparing | Notice, None, Data]:
    """Let the first process decode the pictures, and the others find them decoded."""
    if engine.rank > 0:
        engine.wait()
    preparing = prepare_data(config, before)
    data = yield from _until_stopped(preparing, stop if engine.world == 1 else _never)
    if engine.rank == 0:
        engine.wait()
    return data


def _until_stopped(
    preparing: Generator[Preparing | Notice, None, Data], stop: Callable[[], bool]
) -> Generator[Preparing | Notice, None, Data]:
    with closing(preparing):
        while True:
            try:
                event = next(preparing)
            except StopIteration as end:
                data: Data = end.value
                return data
            yield event
            if stop():
                raise TrainingError(
                    "It was asked to stop while pictures were read, before the first step."
                )


def _never() -> bool:
    return False


def _why_stop(stop: Callable[[], bool], deadline: float | None) -> str:
    if stop():
        return "it was asked to stop"
    if deadline is not None and time.monotonic() >= deadline:
        return "its time was over"
    return ""


@contextmanager
def _explained(config: TrainingConfig, files: RunFolder) -> Iterator[None]:
    """Turn what a machine runs out of into sentences; what was saved before stays as it is."""
    try:
        yield
    except SemnetError:
        raise
    except OSError as error:
        raise TrainingError(
            f"A file of the run in {files.path} could not be written or read: {error}. What was "
            "saved before is intact: free some space and resume."
        ) from error
    except (RuntimeError, MemoryError) as error:
        if config.hardware.devices * config.hardware.nodes > 1 and is_lost_partner(error):
            raise TrainingError(
                "Another process of this run has ended, or cannot be reached any more. Its own "
                "last lines say why; resume when that is mended."
            ) from error
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"The device has too little memory for a batch of {config.batch} patches of "
            f"{config.patch} x {config.patch} pixels. Lower batch or patch, and start again."
        ) from error


@contextmanager
def _backend(config: TrainingConfig) -> Iterator[None]:
    """Set cuDNN up for fixed shapes, or for repeatable results; put it back at the end."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark = not config.hardware.deterministic
    cudnn.deterministic = config.hardware.deterministic
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
