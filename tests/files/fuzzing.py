"""Damage files at random, and follow the damage that leads to code not seen before."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

Line = tuple[str, int]

HEADER_BYTES = 6000
INTERESTING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass
class Fuzzer:
    """Coverage-guided: what reaches a new line of the code under test is damaged further.

    Everything follows from the seed, except that a slow machine stops earlier.
    """

    origins: dict[str, bytes]
    package: str
    """Folder whose lines count."""
    seed: int = 0
    _corpus: list[tuple[str, bytes]] = field(default_factory=list)
    _seen: set[Line] = field(default_factory=set)

    def run(self, try_it: Callable[[str, bytes], None], count: int, seconds: float) -> int:
        """Try damaged files until `count` were tried or the time is up; give their number."""
        chance = random.Random(self.seed)
        self._corpus = list(self.origins.items())
        end = time.monotonic() + seconds
        for name, content in self._corpus:
            with self._watching():
                try_it(name, content)
        for number in range(count):
            if time.monotonic() > end:
                return number
            name, content = chance.choice(self._corpus)
            damaged = damage(content, chance)
            before = len(self._seen)
            with self._watching():
                try_it(name, damaged)
            if len(self._seen) > before:
                self._corpus.append((name, damaged))
        return count

    @contextmanager
    def _watching(self) -> Iterator[None]:
        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            if not frame.f_code.co_filename.startswith(self.package):
                return None
            self._seen.add((frame.f_code.co_filename, frame.f_lineno))
            return trace

        # Where something else watches (a debugger, a coverage report), the damage is unguided.
        if sys.gettrace() is not None:
            yield
            return
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(None)


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut a file off, or change a few of its bytes, more often near its ends than inside."""
    if chance.random() < 0.2:
        return content[: chance.randrange(len(content))]
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        where = chance.random()
        if where < 0.5:
            at = chance.randrange(min(len(damaged), HEADER_BYTES))
        elif where < 0.8:
            at = len(damaged) - 1 - chance.randrange(min(len(damaged), HEADER_BYTES))
        else:
            at = chance.randrange(len(damaged))
        if chance.random() < 0.5:
            damaged[at] ^= 1 << chance.randrange(8)
        else:
            damaged[at] = chance.choice((*INTERESTING, chance.randrange(256)))
    return bytes(damaged)
