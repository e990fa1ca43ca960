"""Calibrations that are no vendor's: OME, ImageJ, DigitalMicrograph tags, openFIBSEM's JSON.

The resolution tags of a TIFF describe a screen or a printer and are never a pixel size; only
ImageJ's own unit gives them another meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import (
    NM_PER_UNIT,
    Findings,
    PixelSize,
    number,
    other_width,
    pixel_size,
)
from napari_semnet.files.provenance import NAMESPACE, Provenance
from napari_semnet.files.vendors.text import key_values, known
from napari_semnet.files.xml import find, local_name, parse_xml

__all__ = ["looks_like_dots_per_inch", "read_dm_tags", "read_imagej", "read_ome", "read_openfibsem"]

_DOTS_PER_INCH = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 400, 600, 720)
_NM_PER_INCH = 2.54e7
_DISPLAY_UNITS = {"", "pixel", "pixels", "inch", "cm", "centimeter", "centimetre", "px"}
_DEEPEST = 6
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
"""How ImageJ writes letters beyond ASCII."""
_DISPLAY_SIZE = (
    "The stated pixel size is that of a screen or printer, which a converter took for the "
    "picture's. It is not used; please enter the pixel size."
)


def looks_like_dots_per_inch(size: PixelSize) -> bool:
    """Tell whether a size is a screen's or printer's, copied by a converter from resolution tags.

    Such sizes are of 35 to 353 µm, where hardly any SEM picture is, and hit a usual number of
    dots per inch to 1e-4.
    """
    return any(
        abs(size.x_nm / (_NM_PER_INCH / dots) - 1) < 1e-4
        and abs(size.y_nm / (_NM_PER_INCH / dots) - 1) < 1e-4
        for dots in _DOTS_PER_INCH
    )


def read_ome(description: str, width: int) -> Findings | None:
    """Read the OME-XML of a picture.

    Parameters
    ----------
    description : str
        ImageDescription of the first page, which programs that crop or enlarge pass on as it is.
    width : int
        Of the picture in the file.
    """
    if "<OME" not in description and ":OME" not in description:
        return None
    root = parse_xml(description)
    pixels = None if root is None else find(root, "Pixels")
    if root is None or pixels is None:
        return None
    columns = number(pixels.get("SizeX"))
    warnings = other_width("OME header", columns, width) if columns else ()
    if warnings:
        written_by = known([("written by", root.get("Creator"))])
        return Findings(provenance=_provenance(root), metadata=written_by, warnings=warnings)
    lengths = {}
    for axis in "XYZ":
        value = number(pixels.get(f"PhysicalSize{axis}"))
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm").lower()
        factor = NM_PER_UNIT.get(unit)
        lengths[axis] = None if value is None or factor is None else value * factor
    size = pixel_size(lengths["Y"], lengths["X"], "OME-XML, PhysicalSize", "medium")
    return _checked(
        Findings(
            pixel_size=size,
            z_step_nm=lengths["Z"] if lengths["Z"] and lengths["Z"] > 0 else None,
            origin_nm=_position(root),
            origin_z_nm=_position_z(root),
            provenance=_provenance(root),
            metadata=known([("written by", root.get("Creator"))]),
        )
    )


def read_imagej(description: str, resolution: tuple[float | None, float | None]) -> Findings | None:
    """Read ImageJ's description.

    Parameters
    ----------
    description : str
        ImageDescription of the first page.
    resolution : (float or None, float or None)
        (y, x) values of the resolution tags: pixels for one of ImageJ's unit.
    """
    if not description.startswith("ImageJ="):
        return None
    values = key_values(description[:100_000])
    written_by = known([("written by", f"ImageJ {values.get('ImageJ', '')}")])
    units = [_imagej_unit(values, name) for name in ("yunit", "unit", "zunit")]
    y_nm, x_nm, z_nm = (_imagej_nm(unit) for unit in units)
    if y_nm is None or x_nm is None:
        return Findings(metadata=written_by)
    steps = zip((y_nm, x_nm), resolution, strict=True)
    y, x = (factor / pixels if pixels else None for factor, pixels in steps)
    spacing = number(values.get("spacing"))
    return _checked(
        Findings(
            pixel_size=pixel_size(y, x, f"ImageJ, unit {units[1]}", "medium"),
            # Negative where the first slice lies above the next: a distance all the same.
            z_step_nm=abs(spacing) * z_nm if spacing and z_nm else None,
            metadata=written_by,
        )
    )


def _imagej_unit(values: Mapping[str, str], name: str) -> str:
    """Give the unit of an axis, which ImageJ writes for Y and Z only where it is not that of X."""
    unit = values.get(name) or values.get("unit", "")
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), unit)


def _imagej_nm(unit: str) -> float | None:
    """Give the nanometres in a unit; None where it is none of the specimen."""
    return None if unit.lower() in _DISPLAY_UNITS else NM_PER_UNIT.get(unit.lower())


def read_dm_tags(
    units: tuple[str, str], scales: tuple[float | None, float | None]
) -> Findings | None:
    """Read Gatan DigitalMicrograph's tags.

    Parameters
    ----------
    units : (str, str)
        (y, x) from tags 65004 and 65003.
    scales : (float or None, float or None)
        (y, x) from tags 65010 and 65009: units for one pixel.
    """
    lengths = []
    for unit, scale in zip(units, scales, strict=True):
        factor = NM_PER_UNIT.get(unit.strip("\0 ").lower())
        lengths.append(None if factor is None or scale is None else abs(scale) * factor)
    y, x = lengths
    size = pixel_size(y, x, "DigitalMicrograph tags", "medium")
    return None if size is None else Findings(pixel_size=size)


def read_openfibsem(description: str) -> Findings | None:
    """Read the JSON description that openFIBSEM and AutoScript tools write."""
    if not description.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(description)
    except (ValueError, RecursionError):
        return None
    found = _search(content, "pixel_size", _DEEPEST)
    if not isinstance(found, Mapping):
        return None
    y, x = (number(found.get(axis)) for axis in "yx")
    size = pixel_size(
        None if y is None else y * 1e9,
        None if x is None else x * 1e9,
        "openFIBSEM header, pixel_size",
        "high",
    )
    return None if size is None else Findings("openFIBSEM", pixel_size=size)


def _position(root: Element) -> tuple[float, float] | None:
    plane = find(root, "Plane")
    if plane is None:
        return None
    y, x = _position_along("Y", plane), _position_along("X", plane)
    return None if y is None or x is None else (y, x)


def _position_z(root: Element) -> float | None:
    plane = find(root, "Plane")
    # Planes may stand in any order, and each has a place of its own along Z.
    is_first = plane is not None and plane.get("TheZ", "0") == "0"
    return _position_along("Z", plane) if plane is not None and is_first else None


def _position_along(axis: str, plane: Element) -> float | None:
    value = number(plane.get(f"Position{axis}"))
    factor = NM_PER_UNIT.get(plane.get(f"Position{axis}Unit", "").lower())
    return None if value is None or factor is None else value * factor


def _provenance(root: Element) -> Provenance | None:
    for annotation in (e for e in root.iter() if local_name(e) == "MapAnnotation"):
        if annotation.get("Namespace") != NAMESPACE:
            continue
        pairs = {e.get("K", ""): e.text or "" for e in annotation.iter() if local_name(e) == "M"}
        try:
            return Provenance.from_annotation(pairs)
        except FileFormatError:
            return None
    return None


def _search(content: Any, key: str, depth: int) -> Any:
    if not isinstance(content, Mapping) or depth == 0:
        return None
    if isinstance(content.get(key), Mapping):
        return content[key]
    for value in content.values():
        found = _search(value, key, depth - 1)
        if found is not None:
            return found
    return None


def _checked(findings: Findings) -> Findings:
    if findings.pixel_size is None or not looks_like_dots_per_inch(findings.pixel_size):
        return findings
    return Findings(
        provenance=findings.provenance,
        metadata=findings.metadata,
        warnings=(_DISPLAY_SIZE,),
    )
