"""Make the next batches in the background, so that the network does not wait for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Generic, TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")

_POLL_SECONDS = 0.2


class _Failed(Generic[T]):
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetched(
    make: Callable[[int], T],
    steps: Iterable[int],
    depth: int = 2,
    begin: Callable[[], None] = lambda: None,
) -> Generator[tuple[T, float], None, None]:
    """Call `make` for each step in a thread, a few steps ahead.

    Parameters
    ----------
    make : callable
        Makes the batch of a step; must depend on nothing but the step.
    steps : iterable of int
        Steps in order.
    depth : int
        Batches kept ready.
    begin : callable
        Called in the thread before anything else.

    Yields
    ------
    batch, float
        The batch, and the seconds that were waited for it. An error of `make` is raised here.
        Closing the iterator ends the thread.
    """
    ready: queue.Queue[T | _Failed[T]] = queue.Queue(maxsize=depth)
    wanted = list(steps) if not isinstance(steps, range) else steps
    over = threading.Event()

    def put(item: T | _Failed[T]) -> bool:
        while not over.is_set():
            try:
                ready.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            begin()
            for step in wanted:
                if not put(make(step)):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the batch is wanted
            put(_Failed(error))

    thread = threading.Thread(target=work, name="training batches", daemon=True)
    thread.start()
    with closing(_Ending(over, thread)):
        for _ in wanted:
            before = time.perf_counter()
            item = ready.get()
            waited = time.perf_counter() - before
            if isinstance(item, _Failed):
                raise item.error
            yield item, waited


class _Ending:
    def __init__(self, over: threading.Event, thread: threading.Thread) -> None:
        self._over, self._thread = over, thread

    def close(self) -> None:
        self._over.set()
        self._thread.join()
