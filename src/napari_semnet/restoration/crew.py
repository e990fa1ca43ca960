"""Blocks worked off by threads: while some are computed, others are read and written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeAlias

from napari_semnet.restoration.events import Notice
from napari_semnet.restoration.planned import PlannedRun

__all__ = ["Networks", "Steps", "work_off"]

Steps: TypeAlias = Generator[Notice | float, None, None]
"""Work on one block: yields the part that is done, from 0 to 1, and notices."""

_News: TypeAlias = "SimpleQueue[tuple[int, Notice | float | None] | BaseException | None]"
_NO_MORE = -1


class Networks:
    """As many networks as compute at once, each made when it is first needed.

    Parameters
    ----------
    first : PlannedRun
    another : callable
        Gives one that does the same with a network of its own.
    most : int
        How many compute at once.
    """

    def __init__(self, first: PlannedRun, another: Callable[[], PlannedRun], most: int) -> None:
        self._another = another
        self._free = [first]
        self._room = threading.Semaphore(most)

    @contextmanager
    def one(self) -> Iterator[PlannedRun]:
        """Wait for a network that is free, and have it for as long as the context lasts."""
        with self._room:
            try:
                work = self._free.pop()
            except IndexError:
                work = self._another()
            try:
                yield work
            finally:
                self._free.append(work)


def work_off(
    steps: Callable[[int], Steps], numbers: Iterable[int | None], threads: int
) -> Generator[tuple[int, Notice | float | None], None, None]:
    """Work on many blocks, so many at a time.

    Parameters
    ----------
    steps : callable
        Begins the work on a block.
    numbers : iterable of int or None
        Which blocks. The next one is asked for when a thread is free for it, by one thread at a
        time, so that an iterator may change its mind about what comes first. None means that
        there is nothing to do for the moment; it should come after a short wait.
    threads : int

    Yields
    ------
    (int, Notice or float or None)
        A block and what is to be said of it; None when it is finished. Closing the generator stops
        each thread at its next step, and waits for that.

    Raises
    ------
    Exception
        Whatever the work on a block raises, after those that were under way have been finished.
    """
    news: _News = SimpleQueue()
    stop, enough, asking = threading.Event(), threading.Event(), threading.Lock()
    waiting = iter(numbers)

    def blocks() -> Iterator[int]:
        while not enough.is_set():
            with asking:
                number = next(waiting, _NO_MORE)
            if number == _NO_MORE:
                return
            if number is not None and not enough.is_set():
                yield number

    def work() -> None:
        try:
            for number in blocks():
                going = steps(number)
                for said in going:
                    news.put((number, said))
                    if stop.is_set():
                        going.close()
                        return
                news.put((number, None))
        except BaseException as error:  # noqa: BLE001  # raised by whoever reads the news
            enough.set()
            news.put(error)
        finally:
            news.put(None)

    crew = [threading.Thread(target=work, name=f"semnet-block-{i}") for i in range(threads)]
    begun: list[threading.Thread] = []
    try:
        for thread in crew:
            thread.start()
            begun.append(thread)
        yield from _told(news, threads)
    finally:
        enough.set()
        stop.set()
        for thread in begun:
            thread.join()


def _told(news: _News, threads: int) -> Generator[tuple[int, Notice | float | None], None, None]:
    at_work, failure = threads, None
    while at_work:
        told = news.get()
        if told is None:
            at_work -= 1
        elif isinstance(told, BaseException):
            failure = failure or told
        else:
            yield told
    if failure is not None:
        raise failure
