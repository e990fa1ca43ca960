"""Which rows of a layer show the specimen, who says so, and how sure that is. No Qt here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_semnet.files.databar import find_databar
from napari_semnet.files.layers import FILE_KEY
from napari_semnet.widgets.layers import METADATA_KEY, source_pixels, source_shape

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["Specimen", "rows_beside", "searched_specimen", "state_specimen", "stated_specimen"]

_MOST_PIXELS = 2**26
"""Larger pictures that no reader of ours opened are not searched for a databar."""

_TOLD_BY = {
    "header": "says the file's header",
    "pixels": "found in the pixels",
    "user": "set by you",
}


@dataclass(frozen=True, slots=True)
class Specimen:
    """What is believed of a layer's rows."""

    rows: tuple[int, int] | None
    """First row of specimen and the one after the last; None where all rows are taken for it."""
    told_by: str
    """``header``, ``pixels``, ``user``, or empty."""
    is_certain: bool
    """Whether a restoration may rely on it; else the user is asked first."""
    suspected: int | None = None
    """First row of what may be a databar, where it is not certain."""

    @property
    def told(self) -> str:
        """Who says so, in words."""
        return _TOLD_BY.get(self.told_by, "")


def stated_specimen(layer: Image) -> Specimen | None:
    """Tell which rows of a layer are specimen by its file or its user; None where neither says."""
    told = layer.metadata.get(FILE_KEY)
    if not isinstance(told, dict) or "specimen_rows" not in told:
        return None
    rows, origin = told["specimen_rows"], str(told.get("specimen_rows_from", ""))
    if rows is not None:
        return Specimen((int(rows[0]), int(rows[1])), origin, True)
    return Specimen(None, "", origin != "uncertain")


def searched_specimen(layer: Image) -> Specimen:
    """Look for a databar in the pixels of a layer that another reader opened.

    What is found is a reason to ask and no more.
    """
    nothing = Specimen(None, "", True)
    if METADATA_KEY in layer.metadata or layer.rgb:
        return nothing
    pixels = source_pixels(layer)
    if not isinstance(pixels, np.ndarray) or math.prod(source_shape(layer)[-2:]) > _MOST_PIXELS:
        return nothing
    first = find_databar(pixels[(0,) * (pixels.ndim - 2)]).first
    return nothing if first is None else Specimen(None, "pixels", False, first)


def state_specimen(layer: Image, rows: tuple[int, int]) -> None:
    """Note in a layer's metadata which rows its user takes for specimen."""
    told = layer.metadata.get(FILE_KEY)
    known = dict(told) if isinstance(told, dict) else {}
    layer.metadata[FILE_KEY] = known | {
        "specimen_rows": [int(row) for row in rows],
        "specimen_rows_from": "user",
    }


def rows_beside(top: float, bottom: float, height: int) -> tuple[int, int] | None:
    """Give the rows of a picture that a rectangle over its databar leaves to the specimen.

    Parameters
    ----------
    top, bottom : float
        Ends of the rectangle; whole numbers are centres of rows.
    height : int
        Rows of the picture.

    Returns
    -------
    (int, int) or None
        The larger part of what is not covered, above or below; None where all is covered.

    Examples
    --------
    >>> rows_beside(349.5, 383.5, 384), rows_beside(-0.5, 19.5, 384), rows_beside(-5, 400, 384)
    ((0, 350), (20, 384), None)
    """
    first = min(max(math.ceil(top - 1e-6), 0), height)
    stop = min(max(math.floor(bottom + 1e-6) + 1, 0), height)
    above, below = (0, first), (stop, height)
    rows = max(above, below, key=lambda part: part[1] - part[0])
    return rows if rows[1] > rows[0] else None
