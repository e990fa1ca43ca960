"""Read an SEM picture with its pixel size, its specimen rows and what the microscope said.

What is believed, in this order: the vendor's block in the file, the vendor's file beside it, a
calibration by OME, ImageJ or DigitalMicrograph, nothing. The resolution tags of a TIFF are a
screen's or printer's and never count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import tifffile

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import Confidence, Findings, PixelSize, differ
from napari_semnet.files.databar import find_databar
from napari_semnet.files.em_formats import DM_SUFFIXES, MRC_SUFFIXES, read_dm, read_mrc
from napari_semnet.files.ome_metadata import storage_order
from napari_semnet.files.ome_zarr import Levels, is_ome_zarr, read_levels
from napari_semnet.files.pictures import embedded_header, read_picture
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reordered import reordered
from napari_semnet.files.tiff_pixels import Picture, TiffTags, open_tiff, read_pixels
from napari_semnet.files.vendors.fei import read_fei
from napari_semnet.files.vendors.fibics import read_fibics
from napari_semnet.files.vendors.general import (
    read_dm_tags,
    read_imagej,
    read_ome,
    read_openfibsem,
)
from napari_semnet.files.vendors.hitachi import read_hitachi
from napari_semnet.files.vendors.jeol import read_jeol
from napari_semnet.files.vendors.tescan import read_tescan_sidecar, read_tescan_tag
from napari_semnet.files.vendors.text import decode
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml
from napari_semnet.files.vendors.zeiss import read_zeiss
from napari_semnet.files.vendors.zeiss_orion import read_zeiss_orion

__all__ = [
    "NOTHING_STATED",
    "PICTURE_SUFFIXES",
    "TIFF_SUFFIXES",
    "SemImage",
    "in_usual_order",
    "read_image",
    "read_whole",
    "sidecars",
]

TIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

_VENDOR_TAGS = (
    (34682, read_fei),
    (34118, read_zeiss),
    (51023, read_fibics),
    (50431, read_tescan_tag),
    (34683, read_thermo_xml),
    (34680, read_fei),
    (65000, read_zeiss_orion),
)
_SIDECAR_READERS = (read_jeol, read_hitachi, read_tescan_sidecar)
_LARGEST_SIDECAR = 2**20
NOTHING_STATED = "Nothing in the file states a pixel size that can be trusted."
_UNSTATED_BAR = (
    "The header counts all rows as specimen, but the lowest look like a databar. Please check "
    "which rows are specimen before restoring."
)


@dataclass(frozen=True, slots=True)
class SemImage:
    """A picture and all that its file says about it."""

    pixels: Any
    """Array-like of shape (..., Y, X), or (..., Y, X, 3) in real colour; in file order, with
    the databar. Files over 1 GiB stay on disk."""
    axes: str
    """A letter an axis, such as ``YX``, ``ZYX``, ``CYX`` (detectors that shared a frame),
    ``IYX`` (pages of unknown meaning), ``YXS`` (colour)."""
    pixel_size: PixelSize | None = None
    """None when nothing trustworthy was found: ask the user."""
    specimen_rows: tuple[int, int] | None = None
    """First row of specimen and the row after the last; None when nothing states or shows a
    databar. A warning says when there may be one all the same."""
    specimen_rows_from: str = ""
    """``header``, ``pixels``, or empty where `specimen_rows` is None; ``uncertain`` where it is
    None although something looks drawn."""
    z_step_nm: float | None = None
    """Distance of slices along Z, in nanometres."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the microscope said, in plain names, with units."""
    warnings: tuple[str, ...] = ()
    vendor: str = ""
    instrument: str = ""
    path: Path | None = None
    origin_nm: tuple[float, float] | None = None
    """(y, x) of the centre of the first pixel, in nanometres, where the file tells."""
    origin_z_nm: float | None = None
    """Place of the first slice along Z, in nanometres, where the file tells."""
    provenance: Provenance | None = None
    """How the picture was made, where napari-semnet wrote the file."""
    coarser: tuple[Any, ...] = ()
    """Halved levels of a pyramid, where the file has one."""
    damaged: bool = False
    """Some of the pixels could not be read and are 0; a warning says how many."""

    @property
    def grey_axes(self) -> str | None:
        """Letters of the axes without colour; None where what the file's mean is not known."""
        leading = self.axes[: self.axes.index("Y")]
        return f"{leading}YX" if set(leading) <= set("TCZ") else None

    @property
    def specimen(self) -> Any:
        """Pixels without the databar, a view of `pixels`."""
        if self.specimen_rows is None:
            return self.pixels
        first, stop = self.specimen_rows
        rows = self.axes.index("Y")
        return self.pixels[(slice(None),) * rows + (slice(first, stop),)]


