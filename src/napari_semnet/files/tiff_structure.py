"""Check what a TIFF claims against the file's size, before any of it is believed.

A damaged or hostile file may claim tags and pixels of any size. This walk reads only the tag
tables, and refuses claims that the file cannot hold, so that the real reader never takes memory
for them.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from napari_semnet.errors import FileFormatError

__all__ = ["MOST_PAGES", "check_structure"]

MOST_PAGES = 100_000
_MOST_TAGS = 4096
_KINDS_OF_BYTES = {1: (1, 2, 6, 7), 2: (3, 8), 4: (4, 9, 11, 13), 8: (5, 10, 12, 16, 17, 18)}
_ITEM_BYTES = {kind: size for size, kinds in _KINDS_OF_BYTES.items() for kind in kinds}


def check_structure(path: Path) -> None:
    """Walk a TIFF's chain of tag tables and refuse what cannot be.

    Raises
    ------
    FileFormatError
        The file is no TIFF, is cut off before its first page's tags, or a tag claims more data
        than the file has.
    OSError
        The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order, big, offset = _header(file, path)
        seen: set[int] = set()
        while offset and offset not in seen and len(seen) < MOST_PAGES:
            seen.add(offset)
            following = _table(file, offset, order, big, size, path)
            if following is None:
                if len(seen) == 1:
                    raise FileFormatError(
                        f"{path.name} is cut off: its first page is missing. Copy it again."
                    )
                return
            offset = following


def _header(file: BinaryIO, path: Path) -> tuple[str, bool, int]:
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is not None and len(start) >= 8:
        version = struct.unpack(order + "H", start[2:4])[0]
        if version == 42:
            return order, False, struct.unpack(order + "I", start[4:8])[0]
        if version == 43 and len(start) == 16:
            return order, True, struct.unpack(order + "Q", start[8:16])[0]
    raise FileFormatError(f"{path.name} is not a TIFF file, or it is damaged at its very start.")


def _table(file: BinaryIO, offset: int, order: str, big: bool, size: int, path: Path) -> int | None:
    """Check one table of tags; give the next one's offset, or None where the file ends first."""
    count_format, tag_format, pointer = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    count_bytes, tag_bytes = struct.calcsize("<" + count_format), struct.calcsize("<" + tag_format)
    pointer_bytes = struct.calcsize("<" + pointer)
    if offset + count_bytes > size:
        return None
    file.seek(offset, os.SEEK_SET)
    count = struct.unpack(order + count_format, file.read(count_bytes))[0]
    if count == 0 or count > _MOST_TAGS:
        return None
    table = file.read(count * tag_bytes + pointer_bytes)
    if len(table) < count * tag_bytes:
        return None
    for code, kind, items, where in struct.iter_unpack(
        order + tag_format, table[: count * tag_bytes]
    ):
        needed = items * _ITEM_BYTES.get(kind, 1)
        if needed > pointer_bytes and (needed > size or where + needed > size):
            raise FileFormatError(
                f"{path.name} is damaged or cut off: its tag {code} claims {needed} bytes, more "
                "than the file holds. Copy it again from the microscope."
            )
    rest = table[count * tag_bytes :]
    return struct.unpack(order + pointer, rest)[0] if len(rest) == pointer_bytes else 0
