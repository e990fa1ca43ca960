"""Everything that a run says, kept in its folder: one JSON object a line, for whoever follows it.

The file is read while it grows, by a window that may have been opened long after the run began.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, get_args

from napari_semnet.training.events import Event

__all__ = ["EventLog", "as_json", "from_json", "read_events"]


def _name(kind: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


_KINDS = {_name(kind): kind for kind in get_args(Event)}


def as_json(event: Event) -> dict[str, Any]:
    """Turn an event into what JSON can say: its name in snake_case, and its fields."""
    fields = dataclasses.asdict(event)
    return {"event": _name(type(event)), **{key: _plain(value) for key, value in fields.items()}}


def from_json(values: Mapping[str, Any]) -> Event | None:
    """Turn what `as_json` gave into the event again.

    Returns
    -------
    Event or None
        None for what is no event that this version knows.
    """
    kind = _KINDS.get(str(values.get("event")))
    if kind is None:
        return None
    try:
        fields = {f.name: _typed(values[f.name], str(f.type)) for f in dataclasses.fields(kind)}
    except (KeyError, TypeError, ValueError):
        return None
    event: Event = kind(**fields)
    return event


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    # JSON has no word for what is not a number.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _typed(value: Any, kind: str) -> Any:
    match kind:
        case "Path":
            return Path(value)
        case "float":
            return math.nan if value is None else float(value)
        case "int":
            return int(value)
        case _:
            return value


class EventLog:
    """Writes events to a file.

    Parameters
    ----------
    path : Path
        The file. It is begun anew, or gone on with when a run is resumed, at the first event:
        a run that may not start must not touch what stands there.
    resume : bool
        Whether to go on.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        self._mode = "a" if resume else "w"

    def add(self, event: Event) -> None:
        """Write an event; a disk that is full then costs a line of the log, not the run."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(f"{self._mode}b+") as stream:
                line = json.dumps(as_json(event)).encode() + b"\n"
                stream.write(line if _ends_a_line(stream) else b"\n" + line)
        except OSError:
            return
        self._mode = "a"


def _ends_a_line(stream: IO[bytes]) -> bool:
    """Look whether the last line is whole; a kill or a full disk may have cut it off."""
    if stream.seek(0, os.SEEK_END) == 0:
        return True
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Read what was added to an event log.

    Parameters
    ----------
    path : Path
        The file; one that is missing holds nothing.
    offset : int
        What the last call returned; 0 to read all.

    Returns
    -------
    events : list of Event
        Of whole lines; one that is still being written comes with the next call.
    offset : int
        For the next call.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            content = stream.read()
    except OSError:
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        event = from_json(values) if isinstance(values, dict) else None
        if event is not None:
            events.append(event)
    return events, offset + len(whole)
