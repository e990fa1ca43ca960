"""A pixel size that a person gave, which counts more than what the file says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from napari_semnet.files.calibration import Confidence, PixelSize, differ
from napari_semnet.files.methods import pixel_size_text

if TYPE_CHECKING:
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.files.reader import SemImage

__all__ = [
    "DRAWN",
    "GIVEN",
    "TYPED",
    "disagreement",
    "given_size_of",
    "with_pixel_size",
    "without_request",
]

GIVEN = "given on the command line"
TYPED = "typed by the user"
DRAWN = "drawn over by the user"
"""How a record says that a person gave a pixel size; the last one stands behind a scale bar."""

_BY_A_PERSON = re.compile(
    rf"({GIVEN}|{TYPED}|a scale bar of [^:]* {DRAWN}, [^:]*) \((high|medium|low)\)"
)
_REQUEST = re.compile(
    r"[.;] [Pp]lease enter (?:it|the pixel size)(?:, or draw over the scale bar)?\."
)


def with_pixel_size(image: SemImage, size: PixelSize) -> SemImage:
    """Give a picture another pixel size.

    Its place grows with it, as that of a layer does which gets a pixel size in napari.
    """
    origin = image.origin_nm
    if origin is not None and image.pixel_size is not None:
        y, x = image.pixel_size.yx
        origin = origin[0] * size.y_nm / y, origin[1] * size.x_nm / x
    return replace(image, pixel_size=size, origin_nm=origin)


def given_size_of(record: Provenance | None) -> PixelSize | None:
    """Give the size of a source's pixels where its record says that a person gave it."""
    if record is None or record.source_pixel_size_nm is None:
        return None
    found = _BY_A_PERSON.fullmatch(record.source_pixel_size_from)
    if found is None:
        return None
    return PixelSize(*record.source_pixel_size_nm, found[1], cast(Confidence, found[2]))


def disagreement(stated: PixelSize | None, given: PixelSize) -> str:
    """Say that a file states another size than was given; empty where it does not."""
    if stated is None or not differ(stated, given):
        return ""
    said, counting = pixel_size_text(stated.yx), pixel_size_text(given.yx)
    return f"The file says {said} a pixel ({stated.source}); the {counting} that were given count."


def without_request(warning: str) -> str:
    """Leave out of a reader's warning that the pixel size should be entered.

    Examples
    --------
    >>> without_request("The .txt file states no pixel size. Please enter it.")
    'The .txt file states no pixel size.'
    """
    return _REQUEST.sub(".", warning)
