"""A run between its first and its last step: the loop, and what is due along the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from napari_semnet.errors import ModelFileError, TrainingError
from napari_semnet.model import load_model, read_card
from napari_semnet.training.checkpoint import (
    Best,
    Progress,
    Start,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from napari_semnet.training.config import TrainingConfig, config_from, load_config
from napari_semnet.training.data import Data
from napari_semnet.training.engine import Engine
from napari_semnet.training.events import (
    Checkpointed,
    Evaluated,
    Event,
    Notice,
    Preview,
    Started,
)
from napari_semnet.training.finish import add_halo, card_for, described, write_model
from napari_semnet.training.learner import (
    Learner,
    first_network,
    make_batch,
    network_again,
    profile_of,
)
from napari_semnet.training.meter import Meter
from napari_semnet.training.prefetch import prefetched
from napari_semnet.training.run_folder import Reports, RunFolder
from napari_semnet.training.split import change_of, joined
from napari_semnet.training.validation import Quality, fingerprint, fixed_crops, measure, triplets

__all__ = ["Run"]

CHECK_EVERY = 10
"""Steps between looks at the device and at the other processes."""
MOST_SKIPPED = 10
"""Steps in a row without a finite gradient after which a run stops."""
_SAME_FIGURE = 1e-3
"""PSNR in dB and SSIM that differ by less on two devices are of the same crops."""


class Run:
    """What a run holds between its steps."""

    def __init__(
        self, config: TrainingConfig, files: RunFolder, engine: Engine, data: Data, resume: bool
    ) -> None:
        self.config, self.files, self.engine, self.data = config, files, engine, data
        self.is_first = engine.rank == 0
        self.profile = profile_of(config)
        start = read_progress(files.last).start if resume else None
        network, self.start = (
            first_network(config) if start is None else network_again(config, start)
        )
        self.learner = Learner(network, config, engine)
        self.progress = Progress()
        before = None
        if resume:
            self.progress = load_checkpoint(
                files.last, self.learner.network, self.learner.average, self.learner.optimiser
            )
            self.learner.skipped += self.progress.skipped
            before = self.progress.split
        self._settings_before = self.progress.settings
        self._start_before = start
        self.progress.start = self.start
        self.progress.settings = config.model_dump(mode="json")
        self.progress.take(joined(before, data.split))
        self._is_as_before = self.progress.settings == self._settings_before and not (
            before and change_of(before, data.split)
        )
        self.bicubic: Quality | None = None
        self.resumed_at = self.progress.step if resume else None
        if engine.name not in self.progress.hardware:
            self.progress.hardware.append(engine.name)
        self.crops = fixed_crops(data, config, self.profile, engine.device) if self.is_first else ()
        self.fingerprint = fingerprint(data, config, self.profile)
        self.meter = Meter(engine.device)
        self.meter.skipped = self.progress.skipped
        self._seconds_before = self.progress.seconds
        self._began = time.monotonic()
        self._opened = ExitStack()

    def beginning(self) -> Iterator[Event]:
        """Open the folder, and say what is about to happen."""
        config = self.config
        if self.resumed_at is not None:
            yield from _changes(self._settings_before, self._start_before, self.files, config)
        if self.is_first:
            self.files.begin(config, self.engine.name, resumed_at=self.resumed_at)
            self.files.list_rejected(self.data.rejected)
            reports = Reports(self.files, self.progress.step)
            self.reports = self._opened.enter_context(closing(reports))
            try:
                self.bicubic = measure(None, self.crops) if self.crops else None
            except ImportError as error:
                self.crops = ()
                yield Notice(f"Progress is not measured, as a package is missing: {error}.")
            yield from self._forget_best()
        yield Started(
            step=self.progress.step,
            total=config.steps,
            images=self.data.images,
            megapixels=round(self.data.megapixels, 3),
            device=self.engine.name,
            precision=self.engine.precision,
            parameters=sum(p.numel() for p in self.learner.network.parameters()),
        )
        if self.start.origin and self.crops and self.resumed_at is None:
            # What a model could do before is what it has to beat.
            yield self._evaluate()
        is_over = self.resumed_at is not None and self.progress.step >= config.steps
        if is_over and self.crops and self.progress.latest is None:
            # No step follows after which it would be measured on crops that differ from before.
            yield self._evaluate()

    def _forget_best(self) -> Iterator[Notice]:
        """Drop figures that say nothing of what is measured from now on, or of no file there is."""
        progress = self.progress
        if progress.best is None:
            return
        if not self._is_of_these_crops(progress.best):
            progress.best = progress.latest = None
            yield Notice(
                "The validation crops differ from those of before, so that figures cannot be "
                "compared with earlier ones; the best model is looked for anew from here on."
            )
            return
        step = _step_of(self.files.best)
        # A run that is killed can have written a better model after the state that it goes on
        # from. It comes to that one again, unless it goes on in another way.
        is_found_again = self._is_as_before and step is not None and step > progress.step
        if step != progress.best.step and not is_found_again:
            what = "is missing" if step is None else f"is of step {step:,}"
            yield Notice(
                f"The file of the best model so far {what} instead of step "
                f"{progress.best.step:,}, so the best one is looked for anew from here on."
            )
            progress.best = None

    def _is_of_these_crops(self, measured: Best) -> bool:
        if measured.crops:
            return measured.crops == self.fingerprint
        # Earlier releases did not write down what they measured; bicubic figures tell it as well.
        return self.bicubic is not None and all(
            math.isclose(now, before, abs_tol=_SAME_FIGURE)
            for now, before in (
                (self.bicubic.psnr, measured.bicubic_psnr),
                (self.bicubic.ssim, measured.bicubic_ssim),
            )
        )

    def steps(self, why_stop: Callable[[], str]) -> Generator[Event, None, str]:
        """Take all steps that are left; return why it stopped early, or nothing."""
        config, learner, progress = self.config, self.learner, self.progress
        left = range(progress.step, config.steps)
        batches = prefetched(
            lambda step: make_batch(self.data, config, self.profile, self.engine, step),
            left,
            begin=_one_processor if self.engine.device.type == "cpu" else _as_it_is,
        )
        with _threads_restored(), closing(batches):
            for step in left:
                batch, waited = next(batches)
                with self.meter.timing(waited):
                    terms, norm = learner.learn(batch, step)
                    self.meter.add(terms, norm)
                progress.step = step + 1
                reason = self._reason(why_stop)
                yield from _whole(self._due(bool(reason)))
                if reason and progress.step < config.steps:
                    return reason
        return ""

    def _reason(self, why_stop: Callable[[], str]) -> str:
        """Ask, not more often than needed, whether the run must end here."""
        is_check = self.progress.step % CHECK_EVERY == 0
        if is_check and self.learner.streak.item() >= MOST_SKIPPED:
            self.save()
            best = self.files.best
            anew = f"; or start anew from {best}" if best.is_file() else ""
            raise TrainingError(
                f"The gradient was not a finite number for {MOST_SKIPPED} steps in a row, so "
                f"training was stopped at step {self.progress.step:,} and its state saved. Lower "
                f"the learning rate, or set precision to fp32, and resume{anew}."
            )
        if self.engine.world == 1:
            return why_stop()
        if is_check:
            mine = why_stop()
            if self.engine.any(bool(mine)):
                return mine or "another process was asked to stop"
        return ""

    def _due(self, is_stopped: bool) -> Iterator[Event]:
        """Do and tell what is due after a step; at the end of the run, everything.

        A run that is stopped only saves its state, so that it stops soon, and so that what is
        measured, and when, is what an uninterrupted run measures.
        """
        step, intervals = self.progress.step, self.config.intervals
        is_end = step == self.config.steps
        if is_end or is_stopped or step % intervals.log == 0:
            yield from self._tell()
        if self.crops and (is_end or step % intervals.evaluate == 0):
            yield self._evaluate()
        if self.crops and (is_end or step % intervals.preview == 0):
            yield Preview(
                step, self.files.write_preview(step, triplets(self.learner.restore, self.crops))
            )
        if is_end or is_stopped or step % intervals.checkpoint == 0:
            self.save()
            yield Checkpointed(step, self.files.last)

    def _tell(self) -> Iterator[Event]:
        step = self.progress.step
        skipped = int(self.learner.skipped.item())
        if skipped > self.meter.skipped:
            yield Notice(
                f"{skipped - self.meter.skipped} steps before step {step:,} were skipped, because "
                "their gradient was not a finite number."
            )
        event = self.meter.read(step, self.config.steps, self.learner.rate(step - 1), skipped)
        if self.is_first:
            self.reports.add(event)
        yield event

    def _evaluate(self) -> Event:
        quality, progress = measure(self.learner.restore, self.crops), self.progress
        assert self.bicubic is not None
        latest = Best(
            progress.step,
            quality.psnr,
            quality.ssim,
            self.bicubic.psnr,
            self.bicubic.ssim,
            self.fingerprint,
        )
        progress.latest = latest if quality.is_finite else None
        is_best = quality.is_finite and (progress.best is None or quality.psnr > progress.best.psnr)
        if is_best:
            progress.best = latest
            self._write(self.files.best, latest, torch.float32)
        event = Evaluated(
            progress.step,
            quality.psnr,
            quality.ssim,
            self.bicubic.psnr,
            self.bicubic.ssim,
            is_best,
        )
        self.reports.add(event)
        return event

    def save(self) -> None:
        """Write the state that a run is resumed from."""
        if self.is_first:
            self._count_time()
            self.progress.skipped = int(self.learner.skipped.item())
            self.progress.updates = self.learner.updates()
            self.progress.learnt_from |= dict.fromkeys(described(self.data), self.progress.step)
            learner = self.learner
            save_checkpoint(
                self.files.last, learner.network, learner.average, learner.optimiser, self.progress
            )

    def _count_time(self) -> None:
        self.progress.seconds = self._seconds_before + time.monotonic() - self._began

    def _write(self, path: Path, measured: Best | None, dtype: torch.dtype) -> None:
        self._count_time()
        network = self.learner.average
        card = card_for(
            network,
            self.config,
            self.data,
            self.profile,
            self.progress,
            start=self.start,
            measured=measured,
        )
        write_model(path, network, card, dtype)

    def write_model(self) -> Path:
        """Write the model that the run has come to."""
        path = self.files.model(self.config.model.name)
        if self.is_first:
            best, latest = self.progress.best, self.progress.latest
            wants_best = self.config.model.keep == "best"
            if best is not None and wants_best and _step_of(self.files.best) == best.step:
                network = load_model(self.files.best).network
                self.learner.average.load_state_dict(network.state_dict())
                self._write(path, best, torch.float16)
            else:
                current = latest is not None and latest.step == self.progress.step
                self._write(path, latest if current else None, torch.float16)
        self.engine.wait()
        return path

    def finish(self, path: Path, why_stop: Callable[[], str]) -> Iterator[Event]:
        """Measure what takes time and is not needed before the model is complete."""
        if self.is_first:
            device = self.engine.device
            yield from add_halo(path, self.data, self.config, self.profile, device, why_stop)
        self.engine.wait()

    def close(self) -> None:
        """Let go of what reports are written to."""
        self._opened.close()


def _whole(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on; whoever closes the run in between still has all done that was due.

    What is measured, and when, is then what a run measures that is not closed.
    """
    try:
        for event in events:  # noqa: UP028 - yield from would close them
            yield event
    except GeneratorExit:
        for _ in events:
            pass
        raise


