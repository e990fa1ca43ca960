"""Progress of the whole out of the progress of its parts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from napari_semnet.restoration.events import Notice

__all__ = ["of_whole"]

_Told = TypeVar("_Told")
_Result = TypeVar("_Result")


def of_whole(
    part: Generator[Notice | float, None, _Result],
    done: int,
    total: int,
    told: Callable[[float], _Told],
) -> Generator[Notice | _Told, None, _Result]:
    """Turn a part's own progress into that of the whole, which never goes back.

    Each step of the part is one of the whole, also where it is no further than the one before.

    Parameters
    ----------
    part : generator
        Yields the share of the part that is done, from 0 to 1, and notices; a part that is begun
        again starts at 0 again.
    done, total : int
        Parts done before this one, and in all.
    told : callable
        Makes of the share of the whole what is yielded.

    Returns
    -------
    What the part returns.
    """
    furthest = 0.0
    while True:
        try:
            said = next(part)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        if isinstance(said, Notice):
            yield said
        else:
            # Also where nothing is new: only at a yield can whoever runs it stop.
            furthest = max(furthest, said)
            yield told((done + furthest) / total)
