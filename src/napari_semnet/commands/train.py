"""``napari-semnet train``: train a model as a configuration says."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.training.events import Event

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``train`` to the command line."""
    parser = commands.add_parser(
        "train",
        help="train a model on your own images",
        description=(
            "Train a model as a TOML file says. Ctrl-C stops at the next step, in a state that "
            "--resume goes on from; before the first step it stops at once."
        ),
    )
    parser.add_argument("config", metavar="CONFIG", type=values.path, help="configuration (.toml)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=values.path,
        help=(
            "folder of the run; by default the configuration's name without .toml, beside it, or "
            "its own folder when it is called config.toml"
        ),
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument(
        "--max-minutes",
        metavar="N",
        type=_minutes,
        help="stop after this time, in a state that --resume goes on from",
    )
    parser.add_argument(
        "--json", action="store_true", help="say everything as JSON, one object a line"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train; 0 when the run is finished or ended as it was told to, 130 after Ctrl-C."""
    from napari_semnet.cli import INTERRUPTED
    from napari_semnet.training.config import load_config
    from napari_semnet.training.event_log import EventLog
    from napari_semnet.training.events import Stopped
    from napari_semnet.training.run_folder import RunFolder
    from napari_semnet.training.trainer import training_run

    config = load_config(arguments.config)
    folder = arguments.output or default_folder(arguments.config)
    say = _json_line if arguments.json else _text_line
    log = EventLog(RunFolder(folder).events, resume=arguments.resume)
    with _stopping_signals() as signals:
        events = training_run(
            config,
            folder,
            resume=arguments.resume,
            max_minutes=arguments.max_minutes,
            stop=lambda: signals.is_asked,
        )
        is_announced = False
        with closing(events):  # type: ignore[type-var]
            for event in events:
                signals.follow(event)
                if _is_first_process():
                    if not is_announced:
                        is_announced = True
                        # Not before: a run that may not start must leave the folder alone.
                        _leave_word(folder)
                    log.add(event)
                    say(event)
    # Whatever was to follow the training must not go on with a model that is unfinished.
    return INTERRUPTED if signals.is_asked and isinstance(event, Stopped) else 0


def _leave_word(folder: Path) -> None:
    """Say in a run's folder which process trains, so that it can be followed from outside."""
    with suppress(OSError, ImportError):
        from napari_semnet.training.process import this_process

        this_process().write(folder)


def default_folder(config: Path) -> Path:
    """Folder of the run where none is named."""
    absolute = config.absolute()
    if absolute.name == "config.toml":
        return absolute.parent
    # Without a suffix to leave out, the folder would have the name of the file itself.
    return absolute.with_suffix("" if absolute.suffix else ".run")


def _is_first_process() -> bool:
    import torch.distributed

    is_split = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not is_split or torch.distributed.get_rank() == 0


class _Signals:
    """Ctrl-C and a polite kill: a wish to stop where steps are taken, the end everywhere else."""

    def __init__(self) -> None:
        self.is_asked = False
        self._takes_steps = False

    def follow(self, event: Event) -> None:
        """Note whether the run takes steps now, so that somebody asks for the wish soon."""
        from napari_semnet.training.events import MeasuringHalo, Started

        if isinstance(event, Started | MeasuringHalo):
            self._takes_steps = isinstance(event, Started)

    def take(self, number: int, frame: Any) -> None:
        """Hear a signal; the second one stops at once."""
        if self.is_asked or not self._takes_steps:
            raise KeyboardInterrupt
        self.is_asked = True


@contextmanager
def _stopping_signals() -> Iterator[_Signals]:
    signals = _Signals()
    both = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signals.take) for number in both}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of minutes above 0.")
    return value


def _json_line(event: Event) -> None:
    from napari_semnet.training.event_log import as_json

    sys.stdout.write(json.dumps(as_json(event)) + "\n")
    sys.stdout.flush()


def _text_line(event: Event) -> None:
    text = describe(event)
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def describe(event: Event) -> str:
    """Word an event for people; empty for one that is not worth a line."""
    from napari_semnet.training import events as kinds

    match event:
        case kinds.Preparing(source, done, total):
            shown = done == total or done % 100 == 0
            return f"reading {source}: {done} of {total} files" if shown else ""
        case kinds.Started():
            images = "1 image" if event.images == 1 else f"{event.images} images"
            begun = f"going on at step {event.step:,}" if event.step else "starting"
            return (
                f"{begun}: {event.total:,} steps on {event.device} in {event.precision}, "
                f"{images} of {event.megapixels:.1f} megapixels, "
                f"{event.parameters:,} weights"
            )
        case kinds.Step():
            hours = (event.total - event.step) / max(event.steps_per_second, 1e-9) / 3600
            return (
                f"step {event.step:,} of {event.total:,}: loss {event.loss:.5f} "
                f"(L1 {event.l1:.5f}, histogram {event.histogram:.4f}, "
                f"variation {event.total_variation:.4f}, brightness {event.brightness:.4f}, "
                f"PSNR {-event.psnr:.2f} dB, reach {event.reach:.6f}), "
                f"rate {event.learning_rate:.2e}, "
                f"{event.steps_per_second:.2f} steps/s, waiting {event.waiting_ms:.1f} ms a step, "
                f"{hours:.2f} h left"
            )
        case kinds.Evaluated():
            best = ", best so far" if event.is_best else ""
            return (
                f"step {event.step:,}: PSNR {event.psnr:.3f} dB, SSIM {event.ssim:.4f} "
                f"(bicubic {event.bicubic_psnr:.3f} dB, {event.bicubic_ssim:.4f}){best}"
            )
        case kinds.Notice(text):
            return f"note: {text}"
        case kinds.MeasuringHalo(done):
            return "measuring how far the model looks" if done == 0 else ""
        case kinds.Stopped():
            return (
                f"stopped at step {event.step:,} of {event.total:,}, because {event.reason}. "
                f"Go on with --resume. Model so far: {event.model}"
            )
        case kinds.Finished():
            return f"finished after {event.step:,} steps: {event.model}"
        case _:
            return ""
