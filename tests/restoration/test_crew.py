"""Blocks worked off by threads: all of them, several at once, and stopped when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from napari_semnet.restoration.crew import Steps, work_off

SECONDS = 60


def test_every_block_is_finished_once_and_its_news_come_first() -> None:
    def steps(number: int) -> Steps:
        yield number / 10

    told = list(work_off(steps, range(10), 3))
    assert sorted(number for number, said in told if said is None) == list(range(10))
    for number in range(10):
        assert [said for n, said in told if n == number] == [number / 10, None]


def test_blocks_are_under_way_at_once() -> None:
    together = threading.Barrier(3, timeout=SECONDS)

    def steps(number: int) -> Steps:
        together.wait()
        yield 1.0

    assert sum(said is None for _, said in work_off(steps, range(6), 3)) == 6


def test_what_comes_first_may_change_while_others_are_worked_on() -> None:
    waiting = [4, 3, 2, 1]
    order: list[int] = []

    def numbers() -> Iterator[int | None]:
        yield None
        while waiting:
            yield waiting.pop()

    def steps(number: int) -> Steps:
        order.append(number)
        if number == 1:
            waiting.reverse()
        yield 1.0

    list(work_off(steps, numbers(), 1))
    assert order == [1, 4, 3, 2]


def test_a_failure_is_raised_after_what_was_under_way_is_finished() -> None:
    begun = threading.Barrier(2, timeout=SECONDS)
    finished: list[int] = []

    def steps(number: int) -> Steps:
        if number < 2:
            begun.wait()
        if number == 0:
            raise OSError("torn")
        yield 0.5
        finished.append(number)

    with pytest.raises(OSError, match="torn"):
        list(work_off(steps, range(2), 2))
    assert finished == [1]


def test_closing_stops_all_threads_at_their_next_step() -> None:
    before = threading.active_count()
    closed: list[int] = []

    def steps(number: int) -> Steps:
        try:
            while True:
                yield 0.5
        finally:
            closed.append(number)

    going = work_off(steps, range(5), 2)
    next(going)
    going.close()
    assert 1 <= len(closed) <= 2
    assert threading.active_count() == before


def test_when_a_thread_cannot_start_the_others_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun, is_over = threading.Thread.start, list[threading.Thread](), threading.Event()

    def start_two(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    def steps(number: int) -> Steps:
        while not is_over.is_set():
            yield 0.5

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start"):
        list(work_off(steps, range(5), 3))
    at_work = [thread for thread in begun if thread.is_alive()]
    is_over.set()
    assert not at_work
