"""A run in a process of its own, followed by its folder alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from napari_semnet.training.config import write_config
from napari_semnet.training.event_log import EventLog
from napari_semnet.training.events import Checkpointed, Evaluated, Started, Step
from napari_semnet.training.following import Follower, Phase, Story, why_it_ended
from napari_semnet.training.process import (
    RunProcess,
    ask_to_stop,
    process_of,
    this_process,
)
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.stopping import is_asked_to_stop, stop_request
from tests.training.processes import command, environment
from tests.training.runs import small_config


def until(done: Callable[[], bool], looks: int = 3000) -> None:
    for _ in range(looks):
        if done():
            return
        time.sleep(0.02)
    pytest.fail("it did not get there")


@contextmanager
def training(folder: Path, *, resume: bool = False, **changes: object) -> Iterator[Follower]:
    """A run that nobody listens to."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    files = RunFolder(run)
    if not resume:
        files.config.write_text(write_config(small_config(folder, **changes)))
    with files.errors.open("wb") as errors:
        child = subprocess.Popen(
            command(files.config, *(["--resume"] if resume else [])),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        yield Follower(run, this_process(child.pid))
    finally:
        child.kill()
        child.wait(60)


LONG = {
    "steps": 100_000,
    "intervals": {"log": 2, "evaluate": 50, "preview": 50, "checkpoint": 10},
}


def test_a_run_is_followed_paused_stopped_and_resumed(tmp_path: Path) -> None:
    with training(tmp_path, **LONG) as follower:
        story = follower.story
        until(lambda: follower.poll() and len(story.steps) > 2 and story.saved > 0)
        assert story.phase == "training"
        assert story.total == 100_000
        assert story.seconds_left is not None
        assert story.seconds_left > 0
        process = follower.process
        assert process is not None
        assert process.is_alive
        assert process.memory > 10**7

        process.pause()
        until(lambda: follower.poll() or story.phase == "paused")
        step = story.step
        time.sleep(0.3)
        follower.poll()
        assert story.step == step
        process.go_on()
        until(lambda: follower.poll() and story.step > step)

        # Another window, opened later, tells the same story.
        other = Follower(follower.folder)
        other.poll()
        assert other.process == process
        assert other.story.steps[: len(story.steps)] == story.steps[: len(other.story.steps)]

        process.pause()
        other.stop()
        until(lambda: follower.poll() and story.has_ended)
        assert story.phase == "stopped"
        assert story.model is not None
        assert story.model.is_file()
        assert story.saved == story.step
    stopped_at = story.step

    with training(tmp_path, resume=True) as follower:
        story = follower.story
        assert story.phase == "starting"
        assert story.step == stopped_at
        until(lambda: follower.poll() and story.step > stopped_at)
        steps = [step.step for step in story.steps]
        assert steps == sorted(set(steps))
        process = follower.process
        assert process is not None
        process.kill()
        until(lambda: follower.poll() and story.has_ended)
    assert story.phase == "failed"
    assert "ended from outside" in story.detail
    assert f"up to step {story.saved:,} is intact: press Resume" in story.detail


def test_a_saved_state_that_is_damaged_is_not_said_to_be_intact(tmp_path: Path) -> None:
    with training(tmp_path) as follower:
        until(lambda: follower.poll() and follower.story.has_ended)
    files = RunFolder(follower.folder)
    files.last.write_bytes(b"damaged")
    with training(tmp_path, resume=True) as follower:
        until(lambda: follower.poll() and follower.story.has_ended)
    detail = follower.story.detail
    assert "last.safetensors is damaged" in detail
    assert "intact" not in detail
    assert detail.endswith(f"its best model so far is {files.best}.")


def test_a_run_that_cannot_begin_tells_why_in_its_own_words(tmp_path: Path) -> None:
    with training(tmp_path, hardware={"device": "cuda:7", "precision": "fp32"}) as follower:
        until(lambda: follower.poll() and follower.story.has_ended)
    assert follower.story.phase == "failed"
    assert "cuda:7" in follower.story.detail
    assert follower.story.detail.endswith("press New run, then Start, to begin again.")
    assert RunFolder(follower.folder).config.is_file()


@pytest.mark.parametrize("phase", ["preparing", "measuring"])
def test_a_run_on_another_machine_is_asked_to_stop(tmp_path: Path, phase: Phase) -> None:
    RunProcess(1, 0.0, "another machine").write(tmp_path)
    follower = Follower(tmp_path)
    follower.story.phase = phase
    follower.stop()
    assert RunFolder(tmp_path).stop_request.is_file()
    assert follower.story.phase == phase


def test_a_folder_that_vanishes_is_told_of(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "gone")
    assert follower.poll()
    assert follower.story.phase == "failed"
    assert "no longer there" in follower.story.detail


def test_the_words_of_an_error_stream_are_found(tmp_path: Path) -> None:
    errors = RunFolder(tmp_path).errors
    assert why_it_ended(tmp_path) == ""
    errors.write_text("a warning\nnapari-semnet: The disk is full: free some space.\n")
    assert why_it_ended(tmp_path) == "The disk is full: free some space."
    errors.write_text('Traceback (most recent call last):\n  File "x"\nKeyError: 3\n')
    assert why_it_ended(tmp_path).startswith("The program failed (KeyError: 3);")


def test_a_wish_to_stop_counts_for_the_process_that_ran_then(tmp_path: Path) -> None:
    assert not is_asked_to_stop(tmp_path, stop_request(tmp_path))
    before = stop_request(tmp_path)
    ask_to_stop(tmp_path)
    assert is_asked_to_stop(tmp_path, before)
    # The next process of the run finds an old wish.
    assert not is_asked_to_stop(tmp_path, stop_request(tmp_path))


def test_a_wish_counts_whatever_the_clock_says(tmp_path: Path) -> None:
    ask_to_stop(tmp_path)
    before = stop_request(tmp_path)
    os.utime(RunFolder(tmp_path).stop_request, (1000.0, 1000.0))
    assert is_asked_to_stop(tmp_path, before)


def test_a_number_that_another_process_has_now_is_not_taken_for_the_run(tmp_path: Path) -> None:
    assert process_of(tmp_path) is None
    here = this_process()
    assert here.is_alive
    assert (here.pid, here.is_here) == (os.getpid(), True)
    here.write(tmp_path)
    assert process_of(tmp_path) == here
    RunFolder(tmp_path).process.write_text(
        f'{{"pid": {os.getpid()}, "created": 1000.0, "host": "{here.host}"}}'
    )
    former = process_of(tmp_path)
    assert former is not None
    assert not former.is_alive
    former.kill()  # must not end this very test


def test_a_process_that_ended_but_was_not_reaped_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    process = this_process(child.pid)
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not process.is_alive
    child.wait()


def test_a_resumed_run_replaces_the_steps_that_it_does_again(tmp_path: Path) -> None:
    def step(number: int) -> Step:
        return Step(number, 40, 1e-4, 0.1, 0.05, 0.2, 0.01, 0.001, -28.0, 0.0001, 1.0, 2.0, 3.5, 0)

    story = Story()
    for event in (
        Started(0, 40, 3, 1.5, "CPU", "fp32", 1000),
        *map(step, (10, 20, 30)),
        Evaluated(30, 26.0, 0.7, 25.0, 0.6, is_best=True),
        Checkpointed(20, Path("last")),
        Started(20, 40, 3, 1.5, "CPU", "fp32", 1000),
        step(30),
    ):
        story.add(event, tmp_path)
    assert [one.step for one in story.steps] == [10, 20, 30]
    assert story.evaluations == []
    assert story.seconds_left == pytest.approx(5.0)


def test_events_that_were_logged_before_are_known_at_once(tmp_path: Path) -> None:
    log = EventLog(RunFolder(tmp_path).events, resume=False)
    log.add(Started(0, 40, 3, 1.5, "CPU", "fp32", 1000))
    follower = Follower(tmp_path)
    assert follower.poll()
    assert follower.story.total == 40
