"""Endings of pictures' names, which say how they are stored."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["WRITTEN", "split_ending"]

WRITTEN = (".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".zarr")
"""Endings of what napari-semnet writes, in small letters."""


def split_ending(name: str, endings: Iterable[str] = WRITTEN) -> tuple[str, str]:
    """Part a name from its ending, in any case; an empty one where it is none of `endings`.

    Examples
    --------
    >>> split_ending("2.5kV_x10k.ome.tif"), split_ending("2.5kV_x10k")
    (('2.5kV_x10k', '.ome.tif'), ('2.5kV_x10k', ''))
    """
    fitting = (ending for ending in endings if name.lower().endswith(ending))
    length = len(max(fitting, key=len, default=""))
    return name[: len(name) - length], name[len(name) - length :]
