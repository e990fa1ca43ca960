"""Read an SEM picture with its pixel size, its specimen rows and what the microscope said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import Findings, PixelSize
from napari_semnet.files.pictures import read_picture
from napari_semnet.files.tiff_pixels import Picture, open_tiff, read_pixels

__all__ = ["PICTURE_SUFFIXES", "TIFF_SUFFIXES", "SemImage", "read_image"]

TIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, slots=True)
class SemImage:
    """A picture and all that its file says about it."""

    pixels: Any
    """Array-like of shape (..., Y, X), or (..., Y, X, 3) in real colour; in file order, with
    the databar. Files over 1 GiB stay on disk."""
    axes: str
    """A letter an axis, such as ``YX``, ``ZYX``, ``IYX`` (pages of unknown meaning), ``YXS``."""
    pixel_size: PixelSize | None = None
    """None when nothing trustworthy was found: ask the user."""
    specimen_rows: tuple[int, int] | None = None
    """First row of specimen and the row after the last; None means all, or ask (see warnings)."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the microscope said, in plain names, with units."""
    warnings: tuple[str, ...] = ()
    vendor: str = ""
    instrument: str = ""
    path: Path | None = None


def read_image(path: str | Path) -> SemImage:
    """Read a picture file.

    Parameters
    ----------
    path : str or Path
        TIFF, PNG, JPEG or BMP.

    Raises
    ------
    FileFormatError
        The file is missing, damaged, too large, or of another kind.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileFormatError(f"There is no file {path}.")
        with path.open("rb") as file:
            start = file.read(4)
        if start[:2] in (b"II", b"MM"):
            return _read_tiff(path)
        return _assembled(path, read_picture(path), Findings())
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _read_tiff(path: Path) -> SemImage:
    with open_tiff(path) as tiff:
        picture = read_pixels(tiff, path)
    return _assembled(path, picture, Findings())


def _assembled(path: Path, picture: Picture, findings: Findings) -> SemImage:
    return SemImage(
        picture.pixels,
        picture.axes,
        findings.pixel_size,
        findings.specimen_rows,
        findings.metadata,
        (*picture.warnings, *findings.warnings),
        findings.vendor,
        findings.instrument,
        path,
    )
