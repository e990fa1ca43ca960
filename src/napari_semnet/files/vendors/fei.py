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

from napari_semnet.files.calibration import Findings, PixelSize, number, other_width, pixel_size
from napari_semnet.files.vendors.text import decode, in_units, known, sections
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml

__all__ = ["VENDOR", "read_fei"]

VENDOR = "Thermo Fisher/FEI"
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
    if not {"User", "System", "Beam", "Scan", "Image", "DatabarData"} & ini.keys():
        return None
    if "DatabarData" in ini and "Image" not in ini:
        return _legacy(ini)
    image = ini.get("Image", {})
    columns, rows = (number(image.get(key)) for key in ("ResolutionX", "ResolutionY"))
    size, warnings = _size(ini, columns or width)
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


def _size(
    ini: Mapping[str, Mapping[str, str]], columns: float
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Pixel size, where the header's statements about it agree."""
    beam = ini.get("Beam", {})
    stated, derived = [], []
    for name in dict.fromkeys(("Scan", beam.get("Scan") or "EScan", "EScan", "IScan")):
        scan = ini.get(name, {})
        y, x = (_nm(scan.get(key)) for key in ("PixelHeight", "PixelWidth"))
        source = f"FEI header, [{name}] PixelWidth and PixelHeight"
        stated.append(pixel_size(y, x, source, "high"))
        derived.append(_from_field(scan.get("HorFieldsize"), columns, f"[{name}] HorFieldsize"))
    for name in dict.fromkeys((beam.get("Beam") or "EBeam", "EBeam", "IBeam", "IRBeam")):
        derived.append(_from_field(ini.get(name, {}).get("HFW"), columns, f"[{name}] HFW"))
    sizes = [size for size in (*stated, *derived) if size is not None]
    if not sizes:
        return None, ()
    best, *others = sizes
    if others and all(abs(size.x_nm / best.x_nm - 1) > _AGREEMENT for size in others):
        return None, (_CONTRADICTION,)
    return best, ()


def _nm(text: str | None) -> float | None:
    value = number(text)
    return None if value is None else value * 1e9


def _from_field(text: str | None, columns: float, where: str) -> PixelSize | None:
    field = _nm(text)
    if field is None or columns <= 0:
        return None
    source = f"FEI header, {where} divided by the {columns:g} pixels of a row"
    return pixel_size(None, field / columns, source, "medium")


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
