"""PNG, JPEG and BMP pictures, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from napari_semnet.errors import FileFormatError
from napari_semnet.files.grey import collapse_colour, from_palette
from napari_semnet.files.tiff_pixels import Picture

__all__ = ["embedded_header", "read_picture"]

_FORMATS = ("PNG", "JPEG", "BMP")
_MOST_PIXELS = 2**31
_MOST_EXPANSION = 2000
_SMALL_PIXELS = 2**26
_HEADER_BYTES = 2**20
_LOST_BITS = (
    "The PNG has 16 bits, of which only 8 are read where it has colour or transparency: the "
    "lower 8 are lost. Save it as plain grey, or as TIFF, to keep them."
)


def read_picture(path: Path) -> Picture:
    """Read a PNG, JPEG or BMP file as grey.

    Raises
    ------
    FileFormatError
        The file is of another kind, damaged, or claims more pixels than it can hold.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                _refuse_absurd(image, path)
                pixels, palette = _pixels(image)
                is_png = image.format == "PNG"
    except UnidentifiedImageError as error:
        raise FileFormatError(
            f"{path.name} is not a picture that napari-semnet reads. Give a TIFF, PNG, JPEG or BMP."
        ) from error
    except FileFormatError:
        raise
    except Image.DecompressionBombError as error:
        raise FileFormatError(
            f"{path.name} has, or claims, more pixels than are read from a {path.suffix} file. "
            "Save such a picture as TIFF."
        ) from error
    except Exception as error:  # decoders raise anything on damaged data
        raise FileFormatError(
            f"{path.name} is damaged or cut off and cannot be read ({error!s:.100})."
        ) from error
    if palette is not None:
        grey, notes = from_palette(pixels, palette)
        return Picture(grey, "YX", "picture", notes)
    if pixels.ndim == 2:
        return Picture(pixels, "YX", "picture")
    grey, axes, notes = collapse_colour(pixels, "YX")
    if is_png and _png_depth(path) > 8 * pixels.itemsize:
        notes = (*notes, _LOST_BITS)
    return Picture(grey, axes, "picture", notes)


def embedded_header(path: Path) -> bytes:
    """Give the ``<FeiImage>`` block that Phenom microscopes put into JPEG files; else nothing.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    first, last = content.find(b"<FeiImage"), content.find(b"</FeiImage>")
    return content[first : last + len(b"</FeiImage>")] if 0 <= first < last else b""


def _refuse_absurd(image: ImageFile.ImageFile, path: Path) -> None:
    count = image.width * image.height
    largest = max(_SMALL_PIXELS, path.stat().st_size * _MOST_EXPANSION)
    if count > min(largest, _MOST_PIXELS):
        raise FileFormatError(
            f"{path.name} claims {image.width} x {image.height} pixels, more than the file can "
            "hold. It is damaged; export it again."
        )


def _png_depth(path: Path) -> int:
    """Bits of a sample, which stand behind width and height."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _pixels(image: ImageFile.ImageFile) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Give stored values, and the palette (3, N) in 16-bit values where there is one."""
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB"), np.uint16).reshape(-1, 3).T * np.uint16(257)
        return np.asarray(image), colours
    if image.mode == "1":
        return np.asarray(image.convert("L")), None
    if image.mode in ("LA", "CMYK", "YCbCr", "RGBa", "La"):
        return np.asarray(image.convert("RGB")), None
    pixels = np.asarray(image)
    if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() < 2**16:
        pixels = pixels.astype(np.uint16)
    return pixels, None
