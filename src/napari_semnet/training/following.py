"""Follow a run by its folder: what it said so far, whether it lives, and why it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from napari_semnet.errors import TrainingError
from napari_semnet.training import events as kinds
from napari_semnet.training.config import load_config
from napari_semnet.training.event_log import read_events
from napari_semnet.training.events import Evaluated, Event, Finished, Started, Step, Stopped
from napari_semnet.training.process import RunProcess, ask_to_stop, process_of
from napari_semnet.training.run_folder import RunFolder

__all__ = ["Follower", "Phase", "Story", "why_it_ended"]

Phase: TypeAlias = Literal[
    "starting", "preparing", "training", "paused", "measuring", "stopped", "finished", "failed"
]

_ENDED = ("stopped", "finished", "failed")
_GRACE = 3.0
"""Seconds that a process may be gone before its last words are waited for no longer."""
_INTACT = "What was saved up to step {:,} is intact: press Resume to go on from there."
_LOST = "Press New run, then Start, to begin again; its best model so far is {}."
_NOTHING = "Nothing was saved yet: press New run, then Start, to begin again."


@dataclass(slots=True)
class Story:
    """What a run said so far, in order."""

    phase: Phase = "starting"
    started: Started | None = None
    steps: list[Step] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    preview: Path | None = None
    saved: int = 0
    """Step that the run can be resumed from; 0 before anything was saved."""
    model: Path | None = None
    """Of a run that ended as it should."""
    notices: list[str] = field(default_factory=list)
    said: list[Event] = field(default_factory=list)
    """Everything, for the log."""
    detail: str = ""
    """What to know beyond the phase: files that were read, or why the run ended."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.phase in _ENDED

    @property
    def step(self) -> int:
        """Step that was heard of last."""
        heard = [self.started.step] if self.started is not None else [0]
        heard += [one[-1].step for one in (self.steps, self.evaluations) if one]
        return max(heard)

    @property
    def total(self) -> int:
        """Steps of the whole run; 0 before it is known."""
        return 0 if self.started is None else self.started.total

    @property
    def steps_per_second(self) -> float:
        """Mean over the steps of the last events; 0 before it is known."""
        speeds = [step.steps_per_second for step in self.steps[-5:] if step.steps_per_second > 0]
        return len(speeds) / sum(1 / speed for speed in speeds) if speeds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time that the steps which are left will take."""
        speed = self.steps_per_second
        return (self.total - self.step) / speed if speed > 0 and self.total else None

    @property
    def best(self) -> Evaluated | None:
        """Best measurement so far."""
        return next((one for one in reversed(self.evaluations) if one.is_best), None)

    def add(self, event: Event, folder: Path) -> None:
        """Take in the next event of the run in a folder."""
        self.said.append(event)
        match event:
            case kinds.Preparing(source, done, total):
                self.phase = "preparing"
                self.detail = f"reading {source}: {done} of {total} files"
            case kinds.Started():
                self._begin(event)
            case kinds.Step():
                self.phase = "training"
                self.steps.append(event)
            case kinds.Evaluated():
                self.evaluations.append(event)
            case kinds.Preview(step, _):
                # The folder may have been moved since, so its own idea of the path counts.
                self.preview = RunFolder(folder).preview(step)
            case kinds.Checkpointed(step, _):
                self.saved = step
            case kinds.Notice(text):
                self.notices.append(text)
            case kinds.MeasuringHalo(done):
                self.phase = "measuring"
                self.detail = f"measuring how far the model looks: {100 * done:.0f} %"
            case kinds.Stopped():
                self.end("stopped", event.reason, folder / event.model.name)
            case kinds.Finished():
                self.end("finished", "", folder / event.model.name)

    def fail(self, why: str) -> None:
        """Take note that the process is gone without a last word."""
        self.end("failed", why)

    def _begin(self, event: Started) -> None:
        """Forget what a resumed run does again."""
        self.phase, self.started, self.detail, self.model = "training", event, "", None
        self.saved = event.step
        self.steps = [step for step in self.steps if step.step <= event.step]
        self.evaluations = [one for one in self.evaluations if one.step <= event.step]

    def end(self, phase: Phase, detail: str, model: Path | None = None) -> None:
        """Close a chapter: nothing more will come, unless the run is resumed."""
        self.phase, self.detail, self.model = phase, detail, model


class Follower:
    """Reads what a run adds to its folder, from any process and at any time.

    Parameters
    ----------
    folder : Path
        Of the run.
    process : RunProcess, optional
        Which process trains, where the caller started it; else what the folder says counts.
    """

    def __init__(self, folder: Path, process: RunProcess | None = None) -> None:
        self.folder = folder
        self.story = Story()
        self._offset = RunFolder(folder).events.stat().st_size if process and _has(folder) else 0
        self._given = process
        self._held: list[Event] = []
        self._gone_since: float | None = None
        if process is not None and self._offset:
            # A resumed run goes on with a story that is known already.
            for event in read_events(RunFolder(folder).events)[0]:
                self.story.add(event, folder)
            self.story.end("starting", "")

    @property
    def process(self) -> RunProcess | None:
        """The process that trains, or trained last."""
        return process_of(self.folder) or self._given

    def stop(self) -> None:
        """End the run so that it can be resumed, as soon as nothing is lost by that.

        Raises
        ------
        OSError
            The folder cannot be written to.
        """
        process, phase = self.process, self.story.phase
        # One on another machine can only be asked.
        is_here = process is not None and process.is_here
        if phase in ("starting", "preparing") and process is not None and is_here:
            process.kill()
            self.story.end("stopped", "it was asked to stop before its first step")
        elif phase == "measuring" and process is not None and is_here:
            # The model is complete; without the measurement tiles use the exact halo.
            process.kill()
            self.story.end("finished", "", self._model())
        elif not self.story.has_ended:
            ask_to_stop(self.folder)
            self.story.detail = "stopping after this step"

    def _model(self) -> Path:
        files = RunFolder(self.folder)
        return files.model(load_config(files.config).model.name)

    def poll(self) -> bool:
        """Read what is new.

        Returns
        -------
        bool
            Whether anything changed.
        """
        before = (self.story.phase, self.story.detail)
        events, self._offset = read_events(RunFolder(self.folder).events, self._offset)
        events = [*self._held, *events]
        # A run is over when its process is: only then is its memory free, and its folder.
        is_last_word = bool(events) and isinstance(events[-1], Stopped | Finished)
        self._held = events[-1:] if is_last_word and self._is_alive else []
        events = events[: len(events) - len(self._held)]
        for event in events:
            self.story.add(event, self.folder)
        if not self.story.has_ended:
            self._look_at_process()
        if self.story.phase == "measuring" and self.story.model is None:
            # The model is there before it is measured how far it looks.
            self.story.model = self._model()
        return bool(events) or before != (self.story.phase, self.story.detail)

    @property
    def _is_alive(self) -> bool:
        process = self.process
        return process is not None and process.is_alive

    def _look_at_process(self) -> None:
        process = self.process
        if not self.folder.is_dir():
            self.story.fail(
                f"The run's folder {self.folder} is no longer there. Put it back and open it "
                "again, or start a new run."
            )
        elif process is not None and process.is_alive:
            self._gone_since = None
            if process.is_paused:
                self.story.phase = "paused"
            elif self.story.phase == "paused":
                self.story.phase = "training" if self.story.started else "starting"
        elif process is None or process.is_here:
            self._wait_for_last_words()

    def _wait_for_last_words(self) -> None:
        """Give what a process wrote last time to arrive, unless its error stream tells all."""
        now = time.monotonic()
        self._gone_since = now if self._gone_since is None else self._gone_since
        why = why_it_ended(self.folder)
        if why or now - self._gone_since >= _GRACE:
            self.story.fail(self._sentence(why))

    def _what_is_kept(self) -> str:
        # Whoever only follows a run that goes well should not wait for PyTorch.
        from napari_semnet.training.checkpoint import read_progress

        files = RunFolder(self.folder)
        try:
            read_progress(files.last)
        except TrainingError:
            return _LOST.format(files.best) if files.best.is_file() else _NOTHING
        return _INTACT.format(self.story.saved)

    def _sentence(self, why: str) -> str:
        kept = self._what_is_kept() if self.story.saved else _NOTHING
        if why:
            return f"{why} {kept}"
        return (
            "The training process was ended from outside: killed by someone or by the system, "
            f"which does that when memory runs out. {kept}"
        )


def why_it_ended(folder: Path) -> str:
    """Find the sentence with which a process that trained in a folder gave up.

    Returns
    -------
    str
        From its error stream; empty where that says nothing.
    """
    errors = RunFolder(folder).errors
    try:
        lines = errors.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for number, line in enumerate(lines):
        if line.startswith("napari-semnet: "):
            return " ".join([line.removeprefix("napari-semnet: "), *lines[number + 1 :]]).strip()
    if any(line.startswith("Traceback") for line in lines):
        return f"The program failed ({lines[-1].strip()}); {errors} tells all."
    return ""


def _has(folder: Path) -> bool:
    return RunFolder(folder).events.is_file()
