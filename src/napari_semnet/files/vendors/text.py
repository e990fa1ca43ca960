"""What the parsers of vendor headers share: tolerant INI reading, decoding, values with units."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from napari_semnet.files.calibration import number

__all__ = ["AnyCase", "decode", "in_units", "key_values", "known", "sections"]

T = TypeVar("T")

_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)
_MOST_LINES = 50_000
_SECTION = re.compile(r"\s*\[([^\[\]]{1,80})\]\s*")


class AnyCase(dict[str, T]):
    """Values by name, whatever the case of the name: programs that pass headers on change it."""

    def __getitem__(self, name: str) -> T:
        return super().__getitem__(name.lower())

    def __setitem__(self, name: str, value: T) -> None:
        super().__setitem__(name.lower(), value)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Value of a name, or the default."""
        return super().get(name.lower(), default)

    def setdefault(self, name: str, default: T) -> T:
        """Value of a name; the first one that is set counts."""
        return super().setdefault(name.lower(), default)


def decode(content: bytes, *encodings: str) -> str:
    """Decode text of unknown encoding: UTF-16 and UTF-8 with a mark, then each of `encodings`."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if content[:3] == b"\xef\xbb\xbf":
        return content[3:].decode("utf-8", "replace")
    # UTF-16 without a mark: every second byte of western text is zero.
    if len(content) >= 4 and content[1] == 0 and content[3] == 0 and content[0] != 0:
        return content.decode("utf-16-le", "replace")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def sections(text: str) -> AnyCase[AnyCase[str]]:
    """Read INI text; lines before the first section stand under the empty name.

    Where a section or a key comes twice, the first one counts.
    """
    found: AnyCase[AnyCase[str]] = AnyCase()
    current = found.setdefault("", AnyCase())
    for line in text.splitlines()[:_MOST_LINES]:
        header = _SECTION.fullmatch(line)
        if header is not None:
            current = found.setdefault(header[1].strip(), AnyCase())
            continue
        key, equals, value = line.partition("=")
        if equals and key.strip():
            current.setdefault(key.strip(), value.strip().strip("\0"))
    return found


def key_values(text: str) -> AnyCase[str]:
    """Read ``key=value`` lines of any section; the first of a name counts."""
    merged: AnyCase[str] = AnyCase()
    for section in sections(text).values():
        for name, value in section.items():
            merged.setdefault(name, value)
    return merged


def in_units(text: str | float | None, unit: str, factor: float = 1.0) -> str:
    """Say a value in SI units with the fitting prefix; empty when it is no number.

    Examples
    --------
    >>> in_units("5000", "V"), in_units("1e-05", "s"), in_units("", "V")
    ('5 kV', '10 µs', '')
    """
    value = number(text)
    if value is None:
        return ""
    value *= factor
    if value == 0:
        return f"0 {unit}"
    for size, prefix in _PREFIXES:
        if abs(value) >= size * 0.9999999:
            return f"{value / size:.6g} {prefix}{unit}"
    return f"{value:.6g} {unit}"


def known(pairs: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Keep what has a value; text is shortened to what a reader can take in."""
    return {
        name: value.strip()[:200] for name, value in pairs if value is not None and value.strip()
    }