def _as_it_is() -> None:
    """Leave the threads as they are: the cores are free where a GPU computes the network."""


def _one_processor() -> None:
    """Leave the cores to the network, which would share them with a second team of threads.

    With as many threads for the batches as for the network, a step took a third longer.
    """
    torch.set_num_threads(1)


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Threads that are started after the run get as many processors as before it."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _step_of(model: Path) -> int | None:
    """Read for how many steps a model file was trained; None where it cannot be read."""
    try:
        return read_card(model).training.steps
    except ModelFileError:
        return None


def _changes(
    saved: Mapping[str, Any], start: Start | None, files: RunFolder, config: TrainingConfig
) -> Iterator[Notice]:
    """Say which settings differ from those that were saved with the state; the new ones count."""
    try:
        # Earlier releases saved none: then the file tells them, unless that was edited itself.
        # What was saved is checked, so that settings of later releases have their defaults.
        old = config_from(saved) if saved else load_config(files.config)
        before = old.model_dump(mode="json")
    except TrainingError as error:
        yield Notice(f"The run's configuration before this resumption cannot be read: {error}")
        return
    after = config.model_dump(mode="json")
    changed = sorted(key for key in after if after[key] != before.get(key))
    if start is not None and "start_from" in changed:
        changed.remove("start_from")
        yield Notice(
            f"The run began with {start.origin or 'random weights'} and goes on from there: "
            "another start_from has no effect on it. Start a new run for that."
        )
    if changed:
        yield Notice(
            f"Settings differ from before in {', '.join(changed)}; the new ones count, and the "
            "run does not end as it would have without the change."
        )
