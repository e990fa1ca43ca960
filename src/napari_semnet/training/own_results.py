"""Tell pictures that were taken from those that this program drew of them.

A run's previews and a report's figures may lie among the pictures that they were made of. They show
what was held out, and what a network made of it, so that nothing may be learnt from or measured on
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["without_results"]

_RUN = ("config.toml", "environment.json")
"""Files that every run folder has before anything is drawn into it."""
_REPORT = ("report.json", "scores.csv")
"""Files that every report's folder has before anything is drawn into it."""
_DRAWN = {"figure.png", "examples.png"}


def without_results(place: Path, paths: Iterable[Path]) -> list[Path]:
    """Leave out what training and evaluation wrote.

    Parameters
    ----------
    place : Path
        Folder that somebody named. It may be a run's folder itself, into which pictures to learn
        from were put; run folders below it are left out whole.
    paths : iterable of Path
        Pictures somewhere in it.

    Returns
    -------
    list of Path
        The others, in the same order.
    """

    @cache
    def is_run(folder: Path) -> bool:
        return all((folder / name).is_file() for name in _RUN)

    @cache
    def is_report(folder: Path) -> bool:
        return all((folder / name).is_file() for name in _REPORT)

    def is_drawn(path: Path) -> bool:
        folders = path.parents[: len(path.relative_to(place).parts) - 1]
        return (
            any(map(is_run, folders))
            or (place / "previews" in folders and is_run(place))
            or (path.name in _DRAWN and is_report(path.parent))
        )

    return [path for path in paths if not is_drawn(path)]
