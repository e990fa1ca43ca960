"""Measure models beside the classical methods on pictures whose reference is known.

`run_evaluation` yields typed events while it works; `evaluate` is the one call for a script.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.patterns import periodic_pattern
from napari_semnet.imaging.quality import mean_bias, psnr, ssim
from napari_semnet.model import DEFAULT_MODEL, Model
from napari_semnet.restoration.events import Finished as Restored
from napari_semnet.restoration.events import Notice, Progress
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.training import baselines
from napari_semnet.training.baselines import BASELINES, GAUSSIAN
from napari_semnet.training.cases import Case, Found, Plan, Skipped, find_cases
from napari_semnet.training.contenders import Contender, Widths, contenders
from napari_semnet.training.report import (
    Example,
    Method,
    ModelFacts,
    Report,
    Score,
    choose_examples,
)
from napari_semnet.training.scores import SHOWN
from napari_semnet.training.soundness import Checking, Soundness, check_soundness

__all__ = [
    "Checking",
    "Event",
    "Finished",
    "Measured",
    "Notice",
    "Restoring",
    "Searching",
    "Skipped",
    "Started",
    "evaluate",
    "run_evaluation",
]

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: what is going to be measured."""

    pictures: int
    cases: int
    """Pictures times draws."""
    methods: tuple[str, ...]
    """All that is measured, the models among them."""
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Searching:
    """The best widths of a Gaussian are being searched for."""

    done: int
    total: int
    """Pictures, both counts."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """A method is at work on a case."""

    method: str
    picture: str
    fraction: float
    """Part of it that is done, 0 to 1; classical methods do not say."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All methods are measured on one case."""

    scores: tuple[Score, ...]
    done: int
    total: int
    """Cases, both counts."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event: the result."""

    report: Report


Event: TypeAlias = (
    Started | Skipped | Notice | Searching | Restoring | Measured | Checking | Finished
)


def run_evaluation(
    plan: Plan,
    models: Sequence[Model | str | Path] = (DEFAULT_MODEL,),
    settings: Settings | None = None,
) -> Iterator[Event]:
    """Measure models and classical methods, and say what happens.

    Parameters
    ----------
    plan : Plan
        On what, by which degradation, beside which methods.
    models : sequence of Model, str or Path
        Loaded models, names or paths.
    settings : Settings, optional
        How the models restore.

    Yields
    ------
    Event
        `Started`, then what goes on, at last `Finished`. Closing the generator stops after the
        tile or the classical method at hand. Nothing is written.

    Raises
    ------
    SemnetError
        A model cannot be loaded, or no picture can be used.
    """
    start = time.perf_counter()
    chosen = baselines.choose_baselines(plan.baselines)
    restorers = _named([Restorer(model, settings) for model in models])
    found = find_cases(plan)
    skipped = [entry for entry in found if isinstance(entry, Skipped)]
    yield from skipped
    notices = [*_notices(chosen), *_about_table(plan, found)]
    yield from map(Notice, notices)
    usable = [entry for entry in found if isinstance(entry, Found)]
    readable, widths = yield from _searched(usable, GAUSSIAN in chosen, skipped)
    if not readable:
        reasons = "; ".join(f"{s.path.name}: {s.reason}" for s in skipped[:3])
        raise SemnetError(f"No picture in {plan.hq} can be measured on ({reasons}).")
    classical = tuple(contenders(chosen, widths, is_degraded=plan.lq is None))
    figures = yield from _measured(readable, classical, restorers)
    checks = yield from _checked(restorers)
    report = Report(
        plan=plan,
        methods=_methods(classical, restorers),
        models=tuple(
            ModelFacts(name, r.model.name, r.model.sha256, r.device.name, _precision(r))
            for name, r in restorers.items()
        ),
        scores=tuple(figures.scores),
        soundness=tuple(checks),
        skipped=tuple(skipped),
        notices=tuple(notices),
        notes=figures.notes,
        examples=(),
        seconds=time.perf_counter() - start,
    )
    yield Finished(report.with_examples(choose_examples(report, figures.examples)))


def evaluate(
    plan: Plan | str | Path,
    models: Sequence[Model | str | Path] = (DEFAULT_MODEL,),
    settings: Settings | None = None,
    callback: Callable[[Event], None] | None = None,
) -> Report:
    """Measure models beside the classical methods.

    Parameters
    ----------
    plan : Plan, str or Path
        On what and beside what; a path is the folder of good pictures, with all else as usual.
    models : sequence of Model, str or Path
        Loaded models, names or paths.
    settings : Settings, optional
        How the models restore.
    callback : callable, optional
        Called with each event as it happens; see `run_evaluation`.

    Returns
    -------
    Report
        Its ``write(folder)`` writes the table, JSON, CSV and figures.

    Raises
    ------
    SemnetError
        A model cannot be loaded, or no picture can be used.
    """
    asked = plan if isinstance(plan, Plan) else Plan(Path(plan))
    for event in run_evaluation(asked, models, settings):
        if callback is not None:
            callback(event)
        if isinstance(event, Finished):
            return event.report
    raise AssertionError("An evaluation ends with Finished.")


