"""Files that are either the old one or the new one, never half of one.

What is being written has a temporary name that tells which process writes it, so that the next
run can remove what a killed one has left.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

__all__ = [
    "PREFIX",
    "PUT_ASIDE",
    "flush",
    "remove_leftovers",
    "replacing",
    "replacing_together",
    "umask",
    "work_folder",
]

PREFIX = ".writing-"
"""How the name of a file begins while it is being written."""
PUT_ASIDE = "old"
"""Name in a `work_folder` of what was there before; a folder with it is never removed by others."""
_LONGEST_NAME = 40
"""Characters of the file's name that its temporary neighbour keeps: at most 160 bytes, so that
there is a neighbour for every name that the disk can hold."""
_LEFT_SECONDS = 24 * 3600
"""Age after which a temporary file is one that a killed process has left, whoever that was."""
_NO_FLUSHING = (errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""How systems refuse to flush a folder, or what is open for reading: it is no fault of the disk."""
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)
_OWNED = re.compile(r"\.[a-z]+-([0-9a-f]{8})-(\d{1,10})-")


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
        their names, or keep what they were where the system refuses one of them.

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
            temporary.chmod(0o666 & ~umask())
        _take_names(list(zip(temporaries, paths, strict=True)))
    except BaseException:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def work_folder(parent: Path, prefix: str = PREFIX) -> Iterator[Path]:
    """Make a temporary folder for what will be moved to its place in `parent` when complete.

    Parameters
    ----------
    parent : Path
        Where it is made; it exists.
    prefix : str
        How its name begins: a dot, small letters and ``-``.

    Yields
    ------
    Path
        The folder, private to the user. What is left in it is removed in the end.

    Raises
    ------
    OSError
        It cannot be made.
    """
    remove_leftovers(parent, prefix=prefix)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{_owner()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def flush(files: list[Path]) -> None:
    """Wait until files, and their names in their folders, are on the disk.

    Chunks of nothing but zeros are no files.
    """
    for path in (*files, *dict.fromkeys(file.parent for file in files)):
        try:
            handle = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, PermissionError):  # Windows opens no folders
            continue
        try:
            os.fsync(handle)
        except OSError as error:  # a full disk may be noticed here and nowhere else
            if error.errno not in _NO_FLUSHING:
                raise
        finally:
            os.close(handle)


def remove_leftovers(folder: Path, older_than: float = _LEFT_SECONDS, prefix: str = PREFIX) -> None:
    """Remove what processes have left that were killed while they wrote.

    That is at once where the process ran here and is gone; the rest by its age: processes of other
    computers that share the folder cannot be asked.

    Parameters
    ----------
    folder : Path
        Folder in which `replacing` or `work_folder` was used; not those below it.
    older_than : float
        Seconds since something was last written to. 0 is for folders that nobody else writes to.
    prefix : str
        How the names begin.
    """
    now = time.time()
    # What cannot be looked at or removed is only untidy.
    with suppress(OSError):
        for path in folder.glob(f"{prefix}*"):
            with suppress(OSError):
                is_old = now - path.stat().st_mtime >= older_than
                if path.is_dir():
                    if _is_orphan(path.name) and not (path / PUT_ASIDE).exists():
                        shutil.rmtree(path)
                elif is_old or _is_orphan(path.name):
                    path.unlink()


def _take_names(pairs: list[tuple[Path, Path]]) -> None:
    """Give files their names; where one cannot be had, as of a file that is open on Windows, none.

    Whoever is killed meanwhile leaves the first ones new.
    """
    copies: list[tuple[Path, Path]] = []
    taken = 0
    try:
        for _, path in pairs[:-1]:
            copies.append((path, _neighbour(path)))
            if path.exists():
                shutil.copy2(path, copies[-1][1])
            else:
                copies[-1][1].unlink()
        for temporary, path in pairs:
            temporary.replace(path)
            taken += 1
    except BaseException:
        for path, copy in copies[:taken]:
            with suppress(OSError):  # what went wrong first is what to tell
                if copy.exists():
                    copy.replace(path)
                else:
                    path.unlink(missing_ok=True)
        raise
    finally:
        for _, copy in copies:
            copy.unlink(missing_ok=True)


@cache
def _place() -> str:
    """Name the computer, and within it the container, that process numbers belong to."""
    try:
        numbers = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        numbers = 0
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def _owner() -> str:
    return f"{_place()}-{os.getpid()}"


def _is_orphan(name: str) -> bool:
    """Whether the process that a name tells of ran here and is gone."""
    import psutil

    owner = _OWNED.match(name)
    return owner is not None and owner[1] == _place() and not psutil.pid_exists(int(owner[2]))


def _neighbour(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    suffix = "-" + path.name[-_LONGEST_NAME:]
    handle, name = tempfile.mkstemp(f"{suffix}", f"{PREFIX}{_owner()}-", path.parent)
    os.close(handle)
    return Path(name)


def umask() -> int:
    """Give the permissions that files of this process do not get."""
    stated = _stated_umask()
    return _umask_at_start if stated is None else stated


def _stated_umask() -> int | None:
    """Read what Linux says of this process; None elsewhere."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        if (said := _UMASK.search(status)) is not None:
            return int(said[1], 8)
    return None


def _asked_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Elsewhere who asks must change it for a moment, in which other threads would write files open to
# all: it is asked once, before there are any.
_umask_at_start = _asked_umask() if _stated_umask() is None else 0
