"""What stands in an OME-Zarr beside the pixels: axes, units and the places of the levels.

Written as version 0.5 of the format, read as 0.4 and 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_semnet.files.calibration import NM_PER_UNIT

__all__ = [
    "axis_letter",
    "axis_letters",
    "axis_unit_nm",
    "first_level_transforms",
    "multiscales",
    "storage_order",
]

VERSION = "0.5"
_ORDER = "TCZYX"
_AXIS_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


def axis_letters(axes: str | None, ndim: int) -> str:
    """Give the letters of the axes: those asked for where the format has them, else ``TCZYX``."""
    default = _ORDER[-ndim:]
    asked = axes or default
    known = set(asked) <= set(_ORDER) and len(set(asked)) == len(asked)
    return asked if known and len(asked) == ndim and asked.endswith("YX") else default


def storage_order(axes: str) -> tuple[int, ...]:
    """Give the order in which the format wants axes: time, channel, space.

    Examples
    --------
    >>> storage_order("ZCYX")
    (1, 0, 2, 3)
    """
    return tuple(sorted(range(len(axes)), key=lambda axis: _ORDER.index(axes[axis])))


def multiscales(
    axes: str,
    levels: int,
    *,
    pixel_size_nm: tuple[float, float] | None,
    z_step_nm: float | None = None,
    origin_nm: tuple[float, float] = (0.0, 0.0),
    origin_z_nm: float | None = None,
    name: str = "",
) -> dict[str, Any]:
    """Give the group's attribute ``ome``, which makes arrays named 0, 1, 2... a picture.

    Parameters
    ----------
    axes : str
        A letter an axis, in the order of `storage_order`.
    levels : int
        How many arrays there are, each half as high and wide as the one before.
    pixel_size_nm : (float, float) or None
        (y, x) of the first level; None writes no units.
    z_step_nm : float, optional
        Distance of slices along ``Z``.
    origin_nm : (float, float)
        (y, x) of the centre of the first pixel of the first level.
    origin_z_nm : float, optional
        Place of the first slice along ``Z``; kept where `z_step_nm` is given.
    name : str
        Name of the picture.
    """
    origins = {} if pixel_size_nm is None else dict(zip("YX", origin_nm, strict=True))
    if z_step_nm is not None and origin_z_nm is not None:
        origins["Z"] = origin_z_nm
    entry = {
        "name": name,
        "axes": _axes_entry(axes, pixel_size_nm, z_step_nm),
        "datasets": _datasets(axes, levels, pixel_size_nm, z_step_nm, origins),
    }
    return {"version": VERSION, "multiscales": [entry]}


def axis_letter(axis: Any) -> str:
    """Give the letter of an axis entry, such as ``Y``; ``?`` where it has no name."""
    name = str(axis["name"] if isinstance(axis, Mapping) else axis)
    return name[:1].upper() or "?"


def axis_unit_nm(axis: Any) -> float | None:
    """Give how many nanometres an axis entry's unit has; None where it is no length."""
    return NM_PER_UNIT.get(str(axis.get("unit", "")).lower()) if isinstance(axis, Mapping) else None


def first_level_transforms(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int
) -> tuple[list[float], list[float]]:
    """Scale and translation of a level, in the units of the axes."""
    scale, translation = [1.0] * ndim, [0.0] * ndim
    lists = (dataset, multiscale)
    for entry in (t for holder in lists for t in holder.get("coordinateTransformations", [])):
        if entry["type"] == "scale":
            factors = [float(v) for v in entry["scale"]]
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            translation = [a * b for a, b in zip(translation, factors, strict=True)]
        elif entry["type"] == "translation":
            shifts = [float(v) for v in entry["translation"]]
            translation = [a + b for a, b in zip(translation, shifts, strict=True)]
    return scale, translation


def _axes_entry(
    axes: str, size: tuple[float, float] | None, z_step_nm: float | None
) -> list[dict[str, str]]:
    entries = []
    for letter in axes:
        entry = {"name": letter.lower(), "type": _AXIS_TYPES[letter]}
        if (letter in "YX" and size is not None) or (letter == "Z" and z_step_nm is not None):
            entry["unit"] = "nanometer"
        entries.append(entry)
    return entries


def _datasets(
    axes: str,
    count: int,
    size: tuple[float, float] | None,
    z_step_nm: float | None,
    origins: Mapping[str, float],
) -> list[dict[str, Any]]:
    y, x = size or (1.0, 1.0)
    steps = {"Y": y, "X": x, "Z": z_step_nm or 1.0}
    entries = []
    for level in range(count):
        factor = 2**level
        scale = [steps.get(a, 1.0) * (factor if a in "YX" else 1) for a in axes]
        # A pixel of a coarser level has its centre between those that were averaged.
        shift = [
            origins.get(a, 0.0) + (steps[a] * (factor - 1) / 2 if a in "YX" else 0.0) for a in axes
        ]
        entries.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale},
                    {"type": "translation", "translation": shift},
                ],
            }
        )
    return entries
