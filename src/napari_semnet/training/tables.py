"""CSV files that say more about pictures, one row each."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_semnet.errors import TrainingError
from napari_semnet.training.partners import end_named, ends_of

__all__ = ["Facts", "Rows", "facts_about", "read_rows", "read_table"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a table says about a picture."""

    group: str = ""
    licence: str = ""
    noise: float | None = None
    """Grey levels of 255."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as it stands in its file, without the blanks around its cells."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    """Cells by the names of their columns; empty where a row is too short."""


def read_rows(path: Path) -> Rows:
    """Read a CSV file whose first row names the columns.

    Raises
    ------
    TrainingError
        The file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            columns = tuple(name.strip() for name in next(reader, ()))
            lines = [[cell.strip() for cell in line] for line in reader if line]
    except UnicodeDecodeError as error:
        # As spreadsheets of Windows save a table that is not asked for in UTF-8.
        raise TrainingError(
            f"The table {path} cannot be read, as its letters are not in UTF-8. Save it as CSV in "
            "UTF-8."
        ) from error
    except (OSError, csv.Error) as error:
        raise TrainingError(f"The table {path} cannot be read: {error}.") from error
    empty = dict.fromkeys(columns, "")
    return Rows(
        columns, tuple({**empty, **dict(zip(columns, line, strict=False))} for line in lines)
    )


def read_table(
    path: Path,
    *,
    file: str,
    group: str,
    licence: str,
    noise: str,
    needed: Collection[str] = (),
) -> Mapping[str, Facts]:
    """Read what a CSV file says about pictures.

    Parameters
    ----------
    path : Path
        The table.
    file, group, licence, noise : str
        Names of its columns.
    needed : collection of str
        Those that must be there beside `file`, as somebody named them.

    Returns
    -------
    mapping
        From the path in the file column, as `napari_semnet.training.partners.end_named` gives it.
        See `facts_about`.

    Raises
    ------
    TrainingError
        The table cannot be read, lacks a column, or says a noise that is no number.
    """
    table = read_rows(path)
    missing = [name for name in (file, *needed) if name not in table.columns]
    if missing and table.rows:
        raise TrainingError(
            f"The table {path.name} has no column '{missing[0]}'; it has: "
            f"{', '.join(table.columns)}."
        )
    return {
        end_named(row[file]): Facts(
            row.get(group, ""), row.get(licence, ""), _noise(row.get(noise, ""), row[file], path)
        )
        for row in table.rows
        if row[file]
    }


def facts_about(path: Path, table: Mapping[str, Facts]) -> Facts:
    """Find the row whose path is the end of a picture's path; the longest end wins."""
    return next((table[end] for end in ends_of(path) if end in table), Facts())


def _noise(text: str, file: str, path: Path) -> float | None:
    """Read a noise, also with a decimal comma; words such as ``n/a`` say that it is not known."""
    if not any(sign.isdigit() for sign in text):
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = -1.0
    if not np.isfinite(value) or value < 0:
        raise TrainingError(
            f"The table {path.name} says '{text}' as the noise of {file}. Write a number of grey "
            "levels, or leave the cell empty."
        )
    return value
