"""Thermo Fisher / FEI: the INI text of tags 34682 (FEI_HELIOS) and 34680 (FEI_SFEG).

The picture is `[Image] ResolutionX` by `ResolutionY` pixels; rows beyond that are the databar.
(`[PrivateFei] DatabarHeight` is not used: genuine files state 0 there and have a databar.)
The legacy S-FEG block has only a magnification that depends on the monitor, so it gives no
pixel size.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from napari_semnet.files.calibration import (
    Confidence,
    Findings,
    PixelSize,
    number,
    other_width,
    pixel_size,
)
from napari_semnet.files.vendors.text import decode, in_units, known, sections
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml

__all__ = ["VENDOR", "read_fei"]

VENDOR = "Thermo Fisher/FEI"
_SECTIONS = ("User", "System", "Beam", "Scan", "Image", "DatabarData")
_AGREEMENT = 1e-3
_CONTRADICTION = (
    "The FEI header contradicts itself about the pixel size. Please enter it, or draw over the "
    "scale bar."
)
_ONLY_MAGNIFICATION = (
    "This older header states only a magnification, which holds for one monitor: the pixel size "
    "is not known. Please enter it, or draw over the scale bar."
)


def read_fei(content: bytes, width: int, height: int) -> Findings | None:
    """Read an FEI header.

    Parameters
    ----------
    content : bytes
        Value of tag 34682 or 34680.
    width, height : int
        Size of the picture in the file, databar included.
    """
    text = decode(content, "utf-8", "cp1252")
    if "[" not in text:
        return _from_base64(text, width, height)
    ini = sections(text)
    if not any(name in ini for name in _SECTIONS):
        return None
    if "DatabarData" in ini and "Image" not in ini:
        return _legacy(ini)
    image = ini.get("Image", {})
    columns, rows = (number(image.get(key)) for key in ("ResolutionX", "ResolutionY"))
    size, warnings = _size(ini, width)
    if columns is not None and columns != width:
        size, warnings = None, other_width("FEI header", columns, width)
    specimen = None
    if rows is not None and rows.is_integer() and 0 < rows <= height and columns in (None, width):
        specimen = (0, int(rows))
    instrument = ini.get("System", {}).get("SystemType", "").replace('"', "")
    return Findings(VENDOR, instrument, size, specimen, (1, 1), _metadata(ini), warnings)


def _from_base64(text: str, width: int, height: int) -> Findings | None:
    """Newer software may store XML, in base64, under the number of the legacy tag."""
    try:
        content = base64.b64decode(text.strip("\0 \r\n"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return read_thermo_xml(content, width, height)


@dataclass(frozen=True, slots=True)
class _Statement:
    """One of the places where the header tells the pixel size; None where it leaves out one."""

    y: float | None
    x: float | None
    source: str
    confidence: Confidence

    def agrees(self, other: _Statement) -> bool:
        pairs = [(self.y, other.y), (self.x, other.x)]
        return all(a is None or b is None or abs(a - b) <= _AGREEMENT * b for a, b in pairs)


def _size(
    ini: Mapping[str, Mapping[str, str]], width: int
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Pixel size, where the header's statements about it agree."""
    beam, image = ini.get("Beam", {}), ini.get("Image", {})
    across, down = number(image.get("ResolutionX")) or width, number(image.get("ResolutionY"))
    stated, derived = [], []
    for name in dict.fromkeys(("Scan", beam.get("Scan") or "EScan", "EScan", "IScan")):
        scan = ini.get(name, {})
        y, x = (_nm(scan.get(key)) for key in ("PixelHeight", "PixelWidth"))
        source = f"FEI header, [{name}] PixelWidth and PixelHeight"
        stated.append(_Statement(y, x, source, "high"))
        derived.append(_from_field(scan, "VerFieldsize", "HorFieldsize", down, across, name))
    for name in dict.fromkeys((beam.get("Beam") or "EBeam", "EBeam", "IBeam", "IRBeam")):
        derived.append(_from_field(ini.get(name, {}), "VFW", "HFW", down, across, name))
    usable = [s for s in (*stated, *derived) if pixel_size(s.y, s.x, "", "low") is not None]
    if not usable:
        return None, ()
    best, *others = usable
    if others and not any(best.agrees(other) for other in others):
        return None, (_CONTRADICTION,)
    return pixel_size(best.y, best.x, best.source, best.confidence), ()


def _nm(text: str | None) -> float | None:
    value = number(text)
    return None if value is None else value * 1e9


def _from_field(
    section: Mapping[str, str],
    vertical: str,
    horizontal: str,
    down: float | None,
    across: float,
    name: str,
) -> _Statement:
    """Field of view over the number of pixels."""
    y, x = _nm(section.get(vertical)), _nm(section.get(horizontal))
    return _Statement(
        y / down if y and down else None,
        x / across if x and across else None,
        f"FEI header, [{name}] {horizontal} divided by the {across:g} pixels of a row",
        "medium",
    )


def _legacy(ini: Mapping[str, Mapping[str, str]]) -> Findings:
    databar, vector = ini.get("DatabarData", {}), ini.get("Vector", {})
    return Findings(
        f"{VENDOR} (legacy)",
        metadata=known(
            [
                ("acceleration voltage", in_units(databar.get("flAccV"), "V")),
                ("working distance", in_units(databar.get("flWD"), "m", 1e-3)),
                ("magnification", vector.get("Magnification")),
                ("spot", databar.get("flSpot")),
            ]
        ),
        warnings=(_ONLY_MAGNIFICATION,),
    )


def _detector(detectors: Mapping[str, str]) -> str:
    parts = (detectors.get("Name", ""), detectors.get("Mode", ""))
    return " ".join(part for part in parts if part and part != "None")


def _metadata(ini: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    beam = ini.get("Beam", {})
    column = ini.get(beam.get("Beam") or "EBeam", {})
    scan = ini.get(beam.get("Scan") or "EScan", {})
    image, detectors = ini.get("Image", {}), ini.get("Detectors", {})
    common = ini.get("Scan", {})
    drift = image.get("DriftCorrected", "")
    processing = image.get("PostProcessing", "")
    return known(
        [
            ("acceleration voltage", in_units(column.get("HV") or beam.get("HV"), "V")),
            ("working distance", in_units(column.get("WD"), "m")),
            ("dwell time", in_units(scan.get("Dwell") or common.get("Dwelltime"), "s")),
            ("detector", _detector(detectors)),
            ("frames integrated", image.get("Integrate")),
            ("frames averaged", image.get("Average")),
            ("lines integrated", scan.get("LineIntegration")),
            ("drift correction", "" if drift.lower() == "off" else drift),
            ("noise filter", "" if processing.lower() == "none" else processing),
            ("beam current", in_units(column.get("BeamCurrent"), "A")),
            ("field of view", in_units(column.get("HFW"), "m")),
            ("software", ini.get("System", {}).get("Software")),
            ("date", " ".join(ini.get("User", {}).get(key, "") for key in ("Date", "Time"))),
        ]
    )
