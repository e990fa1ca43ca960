"""Write what `tomllib` reads: settings as TOML text that people can go on editing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["to_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(values: Mapping[str, Any]) -> str:
    """Write nested settings as TOML.

    Parameters
    ----------
    values : mapping of str to values
        Strings, booleans, integers, floating-point numbers, lists of them, mappings, and lists
        of mappings. A key whose value is None is left out, as TOML has no word for it.

    Returns
    -------
    str
        ``tomllib.loads`` of it gives `values` back.
    """
    return "\n".join(_table(values, ())).strip("\n") + "\n"


def _table(values: Mapping[str, Any], place: tuple[str, ...]) -> list[str]:
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in values.items()
        if value is not None and not isinstance(value, Mapping) and not _is_tables(value)
    ]
    for key, value in values.items():
        inner = (*place, key)
        name = ".".join(_key(part) for part in inner)
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_table(value, inner)]
        elif _is_tables(value):
            for entry in value:
                lines += ["", f"[[{name}]]", *_table(entry, inner)]
    return lines


def _is_tables(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(entry, Mapping) for entry in value)
    )


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case list() | tuple():
            return "[" + ", ".join(_value(entry) for entry in value) + "]"
        case Mapping():
            pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
            return "{ " + ", ".join(pairs) + " }"
        case _:
            raise TypeError(f"TOML has no way to write a {type(value).__name__}.")


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)


def _text(value: str) -> str:
    # JSON escapes a subset of what a basic TOML string may escape, except DEL, which TOML
    # does not allow as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
