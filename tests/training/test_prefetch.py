from __future__ import annotations

import threading
import time

import pytest

from napari_semnet.training.prefetch import prefetched


def background_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "training batches"]


def test_batches_come_in_order_whatever_the_time_they_take() -> None:
    def make(step: int) -> int:
        time.sleep(0.002 * (step % 3))
        return step * step

    assert [batch for batch, _ in prefetched(make, range(3, 20))] == [
        step * step for step in range(3, 20)
    ]


def test_batches_are_made_while_the_last_one_is_used() -> None:
    made = []

    def make(step: int) -> int:
        made.append(step)
        return step

    batches = prefetched(make, range(100), depth=2)
    next(batches)
    deadline = time.monotonic() + 10
    # One was taken, two are ready, one waits for a place.
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]
    batches.close()
    assert background_threads() == []


def test_an_error_is_raised_where_the_batch_is_wanted() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise RuntimeError("no such picture")
        return step

    batches = prefetched(make, range(5))
    assert [next(batches)[0], next(batches)[0]] == [0, 1]
    with pytest.raises(RuntimeError, match="no such picture"):
        next(batches)
    assert background_threads() == []


def test_what_the_thread_has_to_begin_with_is_done_there_and_first() -> None:
    said: list[str] = []

    def make(step: int) -> int:
        said.append("make")
        return step

    batches = prefetched(make, range(3), begin=lambda: said.append(threading.current_thread().name))
    assert [batch for batch, _ in batches] == [0, 1, 2]
    assert said == ["training batches", "make", "make", "make"]


def test_what_fails_at_the_beginning_is_raised_where_the_first_batch_is_wanted() -> None:
    def begin() -> None:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        next(prefetched(lambda step: step, range(3), begin=begin))
    assert background_threads() == []
