"""Write pictures as calibrated OME-TIFF that Fiji, hyperspy and napari open at the right scale.

The pixel size stands in the file three times, because programs look in different places: as OME
``PhysicalSize`` in nanometres (Bio-Formats), as resolution per centimetre (ImageJ and most
viewers) and in the tags of Gatan DigitalMicrograph (hyperspy). The header of the source file is
not copied: its pixel size and row count would be wrong for a picture of twice the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import replacing_together
from napari_semnet.files.provenance import (
    NAMESPACE,
    Provenance,
    named,
    remove_sidecar,
    sidecar_path,
)
from napari_semnet.files.xml import xml_text

__all__ = ["checked_axes", "write_tiff"]

_TILE = 256
_BIGTIFF_BYTES = 2**31
_OME_DTYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
_LARGEST_RATIONAL = 4.0e9
"""A TIFF resolution is a quotient of two 32-bit numbers."""


def write_tiff(
    path: str | Path,
    pixels: Any,
    *,
    pixel_size_nm: tuple[float, float] | None,
    provenance: Provenance | None = None,
    axes: str | None = None,
    z_step_nm: float | None = None,
    origin_nm: tuple[float, float] | None = None,
    origin_z_nm: float | None = None,
    name: str = "",
    description: str = "",
) -> Path:
    """Write a picture or stack as calibrated, tiled, compressed OME-TIFF.

    Parameters
    ----------
    path : str or Path
        File to write; must end in ``.tif`` or ``.tiff``. It is replaced only when the new
        one is complete.
    pixels : array-like, shape (..., Y, X)
        Integers of 8 to 32 bit, float32 or float64. Lazy arrays (dask, zarr, memory maps) are
        read one slice at a time.
    pixel_size_nm : (float, float) or None
        (y, x) in nanometres; None writes no calibration.
    provenance : Provenance, optional
        Written into the file, and beside it as ``<name>.semnet.json``. Without it the record of
        an older picture of that name is removed.
    axes : str, optional
        One of ``T``, ``Z``, ``C`` for each leading axis, then ``YX``; any other letter is written
        as one of them that is free. By default stacks are ``ZYX``, ``TZYX``, ``TCZYX``.
    z_step_nm : float, optional
        Distance of slices along ``Z``, in nanometres.
    origin_nm : (float, float), optional
        (y, x) of the centre of the first pixel, in nanometres; kept as the planes' position.
    origin_z_nm : float, optional
        Place of the first slice along ``Z``, in nanometres; kept where `z_step_nm` is given.
    name : str
        Name of the picture; the file's by default.
    description : str
        Text for human readers.

    Returns
    -------
    Path
        The picture's path.

    Raises
    ------
    FileFormatError
        The path, the pixels or the size cannot be written, or there is no room.
    """
    path = Path(path)
    shape, dtype = tuple(int(n) for n in pixels.shape), np.dtype(pixels.dtype)
    axes = checked_axes(path, shape, dtype, axes)
    size = _checked_size(pixel_size_nm)
    if provenance is not None:
        provenance = named(provenance, path)
    options: dict[str, Any] = {
        "bigtiff": int(np.prod(shape, dtype=np.int64)) * dtype.itemsize >= _BIGTIFF_BYTES,
        "photometric": "minisblack",
        "tile": (_TILE, _TILE),
        "compression": "zlib",
        "predictor": True,
        "ome": True,
        "software": "napari-semnet",
        "metadata": _ome_metadata(axes, size, z_step_nm, provenance, name or path.name, description)
        | _position(shape, axes, origin_nm, z_step_nm, origin_z_nm),
        "extratags": _digital_micrograph_tags(size),
    }
    if size is not None and 1e7 / min(size) < _LARGEST_RATIONAL:
        resolution = (_rational(1e7 / size[1]), _rational(1e7 / size[0]))
        options |= {"resolution": resolution, "resolutionunit": "CENTIMETER"}
    targets = (path,) if provenance is None else (sidecar_path(path), path)
    try:
        with replacing_together(*targets) as parts:
            temporary = parts[-1]
            if provenance is not None:
                parts[0].write_text(provenance.to_json(), encoding="utf-8")
            if isinstance(pixels, np.ndarray):
                tifffile.imwrite(temporary, pixels, **options)
            else:
                tifffile.imwrite(temporary, _tiles(pixels), shape=shape, dtype=dtype, **options)
    except OSError as error:
        raise FileFormatError(
            f"{path.name} could not be written: {error.strerror or error}. "
            "Choose another folder or make room; an older file of that name is unchanged."
        ) from error
    if provenance is None:
        remove_sidecar(path)
    return path


def checked_axes(path: Path, shape: tuple[int, ...], dtype: Any, axes: str | None = None) -> str:
    """Refuse what `write_tiff` would refuse, so that nothing is computed in vain.

    Parameters
    ----------
    path, axes
        As `write_tiff` has them.
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    str
        Letters that the axes will have in the file.

    Raises
    ------
    FileFormatError
        The path does not end as a TIFF does, or no OME-TIFF can hold such pixels.
    """
    if path.suffix.lower() not in {".tif", ".tiff"}:
        raise FileFormatError(f"A TIFF file must end in .tif or .tiff, not '{path.suffix}'.")
    if np.dtype(dtype).name not in _OME_DTYPES or 0 in shape:
        raise FileFormatError(
            f"Pixels of shape {shape} and type {dtype} cannot be written as OME-TIFF. "
            "Convert them to 8- or 16-bit integers or to float32 first."
        )
    return _letters(shape, axes)


def _letters(shape: tuple[int, ...], axes: str | None) -> str:
    if len(shape) < 2 or len(shape) > 5:
        raise FileFormatError(
            f"Pixels of shape {shape} have {len(shape)} axes; a TIFF takes Y and X and up to "
            "three of time, Z and channel."
        )
    axes = axes or {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}[len(shape)]
    # OME knows time, depth and channel only: pages of unknown meaning take what is free, in the
    # usual order, so that no reader exchanges them.
    unknown = sum(a not in "TZC" for a in axes[:-2])
    free = iter(sorted([a for a in "TZC" if a not in axes[:-2]][:unknown], key="TCZ".index))
    leading = "".join(a if a in "TZC" else next(free, "?") for a in axes[:-2])
    axes = leading + axes[-2:]
    fits = len(axes) == len(shape) and axes.endswith("YX")
    if not fits or len(set(leading)) < len(leading) or not set(leading) <= set("TZC"):
        raise FileFormatError(
            f"The axes '{axes}' do not describe pixels of shape {shape}. Use T, Z or C once for "
            "each leading axis, then YX."
        )
    return axes


def _checked_size(size: tuple[float, float] | None) -> tuple[float, float] | None:
    if size is None:
        return None
    y, x = float(size[0]), float(size[1])
    if not (0 < y < np.inf and 0 < x < np.inf):
        raise FileFormatError(
            f"A pixel size must be a positive length, not {y:g} nm x {x:g} nm. "
            "Leave it out if it is unknown."
        )
    return y, x


def _ome_metadata(
    axes: str,
    size: tuple[float, float] | None,
    z_step_nm: float | None,
    provenance: Provenance | None,
    name: str,
    description: str,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes, "Name": xml_text(name), "Creator": "napari-semnet"}
    if size is not None:
        metadata |= {
            "PhysicalSizeX": size[1],
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": size[0],
            "PhysicalSizeYUnit": "nm",
        }
    if z_step_nm is not None and "Z" in axes:
        metadata |= {"PhysicalSizeZ": float(z_step_nm), "PhysicalSizeZUnit": "nm"}
    if description or provenance is not None:
        statement = provenance.statement if provenance is not None else ""
        metadata["Description"] = xml_text("\n".join(filter(None, (description, statement))))
    if provenance is not None:
        pairs = {key: xml_text(value) for key, value in provenance.to_annotation().items()}
        metadata["MapAnnotation"] = {"Namespace": NAMESPACE} | pairs
    return metadata


def _position(
    shape: tuple[int, ...],
    axes: str,
    origin_nm: tuple[float, float] | None,
    z_step_nm: float | None,
    origin_z_nm: float | None,
) -> dict[str, Any]:
    """Give the place of each plane along the axes where it is known."""
    places = list(np.ndindex(*shape[:-2]))
    along: dict[str, list[float]] = {}
    if origin_nm is not None:
        along |= {
            axis: [float(value)] * len(places) for axis, value in zip("YX", origin_nm, strict=True)
        }
    if origin_z_nm is not None and z_step_nm is not None and "Z" in axes:
        z = axes.index("Z")
        along["Z"] = [float(origin_z_nm + place[z] * z_step_nm) for place in places]
    if not along:
        return {}
    plane: dict[str, list[Any]] = {f"Position{axis}": values for axis, values in along.items()}
    return {"Plane": plane | {f"Position{axis}Unit": ["nm"] * len(places) for axis in along}}


def _rational(value: float) -> tuple[int, int]:
    """Closest quotient of two 32-bit numbers; some versions of tifffile find a coarser one."""
    most = max(1, min(2**32 - 1, int((2**32 - 1) / max(value, 1.0))))
    quotient = Fraction(value).limit_denominator(most)
    return quotient.numerator, quotient.denominator


def _digital_micrograph_tags(size: tuple[float, float] | None) -> list[tuple[Any, ...]]:
    """Units, origins and scales of x and y, as Gatan DigitalMicrograph writes them."""
    if size is None:
        return []
    return [
        (65003, 2, 3, "nm", True),
        (65004, 2, 3, "nm", True),
        (65006, 12, 1, 0.0, True),
        (65007, 12, 1, 0.0, True),
        (65009, 12, 1, size[1], True),
        (65010, 12, 1, size[0], True),
    ]


def _tiles(pixels: Any) -> Iterator[npt.NDArray[Any]]:
    """Tiles of a lazy array in the order in which TIFF wants them, one band of rows at a time."""
    height, width = pixels.shape[-2:]
    for index in product(*(range(n) for n in pixels.shape[:-2])):
        for top in range(0, height, _TILE):
            band = np.asarray(pixels[(*index, slice(top, min(top + _TILE, height)))])
            for left in range(0, width, _TILE):
                yield np.ascontiguousarray(band[:, left : left + _TILE])
