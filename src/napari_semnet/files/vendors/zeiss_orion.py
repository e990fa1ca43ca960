"""Zeiss Orion helium ion microscopes: the XML of tag 65000.

``<ImageTags>`` holds an element a quantity, each with a ``<Value>`` and ``<Units>``. `ScalingX` and
`ScalingY` are the size of a pixel, in metres where no unit stands beside them; `Fov` is the width
of the field, in micrometres.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from napari_semnet.files.calibration import (
    Findings,
    PixelSize,
    length_in_nm,
    number,
    other_width,
    pixel_size,
)
from napari_semnet.files.vendors.text import in_units, known
from napari_semnet.files.xml import find, local_name, parse_xml

__all__ = ["read_zeiss_orion"]

_AGREEMENT = 0.01
_CONTRADICTION = (
    "The Orion header contradicts itself about the pixel size. Please enter it, or draw over the "
    "scale bar."
)


def read_zeiss_orion(content: bytes, width: int, height: int) -> Findings | None:
    """Read an Orion header.

    Parameters
    ----------
    content : bytes
        Value of tag 65000.
    width, height : int
        Size of the picture in the file.
    """
    root = parse_xml(content)
    if root is None or local_name(root) != "ImageTags":
        return None
    columns = number(_value(root, "ImageWidth"))
    warnings = other_width("Orion header", columns, width) if columns else ()
    size: PixelSize | None = None
    if not warnings:
        size, warnings = _size(root, width)
    return Findings(
        "Zeiss Orion",
        _value(root, "System.Name"),
        size,
        metadata=known(
            [
                ("acceleration voltage", _quantity(root, "AccelerationVoltage", "V")),
                ("working distance", _quantity(root, "WorkingDistance", "mm")),
                ("dwell time", _quantity(root, "DwellTime", "µs")),
                ("frames averaged", _value(root, "NumAverages")),
                ("field of view", _quantity(root, "Fov", "µm")),
            ]
        ),
        warnings=warnings,
    )


def _size(root: Element, width: int) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Pixel size, where the field of view does not deny it."""
    y, x = (
        length_in_nm(_value(root, name), _units(root, name) or "m")
        for name in ("ScalingY", "ScalingX")
    )
    size = pixel_size(y, x, "Orion header, ScalingX and ScalingY", "high")
    field = length_in_nm(_value(root, "Fov"), _units(root, "Fov") or "um")
    if size is not None and field and abs(field / width / size.x_nm - 1) > _AGREEMENT:
        return None, (_CONTRADICTION,)
    return size, ()


def _part(root: Element, name: str, part: str) -> str:
    element = find(root, name)
    found = None if element is None else find(element, part)
    return "" if found is None else (found.text or "").strip()


def _value(root: Element, name: str) -> str:
    return _part(root, name, "Value")


def _units(root: Element, name: str) -> str:
    return _part(root, name, "Units")


def _quantity(root: Element, name: str, usual: str) -> str:
    value = _value(root, name)
    unit = _units(root, name) or usual
    return in_units(value, unit) if unit == "V" else f"{value} {unit}" if value else ""
