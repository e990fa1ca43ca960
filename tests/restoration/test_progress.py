"""What a part says of itself is said of the whole."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from napari_semnet.restoration.events import Notice, Progress
from napari_semnet.restoration.progress import of_whole


def part() -> Generator[Notice | float, None, str]:
    yield 0.0
    yield 0.0
    yield 0.25
    yield 0.5
    yield Notice("begun again")
    yield 0.25
    yield 1.0
    return "pixels"


def test_each_step_is_told_progress_never_goes_back_and_notices_and_the_result_go_through() -> None:
    def through() -> Generator[Notice | Progress, None, None]:
        assert (yield from of_whole(part(), 1, 4, Progress)) == "pixels"

    told = list(through())
    assert told[4] == Notice("begun again")
    shares = [event.fraction for event in told if isinstance(event, Progress)]
    assert shares == pytest.approx([1 / 4, 1 / 4, 1.25 / 4, 1.5 / 4, 1.5 / 4, 2 / 4])
