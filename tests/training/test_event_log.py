from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from napari_semnet.training.event_log import EventLog, as_json, from_json, read_events
from napari_semnet.training.events import (
    Checkpointed,
    Evaluated,
    Event,
    Finished,
    MeasuringHalo,
    Notice,
    Preparing,
    Preview,
    Started,
    Step,
    Stopped,
)

EVENTS: list[Event] = [
    Preparing("ours", 1, 2),
    Started(0, 10, 3, 1.5, "CPU", "fp32", 1000),
    Step(5, 10, 1e-4, 0.1, 0.05, 0.2, 0.01, 0.001, -28.0, 0.0001, 1.0, 2.0, 3.5, 0),
    Evaluated(5, 26.5, 0.7, 25.0, 0.6, is_best=True),
    Preview(5, Path("run/previews/0000005.png")),
    Checkpointed(5, Path("run/checkpoints/last.safetensors")),
    Notice("All is µ."),
    MeasuringHalo(0.5),
    Stopped(7, 10, "it was asked to stop", Path("run/ours.safetensors")),
    Finished(10, Path("run/ours.safetensors")),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert from_json(json.loads(json.dumps(as_json(event), allow_nan=False))) == event


def test_what_is_no_number_is_null_in_json() -> None:
    event = Evaluated(5, float("nan"), float("inf"), 20.0, 0.5, is_best=False)
    values = as_json(event)
    assert json.loads(json.dumps(values, allow_nan=False)) == {
        "event": "evaluated",
        "step": 5,
        "psnr": None,
        "ssim": None,
        "bicubic_psnr": 20.0,
        "bicubic_ssim": 0.5,
        "is_best": False,
    }
    back = from_json(values)
    assert isinstance(back, Evaluated)
    assert math.isnan(back.psnr)


@pytest.mark.parametrize(
    "values", [{}, {"event": "danced"}, {"event": "notice"}, {"event": "finished", "step": "x"}]
)
def test_what_is_no_event_is_passed_over(values: dict[str, str]) -> None:
    assert from_json(values) is None


def test_a_log_is_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.jsonl"
    assert read_events(path) == ([], 0)
    log = EventLog(path, resume=False)
    log.add(EVENTS[0])
    first, offset = read_events(path)
    log.add(EVENTS[1])
    second, offset = read_events(path, offset)
    assert [*first, *second] == EVENTS[:2]
    assert read_events(path, offset) == ([], offset)


def test_a_line_that_is_half_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps(as_json(EVENTS[1])) + "\n"
    path.write_text("no json\n" + line[:20])
    assert read_events(path)[0] == []
    offset = read_events(path)[1]
    path.write_text("no json\n" + line)
    assert read_events(path, offset)[0] == [EVENTS[1]]


def test_a_new_run_begins_the_log_anew_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, resume=False).add(EVENTS[0])
    EventLog(path, resume=True).add(EVENTS[1])
    assert read_events(path)[0] == EVENTS[:2]
    EventLog(path, resume=False)
    assert read_events(path)[0] == EVENTS[:2], "nothing was said yet"
    EventLog(path, resume=False).add(EVENTS[2])
    assert read_events(path)[0] == [EVENTS[2]]


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    EventLog(tmp_path / "events.jsonl", resume=False).add(EVENTS[0])


def test_a_line_that_was_cut_off_costs_no_event_but_its_own(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, resume=False).add(Notice("one"))
    with path.open("a") as stream:
        stream.write('{"event": "noti')  # the process died, or the disk was full
    log = EventLog(path, resume=True)
    log.add(Notice("two"))
    log.add(Notice("three"))
    assert [event.text for event in read_events(path)[0]] == ["one", "two", "three"]
    assert len(path.read_bytes().splitlines()) == 4
