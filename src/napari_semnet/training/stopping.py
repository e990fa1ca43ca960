"""The wish that a run may stop: a file in its folder, seen on every system and from any machine."""

from __future__ import annotations

from pathlib import Path

from napari_semnet.training.run_folder import RunFolder

__all__ = ["is_asked_to_stop", "stop_request"]


def stop_request(folder: Path) -> int | None:
    """Tell the wish to stop that stands in a run's folder from an earlier or later one.

    Clocks of processes, of files and of other machines differ: a wish is new when it is not the
    one that was there before, whatever its time says.

    Returns
    -------
    int or None
        None where there is no wish.
    """
    try:
        return RunFolder(folder).stop_request.stat().st_mtime_ns
    except OSError:
        return None


def is_asked_to_stop(folder: Path, before: int | None) -> bool:
    """Whether somebody called `ask_to_stop` since `stop_request` gave `before`."""
    now = stop_request(folder)
    return now is not None and now != before
