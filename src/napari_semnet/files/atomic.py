"""Files that are either the old one or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["PREFIX", "remove_leftovers", "replacing", "replacing_together"]

PREFIX = ".writing-"
"""How the name of a file begins while it is being written."""
_LONGEST_NAME = 40
"""Characters of the file's name that its temporary neighbour keeps: at most 160 bytes, so that
there is a neighbour for every name that the disk can hold."""
_LEFT_SECONDS = 24 * 3600
"""Age after which a temporary file is one that a killed process has left."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file through a temporary neighbour that takes its name only when complete.

    Parameters
    ----------
    path : Path
        The file to create or replace. Missing folders are made.

    Yields
    ------
    Path
        A path in the same folder, with the same suffixes, to write to. It becomes `path` when
        the block ends; if the block raises it is removed and `path` is left as it was.

    Raises
    ------
    OSError
        The folder cannot be written to, or the disk is full.
    """
    with replacing_together(path) as (temporary,):
        yield temporary


@contextmanager
def replacing_together(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Write files that belong together; none takes its name before all are complete.

    Parameters
    ----------
    *paths : Path
        The files to create or replace.

    Yields
    ------
    tuple of Path
        What to write to, as `replacing` has it, in the order of `paths`. In this order they get
        their names.

    Raises
    ------
    OSError
        A folder cannot be written to, or the disk is full.
    """
    temporaries: list[Path] = []
    try:
        for path in paths:
            temporaries.append(_neighbour(path))
        yield tuple(temporaries)
        for temporary in temporaries:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            # mkstemp makes files private to the user; a result should be as readable as any other.
            temporary.chmod(0o666 & ~_umask())
        for temporary, path in zip(temporaries, paths, strict=True):
            temporary.replace(path)
    except BaseException:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path, older_than: float = _LEFT_SECONDS) -> None:
    """Remove temporary files that processes have left which were killed while they wrote.

    Parameters
    ----------
    folder : Path
        Folder in which `replacing` was used; not those below it.
    older_than : float
        Seconds since a file was last written to. 0 is for folders that nobody else writes to.
    """
    now = time.time()
    # What cannot be looked at or removed is only untidy.
    with suppress(OSError):
        for path in folder.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if path.is_file() and now - path.stat().st_mtime >= older_than:
                    path.unlink()


def _neighbour(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    suffix = "-" + path.name[-_LONGEST_NAME:]
    handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
