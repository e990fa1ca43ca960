"""One run at a time: what is being written is held, until its process ends in whatever way.

The operating system lets go of a lock with the process, so that one that was killed leaves
nothing to clear away.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_semnet.errors import SemnetError

__all__ = ["holding", "lock_of"]


@contextmanager
def holding(lock: Path, error: SemnetError) -> Iterator[None]:
    """Hold a lock for the time of a block.

    Parameters
    ----------
    lock : Path
        The lock's file; made where it is missing.
    error : SemnetError
        What to raise when somebody else holds it.

    Notes
    -----
    Where no lock can be had (a read-only home, a file system without locks) the block runs
    without: files are written so that the last one is whole in any case.
    """
    held = FileLock(lock, thread_local=False)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(blocking=False)
    except Timeout:
        raise error from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        held.release()


@contextmanager
def lock_of(path: Path, error: SemnetError) -> Iterator[None]:
    """Hold the lock of a file that will be written, wherever it lies.

    Parameters
    ----------
    path : Path
        The file. Its lock lies in the user's cache: beside results it would be in the way.
    error : SemnetError
        What to raise when another process of this user is writing it.
    """
    import platformdirs

    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]
    lock = platformdirs.user_cache_path("napari-semnet", appauthor=False) / "locks" / name
    with holding(lock, error):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows does not remove what is open
                lock.unlink()
