"""JEOL: the ``.txt`` file beside the picture, lines of ``$NAME value`` or ``$$NAME value``.

The pixel size comes from the stated pixel size or field of view, else from the scale bar's
length in pixels, else from the magnification at JEOL's usual reference width of 128 mm (low
confidence: the reference differs between instruments and output settings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_semnet.files.calibration import (
    Findings,
    PixelSize,
    length_in_nm,
    number,
    other_width,
    pixel_size,
)
from napari_semnet.files.vendors.text import AnyCase, known

__all__ = ["VENDOR", "read_jeol"]

VENDOR = "JEOL"
_REFERENCE_NM = 0.128e9
_LENGTH = re.compile(r"([0-9.,]+(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ]*)")
_PAIR = re.compile(r"0*([1-9]\d{0,5})(?:\.0*)?[\s,;xX*]+0*([1-9]\d{0,5})(?:\.0*)?")
_MOST_LINES = 20_000


def read_jeol(text: str, width: int, height: int) -> Findings | None:
    """Read the text of a JEOL sidecar.

    Parameters
    ----------
    text : str
        Content of the ``.txt`` file.
    width, height : int
        Size of the picture in the file, footer included.
    """
    values: AnyCase[str] = AnyCase()
    for line in text.splitlines()[:_MOST_LINES]:
        name, *rest = line.strip().split(maxsplit=1)[:2] or [""]
        if name.startswith("$"):
            values.setdefault(name.lstrip("$"), rest[0] if rest else "")
    if not any(name.startswith("cm_") for name in values):
        return None
    columns, rows = _pair(values, "CM_IMAGE_SIZE") or _pair(values, "CM_FULL_SIZE") or (0, 0)
    warnings = other_width(".txt file", columns, width) if columns else ()
    size = None if warnings else _size(values, width, rows or height)
    return Findings(
        VENDOR,
        values.get("CM_INSTRUMENT", ""),
        size,
        _specimen_rows(values, width, height),
        metadata=known(
            [
                ("acceleration voltage", _unit(values, "CM_ACCEL_VOLT", "kV")),
                ("working distance", _unit(values, "SM_WD", "mm")),
                ("dwell time", values.get("SM_DWELL_TIME")),
                ("detector", values.get("CM_DETECTOR_NAME") or values.get("SM_DETECTOR")),
                ("signal", values.get("CM_SIGNAL_NAME") or values.get("CM_SIGNAL")),
                ("frames integrated", values.get("SM_INTEGRATION_NUMBER")),
                ("magnification", values.get("CM_MAG")),
                ("emission current", _unit(values, "SM_EMI_CURRENT", "µA")),
                ("date", f"{values.get('CM_DATE', '')} {values.get('CM_TIME', '')}"),
            ]
        ),
        warnings=warnings,
    )


def _specimen_rows(values: Mapping[str, str], width: int, height: int) -> tuple[int, int] | None:
    for name in ("CM_IMAGE_SIZE", "CM_FULL_SIZE"):
        stated = _pair(values, name)
        if stated is not None and stated[0] == width and 0 < stated[1] <= height:
            return 0, stated[1]
    return None


def _size(values: Mapping[str, str], width: int, rows: int) -> PixelSize | None:
    stated = _LENGTH.match(values.get("CM_PIXEL_SIZE", ""))
    if stated is not None and stated[2]:
        size = pixel_size(None, length_in_nm(stated[0]), "JEOL .txt file, CM_PIXEL_SIZE", "high")
        if size is not None:
            return size
    across, down = _field(values.get("CM_FIELD_OF_VIEW", ""))
    if across is not None:
        size = pixel_size(
            None if down is None else down / rows,
            across / width,
            "JEOL .txt file, CM_FIELD_OF_VIEW divided by the number of pixels",
            "medium",
        )
        if size is not None:
            return size
    marker = length_in_nm(values.get("SM_MICRON_MARKER", ""))
    bar = number(values.get("SM_MICRON_BAR"))
    if marker is not None and bar:
        source = f"JEOL .txt file, scale bar of {values['SM_MICRON_MARKER']} over {bar:g} pixels"
        size = pixel_size(None, marker / bar, source, "medium")
        if size is not None:
            return size
    magnification = number(values.get("CM_MAG"))
    if not magnification:
        return None
    return pixel_size(
        None,
        _REFERENCE_NM / magnification / width,
        "JEOL .txt file, magnification at a reference width of 128 mm; check it against the "
        "scale bar",
        "low",
    )


def _field(text: str) -> tuple[float | None, float | None]:
    """Width and height of a field such as ``1.067mm 0.800mm`` or ``1067 800um``, in nanometres."""
    found = _LENGTH.findall(text[:100])
    if not found:
        return None, None
    last_unit = next((unit for _, unit in reversed(found) if unit), "")
    lengths = [length_in_nm(value, unit or last_unit) for value, unit in found[:2]]
    return lengths[0], lengths[1] if len(lengths) == 2 else None


def _pair(values: Mapping[str, str], name: str) -> tuple[int, int] | None:
    match = _PAIR.fullmatch(values.get(name, "").strip())
    return (int(match[1]), int(match[2])) if match else None


def _unit(values: Mapping[str, str], name: str, unit: str) -> str:
    value = number(values.get(name))
    return "" if value is None else f"{value:g} {unit}"
