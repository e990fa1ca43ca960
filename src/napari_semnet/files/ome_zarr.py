"""Pictures and stacks as OME-Zarr: pyramids in pieces, for what is too large for a TIFF.

Written as version 0.5 of the format (Zarr 3), read as 0.4 and 0.5. Needs zarr and dask:
``pip install napari-semnet[arrays]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet.errors import FileFormatError, lacks_memory
from napari_semnet.files.atomic import PUT_ASIDE, umask, work_folder
from napari_semnet.files.calibration import Findings, pixel_size
from napari_semnet.files.endings import split_ending
from napari_semnet.files.exchange import exchange
from napari_semnet.files.ome_metadata import (
    axis_letter,
    axis_letters,
    axis_unit_nm,
    first_level_transforms,
    multiscales,
    storage_order,
)
from napari_semnet.files.provenance import Provenance, named, remove_sidecar, write_sidecar
from napari_semnet.files.pyramid import MOST_LEVELS, halved, level_shapes
from napari_semnet.files.reordered import reordered
from napari_semnet.files.tile_store import unfinished_record
from napari_semnet.files.zarr_level import lazy_level

__all__ = ["Levels", "is_ome_zarr", "read_levels", "write_ome_zarr"]

_CHUNK = 1024
_METADATA = ("zarr.json", ".zattrs", ".zarray")
_SEVERAL = "bioformats2raw.layout"
_LARGEST_METADATA = 2**22
_NEEDS_EXTRA = (
    "OME-Zarr needs the packages zarr and dask. Install them: pip install napari-semnet[arrays]."
)


@dataclass(frozen=True, slots=True)
class Levels:
    """An opened OME-Zarr picture."""

    arrays: tuple[Any, ...]
    """Dask arrays, the finest first."""
    axes: str
    """A letter an axis, ``YX`` last."""
    findings: Findings
    origin_nm: tuple[float, float]
    """Centre of the first pixel, (y, x)."""
    provenance: Provenance | None


def is_ome_zarr(path: Path) -> bool:
    """Tell whether a path is a folder that holds a Zarr group or array."""
    return path.is_dir() and any((path / name).is_file() for name in _METADATA)


def write_ome_zarr(
    path: str | Path,
    pixels: Any,
    *,
    pixel_size_nm: tuple[float, float] | None,
    provenance: Provenance | None = None,
    axes: str | None = None,
    z_step_nm: float | None = None,
    origin_nm: tuple[float, float] = (0.0, 0.0),
    origin_z_nm: float | None = None,
    name: str = "",
) -> Path:
    """Write a picture or stack as OME-Zarr 0.5, with a pyramid of halved levels.

    Parameters
    ----------
    path : str or Path
        Folder to write; must end in ``.zarr``. One that is there already is replaced only when
        the new one is complete.
    pixels : array-like, shape (..., Y, X)
        Read in bands of rows, so that lazy arrays of any size can be written.
    pixel_size_nm : (float, float) or None
        (y, x) in nanometres; None writes no units.
    provenance : Provenance, optional
        Written into the group's attributes, and beside the folder as ``<name>.semnet.json``.
        Without it the record of an older picture of that name is removed.
    axes : str, optional
        One of ``T``, ``C``, ``Z`` for each leading axis, then ``YX``. They are stored in that
        order, which the format wants, whatever theirs is. Other letters are not the format's:
        then the axes are taken for the last of ``TCZYX``.
    z_step_nm : float, optional
        Distance of slices along ``Z``.
    origin_nm : (float, float)
        (y, x) of the centre of the first pixel.
    origin_z_nm : float, optional
        Place of the first slice along ``Z``; kept where the distance of slices is known.
    name : str
        Name of the picture; the folder's by default.

    Raises
    ------
    FileFormatError
        zarr is missing, the path or the pixels cannot be written, or there is no room.
    """
    path = Path(path)
    if path.suffix.lower() != ".zarr":
        raise FileFormatError(f"An OME-Zarr must end in .zarr, not '{path.suffix}'.")
    shape, dtype = tuple(int(n) for n in pixels.shape), np.dtype(pixels.dtype)
    if not 2 <= len(shape) <= 5 or 0 in shape or dtype.kind not in "uif":
        raise FileFormatError(f"Pixels of shape {shape} and type {dtype} cannot be written.")
    axes = axis_letters(axes, len(shape))
    order = storage_order(axes)
    pixels, axes = reordered(pixels, order), "".join(axes[axis] for axis in order)
    if provenance is not None:
        provenance = named(provenance, path)
    try:
        import zarr
    except ImportError as error:
        raise FileFormatError(_NEEDS_EXTRA) from error
    try:
        with _replacing_folder(path) as temporary:
            group = zarr.open_group(temporary, mode="w", zarr_format=3)
            count = _write_levels(group, pixels, axes, dtype)
            group.attrs["ome"] = multiscales(
                axes,
                count,
                pixel_size_nm=pixel_size_nm,
                z_step_nm=z_step_nm,
                origin_nm=origin_nm,
                origin_z_nm=origin_z_nm,
                name=name or split_ending(path.name)[0],
            )
            if provenance is not None:
                group.attrs["semnet"] = json.loads(provenance.to_json())
                write_sidecar(path, provenance)
    except OSError as error:
        raise FileFormatError(
            f"{path.name} could not be written: {error.strerror or error}. "
            "Choose another folder or make room; an older result of that name is unchanged."
        ) from error
    if provenance is None:
        remove_sidecar(path)
    return path


def read_levels(path: Path) -> Levels:
    """Open an OME-Zarr picture, or a plain Zarr array, without reading its pixels.

    Of a folder with several pictures, as bioformats2raw makes it, the only one is opened.

    Raises
    ------
    FileFormatError
        zarr is missing, or the folder is no OME-Zarr picture, unfinished or damaged, or holds
        more than one.
    """
    try:
        import dask.array  # noqa: F401  # whether it is there
        import zarr
    except ImportError as error:
        raise FileFormatError(_NEEDS_EXTRA) from error
    for metadata in (path / name for name in _METADATA):
        if metadata.is_file() and metadata.stat().st_size > _LARGEST_METADATA:
            raise FileFormatError(f"{path.name} has metadata too large to be true.")
    if unfinished_record(path) is not None:
        raise FileFormatError(
            f"{path.name} is a restoration that is not finished. Run the command that began it "
            "once more: it goes on where it stopped."
        )
    try:
        # A path and not a text, in which zarr takes "::" for the address of something remote.
        group = zarr.open(path, mode="r")
        if isinstance(group, zarr.Array):
            return _plain_array(lazy_level(group, path.name))
        attributes = dict(group.attrs)
        ome = attributes.get("ome", attributes)
        if _SEVERAL in ome and (pictures := [n for n in group.group_keys() if n.isdecimal()]):
            return _only_one(path, sorted(pictures, key=int))
        if "multiscales" not in ome:
            raise FileFormatError(_no_picture(path, sorted(group.array_keys())))
        multiscale = ome["multiscales"][0]
        letters = [axis_letter(axis) for axis in multiscale["axes"]]
        datasets = multiscale["datasets"][:MOST_LEVELS]
        arrays = tuple(lazy_level(group[str(d["path"])], path.name) for d in datasets)
        scale, translation = first_level_transforms(multiscale, datasets[0], len(letters))
        units = [axis_unit_nm(axis) for axis in multiscale["axes"]]
    except FileFormatError:
        raise
    except Exception as error:
        if lacks_memory(error):
            raise
        raise FileFormatError(
            f"{path.name} is not an OME-Zarr picture, or it is damaged ({error!s:.100})."
        ) from error
    axes = "".join(letters)
    if not arrays or any(a.ndim != len(axes) for a in arrays) or not axes.endswith("YX"):
        raise FileFormatError(f"{path.name} holds axes '{axes}', not pictures of Y and X.")
    lengths = [
        None if unit is None else step * unit for step, unit in zip(scale, units, strict=True)
    ]
    size = pixel_size(lengths[-2], lengths[-1], "OME-Zarr, scale and unit", "medium")
    starts = [at * (unit or 0.0) for at, unit in zip(translation, units, strict=True)]
    place = (starts[-2], starts[-1])
    known = size is not None and all(map(math.isfinite, place))
    z_step, origin_z = None, None
    if "Z" in axes:
        z = axes.index("Z")
        z_step, origin_z = _along_z(lengths[z], starts[z])
    return Levels(
        arrays,
        axes,
        Findings(pixel_size=size, z_step_nm=z_step, origin_z_nm=origin_z),
        place if known else (0.0, 0.0),
        _provenance(attributes.get("semnet")),
    )


def _along_z(step: float | None, start: float) -> tuple[float | None, float | None]:
    """Distance of slices, and the place of the first one where they are counted upwards."""
    if step is None or step == 0 or not math.isfinite(step):
        return None, None
    return abs(step), start if step > 0 and math.isfinite(start) else None


def _only_one(path: Path, pictures: Sequence[str]) -> Levels:
    if len(pictures) > 1:
        raise FileFormatError(
            f"{path.name} holds {len(pictures)} pictures. Open one of them: "
            f"{path.name}/{pictures[0]} to {path.name}/{pictures[-1]}."
        )
    return read_levels(path / pictures[0])


def _no_picture(path: Path, arrays: Sequence[str]) -> str:
    says = f"{path.name} is a Zarr group that describes no OME-Zarr picture"
    if not arrays:
        return f"{says}, and holds no array."
    several = " or another of its arrays" if len(arrays) > 1 else ""
    return f"{says}. Give what it holds: {path.name}/{arrays[0]}{several}."


def _plain_array(pixels: Any) -> Levels:
    if not 2 <= pixels.ndim <= 5:
        raise FileFormatError(f"The array has {pixels.ndim} axes; pictures and stacks have 2 to 5.")
    return Levels((pixels,), "TCZYX"[-pixels.ndim :], Findings(), (0.0, 0.0), None)


def _write_levels(group: Any, pixels: Any, axes: str, dtype: np.dtype[Any]) -> int:
    """Write the picture and its halved levels; give their number."""
    source, shapes = pixels, level_shapes(pixels.shape)
    for level, shape in enumerate(shapes):
        *leading, height, width = shape
        array = group.create_array(
            str(level),
            shape=shape,
            dtype=dtype,
            chunks=(*(1 for _ in leading), min(_CHUNK, height), min(_CHUNK, width)),
            dimension_names=list(axes.lower()),
        )
        for where in _bands(shape):
            array[where] = _band(source, where) if level == 0 else _halved_band(source, where)
        source = array
    return len(shapes)


def _bands(shape: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    for index in product(*(range(n) for n in shape[:-2])):
        for top in range(0, shape[-2], _CHUNK):
            yield (*index, slice(top, min(top + _CHUNK, shape[-2])))


def _band(source: Any, where: tuple[Any, ...]) -> Any:
    return np.asarray(source[where])


def _halved_band(source: Any, where: tuple[Any, ...]) -> Any:
    *index, rows = where
    return halved(_band(source, (*index, slice(2 * rows.start, 2 * rows.stop))))


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder under another name and give it its own when complete.

    An old folder exchanges names with the new one in a single step. Where the system cannot do
    that it is put aside first, and put back if the new one cannot take its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with work_folder(path.parent) as work:
        work.chmod(0o777 & ~umask())
        new, old = work / path.name, work / PUT_ASIDE
        new.mkdir()
        yield new
        if path.exists():
            if exchange(new, path):
                return
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise


def _provenance(content: Any) -> Provenance | None:
    if not isinstance(content, Mapping):
        return None
    try:
        return Provenance.from_json(json.dumps(dict(content)))
    except (FileFormatError, TypeError, ValueError):
        return None
