"""Zeiss Atlas / Fibics: the XML of tag 51023.

``<Scan>`` holds the steps of the scan along a row (``Ux``, ``Uy``) and from row to row (``Vx``,
``Vy``) in micrometres; a pixel is as long as each step, whatever the scan's rotation.
"""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from napari_semnet.files.calibration import Findings, PixelSize, length_in_nm, number, pixel_size
from napari_semnet.files.vendors.text import in_units, known
from napari_semnet.files.xml import find, find_text, local_name, parse_xml

__all__ = ["read_fibics"]

_AGREEMENT = 1e-3
_CONTRADICTION = (
    "The Atlas header contradicts itself about the pixel size. Please enter it, or draw over the "
    "scale bar."
)
_OTHER_SIZE = (
    "The Atlas header is for a picture of another size than this one: it was cropped or resized "
    "later, so its pixel size is not certain. Please enter it."
)


def read_fibics(content: bytes, width: int, height: int) -> Findings | None:
    """Read an Atlas header.

    Parameters
    ----------
    content : bytes
        Value of tag 51023.
    width, height : int
        Size of the picture in the file.
    """
    root = parse_xml(content)
    if root is None or local_name(root) != "Fibics":
        return None
    image, scan = find(root, "Image"), find(root, "Scan")
    stated = [number(find_text(image, n)) for n in ("Width", "Height")]
    size: PixelSize | None = None
    warnings: tuple[str, ...] = ()
    if scan is not None:
        if all(n is None or n == 0 or n == m for n, m in zip(stated, (width, height), strict=True)):
            size, warnings = _size(scan, width, height)
        else:
            warnings = (_OTHER_SIZE,)
    return Findings(
        "Zeiss Atlas/Fibics",
        find_text(image, "Machine"),
        size,
        metadata=known(
            [
                ("acceleration voltage", _beam(root, "AccV", "V")),
                ("beam current", _beam(root, "BeamI", "A", 1e-12)),
                ("detector", find_text(root, "Detector")),
                ("dwell time", find_text(scan, "Dwell", "units")),
                ("lines averaged", find_text(scan, "LineAvg")),
                ("field of view", find_text(scan, "FOV_X", "units")),
                ("software", find_text(root, "Version")),
            ]
        ),
        warnings=warnings,
    )


def _size(scan: Element, width: int, height: int) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Pixel size from the steps of the scan and from its field of view, where they agree."""
    steps, fields = _from_steps(scan), _from_fields(scan, width, height)
    if steps is None or fields is None:
        return steps or fields, ()
    if abs(steps.x_nm / fields.x_nm - 1) > _AGREEMENT:
        return None, (_CONTRADICTION,)
    return steps, ()


def _from_steps(scan: Element) -> PixelSize | None:
    steps = {name: _step(scan, name) for name in ("Ux", "Uy", "Vx", "Vy")}
    damaged = any(step is None and find_text(scan, name) for name, step in steps.items())
    ux, uy, vx, vy = steps.values()
    if ux is None or damaged:
        return None
    across = math.hypot(ux, uy or 0.0)
    down = None if vy is None else math.hypot(vx or 0.0, vy)
    return pixel_size(down, across, "Atlas header, scan steps U and V", "high")


def _step(scan: Element, name: str) -> float | None:
    element = find(scan, name)
    unit = "" if element is None else element.get("units", "um")
    return None if element is None else length_in_nm((element.text or "").strip(), unit)


def _from_fields(scan: Element, width: int, height: int) -> PixelSize | None:
    fields = []
    for name in ("FOV_Y", "FOV_X"):
        element = find(scan, name)
        unit = "" if element is None else element.get("units", "um")
        fields.append(None if element is None else length_in_nm(element.text or "", unit))
    y, x = fields
    return pixel_size(
        None if y is None else y / height,
        None if x is None else x / width,
        "Atlas header, field of view divided by the number of pixels",
        "medium",
    )


def _beam(root: Element, name: str, unit: str, factor: float = 1.0) -> str:
    """Entry of ``<BeamInfo>``: an element, or an ``<item>`` of that name, bare or with a unit."""
    beam = find(root, "BeamInfo")
    entries = () if beam is None else beam.iter()
    said = next((e.text or "" for e in entries if name in (local_name(e), e.get("name"))), "")
    return in_units(said.strip(), unit, factor) or said.strip()
