"""MRC and Gatan DM3/DM4 files, through their maintained readers.

Optional: ``pip install napari-semnet[em]`` brings mrcfile (BSD-3-Clause) and rosettasciio
(GPL-3.0-or-later, used only where it is installed).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import Findings, length_in_nm, pixel_size
from napari_semnet.files.tiff_pixels import Picture

__all__ = ["DM_SUFFIXES", "MRC_SUFFIXES", "read_dm", "read_mrc"]

MRC_SUFFIXES = (".mrc", ".mrcs", ".rec")
DM_SUFFIXES = (".dm3", ".dm4")

_NM_PER_ANGSTROM = 0.1
_NEEDS_EXTRA = "needs the package {}. Install it: pip install napari-semnet[em]."


def read_mrc(path: Path) -> tuple[Picture, Findings]:
    """Read an MRC file; its pixels stay on the disk.

    Raises
    ------
    FileFormatError
        mrcfile is missing, or the file is damaged or of colour or complex numbers.
    """
    try:
        import mrcfile
    except ImportError as error:
        raise FileFormatError(f"{path.name} {_NEEDS_EXTRA.format('mrcfile')}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with mrcfile.mmap(path, mode="r") as file:
                pixels, voxel = file.data, file.voxel_size
                steps = [float(getattr(voxel, axis)) for axis in "zyx"]
    except Exception as error:  # a damaged file makes the reader fail in any way
        raise _damaged(path, error) from error
    # 0 and 1 Å are what programs write that know no pixel size.
    z, y, x = (None if step in (0.0, 1.0) else step * _NM_PER_ANGSTROM for step in steps)
    size = pixel_size(y, x, "MRC header, cell size over the number of pixels", "medium")
    picture = _picture(np.asarray(pixels), path)
    # Infinite where the header counts no slices.
    z_step = z if z is not None and 0 < z < np.inf else None
    return picture, Findings(pixel_size=size, z_step_nm=z_step)


def read_dm(path: Path) -> tuple[Picture, Findings]:
    """Read a DM3 or DM4 file of Gatan DigitalMicrograph.

    Raises
    ------
    FileFormatError
        rosettasciio is missing, or the file is damaged or holds no picture.
    """
    try:
        from rsciio.digitalmicrograph import file_reader
    except ImportError as error:
        raise FileFormatError(f"{path.name} {_NEEDS_EXTRA.format('rosettasciio')}") from error
    try:
        contents = file_reader(str(path))
        content = max(contents, key=lambda each: np.size(each["data"]))
        pixels = np.asarray(content["data"])
        axes = content["axes"]
        lengths = [length_in_nm(f"{abs(float(a['scale']))} {a['units']}") for a in axes]
    except Exception as error:  # a damaged file makes the reader fail in any way
        raise _damaged(path, error) from error
    picture = _picture(pixels, path)
    size = None
    if len(lengths) >= 2:
        size = pixel_size(lengths[-2], lengths[-1], "DigitalMicrograph calibration", "high")
    z_step = lengths[0] if len(lengths) == 3 and lengths[0] else None
    return picture, Findings("Gatan", pixel_size=size, z_step_nm=z_step)


def _picture(pixels: npt.NDArray[Any], path: Path) -> Picture:
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "uif" or 0 in pixels.shape:
        raise FileFormatError(
            f"{path.name} holds no picture or stack of grey levels "
            f"(shape {pixels.shape}, type {pixels.dtype})."
        )
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 3 and len(pixels) == 1:
        pixels = pixels[0]
    return Picture(pixels, "ZYX"[-pixels.ndim :], "em")


def _damaged(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path.name} is damaged or cut off and cannot be read ({error!s:.100}). Copy it again."
    )
