"""TESCAN: the blocks of tag 50431, or the ``.hdr`` file beside the picture.

The tag is a chain of blocks: a length (4 bytes, counting from the type on), a type (2 bytes:
1 thumbnail, 2 main, 3 SEM, 5 FIB), then ``key=value`` lines. `ImageStripSize` rows below the
specimen are the databar; with `ViewFieldsCountX` above 1 several detectors share the frame.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from napari_semnet.files.calibration import Findings, number, pixel_size
from napari_semnet.files.vendors.text import decode, in_units, key_values, known, sections

__all__ = ["VENDOR", "read_tescan_sidecar", "read_tescan_tag"]

VENDOR = "TESCAN"
_THUMBNAIL = 1
_MOST_FIELDS = 8
_SQUARE = 1e-3
_NOT_SQUARE = (
    "The TESCAN header contradicts itself: it states pixels that are not square, and that their "
    "tilt was not corrected for. Please enter the pixel size, or draw over the scale bar."
)
_UNEVEN = (
    "The header says that several detectors share the frame, but they do not divide it evenly; "
    "it is shown undivided."
)


def read_tescan_tag(content: bytes, width: int, height: int) -> Findings | None:
    """Read the value of tag 50431.

    Parameters
    ----------
    content : bytes
        Value of the tag.
    width, height : int
        Size of the frame in the file, databar included.
    """
    text = "\n".join(decode(block, "latin-1") for block in _blocks(content))
    return _findings(key_values(text), width, height, "TESCAN header")


def read_tescan_sidecar(text: str, width: int, height: int) -> Findings | None:
    """Read the text of a ``.hdr`` file; parameters as for `read_tescan_tag`."""
    if not any(name in sections(text) for name in ("MAIN", "SEM")):
        return None
    return _findings(key_values(text), width, height, "TESCAN .hdr file")


def _blocks(content: bytes) -> list[bytes]:
    blocks, at = [], 0
    while at + 6 <= len(content):
        length, kind = struct.unpack_from("<IH", content, at)
        if length < 2 or at + 4 + length > len(content):
            break
        if kind != _THUMBNAIL:
            blocks.append(content[at + 6 : at + 4 + length])
        at += 4 + length
    # Another order of blocks than is known here still has its lines somewhere.
    return blocks or [content]


def _findings(values: Mapping[str, str], width: int, height: int, source: str) -> Findings | None:
    if "PixelSizeX" not in values and "ImageStripSize" not in values:
        return None
    y, x = (number(values.get(key)) for key in ("PixelSizeY", "PixelSizeX"))
    size = pixel_size(
        None if y is None else y * 1e9,
        None if x is None else x * 1e9,
        f"{source}, PixelSizeX and PixelSizeY",
        "high",
    )
    square = size is None or abs(size.x_nm / size.y_nm - 1) < _SQUARE
    strip = _count(values.get("ImageStripSize"))
    specimen = (0, height - strip) if strip is not None and strip < height else None
    fields = tuple(_count(values.get(f"ViewFieldsCount{axis}")) or 1 for axis in "YX")
    warnings: tuple[str, ...] = ()
    if not square and number(values.get("TiltCorrection")) == 0:
        size, warnings = None, (_NOT_SQUARE,)
    rows = height if specimen is None else specimen[1]
    if max(fields) > _MOST_FIELDS or rows % fields[0] or width % fields[1]:
        fields = (1, 1)
        warnings = (*warnings, _UNEVEN)
    return Findings(
        VENDOR,
        values.get("Device", ""),
        size,
        specimen,
        (fields[0], fields[1]),
        known(
            [
                ("acceleration voltage", in_units(values.get("HV"), "V")),
                ("working distance", in_units(values.get("WD"), "m")),
                ("dwell time", in_units(values.get("DwellTime"), "s")),
                ("detector", _detectors(values)),
                ("frames integrated", values.get("AccFrames")),
                ("scan mode", values.get("ScanMode")),
                ("magnification", values.get("Magnification")),
                ("beam current", in_units(_current(values), "A")),
                ("software", values.get("SoftwareVersion") or values.get("Version")),
                ("date", f"{values.get('Date', '')} {values.get('Time', '')}"),
            ]
        ),
        warnings,
    )


def _count(text: str | None) -> int | None:
    value = number(text)
    return int(value) if value is not None and value.is_integer() and 0 <= value < 1e6 else None


def _detectors(values: Mapping[str, str]) -> str:
    several = [values.get(f"Detector{i}", "") for i in range(_MOST_FIELDS)]
    return ", ".join(filter(None, several)) or values.get("Detector", "")


def _current(values: Mapping[str, str]) -> str | None:
    return values.get("BeamCurrent") or values.get("PredictedBeamCurrent")
