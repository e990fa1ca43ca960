"""Work beside the window: told step by step, stopped when asked, errors told as such."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from napari_semnet.errors import ImageError
from napari_semnet.widgets.background import Done, Failed, Progressed, Task, news


def counting(total: int, stop: threading.Event | None = None, at: int = -1) -> Any:
    for number in range(total):
        if stop is not None and number == at:
            stop.set()
        yield number / total
    return "result"


def failing(error: Exception) -> Any:
    yield 0.5
    raise error


def test_steps_are_told_and_then_the_result() -> None:
    told = list(news(lambda: counting(2), threading.Event()))
    assert told == [Progressed(0.0), Progressed(0.5), Done("result")]


def test_work_that_is_stopped_tells_nothing_more() -> None:
    stop = threading.Event()
    told = list(news(lambda: counting(100, stop, at=3), stop))
    assert len(told) == 4
    assert all(isinstance(event, Progressed) for event in told)


def test_errors_are_told_and_not_raised() -> None:
    error = ImageError("Too dark. Take a brighter one.")
    assert list(news(lambda: failing(error), threading.Event()))[-1] == Failed(error)
    full = list(news(lambda: failing(MemoryError()), threading.Event()))[-1]
    assert "memory" in str(full.error)


@pytest.fixture
def task(qtbot: Any) -> Iterator[Task]:
    from qtpy.QtCore import QThreadPool

    task = Task()
    yield task
    task.cancel()
    QThreadPool.globalInstance().waitForDone(5000)


@pytest.mark.gui
def test_a_task_brings_its_result_to_the_window(task: Task, qtbot: Any) -> None:
    results, parts = [], []
    task.progressed.connect(parts.append)
    with qtbot.waitSignal(task.ended):
        task.start(lambda: counting(4), lambda result: results.append(result))
    qtbot.waitUntil(lambda: results == ["result"])
    assert parts == sorted(parts)
    assert not task.is_running


@pytest.mark.gui
def test_a_cancelled_task_is_not_heard_of_again(task: Task, qtbot: Any) -> None:
    entered, go_on, results = threading.Event(), threading.Event(), []

    def blocked() -> Any:
        entered.set()
        yield 0.1
        go_on.wait(10)
        yield 0.9
        return "late"

    task.start(blocked, results.append)
    assert entered.wait(10)
    task.cancel()
    assert not task.is_running
    task.start(lambda: counting(2), results.append)
    go_on.set()
    qtbot.waitUntil(lambda: bool(results))
    qtbot.wait(50)
    assert results == ["result"]


@pytest.mark.gui
def test_what_a_task_cannot_do_is_said(task: Task, qtbot: Any) -> None:
    with qtbot.waitSignal(task.failed) as said:
        task.start(lambda: failing(ImageError("Too dark. Take a brighter one.")), print)
    assert said.args == ["Too dark. Take a brighter one."]