def read_image(path: str | Path) -> SemImage:
    """Read a picture file.

    Parameters
    ----------
    path : str or Path
        TIFF, PNG, JPEG, BMP (told apart by content, not name), MRC, DM3, DM4, or the folder of
        an OME-Zarr.
        A JEOL or Hitachi ``.txt`` or TESCAN ``.hdr`` file beside it is read too.

    Raises
    ------
    FileFormatError
        The file is missing, damaged, too large, or of another kind.
    """
    path = Path(path)
    try:
        if is_ome_zarr(path):
            return _from_levels(path, read_levels(path))
        if path.is_dir():
            raise FileFormatError(f"{path} is a folder. Give one of the files in it.")
        if not path.is_file():
            raise FileFormatError(f"There is no file {path}.")
        suffix = path.suffix.lower()
        if suffix in (*MRC_SUFFIXES, *DM_SUFFIXES):
            picture, findings = read_mrc(path) if suffix in MRC_SUFFIXES else read_dm(path)
            return _assembled(path, picture, [findings])
        with path.open("rb") as file:
            start = file.read(4)
        if start[:2] in (b"II", b"MM"):
            with open_tiff(path) as tiff:
                picture = read_pixels(tiff, path)
                found = list(_in_tiff(tiff, picture, path))
        else:
            picture = read_picture(path)
            width, height = _size(picture)
            header = read_thermo_xml(embedded_header(path), width, height)
            found = [*filter(None, (header,)), *_beside(path, picture)]
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return _traced(_assembled(path, picture, found))


def read_whole(path: str | Path) -> SemImage:
    """Read a picture all of whose pixels are there.

    Raises
    ------
    FileFormatError
        The file cannot be read, or not all of its pixels.
    """
    image = read_image(path)
    if image.damaged:
        # The black in their place would be taken for specimen.
        raise FileFormatError(
            f"{Path(path).name} is damaged: some of its pixels cannot be read. Copy it again from "
            "the microscope."
        )
    return image


def in_usual_order(image: SemImage) -> SemImage:
    """Put time first, then channels, then Z, without those of length one.

    A TIFF has the order of its source, and an OME-Zarr its own and often all five axes, so that an
    index means another slice in each of the two.

    Parameters
    ----------
    image : SemImage
        Is given back as it is where it is in colour, or an axis is of unknown meaning.
    """
    if image.grey_axes != image.axes:
        return image
    lengths = image.pixels.shape[:-2]
    first = (*(0 if length == 1 else slice(None) for length in lengths), ...)
    longer = "".join(a for a, length in zip(image.axes, lengths, strict=False) if length > 1)
    axes = longer + image.axes[-2:]
    order = storage_order(axes)
    return dataclasses.replace(
        image,
        pixels=reordered(image.pixels[first], order),
        coarser=tuple(reordered(level[first], order) for level in image.coarser),
        axes="".join(axes[axis] for axis in order),
    )


def sidecars(path: Path) -> list[Path]:
    """Files beside a picture in which JEOL, Hitachi or TESCAN may have put its header."""
    kinds = dict.fromkeys(kind.lstrip(".") for kind in (path.suffix, path.suffix.lower()))
    names = [f"{path.stem}-{kind}" for kind in kinds]
    names = [f"{name}{ending}" for name in (*names, path.stem) for ending in (".hdr", ".HDR")]
    names += [f"{path.stem}{ending}" for ending in (".txt", ".TXT")]
    found = [candidate for name in names if (candidate := path.with_name(name)).is_file()]
    # Where names differ in nothing but their case, one file may answer to two of them.
    return [file for i, file in enumerate(found) if not any(map(file.samefile, found[:i]))]


def _traced(image: SemImage) -> SemImage:
    """Trust the pixel size of a restored picture as far as that of its source."""
    record, size = image.provenance, image.pixel_size
    if record is None or size is None or record.pixel_size_nm is None:
        return image
    stated = PixelSize(*record.pixel_size_nm, "", "low")
    origin = record.source_pixel_size_from
    trust = next((c for c in get_args(Confidence) if origin.endswith(f"({c})")), size.confidence)
    if differ(size, stated) or not origin:
        return image
    stem = origin.removesuffix(f" ({trust})")
    traced = dataclasses.replace(size, source=f"half of the source's: {stem}", confidence=trust)
    return dataclasses.replace(image, pixel_size=traced)


def _from_levels(path: Path, levels: Levels) -> SemImage:
    finest, *coarser = levels.arrays
    image = _assembled(path, Picture(finest, levels.axes, "ome-zarr"), [levels.findings])
    return _traced(
        dataclasses.replace(
            image, origin_nm=levels.origin_nm, provenance=levels.provenance, coarser=tuple(coarser)
        )
    )


def _size(picture: Picture) -> tuple[int, int]:
    """Width and height."""
    shape = dict(zip(picture.axes, picture.pixels.shape, strict=True))
    return shape["X"], shape["Y"]


