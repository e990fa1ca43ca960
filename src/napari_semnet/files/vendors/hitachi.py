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
_NUMBER = re.compile(r"\s*[-+]?[0-9.]+(?:[eE][-+]?\d+)?")


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


def _number(text: str | None) -> float | None:
    """Leading number of a text such as ``15000 Volt``."""
    match = _NUMBER.match(text or "")
    return number(match[0]) if match else None


def _scaled(text: str | None, unit: str, factor: float = 1.0) -> str:
    return in_units(_number(text), unit, factor)


def _data_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX*]\s*(\d{1,6})\s*", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
