"""What a file says about its picture: pixel size, specimen rows, instrument.

Parsers of vendor headers give `Findings`. They never raise on malformed input: whatever cannot
be understood is left out, and a warning says so where the user should know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from napari_semnet.files.provenance import Provenance

__all__ = [
    "NM_PER_UNIT",
    "Confidence",
    "Findings",
    "PixelSize",
    "differ",
    "length_in_nm",
    "number",
    "other_width",
    "pixel_size",
]

Confidence = Literal["high", "medium", "low"]
"""``high``: stated for each pixel by the microscope or its software. ``medium``: derived from a
stated field of view, or a calibration that any program may have written. ``low``: derived from
the magnification; good for orientation, not for measuring."""

_DISAGREEMENT = 1e-3
SMALLEST_NM = 1e-3
LARGEST_NM = 1e6

NM_PER_UNIT: Mapping[str, float] = {
    "m": 1e9,
    "cm": 1e7,
    "mm": 1e6,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "\\u00b5m": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "å": 0.1,
    "angstrom": 0.1,
    "pm": 1e-3,
    "picometer": 1e-3,
    "picometre": 1e-3,
    "millimeter": 1e6,
    "millimetre": 1e6,
    "centimeter": 1e7,
    "centimetre": 1e7,
    "meter": 1e9,
    "metre": 1e9,
}
"""Nanometres in one of each unit, by the unit's name in lower case."""

_LENGTH = re.compile(r"\s*([-+0-9.,eE]+)\s*([^\s\d].*?)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*([-+]?\d+),(\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Size of one pixel on the specimen."""

    y_nm: float
    x_nm: float
    source: str
    """Where the value stood, in words for the user."""
    confidence: Confidence

    @property
    def yx(self) -> tuple[float, float]:
        """(y, x) in nanometres."""
        return self.y_nm, self.x_nm


@dataclass(frozen=True, slots=True)
class Findings:
    """What one header said."""

    vendor: str = ""
    instrument: str = ""
    pixel_size: PixelSize | None = None
    specimen_rows: tuple[int, int] | None = None
    """First row of the specimen and the row after its last; None when the header does not say."""
    view_fields: tuple[int, int] = (1, 1)
    """Pictures that share the frame, (down, across)."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the microscope said, in plain names, with units."""
    warnings: tuple[str, ...] = ()
    z_step_nm: float | None = None
    """Distance of slices along Z, where the picture is a stack."""
    origin_nm: tuple[float, float] | None = None
    """(y, x) of the centre of the first pixel, where a program kept it."""
    origin_z_nm: float | None = None
    """Place of the first slice along Z, where a program kept it."""
    provenance: Provenance | None = None
    """How the picture was made, where napari-semnet wrote it."""


def number(text: object) -> float | None:
    """Read a finite number, or None.

    Programs on a European desktop may write a decimal comma. Three digits after it could as well
    be thousands, so that such a number is not read, unless a 0 or an exponent tells.

    Examples
    --------
    >>> number(" 2.5e-6 "), number("notafloat"), number("nan")
    (2.5e-06, None, None)
    >>> number("24,80469"), number("0,125"), number("1,067")
    (24.80469, 0.125, None)
    """
    if isinstance(text, str):
        if len(text) > 64 or "_" in text:
            return None
        comma = _DECIMAL_COMMA.fullmatch(text)
        if comma is not None:
            whole, fraction, power = comma[1], comma[2], comma[3] or ""
            if len(fraction) == 3 and not power and whole.lstrip("+-").strip("0"):
                return None
            text = f"{whole}.{fraction}{power}"
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def length_in_nm(text: str, default_unit: str = "") -> float | None:
    """Read a length such as ``1.067mm`` or ``500 um``, in nanometres.

    Parameters
    ----------
    text : str
        Number and unit.
    default_unit : str
        Unit to assume where the text has none; without it such a text gives None.
    """
    match = _LENGTH.fullmatch(text[:64])
    if match is None:
        return None
    value = number(match[1])
    factor = NM_PER_UNIT.get((match[2] or default_unit).lower())
    return None if value is None or factor is None else value * factor


def pixel_size(
    y_nm: float | None,
    x_nm: float | None,
    source: str,
    confidence: Confidence,
) -> PixelSize | None:
    """Build a pixel size, or None where the values cannot be one.

    A missing `y_nm` or `x_nm` is taken from the other. Anything outside 1 pm to 1 mm is no
    pixel of an SEM picture.
    """
    y = x_nm if y_nm is None else y_nm
    x = y_nm if x_nm is None else x_nm
    if y is None or x is None:
        return None
    if not (SMALLEST_NM <= y <= LARGEST_NM and SMALLEST_NM <= x <= LARGEST_NM):
        return None
    return PixelSize(y, x, source, confidence)


def differ(one: PixelSize, other: PixelSize) -> bool:
    """Tell whether two pixel sizes are different by more than 0.1 %."""
    ratios = (one.x_nm / other.x_nm, one.y_nm / other.y_nm)
    return any(abs(ratio - 1) > _DISAGREEMENT for ratio in ratios)


def other_width(header: str, stated: float, width: int) -> tuple[str, ...]:
    """Give the warning that a header is for a picture of another width; none where it fits."""
    if stated == width:
        return ()
    warning = (
        f"The {header} is for a picture {stated:g} pixels wide but this one has {width}: it was "
        "cropped or resized later, so its pixel size is not certain. Please enter it."
    )
    return (warning,)
