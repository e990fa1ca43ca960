"""Pictures of one data type after one another in one file, which can be mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatFile", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies in the flat files."""

    dtype: str
    offset: int
    rows: int
    columns: int


class FlatFile:
    """A one-dimensional ``.npy`` file that grows."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._dtype = np.dtype(dtype)
        self._file: BinaryIO = path.open("wb")
        self.length = 0
        self._write_header()

    def append(self, pixels: NDArray[Any]) -> Place:
        """Add a picture."""
        place = Place(self._dtype.name, self.length, *pixels.shape)
        self._file.write(np.ascontiguousarray(pixels, self._dtype).data)
        self.length += pixels.size
        return place

    def close(self) -> None:
        """Say in the header how much there is."""
        # NumPy pads the header of an array so that its first axis can grow in place.
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        shape = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, shape)
