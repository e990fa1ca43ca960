"""Write pictures that are open somewhere as files to train on, without loss.

A picture becomes a file. A stack becomes a few files of slices that follow one another, so that
some can be held out together; and where there is but one picture, its lower part is held out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet.errors import ImageError
from napari_semnet.files.atomic import replacing
from napari_semnet.files.writer import write_tiff

__all__ = ["Opened", "Piece", "shown_name", "write_pieces"]

BLOCKS = 10
"""Files that a stack is cut into, at most."""
HELD_OUT = 0.25
"""Share of the rows of an only picture that is held out."""
SMALLEST = 96
"""Rows that a part of an only picture needs, to be cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A picture or stack in memory.

    Attributes
    ----------
    name : str
    pixels : array-like, (..., Y, X), or (..., Y, X, 3 or 4) in colour
        As lazy as it comes; read slice by slice.
    in_colour : bool
    specimen_rows : (first, stop), optional
        Rows without the databar.
    pixel_size_nm : (y, x), optional
    """

    name: str
    pixels: Any
    in_colour: bool = False
    specimen_rows: tuple[int, int] | None = None
    pixel_size_nm: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without colour channels."""
        shape = tuple(int(size) for size in self.pixels.shape)
        return shape[:-1] if self.in_colour else shape

    @property
    def slices(self) -> int:
        """Number of pictures in it."""
        return math.prod(self.shape[:-2])


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that was written."""

    path: Path
    is_held_out: bool
    """Whether it was cut off the only picture, to measure on."""


def write_pieces(
    pictures: Sequence[Opened],
    names: Sequence[str],
    folder: Path,
    held_out: Path | None = None,
    *,
    factor: int = 1,
) -> Iterator[Piece]:
    """Write pictures as files.

    Parameters
    ----------
    pictures : sequence of Opened
    names : sequence of str
        What their files are called, behind a number.
    folder : Path
        Where to write.
    held_out : Path, optional
        Folder for the lower part of an only picture; without it nothing is cut off.
    factor : int
        An only picture is cut at a multiple of this many rows.

    Yields
    ------
    Piece
        One after each file.

    Raises
    ------
    ImageError
        A picture holds no grey levels.
    FileFormatError
        A file cannot be written.
    """
    pictures = [_without_single(picture) for picture in pictures]
    if held_out is not None and len(pictures) == 1 and len(pictures[0].shape) == 2:
        picture = pictures[0]
        first, stop = picture.specimen_rows or (0, picture.shape[0])
        cut = first + int((stop - first) * (1 - HELD_OUT)) // factor * factor
        if stop - cut >= SMALLEST * factor and cut - first >= SMALLEST * factor:
            name = _file_name(0, names[0])
            yield Piece(_write(picture, folder / name, slice(first, cut)), is_held_out=False)
            yield Piece(_write(picture, held_out / name, slice(cut, stop)), is_held_out=True)
            return
    for number, (picture, called) in enumerate(zip(pictures, names, strict=True)):
        rows = slice(*(picture.specimen_rows or (0, picture.shape[-2])))
        name = _file_name(number, called)
        if len(picture.shape) == 2:
            yield Piece(_write(picture, folder / name, rows), is_held_out=False)
            continue
        blocks = np.array_split(np.arange(picture.shape[0]), min(BLOCKS, picture.shape[0]))
        for block in blocks:
            part = folder / f"{name} {block[0]:04d}-{block[-1]:04d}"
            yield Piece(
                _write(picture, part, rows, slice(int(block[0]), int(block[-1]) + 1)),
                is_held_out=False,
            )


def _without_single(picture: Opened) -> Opened:
    """Take away leading axes of one entry, such as a time that files give to any stack."""
    pixels = picture.pixels
    for size in picture.shape[:-2]:
        if size != 1:
            break
        pixels = pixels[0]
    return replace(picture, pixels=pixels)


def shown_name(path: Path) -> str:
    """Name of a picture as it was before it was written and numbered."""
    return _NUMBER.sub("", path.stem)


_NUMBER = re.compile(r"^\d{3} (?=.)")


def _file_name(number: int, name: str) -> str:
    """Name without suffix that every file system takes; the number keeps it apart from others."""
    plain = "".join(c if c.isalnum() or c in "-_ " else "_" for c in name).strip()[:60]
    return f"{number + 1:03d} {plain}".strip()


def _write(picture: Opened, stem: Path, rows: slice, block: slice | None = None) -> Path:
    colour = (slice(None),) if picture.in_colour else ()
    leading = (...,) if block is None else (block, ...)
    pixels = picture.pixels[(*leading, rows, slice(None), *colour)]
    if np.dtype(pixels.dtype).kind not in "iuf":
        raise ImageError(f"'{picture.name}' holds no grey levels. Convert it to numbers first.")
    if picture.in_colour:
        return _write_colour(picture, stem, np.asarray(pixels))
    wide = {"int64": "float64", "uint64": "float64", "float16": "float32"}
    dtype = wide.get(np.dtype(pixels.dtype).name)
    if dtype is not None:
        pixels = pixels.astype(dtype)
    axes = "TZC"[: pixels.ndim - 2] + "YX" if pixels.ndim > 2 else None
    path = stem.parent / f"{stem.name}.tif"
    return write_tiff(path, pixels, pixel_size_nm=picture.pixel_size_nm, axes=axes)


def _write_colour(picture: Opened, stem: Path, pixels: Any) -> Path:
    from PIL import Image

    if pixels.ndim != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"'{picture.name}' is in colour with {pixels.dtype} values or several slices. Convert "
            "it to grey first."
        )
    path = stem.parent / f"{stem.name}.png"
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels[..., :3])).save(temporary, format="PNG")
    return path