def _in_tiff(tiff: tifffile.TiffFile, picture: Picture, path: Path) -> Iterator[Findings]:
    """Give the findings of everything in and beside a TIFF, the most trustworthy first."""
    tags = TiffTags(tiff.pages[0], tiff.filehandle)
    width, height = _size(picture)
    for code, read in _VENDOR_TAGS:
        content = tags.raw(code)
        found = None if content is None else read(content, width, height)
        if found is not None:
            yield found
    yield from _beside(path, picture)
    description = tags.text(270)
    scales = tags.number(65010), tags.number(65009)
    ome = read_ome(description, width)
    candidates = [
        read_openfibsem(description),
        ome,
        read_imagej(description, (tags.number(283), tags.number(282))),
    ]
    # The program that wrote an OME header wrote the tags, too: what speaks against one does so
    # against the other.
    if ome is None or not ome.warnings:
        candidates.append(read_dm_tags((tags.text(65004), tags.text(65003)), scales))
    yield from (found for found in candidates if found is not None)


def _beside(path: Path, picture: Picture) -> Iterator[Findings]:
    width, height = _size(picture)
    for sidecar in sidecars(path):
        try:
            if sidecar.stat().st_size > _LARGEST_SIDECAR:
                continue
            text = decode(sidecar.read_bytes(), "utf-8", "cp932", "cp1252")
        except OSError:
            continue
        for read in _SIDECAR_READERS:
            found = read(text, width, height)
            if found is not None:
                yield found
                break


def _assembled(path: Path, picture: Picture, found: list[Findings]) -> SemImage:
    best = found[0] if found else Findings()
    sized = [findings.pixel_size for findings in found if findings.pixel_size is not None]
    size = sized[0] if sized else None
    warnings = [*picture.warnings, *(text for findings in found for text in findings.warnings)]
    if size is not None and picture.damaged:
        # A damaged width would make a wrong pixel size where that follows from a field of view.
        size = None
    if size is not None:
        others = [s for s in sized[1:] if differ(s, size)]
        if others:
            warnings.append(
                f"The file states two pixel sizes: {size.x_nm:.6g} nm ({size.source}) and "
                f"{others[0].x_nm:.6g} nm ({others[0].source}). Please check which one is right."
            )
            # A microscope's own statement stays, marked; of programs' statements none is better.
            vendor_s = size.confidence == "high"
            size = dataclasses.replace(size, confidence="low") if vendor_s else None
    elif not any("pixel size" in text for text in warnings):
        warnings.append(f"{NOTHING_STATED} Please enter it, or draw over the scale bar.")
    rows = next((f.specimen_rows for f in found if f.specimen_rows is not None), None)
    source = "header" if rows is not None else ""
    pixels, axes = _split(picture, best)
    if axes != picture.axes:
        rows = (0, pixels.shape[-2])
    if rows is None:
        rows, warning = _from_pixels(pixels, axes)
        source = "pixels" if rows is not None else "uncertain" if warning else ""
        warnings += [warning] if warning else []
    elif rows == (0, pixels.shape[axes.index("Y")]) and _from_pixels(pixels, axes)[0] is not None:
        # A strip that was drawn into the picture, or pasted below it with the header kept.
        rows, source = None, "uncertain"
        warnings.append(_UNSTATED_BAR)
    metadata = {k: v for findings in reversed(found) for k, v in findings.metadata.items()}
    return SemImage(
        pixels,
        axes,
        size,
        rows,
        source,
        next((f.z_step_nm for f in found if f.z_step_nm is not None), None),
        metadata,
        tuple(dict.fromkeys(warnings)),
        best.vendor,
        best.instrument,
        path,
        next((f.origin_nm for f in found if f.origin_nm is not None), None),
        next((f.origin_z_nm for f in found if f.origin_z_nm is not None), None),
        next((f.provenance for f in found if f.provenance is not None), None),
        damaged=picture.damaged,
    )


def _split(picture: Picture, findings: Findings) -> tuple[Any, str]:
    """Give each detector that shared the frame a slice of its own, the databar left out."""
    down, across = findings.view_fields
    if (down, across) == (1, 1) or picture.axes != "YX" or findings.specimen_rows is None:
        return picture.pixels, picture.axes
    first, stop = findings.specimen_rows
    specimen = picture.pixels[first:stop]
    height, width = specimen.shape
    fields = specimen.reshape(down, height // down, across, width // across).swapaxes(1, 2)
    return fields.reshape(down * across, height // down, width // across), "CYX"


def _from_pixels(pixels: Any, axes: str) -> tuple[tuple[int, int] | None, str]:
    if axes.endswith("S"):
        return None, ""
    first, last = (pixels[(i,) * (len(axes) - 2)] for i in (0, -1))
    found = find_databar(first)
    if found.first is None:
        return None, found.warning
    if len(axes) > 2 and find_databar(last).first != found.first:
        return None, "The slices differ in their databar. Please check which rows are specimen."
    return (0, found.first), ""
