"""Say in a sentence what is wrong with a configuration."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = ["first_complaint"]

_COUNTS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}


def first_complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """Word the first thing that a check found.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    model : type of BaseModel
        What was checked; its fields are proposed in place of unknown keys.

    Returns
    -------
    str
        A sentence. Unknown keys come first: they are often why a needed key is missing.
    """
    found = error.errors(include_url=False, include_context=True)
    # A table where a name or a table may stand: what is wrong inside it is what helps.
    found = [one for one in found if not _is_table_for_text(one)] or found
    unknown = [one for one in found if one["type"] == "extra_forbidden"]
    first = (unknown or found)[0]
    place = _readable(first["loc"])
    if unknown:
        return _unknown_key(first["loc"], model)
    if first["type"] == "missing":
        return f"'{place}' is missing."
    if first["type"] == "tuple_type":
        return _no_list(first["loc"], model)
    if first["type"] == "model_type":
        return _no_table(first["loc"])
    if first["type"] in _COUNTS:
        return _wrong_count(place, first)
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"'{place}': {message}." if place else f"{message[:1].upper()}{message[1:]}."


def _no_list(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    place = _readable(loc)
    # What holds no tables has no fields of its own: those around it are given.
    if _fields_at(loc, model) != _fields_at(loc[:-1], model):
        return f"'{place}' is a list of tables: write two brackets each way, [[{place}]]."
    return f"'{place}' is a list: write what belongs to it in brackets, [ ]."


def _no_table(loc: tuple[int | str, ...]) -> str:
    is_entry = isinstance(loc[-1], int)
    name = _readable(tuple(part for part in loc if isinstance(part, str)))
    header = f"[[{name}]]" if is_entry else f"[{name}]"
    return f"'{_readable(loc)}' is a table: write {header}, and its settings in the lines below."


def _wrong_count(place: str, found: Any) -> str:
    words, limit = _COUNTS[found["type"]]
    counts = found["ctx"]
    wanted, present = counts[limit], counts["actual_length"]
    return f"'{place}' is a list of {words} {wanted}, and {present} are given."


def _is_table_for_text(one: Any) -> bool:
    return one["type"] == "string_type" and isinstance(one["input"], Mapping)


def _unknown_key(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    key, known = str(loc[-1]), sorted(_fields_at(loc[:-1], model))
    place = _readable(loc[:-1])
    where = f" in '{place}'" if place else ""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"There is no setting '{key}'{where}; did you mean '{near[0]}'?"
    return f"There is no setting '{key}'{where}. Known there: {', '.join(known)}."


def _readable(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        elif part not in {"str", "Profile"} and not part.startswith("function-"):
            text += f".{part}" if text else part
    return text


def _fields_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> set[str]:
    here = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        steps = [m.model_fields[part].annotation for m in here if part in m.model_fields]
        here = [inner for step in steps for inner in _models_in(step)] or here
    return {name for m in here for name in m.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)