def _notices(chosen: Sequence[str]) -> list[str]:
    """Say which classical methods cannot be measured here."""
    return [
        BASELINES[word].unavailable
        for word in chosen
        if word in BASELINES and not BASELINES[word].is_installed()
    ]


def _about_table(plan: Plan, found: Sequence[Found | Skipped]) -> list[str]:
    """Say when a table that was asked for tells nothing of any picture."""
    if plan.table is None or any(isinstance(one, Found) and one.source for one in found):
        return []
    said = (
        f"The table {plan.table.name} says nothing in its column '{plan.column}' of any picture "
        f"in {plan.hq}, so results are not told apart. Its column 'file' must hold the pictures' "
        "paths, or their ends."
    )
    return [said]


def _methods(
    classical: Sequence[Contender], restorers: Mapping[str, Restorer]
) -> tuple[Method, ...]:
    return (
        *(contender.method for contender in classical),
        *(Method(name, "model", "SEMNet, one pass") for name in restorers),
    )


def _searched(
    usable: Sequence[Found], is_wanted: bool, skipped: list[Skipped]
) -> Generator[Event, None, tuple[list[Found], Widths]]:
    """Read every picture once, and search for the best Gaussians on it where they are wanted."""
    widths = Widths()
    readable: list[Found] = []
    for number, entry in enumerate(usable, 1):
        try:
            for case in entry.cases():
                if is_wanted:
                    widths.measure(case)
        except SemnetError as error:
            skipped.append(Skipped(entry.path, str(error).removesuffix(".")))
            yield skipped[-1]
            continue
        readable.append(entry)
        yield Searching(number, len(usable))
    return readable, widths


@dataclass(frozen=True, slots=True)
class _Figures:
    """What was measured on all cases."""

    scores: list[Score] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What was done to each picture."""


def _measured(
    readable: Sequence[Found], classical: Sequence[Contender], restorers: Mapping[str, Restorer]
) -> Generator[Event, None, _Figures]:
    """Let all methods restore all cases."""
    methods = _methods(classical, restorers)
    total = sum(entry.draws for entry in readable)
    yield Started(len(readable), total, tuple(m.name for m in methods), tuple(restorers))
    figures = _Figures()
    cases = (case for entry in readable for case in entry.cases())
    for done, case in enumerate(cases, 1):
        outputs: dict[str, tuple[Grey, float, float | None]] = {}
        for contender in classical:
            yield Restoring(contender.method.name, case.picture, 0.0)
            outputs[contender.method.name] = _timed(contender, case)
        for name, restorer in restorers.items():
            outputs[name] = yield from _restored(name, restorer, case)
        here = tuple(_score(case, method, *outputs[method.name]) for method in methods)
        figures.scores.extend(here)
        figures.notes[case.picture] = case.notes
        if case.draw == 0:
            shown = {name: outputs[name][0] for name in (*SHOWN, *restorers) if name in outputs}
            figures.examples.append(Example.cut(case.picture, 0, case.low, case.high, shown))
        yield Measured(here, done, total)
    return figures


def _checked(restorers: Mapping[str, Restorer]) -> Generator[Event, None, list[Soundness]]:
    """Check each model on pictures whose answer is known."""
    checks: list[Soundness] = []
    for name, restorer in restorers.items():
        for event in check_soundness(restorer, name):
            if isinstance(event, Soundness):
                checks.append(event)
            else:
                yield event
    return checks


def _named(restorers: Sequence[Restorer]) -> dict[str, Restorer]:
    """Give each model a name of its own."""
    named: dict[str, Restorer] = {}
    for restorer in restorers:
        name = restorer.model.name
        if name in named:
            name = f"{name} ({restorer.model.path.stem})"
        number = 2
        while name in named:
            name, number = f"{restorer.model.name} ({number})", number + 1
        named[name] = restorer
    return named


def _timed(contender: Contender, case: Case) -> tuple[Grey, float, float | None]:
    start = time.perf_counter()
    restored, sigma = contender.restore(case)
    return restored, time.perf_counter() - start, sigma


def _restored(
    name: str, restorer: Restorer, case: Case
) -> Generator[Event, None, tuple[Grey, float, float | None]]:
    for event in restorer.run(case.low):
        if isinstance(event, Progress):
            yield Restoring(name, case.picture, event.fraction)
        elif isinstance(event, Notice):
            yield event
        elif isinstance(event, Restored):
            return event.restored.pixels, event.restored.seconds, None
    raise AssertionError("A run ends with Finished.")


def _score(
    case: Case, method: Method, restored: Grey, seconds: float, sigma: float | None
) -> Score:
    # Patterns are of interest where a network could draw them, and in what it is compared with.
    looked_at = method.kind == "model" or method.name == BASELINES["bicubic"].name
    pitches = (2, 8) if looked_at and min(restored.shape) >= 64 else ()
    return Score(
        case.picture,
        case.source,
        case.draw,
        method.name,
        psnr(restored, case.high, 255),
        ssim(restored, case.high, 255),
        mean_bias(restored, case.high),
        mean_bias(restored, case.low),
        sigma,
        tuple(periodic_pattern(restored, pitch) for pitch in pitches),
        seconds,
    )


def _precision(restorer: Restorer) -> str:
    asked = restorer.settings.precision
    return restorer.device.precision if asked == "auto" else asked
