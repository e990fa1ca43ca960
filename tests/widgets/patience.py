"""Waiting for the window and what works beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PAUSE = 20
"""Milliseconds between two looks."""


def until(qtbot: Any, done: Callable[[], Any], looks: int = 5000) -> None:
    """Wait by looks, not by the clock: a machine that is halted meanwhile has no part in it."""
    for _ in range(looks):
        if done():
            return
        qtbot.wait(PAUSE)
    pytest.fail("it did not get there")
