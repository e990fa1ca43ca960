"""Where the fine-tune dialog keeps pictures before there is a run."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path

from napari_semnet.widgets.background import Steps

__all__ = ["Draft"]


class Draft:
    """A temporary folder, with a place of its own for each piece of work."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="napari-semnet-"))
        # A viewer that is closed with its dock tells the dock nothing, and the program may end.
        self._remove = weakref.finalize(self, _remove, self.folder)
        self._numbers = count()
        self._is_left = threading.Event()

    def begin(self, work: Callable[[Path], Steps]) -> Callable[[], Steps]:
        """Give a piece of work its place; what was cancelled may still be at its own.

        Parameters
        ----------
        work : callable
            Gets a folder that is not there yet. Those of earlier work have lesser names.

        Returns
        -------
        callable
            Begins the work.
        """
        place = self.folder / f"{next(self._numbers):06d}"

        def steps() -> Steps:
            try:
                return (yield from work(place))
            finally:
                if self._is_left.is_set():  # nobody else comes to take away what it made last
                    _remove(self.folder)

        return steps

    def leave(self) -> None:
        """Remove all; what is still at work does so once more when it ends."""
        self._is_left.set()
        self._remove()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
