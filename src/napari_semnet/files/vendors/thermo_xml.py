"""Thermo Fisher XML (34683): Phenom's ``<FeiImage>``, and ``<Metadata>`` of newer instruments."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from napari_semnet.files.calibration import Findings, length_in_nm, number, pixel_size
from napari_semnet.files.vendors.text import in_units, known
from napari_semnet.files.xml import find, find_text, local_name, parse_xml

__all__ = ["read_thermo_xml"]

_SQUARE = 1e-3
_CONTRADICTION = (
    "The Phenom header contradicts itself about the pixel size. Please enter it, or draw over "
    "the scale bar."
)


def read_thermo_xml(content: bytes, width: int, height: int) -> Findings | None:
    """Read Thermo Fisher's XML header.

    Parameters
    ----------
    content : bytes
        Value of tag 34683, or the block in a JPEG file.
    width, height : int
        Size of the picture in the file, databar included.
    """
    root = parse_xml(content)
    if root is None:
        return None
    if local_name(root) == "FeiImage":
        return _phenom(root, height)
    if local_name(root) == "Metadata":
        return _metadata(root, width, height)
    return None


def _phenom(root: Element, height: int) -> Findings:
    size = pixel_size(
        _length(root, "pixelHeight"),
        _length(root, "pixelWidth"),
        "Phenom header, pixelWidth and pixelHeight",
        "high",
    )
    warnings: tuple[str, ...] = ()
    if size is not None and abs(size.x_nm / size.y_nm - 1) > _SQUARE:
        # These microscopes scan square pixels: one of the two numbers is damaged.
        size, warnings = None, (_CONTRADICTION,)
    bar = number(find_text(root, "databarHeight"))
    specimen = None
    if bar is not None and bar.is_integer() and 0 <= bar < height:
        specimen = (0, height - int(bar))
    return Findings(
        "Thermo Fisher/Phenom",
        find_text(root, "edition") or "Phenom",
        size,
        specimen,
        metadata=known(
            [
                ("acceleration voltage", in_units(_volts(root), "V")),
                ("working distance", find_text(root, "workingDistance", "unit")),
                ("detector", find_text(root, "detector")),
                ("frames integrated", find_text(root, "integrations")),
                ("magnification", find_text(root, "magnification")),
                ("date", find_text(root, "time")),
            ]
        ),
        warnings=warnings,
    )


def _metadata(root: Element, width: int, height: int) -> Findings:
    block, image = find(root, "PixelSize"), find(root, "ImageSize")
    size, specimen = None, None
    columns, rows = number(find_text(image, "X")), number(find_text(image, "Y"))
    if block is not None and columns in (None, width):
        size = pixel_size(
            _length(block, "Y", "m"), _length(block, "X", "m"), "Thermo Fisher XML header", "high"
        )
    if rows is not None and rows.is_integer() and 0 < rows <= height and columns == width:
        specimen = (0, int(rows))
    return Findings(
        "Thermo Fisher/FEI",
        find_text(root, "InstrumentClass"),
        size,
        specimen,
        metadata=known(
            [
                ("acceleration voltage", in_units(find_text(root, "AccelerationVoltage"), "V")),
                ("working distance", in_units(find_text(root, "WorkingDistance"), "m")),
                ("dwell time", in_units(find_text(root, "DwellTime"), "s")),
                ("detector", find_text(root, "Detector")),
                ("frames integrated", find_text(root, "FrameIntegrationCount")),
            ]
        ),
    )


def _length(root: Element, name: str, default_unit: str = "") -> float | None:
    element = find(root, name)
    # A power of ten that is kept apart has not been seen in any genuine header.
    if element is None or element.get("unitPrefixPower", "1") not in ("0", "1"):
        return None
    return length_in_nm((element.text or "").strip(), element.get("unit") or default_unit)


def _volts(root: Element) -> float | None:
    element = find(root, "acceleratingVoltage")
    if element is None:
        element = find(root, "highVoltage")
    value = None if element is None else number(element.text)
    if value is None or element is None:
        return None
    # Phenom writes the sign of the cathode.
    return abs(value) * (1e3 if element.get("unit", "V").lower() == "kv" else 1.0)
