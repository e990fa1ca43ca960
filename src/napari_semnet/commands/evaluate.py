"""``napari-semnet evaluate``: measure models beside the classical methods."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from napari_semnet.training.cases import Plan
    from napari_semnet.training.evaluation import Event
    from napari_semnet.training.profile import Profile
    from napari_semnet.training.scores import Score

__all__ = ["add_parser", "plan_from", "run"]

_MEASURING = "measuring, cases"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``evaluate`` to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="measure models beside bicubic, Gaussian, NLM and BM3D",
        description=(
            "Degrade good pictures, restore them with each model and with the classical methods, "
            "and report PSNR, SSIM, grey level bias, edge widths and grid patterns, with 95 % "
            "intervals and the definitions of all figures. With --lq, real pairs are measured."
        ),
    )
    parser.add_argument(
        "--hq",
        required=True,
        type=values.path,
        metavar="DIR",
        help="good pictures (folder or file)",
    )
    parser.add_argument(
        "--lq", type=values.path, metavar="DIR", help="real poor pictures of the same names"
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="M",
        help="name or path of a model; repeat it to compare several (default: the bundled one)",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=values.path,
        metavar="DIR",
        help="folder for the report",
    )
    parser.add_argument(
        "--poster",
        action="store_true",
        help="as on the SEMNet poster: inputs of 640 x 480, references of 1280 x 960 pixels",
    )
    parser.add_argument(
        "--profile",
        default="poster",
        metavar="NAME",
        help="degradation: poster, sem, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--draws", default=2, type=int, metavar="N", help="degradations a picture (default: 2)"
    )
    parser.add_argument("--seed", default=0, type=int, help="chooses the degradations (default: 0)")
    parser.add_argument(
        "--baselines",
        default="all",
        metavar="A,B",
        help="of bicubic, gaussian, nlm, bm3d (default: all)",
    )
    parser.add_argument(
        "--pairing",
        default="registered",
        choices=("registered", "as-is"),
        help="whether real pairs are first laid over one another (default: registered)",
    )
    parser.add_argument(
        "--table",
        type=values.path,
        metavar="CSV",
        help="says more of the pictures, by a column 'file'",
    )
    parser.add_argument(
        "--column",
        default="source",
        metavar="NAME",
        help="column by which results are also told apart (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps"
    )
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    telling = parser.add_mutually_exclusive_group()
    telling.add_argument("--quiet", action="store_true", help="write the report and say nothing")
    telling.add_argument(
        "--json", action="store_true", help="say everything as JSON, one object a line"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the report and show its table."""
    from napari_semnet.model import DEFAULT_MODEL
    from napari_semnet.restoration.restorer import Settings
    from napari_semnet.training.evaluation import Finished, Notice, Skipped, run_evaluation

    settings = Settings(device=arguments.device, precision=arguments.precision)
    models = arguments.model or [DEFAULT_MODEL]
    is_begun = False
    with _reporter(arguments) as report:
        for event in run_evaluation(plan_from(arguments), models, settings):
            if not is_begun and not isinstance(event, Notice | Skipped):
                is_begun = True
                # Not before: where there is nothing to measure, no folder is left behind.
                with _writing_to(arguments.output) as folder:
                    folder.mkdir(parents=True, exist_ok=True)
            if not isinstance(event, Finished):
                report(event)
                continue
            with _writing_to(arguments.output) as folder:
                written = event.report.write(folder)
            text = event.report.as_text()
    if arguments.json:
        _say_json({"event": "finished", "files": [str(path) for path in written]})
    elif not arguments.quiet:
        names = ", ".join(path.name for path in written)
        sys.stdout.write(f"{text}\nWritten to {arguments.output}: {names}\n")
    return 0


@contextmanager
def _writing_to(folder: Path) -> Iterator[Path]:
    """Turn what keeps the report from being written into a sentence."""
    from napari_semnet.errors import FileFormatError

    try:
        yield folder
    except OSError as error:
        raise FileFormatError(
            f"The report cannot be written to {folder}: {error.strerror}. Give another folder."
        ) from error


