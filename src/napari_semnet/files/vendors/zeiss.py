"""Zeiss SmartSEM: the text of tag 34118 (CZ_SEM).

Lines in pairs (a name such as ``AP_WD``, then ``WD =  3.9 mm``) after a block of bare numbers.
The fourth number is the pixel size in metres on a display 1024 pixels wide, and so is
``AP_PIXEL_SIZE``: for a picture of another width both must be scaled by 1024 / width.
``AP_IMAGE_PIXEL_SIZE`` and ``AP_WIDTH`` / width are referred to the picture itself, but rounded.
The data zone is drawn into the picture and its height is stated nowhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from napari_semnet.files.calibration import (
    Findings,
    PixelSize,
    length_in_nm,
    number,
    pixel_size,
)
from napari_semnet.files.vendors.text import decode, known

__all__ = ["VENDOR", "read_zeiss"]

VENDOR = "Zeiss"
_DISPLAY_WIDTH = 1024
_AGREEMENT = 2e-3
_PROPORTION = 0.02
"""Least difference between AP_HEIGHT / height and the pixel size that tells of another shape."""
_CONTRADICTION = (
    "The Zeiss header contradicts itself about the pixel size; the picture may have been cropped "
    "or resized later. Please enter the pixel size, or draw over the scale bar."
)
_DIGITS = re.compile(r"\s*\d+(?:[.,](\d+))?")
_NAME = re.compile(r"(AP|DP|SV)_[A-Z0-9_]+")
_MOST_LINES = 20_000


def read_zeiss(content: bytes, width: int, height: int) -> Findings | None:
    """Read a SmartSEM header.

    Parameters
    ----------
    content : bytes
        Value of tag 34118.
    width, height : int
        Size of the picture, data zone included.
    """
    # A transfer in text mode doubles the carriage returns.
    text = decode(content, "utf-8", "cp1252").replace("\r\r\n", "\r\n")
    lines = text.splitlines()[:_MOST_LINES]
    values = _values(lines)
    head = [number(line) for line in lines[:4]]
    if not values and len(head) < 4:
        return None
    display = head[3] if len(head) == 4 else None
    size, warnings = _size(values, display, width)
    tall = length_in_nm(values.get("AP_HEIGHT", ""))
    if size is not None and tall and abs(tall / height / size.y_nm - 1) > _PROPORTION:
        size, warnings = None, (_CONTRADICTION,)
    noise = values.get("DP_NOISE_REDUCTION", "")
    return Findings(
        VENDOR,
        values.get("SV_SERIAL_NUMBER") or values.get("DP_SEM", ""),
        size,
        metadata=known(
            [
                ("acceleration voltage", values.get("AP_ACTUALKV") or values.get("AP_MANUALKV")),
                ("working distance", values.get("AP_WD")),
                ("dwell time", values.get("DP_DWELL_TIME")),
                ("scan speed", values.get("DP_SCANRATE")),
                ("detector", values.get("DP_DETECTOR_CHANNEL") or values.get("DP_DETECTOR_TYPE")),
                ("frames integrated", _frames(values, noise)),
                ("noise filter", noise),
                ("magnification", values.get("AP_MAG")),
                ("field of view", values.get("AP_WIDTH")),
                ("software", values.get("SV_VERSION")),
                ("date", " ".join(filter(None, (values.get("AP_DATE"), values.get("AP_TIME"))))),
            ]
        ),
        warnings=warnings,
    )


def _values(lines: list[str]) -> dict[str, str]:
    """Values by name, without the label that Zeiss puts before them."""
    found: dict[str, str] = {}
    for name, line in itertools.pairwise(lines):
        if _NAME.fullmatch(name.strip()):
            # ``WD =  3.9 mm`` or ``Date :25 Sep 2018``
            _, _, value = line.partition("=") if "=" in line else line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found


def _size(
    values: Mapping[str, str], display: float | None, width: int
) -> tuple[PixelSize | None, tuple[str, ...]]:
    scaled = None if display is None else display * 1e9 * _DISPLAY_WIDTH / width
    stated, tolerance = _printed(values.get("AP_IMAGE_PIXEL_SIZE", ""))
    field, of_field = _printed(values.get("AP_WIDTH", ""))
    from_field = None if field is None else field / width
    checks = [(v, t) for v, t in ((stated, tolerance), (from_field, of_field)) if v]
    # A picture that was cropped later still agrees with its field: both were divided by its width.
    if scaled and all(abs(scaled / value - 1) < bound for value, bound in checks):
        source = f"Zeiss header, pixel size on a 1024-pixel display x 1024 / {width}"
        return pixel_size(None, scaled, source, "high" if checks else "medium"), ()
    if stated and (from_field is None or abs(stated / from_field - 1) < tolerance + of_field):
        return pixel_size(None, stated, "Zeiss header, AP_IMAGE_PIXEL_SIZE", "medium"), ()
    if not checks and not scaled:
        return None, ()
    if from_field and not scaled and not stated:
        source = f"Zeiss header, AP_WIDTH divided by the {width} pixels of a row"
        return pixel_size(None, from_field, source, "medium"), ()
    return None, (_CONTRADICTION,)


def _printed(text: str) -> tuple[float | None, float]:
    """Length in nanometres, and how far the digits that are printed can be from it."""
    length = length_in_nm(text)
    digits = _DIGITS.match(text)
    if not length or digits is None:
        return None, _AGREEMENT
    shown = number(digits[0].replace(",", "."))
    last = 10.0 ** -len(digits[1] or "")
    return length, max(_AGREEMENT, 0.5 * last / abs(shown)) if shown else _AGREEMENT


def _frames(values: Mapping[str, str], noise: str) -> str:
    count = values.get("AP_FRAME_AVERAGE_COUNT" if "Frame" in noise else "AP_FRAME_INT_COUNT", "")
    return count if "Frame" in noise else ""
