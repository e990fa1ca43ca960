"""Paths that begin with ``~``."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["from_home"]


def from_home(path: str | Path) -> Path:
    """Put a person's home in the place of a ``~`` at the start of a path.

    Where it is nobody's home it is a part of the name, as of ``~old.tif``.
    """
    # pathlib raises a RuntimeError there.
    return Path(os.path.expanduser(path))  # noqa: PTH111
