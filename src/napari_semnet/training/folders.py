"""Find the files below a folder, through links as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["files_below"]


def files_below(place: Path) -> Iterator[Path]:
    """Give all files in a folder and in those within it, but for what is hidden.

    Parameters
    ----------
    place : Path
        A folder.

    Yields
    ------
    Path
        In no order that can be relied on. Folders that are links are entered; each folder once,
        however many ways lead there, so that a link to a folder above ends nowhere.
    """
    entered: set[str] = set()
    for folder, folders, files in os.walk(place, followlinks=True):
        here = os.path.realpath(folder)
        if here in entered:
            folders.clear()
            continue
        entered.add(here)
        # Of two ways to a folder the first by name, whatever the disk lists first.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path
