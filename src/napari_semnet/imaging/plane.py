"""One picture at its place in the world, and the same picture on another picture's pixel grid.

A raw image, its restoration with half the pixel size, a slow scan of the same field that lies a
little beside it: comparing them means asking for each of them on one grid, or along one line of
the specimen. A `Plane` knows where its pixels lie; `onto_grid` brings it onto another grid, by
the exact rule where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_semnet.errors import ImageError

__all__ = [
    "Grid",
    "Plane",
    "bicubic_double",
    "block_mean",
    "onto_grid",
    "overlap",
    "refuse_mixed_units",
]

_TOLERANCE = 1e-4
"""Pixels by which a grid may miss another one and still count as aligned with it."""

_SPLINE_MARGIN = 16
"""Pixels after which a cubic spline's filter has forgotten the border, to 1e-8."""

Floats = NDArray[np.float64]
_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class Grid:
    """Places of the pixel centres of a 2-D picture.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    matrix : ndarray of float64, (3, 3)
        Takes a pixel index ``(row, column, 1)`` to its place ``(y, x, 1)``. Pixel centres have
        integer indices; a picture covers ``-1/2`` to ``n - 1/2``.
    unit : str
        Unit of places: ``"nm"``, or ``"px"`` where the size of a pixel is not known.
    """

    shape: tuple[int, int]
    matrix: Floats
    unit: str = "nm"

    @classmethod
    def upright(
        cls,
        shape: tuple[int, int],
        pixel_size: tuple[float, float] = (1.0, 1.0),
        origin: tuple[float, float] = (0.0, 0.0),
        unit: str = "nm",
    ) -> Grid:
        """Grid along the axes, its pixel ``(0, 0)`` centred on `origin`."""
        matrix = np.diag([*pixel_size, 1.0])
        matrix[:2, 2] = origin
        return cls(shape, matrix, unit)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Distances from row to row and from column to column, in `unit`."""
        return tuple(float(size) for size in np.hypot(*self.matrix[:2, :2]))  # type: ignore[return-value]

    def places(self, indices: ArrayLike) -> Floats:
        """Places ``(N, 2)`` of pixel indices ``(N, 2)``, which need not be integers."""
        return _transform(self.matrix, indices)

    def indices(self, places: ArrayLike) -> Floats:
        """Pixel indices ``(N, 2)`` of places ``(N, 2)``."""
        return _transform(np.linalg.inv(self.matrix), places)

    def corners(self) -> Floats:
        """Places of the four outer corners, ``(4, 2)``, in order around the picture."""
        bottom, right = self.shape[0] - 0.5, self.shape[1] - 0.5
        return self.places([(-0.5, -0.5), (-0.5, right), (bottom, right), (bottom, -0.5)])

    def crop(self, rows: slice, columns: slice) -> Grid:
        """Grid of a rectangle of the pixels; both slices have a start and a stop."""
        shift = np.eye(3)
        shift[:2, 2] = rows.start, columns.start
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        return replace(self, shape=shape, matrix=self.matrix @ shift)

    def refined(self, factor: int) -> Grid:
        """Grid with `factor` by `factor` pixels in the area of each pixel of this one."""
        finer = np.diag([1 / factor, 1 / factor, 1.0])
        finer[:2, 2] = (1 / factor - 1) / 2
        shape = (factor * self.shape[0], factor * self.shape[1])
        return replace(self, shape=shape, matrix=self.matrix @ finer)


@dataclass(frozen=True, slots=True)
class Plane:
    """A named 2-D picture and the grid that its pixels lie on.

    Attributes
    ----------
    name : str
    pixels : array-like, (Y, X)
        Grey levels. Anything that can be sliced, so that a lazy array stays lazy.
    grid : Grid
    """

    name: str
    pixels: Any
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.pixels.shape) != tuple(self.grid.shape):
            raise ImageError(
                f"The picture “{self.name}” has {self.pixels.shape} pixels where "
                f"{self.grid.shape} were expected. Pass one 2-D grey picture."
            )

    def crop(self, rows: slice, columns: slice) -> Plane:
        """Rectangle of the picture, a view; both slices have a start and a stop."""
        return Plane(self.name, self.pixels[rows, columns], self.grid.crop(rows, columns))

    def floats(self) -> NDArray[np.float32]:
        """All pixels as float32, in memory."""
        return np.asarray(self.pixels).astype(np.float32, copy=False)


def overlap(grid: Grid, other: Grid) -> tuple[slice, slice]:
    """Rows and columns of `grid` whose centres lie within the bounds of `other`.

    Parameters
    ----------
    grid, other : Grid

    Returns
    -------
    (slice, slice)

    Raises
    ------
    ImageError
        The two share no pixel, or do not have the same unit.
    """
    _refuse_other_unit(grid, other)
    corners = grid.indices(other.corners())
    first = np.ceil(corners.min(axis=0) - _TOLERANCE).astype(int)
    last = np.floor(corners.max(axis=0) + _TOLERANCE).astype(int)
    first = np.maximum(first, 0)
    stop = np.minimum(last + 1, grid.shape)
    if (stop <= first).any():
        raise ImageError(
            "The two pictures do not lie over one another. "
            "Choose two that show the same place of the specimen."
        )
    return slice(int(first[0]), int(stop[0])), slice(int(first[1]), int(stop[1]))


def refuse_mixed_units(planes: Sequence[Plane]) -> None:
    """Refuse to measure pictures together of which only some have a pixel size.

    Raises
    ------
    ImageError
        Places in one of them are nanometres, and pixels in another one.
    """
    for plane in planes[1:]:
        _refuse_other_unit(planes[0].grid, plane.grid)


def _refuse_other_unit(grid: Grid, other: Grid) -> None:
    if grid.unit != other.unit:
        raise ImageError(
            "One picture has a pixel size in nm and the other one has none. "
            "Give both their pixel size, or neither."
        )


def onto_grid(source: Plane, grid: Grid) -> NDArray[np.float32]:
    """Bring a picture onto another pixel grid.

    Where the grids are aligned the rule is exact: a shift by whole pixels copies, a grid coarser
    by a whole factor takes the mean of the pixels in each of its own, and a grid twice as fine
    interpolates by `bicubic_double`. Any other grid is interpolated by cubic splines, after a
    blur that stands for the mean over a pixel if the grid is coarser.

    Parameters
    ----------
    source : Plane
    grid : Grid

    Returns
    -------
    ndarray of float32
        `grid.shape`; NaN where `source` has no pixels. Calling it for bands of a large grid gives
        the same values as calling it once.
    """
    source = source.crop(*overlap(source.grid, _margin(grid, source.grid)))
    # Takes an index on `grid` to the index in `source` that lies at the same place.
    matrix = np.linalg.inv(source.grid.matrix) @ grid.matrix
    factor = round(float(matrix[0, 0]))
    if factor >= 1 and _is_aligned(matrix, factor, (factor - 1) / 2, 1.0):
        return _averaged(source.pixels, matrix, factor, grid.shape)
    if _is_aligned(matrix, 0.5, -0.25, 0.5):
        start = -np.rint(2 * matrix[:2, 2] + 0.5).astype(int)
        return _placed(bicubic_double(source.pixels), start, grid.shape)
    return _interpolated(source.floats(), matrix, grid.shape)


def bicubic_double(image: ArrayLike) -> NDArray[np.float32]:
    """Double rows and columns by cubic convolution.

    New pixels divide the area of old ones into four, so their centres lie a quarter pixel off
    the old centres. The kernel is that of Keys (1981), a = -1/2; borders are mirrored.

    Parameters
    ----------
    image : array-like, (Y, X)

    Returns
    -------
    ndarray of float32, (2Y, 2X)
    """
    doubled = np.asarray(image).astype(np.float32, copy=False)
    # Keys' kernel at distances 7/4, 3/4, 1/4, 5/4; the mirrored order serves the other neighbour.
    weights = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125], dtype=np.float32)
    for axis in (0, 1):
        pad, shape = [(0, 0), (0, 0)], list(doubled.shape)
        pad[axis], count = (2, 2), shape[axis]
        shape[axis] *= 2
        padded, fine = np.pad(doubled, pad, mode="symmetric"), np.empty(shape, np.float32)
        # As they lie in memory: to turn the axes takes twice as long.
        along = (slice(None),) * axis
        taps = [padded[(*along, slice(first, first + count))] for first in range(5)]
        fine[(*along, slice(0, None, 2))] = sum(map(np.multiply, weights, taps[:4]))
        fine[(*along, slice(1, None, 2))] = sum(map(np.multiply, weights[::-1], taps[1:]))
        doubled = fine
    return doubled


@overload
def block_mean(image: ArrayLike, factor: int = 2) -> NDArray[np.float32]: ...
@overload
def block_mean(image: ArrayLike, factor: int = 2, *, dtype: type[_Float]) -> NDArray[_Float]: ...
def block_mean(
    image: ArrayLike, factor: int = 2, *, dtype: type[np.floating] = np.float32
) -> NDArray[Any]:
    """Mean of each block of `factor` by `factor` pixels; left-over rows and columns are dropped.

    Parameters
    ----------
    image : array-like, (Y, X)
    factor : int
    dtype : type
        Of the sums and of the means.

    Returns
    -------
    ndarray of `dtype`, (Y // factor, X // factor)
    """
    pixels = np.asarray(image)
    rows, columns = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=dtype))


def _transform(matrix: NDArray[Any], points: ArrayLike) -> Floats:
    rows = np.atleast_2d(np.asarray(points, dtype=np.float64))
    return np.asarray(rows @ matrix[:2, :2].T + matrix[:2, 2], dtype=np.float64)


def _margin(grid: Grid, source: Grid) -> Grid:
    """`grid`, wider by what an interpolation at its border needs of the source."""
    size = max(source.pixel_size) / min(grid.pixel_size)
    # An even number, so that pairs of pixels stay pairs.
    extra = 2 * math.ceil(_SPLINE_MARGIN * max(size, 1.0) / 2)
    rows, columns = grid.shape
    return grid.crop(slice(-extra, rows + extra), slice(-extra, columns + extra))


def _is_aligned(matrix: Floats, factor: float, offset: float, period: float) -> bool:
    """Whether indices go by `factor`, upright, and start on `offset` plus whole periods."""
    if not np.allclose(matrix[:2, :2], factor * np.eye(2), atol=1e-7):
        return False
    steps = (matrix[:2, 2] - offset) / period
    return bool((np.abs(steps - np.rint(steps)) * period < _TOLERANCE).all())


def _averaged(
    pixels: Any, matrix: Floats, factor: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Means of blocks, where pixel `t` of the grid covers the block that begins at `c + f t`."""
    begin = np.rint(matrix[:2, 2] - (factor - 1) / 2).astype(int)
    start = -(begin // factor)  # the first block that lies within the picture as a whole
    first = begin + factor * start
    return _placed(block_mean(pixels[first[0] :, first[1] :], factor), start, shape)


def _placed(
    values: NDArray[np.float32], start: NDArray[np.int_], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Canvas of `shape` with `values` from index `start` on, and NaN around them."""
    first = np.maximum(start, 0)
    stop = np.maximum(np.minimum(start + values.shape, shape), first)
    taken = values[tuple(slice(a - s, b - s) for a, b, s in zip(first, stop, start, strict=True))]
    if taken.shape == shape:
        return taken
    canvas = np.full(shape, np.nan, dtype=np.float32)
    canvas[first[0] : stop[0], first[1] : stop[1]] = taken
    return canvas


def _interpolated(
    pixels: NDArray[np.float32], matrix: Floats, shape: tuple[int, int]
) -> NDArray[np.float32]:
    step = np.hypot(*matrix[:2, :2].T)
    # The blur whose second moment is that of the mean over one coarser pixel.
    blur = np.sqrt(np.maximum(step**2 - 1, 0) / 12)
    if blur.max() > 0.05:
        pixels = ndimage.gaussian_filter(pixels, blur, mode="reflect")
    values: NDArray[np.float32] = ndimage.affine_transform(
        pixels, matrix[:2, :2], matrix[:2, 2], shape, np.float32, order=3, mode="reflect"
    )
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for axis, length in enumerate(pixels.shape):
        place = matrix[axis, 0] * rows + matrix[axis, 1] * columns + matrix[axis, 2]
        outside = (place < -0.5 - _TOLERANCE) | (place > length - 0.5 + _TOLERANCE)
        values[np.broadcast_to(outside, shape)] = np.nan
    return values