def plan_from(arguments: argparse.Namespace) -> Plan:
    """Gather what is to be measured from the command line.

    Raises
    ------
    SemnetError
        A choice is not possible; the text says why.
    """
    from napari_semnet.training.baselines import choose_baselines
    from napari_semnet.training.cases import POSTER_SHAPE, Plan

    return Plan(
        hq=arguments.hq,
        lq=arguments.lq,
        profile=_profile(arguments.profile),
        draws=arguments.draws,
        seed=arguments.seed,
        reference_shape=POSTER_SHAPE if arguments.poster else None,
        baselines=choose_baselines(arguments.baselines.split(",")),
        pairing="as is" if arguments.pairing == "as-is" else "registered",
        table=arguments.table,
        column=arguments.column,
    )


def _profile(name: str) -> Profile:
    """Find a degradation profile by its name or in a TOML file."""
    import tomllib

    from pydantic import ValidationError

    from napari_semnet.errors import SemnetError
    from napari_semnet.training.complaints import first_complaint
    from napari_semnet.training.degradation import PROFILES
    from napari_semnet.training.profile import Profile

    if name in PROFILES:
        return PROFILES[name]
    path = Path(name)
    if not path.is_file():
        known = ", ".join(PROFILES)
        raise SemnetError(
            f"There is no degradation profile '{name}'. Give {known}, or a TOML file."
        )
    try:
        # Some editors of Windows begin a file with a mark that says how it is encoded.
        return Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SemnetError(f"The profile {path} cannot be read: {error}.") from error
    except ValidationError as error:
        why = first_complaint(error, Profile)
        raise SemnetError(f"The profile {path} is not valid: {why}") from error


@contextmanager
def _reporter(arguments: argparse.Namespace) -> Iterator[Callable[[Event], None]]:
    if arguments.json:
        yield _json_reporter()
    elif arguments.quiet:
        yield lambda event: None
    else:
        with _progress() as report:
            yield report


def _json_reporter() -> Callable[[Event], None]:
    """Write events as JSON lines; progress is told often, and is said when there is some."""
    from napari_semnet.commands.reporting import as_json
    from napari_semnet.training.evaluation import Restoring

    said: Restoring | None = None

    def report(event: Event) -> None:
        nonlocal said
        if isinstance(event, Restoring):
            if event == said:
                return
            said = event
        _say_json(as_json(event))

    return report


def _say_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
    sys.stdout.flush()


def _line(scores: tuple[Score, ...], models: set[str]) -> str:
    """Say in a line how the models did in a case, beside bicubic interpolation."""
    shown = [score for score in scores if score.method in {"bicubic", *models}]
    figures = ", ".join(f"{s.method} {s.psnr:.2f} dB / {s.ssim:.3f}" for s in shown)
    return f"{scores[0].picture}, draw {scores[0].draw}: {figures}"


@contextmanager
def _progress() -> Iterator[Callable[[Event], None]]:
    """Show one bar on standard error: the present stage, how far it is, the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, highlight=False, markup=False)
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        yield _Display(bars)


class _Display:
    """A bar for each stage, a line for each case that is measured."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._models: set[str] = set()

    def __call__(self, event: Event) -> None:
        from napari_semnet.training import evaluation as kinds

        match event:
            case kinds.Searching(done, total):
                self._advance("searching the best Gaussians, pictures", done, total)
            case kinds.Started(cases=cases, models=names):
                self._models.update(names)
                self._advance(_MEASURING, 0, cases)
            case kinds.Restoring(method, picture, fraction):
                part = f" {100 * fraction:.0f} %" if fraction else ""
                self._bars.update(self._tasks[_MEASURING], now=f"{picture}: {method}{part}")
            case kinds.Measured(scores, done, total):
                self._advance(_MEASURING, done, total)
                self._line(f"{done}/{total} {_line(scores, self._models)}")
            case kinds.Checking(model, done, total):
                self._advance(f"checking {model}", done, total)
            case kinds.Skipped(path, reason):
                self._line(f"{path} skipped: {reason.rstrip('.')}.")
            case kinds.Notice(text):
                self._line(text)
            case _:
                pass

    def _advance(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, now="")
        self._bars.update(self._tasks[stage], completed=done, total=total, now="")

    def _line(self, text: str) -> None:
        self._bars.console.print(text, soft_wrap=True)
