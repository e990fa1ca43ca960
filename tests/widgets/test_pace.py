"""News are shown at once, and then as often as a small part of the time allows."""

from __future__ import annotations

import time
from typing import Any

import pytest

from napari_semnet.widgets.pace import SHORTEST_PAUSE, SHOWING_SHARE, Pace

pytestmark = pytest.mark.gui


@pytest.fixture
def shown(qtbot: Any) -> Any:
    """A pace, and the moments at which it was due."""
    pace = Pace()
    moments: list[float] = []
    pace.due.connect(lambda: moments.append(time.perf_counter()))
    yield pace, moments
    pace.stop()


def test_the_first_news_are_shown_at_once(shown: Any, qapp: Any) -> None:
    pace, moments = shown
    pace.ask()
    qapp.processEvents()
    assert len(moments) == 1


def test_news_that_come_in_the_pause_are_shown_together_after_it(shown: Any, qtbot: Any) -> None:
    pace, moments = shown
    pace.ask()
    qtbot.waitUntil(lambda: len(moments) == 1, timeout=30_000)
    for _ in range(20):
        pace.ask()
    qtbot.waitUntil(lambda: len(moments) == 2, timeout=30_000)
    assert moments[1] - moments[0] >= SHORTEST_PAUSE
    qtbot.wait(300)
    assert len(moments) == 2


def test_what_takes_long_to_show_is_shown_seldom(shown: Any, qtbot: Any) -> None:
    pace, moments = shown
    took = 0.03
    pace.due.connect(lambda: time.sleep(took))
    pace.ask()
    qtbot.waitUntil(lambda: len(moments) == 1, timeout=30_000)
    pace.ask()
    qtbot.waitUntil(lambda: len(moments) == 2, timeout=20_000)
    assert moments[1] - moments[0] >= took / SHOWING_SHARE


def test_nothing_is_shown_once_stopped(shown: Any, qtbot: Any) -> None:
    pace, moments = shown
    pace.ask()
    pace.stop()
    qtbot.wait(50)
    assert moments == []
