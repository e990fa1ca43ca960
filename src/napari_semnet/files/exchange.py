"""Two names that change places in a single step."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["exchange"]

_AT_FDCWD = -100
"""Linux: a path is meant as it stands."""
_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux, and ``RENAME_SWAP`` of macOS."""


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names of one file system in a single step, so that neither is ever missing.

    Parameters
    ----------
    one, other : Path
        Files or folders; both must be there.

    Returns
    -------
    bool
        False where the system or its file system cannot do that (Windows, some network drives);
        nothing has changed then.

    Notes
    -----
    Python has no call for it: ``renameat2`` on Linux (3.15, glibc 2.28), ``renamex_np`` on macOS.
    """
    if not sys.platform.startswith(("linux", "darwin")):
        return False
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            failed = library.renamex_np(names[0], names[1], ctypes.c_uint(_EXCHANGE))
        else:
            rename = library.renameat2
            failed = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE))
    except (AttributeError, OSError):
        return False
    return int(failed) == 0
