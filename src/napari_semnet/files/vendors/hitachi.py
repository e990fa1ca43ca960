"""Hitachi: the ``.txt`` file beside the picture, ``[SemImageFile]`` and ``key=value`` lines.

`PixelSize` is in nanometres, `WorkingDistance` in micrometres. `DataSize` is the picture without
a strip added below; a strip drawn into the picture is not stated.
"""

from __future__ import annotations

import re

from napari_semnet.files.calibration import Findings, length_in_nm, number, other_width, pixel_size
from napari_semnet.files.vendors.text import in_units, known, sections

__all__ = ["VENDOR", "read_hitachi"]

VENDOR = "Hitachi"
_QUANTITY = re.compile(r"\s*([-+]?[0-9.,]+(?:[eE][-+]?\d+)?)\s*([^\s\d]*)\s*")
_PREFIXES = {"k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}


def read_hitachi(text: str, width: int, height: int) -> Findings | None:
    """Read the text of a Hitachi sidecar.

    Parameters
    ----------
    text : str
        Content of the ``.txt`` file.
    width, height : int
        Size of the picture in the file.
    """
    ini = sections(text)
    values = ini.get("SemImageFile")
    if values is None:
        return None
    size = pixel_size(
        None,
        length_in_nm(values.get("PixelSize", ""), "nm"),
        "Hitachi .txt file, PixelSize",
        "high",
    )
    columns, rows = _data_size(values.get("DataSize", ""))
    specimen: tuple[int, int] | None = None
    warnings = other_width(".txt file", columns, width) if columns else ()
    if warnings:
        size = None
    elif 0 < rows < height:
        specimen = (0, rows)
    if size is None and not warnings:
        warnings = (
            "The .txt file states no pixel size. Please enter it, or draw over the scale bar.",
        )
    return Findings(
        VENDOR,
        values.get("InstructName", ""),
        size,
        specimen,
        metadata=known(
            [
                ("acceleration voltage", _scaled(values.get("AcceleratingVoltage"), "V")),
                ("working distance", _scaled(values.get("WorkingDistance"), "m", 1e-6)),
                ("detector", values.get("SignalName")),
                ("scan speed", values.get("ScanSpeed")),
                ("magnification", values.get("Magnification")),
                ("emission current", _scaled(values.get("EmissionCurrent"), "A", 1e-9)),
                ("date", f"{values.get('Date', '')} {values.get('Time', '')}"),
            ]
        ),
        warnings=warnings,
    )


def _scaled(text: str | None, unit: str, usual: float = 1.0) -> str:
    """Say a quantity such as ``15000 Volt`` or ``10 uA``; without a unit it is in the usual one."""
    match = _QUANTITY.fullmatch(text or "")
    if match is None:
        return ""
    stated = match[2].lower().replace("volts", "v").replace("volt", "v")
    stated = stated.replace("\u00b5", "u").replace("\u03bc", "u")
    factors = {f"{prefix}{unit}".lower(): factor for prefix, factor in _PREFIXES.items()}
    factor = factors.get(stated) if stated else usual
    return "" if factor is None else in_units(number(match[1]), unit, factor)


def _data_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})(?:\s*[xX*,;]\s*|\s+)(\d{1,6})\s*", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
