"""What happens to files while they are restored, as typed events around the engine's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from napari_semnet.commands.jobs import FileFailed, FileSkipped
    from napari_semnet.commands.judging import Checking, Judged
    from napari_semnet.restoration.events import Event

__all__ = [
    "BatchEnded",
    "BatchEvent",
    "FileBegan",
    "FileDeferred",
    "FileWritten",
    "PartWritten",
    "Watching",
    "event_name",
]


@dataclass(frozen=True, slots=True)
class FileBegan:
    """A file's turn has come."""

    source: Path
    target: Path
    number: int
    """Counted from 1."""
    total: int


@dataclass(frozen=True, slots=True)
class FileWritten:
    """A result is complete and on the disk."""

    source: Path
    target: Path
    shape: tuple[int, ...]
    pixel_size_nm: tuple[float, float] | None
    """Of the result, (y, x); None when the source does not tell."""
    seconds: float
    """Time for the restoration alone."""


@dataclass(frozen=True, slots=True)
class PartWritten:
    """One part of a result is on the disk, and other processes still write the others."""

    source: Path
    target: Path
    number: int
    """Of the part, counted from 1."""
    of: int
    blocks_left: int
    """What the others still have to do."""


@dataclass(frozen=True, slots=True)
class FileDeferred:
    """A file has failed in a way that may pass; it is tried again after the others."""

    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Watching:
    """All that is complete is restored; new files are waited for."""

    growing: int
    """Files that are still being written."""


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """All files have had their turn."""

    written: int
    skipped: int
    failed: int


BatchEvent: TypeAlias = (
    "FileBegan | FileWritten | PartWritten | Checking | Judged | FileSkipped | FileDeferred"
    " | FileFailed | Watching | BatchEnded | Event"
)


def event_name(kind: type) -> str:
    """Give the name of a kind of event in JSON: the class's in snake_case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
