"""Pixels of a TIFF as one grey picture or stack, whatever way they are stored.

Handles palettes, inverted grey (MINISWHITE), grey stored as RGB, either byte order, any
compression that imagecodecs decodes, stacks, and files too large for memory. Headers are
believed only as far as the file's size and the free memory allow.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import tifffile

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import number
from napari_semnet.files.grey import collapse_colour, from_palette
from napari_semnet.files.tiff_structure import MOST_PAGES, check_structure

__all__ = ["Picture", "TiffTags", "open_tiff", "read_pixels"]

LAZY_BYTES = 2**30
"""Pictures from this size on stay on disk and are read slice by slice."""
_SMALL_BYTES = 2**28
_MOST_EXPANSION = 2000
"""Above `_SMALL_BYTES`, no genuine picture unpacks to more times its file's size than this."""
_LARGEST_TAG = 2**24
_OVERHANG = 2**24
"""Bytes by which a tile may exceed four times its picture; a larger one is not filled up."""
_FOREIGN = (
    *("lsm", "mmstack", "ndtiff", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi", "bif"),
    *("avs", "eer", "philips", "scanimage", "nih", "mdgel"),
)
"""Kinds of file whose own page layouts are of no use here, and too intricate to trust."""
_CODECS = {1, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 34925, 50000, 34892}
_PALETTE, _WHITE_IS_ZERO = 3, 0


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels as they came out of a file."""

    pixels: Any
    """Array-like of shape (..., Y, X), or (..., Y, X, 3) in real colour."""
    axes: str
    """One letter an axis: ``YX`` last, or ``YXS`` in real colour."""
    kind: str = ""
    """``ome``, ``imagej``, ``shaped`` or another way in which a TIFF says how pages belong."""
    warnings: tuple[str, ...] = ()
    damaged: bool = False
    """Some of the pixels could not be read and are 0."""


@dataclass(frozen=True, slots=True)
class TiffTags:
    """Raw tags of one page."""

    page: Any
    handle: Any

    def raw(self, code: int) -> bytes | None:
        """Bytes of a tag as they stand in the file, or None."""
        tag = self.page.tags.get(code)
        if tag is None or not 0 < tag.valuebytecount <= _LARGEST_TAG:
            return None
        self.handle.seek(tag.valueoffset)
        content: bytes = self.handle.read(tag.valuebytecount)
        return content

    def value(self, code: int) -> Any:
        """Value of a tag as tifffile reads it; None where it cannot."""
        tag = self.page.tags.get(code)
        try:
            return None if tag is None else tag.value
        except Exception:  # noqa: BLE001  a damaged tag must not stop the picture
            return None

    def number(self, code: int) -> float | None:
        """Value of a tag that holds one number or quotient; None when it is neither."""
        value = self.value(code)
        if isinstance(value, tuple) and len(value) == 2 and value[1]:
            value = value[0] / value[1]
        return number(value) if isinstance(value, int | float) else None

    def text(self, code: int) -> str:
        """Text of a tag; empty when it is missing."""
        content = (self.raw(code) or b"").split(b"\0")[0]
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:  # old versions of ImageJ write µ in Latin-1
            return content.decode("latin-1")


@contextlib.contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF whose structure was checked, with tifffile's log kept quiet.

    Raises
    ------
    FileFormatError
        The file is no TIFF or is damaged.
    OSError
        The file cannot be read.
    """
    check_structure(path)
    with _quiet():
        try:
            tiff = _opened(path)
        except OSError:
            raise
        except Exception as error:
            raise _damaged(path, error) from error
        with tiff:
            try:
                yield tiff
            except (FileFormatError, OSError):
                raise
            except Exception as error:
                # Tags of the wrong type or count make tifffile fail in any way, at any place.
                raise _damaged(path, error) from error


def _opened(path: Path) -> tifffile.TiffFile:
    """Open a TIFF of which tifffile believes no more than it should."""
    plain = {f"is_{kind}": False for kind in _FOREIGN if _can_be_set(kind)}
    tiff = tifffile.TiffFile(path, _multifile=False, **plain)
    try:
        description = TiffTags(tiff.pages[0], tiff.filehandle).text(270)
        if not _trustworthy_ome(description, len(tiff.pages)):
            tiff.is_ome = False
    except BaseException:
        tiff.close()
        raise
    return tiff


def _can_be_set(kind: str) -> bool:
    """Tell whether this version of tifffile knows a kind of file and lets it be switched off."""
    known = getattr(tifffile.TiffFile, f"is_{kind}", None)
    fixed = isinstance(known, property) and known.fset is None
    return kind in tifffile.TIFF.FILE_FLAGS and not fixed


def read_pixels(tiff: tifffile.TiffFile, path: Path) -> Picture:
    """Read the first picture or stack of a TIFF; a warning counts what else is in it.

    Raises
    ------
    FileFormatError
        The pixels are too many for the file or the memory, of a compression or a type that is
        not handled, or cannot be decoded.
    """
    page = tiff.pages[0]
    if int(page.compression) not in _CODECS:
        raise FileFormatError(
            f"{path.name} is compressed in a way that is not supported "
            f"({page.compression!s}). Save it again without compression."
        )
    series, left_out = _series(tiff, path)
    shape, axes, dtype = series.shape, series.axes, series.dtype
    if dtype is None or dtype.kind not in "buif" or 0 in shape or "Y" not in axes:
        raise FileFormatError(f"{path.name} holds no picture of grey levels ({dtype}, {shape}).")
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    _refuse_absurd(claimed, path)
    further = _further(left_out)
    # Letters may come twice, such as Q for each axis of unknown meaning.
    kept = [(a, n) for a, n in zip(axes, shape, strict=True) if n > 1 or a in "YXS"]
    axes, lengths = "".join(a for a, _ in kept), [n for _, n in kept]
    photometric = int(page.photometric)
    plain = photometric not in (_PALETTE, _WHITE_IS_ZERO) and "S" not in axes
    if claimed >= LAZY_BYTES and plain and dtype.kind != "b":
        return Picture(_lazy(series, path).reshape(lengths), axes, series.kind, further)
    if claimed > psutil.virtual_memory().available // 2:
        raise FileFormatError(
            f"{path.name} unpacks to {claimed / 2**30:.1f} GiB, too much for this computer's free "
            "memory. Crop it, or convert it to OME-Zarr."
        )
    pixels, warnings = _decoded(series, path)
    picture, axes, more = _grey(pixels.reshape(lengths), axes, page, photometric)
    return Picture(picture, axes, series.kind, (*warnings, *more, *further), bool(warnings))


def _series(tiff: tifffile.TiffFile, path: Path) -> tuple[Any, int]:
    """Give the first picture or stack of a TIFF, and how many pictures there are beside it."""
    further = 0
    try:
        further = len(tiff.pages) - 1
        if further + 1 < MOST_PAGES:
            first, *others = tiff.series
            if first.shape and first.dtype is not None:
                # What a file calls reduced is the same picture once more.
                counts = (len(each) for each in others if not each.keyframe.is_reduced)
                return first, min(further, sum(counts))
    except Exception:  # noqa: BLE001  a damaged grouping leaves the first page
        pass
    page = tiff.pages[0]
    if not page.shape:
        raise FileFormatError(f"{path.name} holds no picture.")
    return tifffile.TiffPageSeries([page], kind="page"), further


def _further(count: int) -> tuple[str, ...]:
    if count == 0:
        return ()
    are = "1 further picture in the file is" if count == 1 else f"{count} further pictures are"
    return (f"{are} left out: only the first picture or stack of a file is read.",)


def _refuse_absurd(claimed: int, path: Path) -> None:
    size = path.stat().st_size
    if claimed > _SMALL_BYTES and claimed > size * _MOST_EXPANSION:
        raise FileFormatError(
            f"{path.name} claims {claimed / 2**30:.1f} GiB of pixels in {size} bytes, which cannot "
            "be. The file is damaged; copy it again from the microscope."
        )


def _lazy(series: Any, path: Path) -> Any:
    """Array-like over pixels that stay on disk."""
    if series.dataoffset is not None:
        return np.memmap(
            path,
            series.dtype.newbyteorder(series.keyframe.parent.byteorder),
            "r",
            series.dataoffset,
            tuple(series.shape),
        )
    try:
        import dask.array
        import zarr
    except ImportError as error:
        raise FileFormatError(
            f"{path.name} is too large to unpack at once. Install the extra that reads it piece "
            "by piece: pip install napari-semnet[arrays]."
        ) from error
    tiff = _opened(path)
    store = _series(tiff, path)[0].aszarr(level=0)
    # The file stays open for as long as anything reads from the store.
    weakref.finalize(store, tiff.close)
    return dask.array.from_zarr(zarr.open(store, mode="r"))


def _decoded(series: Any, path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    try:
        with _quiet() as log:
            pixels = np.asarray(series.asarray()).reshape(series.shape)
        if not log.records:
            return pixels, ()
    except (MemoryError, OSError) as error:
        raise _damaged(path, error) from error
    except Exception:  # noqa: BLE001  decoders raise anything on damaged data
        pass
    return _salvaged(series, path)


def _salvaged(series: Any, path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Decode strip by strip; what cannot be decoded stays 0, and a warning counts it."""
    pages = [page for page in series.pages if page is not None]
    if len(pages) * int(np.prod(pages[0].shape)) != int(np.prod(series.shape)):
        pages = pages[:1]
        shape: tuple[int, ...] = tuple(pages[0].shape)
    else:
        shape = tuple(series.shape)
    if shape != tuple(series.shape):
        raise FileFormatError(f"{path.name} is damaged: its pages do not fit together.")
    planes, broken, total = [], 0, 0
    for page in pages:
        plane = np.zeros(page.shaped, page.dtype)
        key = page.keyframe
        for index, (offset, count) in enumerate(
            zip(page.dataoffsets, page.databytecounts, strict=False)
        ):
            total += 1
            handle = page.parent.filehandle
            handle.seek(min(int(offset), handle.size))
            content = handle.read(min(int(count), handle.size))
            broken += not _place(key, content, index, plane)
        planes.append(plane.reshape(page.shape))
    warning = (
        f"The file is damaged: {broken} of {total} strips of pixels cannot be read whole, and "
        "what is missing is shown as 0."
    )
    return np.stack(planes).reshape(shape), (warning,) if broken else ()


def _place(key: Any, content: bytes, index: int, plane: npt.NDArray[Any]) -> bool:
    """Decode one strip or tile into its place; tell whether all of it was there."""
    try:
        whole = True
        full = math.prod(int(n) for n in key.chunks) * key.dtype.itemsize
        if full > 4 * plane.nbytes + _OVERHANG:
            return False
        if int(key.compression) == 1:
            whole = len(content) >= min(full, plane.nbytes)
            content = content.ljust(full, b"\0")
        segment, where, size = key.decode(content, index)
        if segment is None:
            return False
        sample, z, y, x, _ = where
        depth, height, width, _ = size
        target = plane[sample, z : z + depth, y : y + height, x : x + width]
        target[...] = segment[: target.shape[0], : target.shape[1], : target.shape[2]]
    except Exception:  # noqa: BLE001  decoders raise anything on damaged data
        return False
    return whole


def _grey(
    pixels: npt.NDArray[Any], axes: str, page: Any, photometric: int
) -> tuple[npt.NDArray[Any], str, tuple[str, ...]]:
    """Turn stored values into grey levels; real colour stays colour."""
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if photometric == _PALETTE and page.colormap is not None and pixels.dtype.kind == "u":
        grey, warnings = from_palette(pixels, np.asarray(page.colormap))
        return grey, axes, warnings
    if photometric == _WHITE_IS_ZERO and pixels.dtype.kind == "u":
        bits = int(page.bitspersample) if int(page.bitspersample) > 1 else 8
        return pixels.dtype.type(2**bits - 1) - pixels, axes, ()
    if "S" not in axes:
        return pixels, axes, ()
    pixels = np.moveaxis(pixels, axes.index("S"), -1)
    return collapse_colour(pixels, axes.replace("S", ""))


def _trustworthy_ome(description: str, pages: int) -> bool:
    """Tell whether an OME header claims no more planes than there are, and defines no entities."""
    if "<!" in description and re.search(r"<!\s*(DOCTYPE|ENTITY)", description, re.IGNORECASE):
        return False
    sizes = [int(n) for n in re.findall(r"\bSize[ZTC]\s*=\s*[\"']0*(\d{1,9})\d*", description)]
    return all(n <= max(pages * 16, 64) for n in sizes)


@dataclass(eq=False, slots=True)
class _Log:
    """Error messages of tifffile."""

    records: list[logging.LogRecord] = field(default_factory=list)


_listening: list[_Log] = []


def _collect(record: logging.LogRecord) -> bool:
    """Give a message to all who listen; it goes its usual way where nobody does."""
    logs = tuple(_listening)
    for log in logs:
        if record.levelno >= logging.ERROR:
            log.records.append(record)
    return not logs


# There for good: the logger's own switches could be left wrong by two threads that overlap.
logging.getLogger("tifffile").addFilter(_collect)


@contextlib.contextmanager
def _quiet() -> Iterator[_Log]:
    """Collect tifffile's error messages rather than print them."""
    log = _Log()
    _listening.append(log)
    try:
        yield log
    finally:
        _listening.remove(log)


def _damaged(path: Path, error: BaseException) -> FileFormatError:
    return FileFormatError(
        f"{path.name} is damaged or cut off and cannot be read ({error!s:.100}). "
        "Copy it again from the microscope."
    )
