"""Where a restored image lies: 2x the pixels, on exactly the same ground.

napari places a layer by ``world = affine @ (translate + rotate @ shear @ diag(scale) @ index)``,
with integer indices at the *centres* of pixels. A pixel of a result with twice the pixels along
Y and X therefore has its centre at source index ``origin + index / 2 - 1/4``: scaling by 1/2 alone
would move the picture by a quarter of a pixel. Nothing here needs napari; what is passed between
napari and these functions is plain numbers and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "FACTOR",
    "Matrix",
    "Placed",
    "Placement",
    "Region",
    "current_slice",
    "current_view",
    "restored_placement",
    "restored_shape",
    "whole",
]

FACTOR = 2
"""Restored pixels per source pixel along Y and X."""

Floats = npt.NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]
"""A matrix as rows, which can be compared and cannot be changed."""


class Placed(Protocol):
    """What has a place in the world, such as a napari layer."""

    @property
    def ndim(self) -> int: ...  # noqa: D102
    @property
    def scale(self) -> Any: ...  # noqa: D102
    @property
    def translate(self) -> Any: ...  # noqa: D102
    @property
    def rotate(self) -> Any: ...  # noqa: D102
    @property
    def shear(self) -> Any: ...  # noqa: D102
    @property
    def affine(self) -> Any: ...  # noqa: D102
    @property
    def units(self) -> Any: ...  # noqa: D102
    @property
    def axis_labels(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Placement:
    """Place of an image with ``n`` axes in the world, in the terms of a napari layer."""

    scale: tuple[float, ...]
    """World units per pixel, one for each axis."""
    translate: tuple[float, ...]
    """Position of the centre of the first pixel, before `affine`."""
    rotate: Matrix
    """Rotation, ``(n, n)``; it may hold a reflection."""
    shear: Matrix
    """Shear, ``(n, n)``, triangular with ones on the diagonal."""
    affine: Matrix
    """Last transform, homogeneous, ``(n + 1, n + 1)``."""
    units: tuple[str, ...]
    """Name of the unit along each axis, such as ``nanometer``; ``pixel`` when unknown."""
    axis_labels: tuple[str, ...]
    """Name of each axis."""

    def __post_init__(self) -> None:
        n = self.ndim
        shapes = {
            "translate": (np.shape(self.translate), (n,)),
            "rotate": (np.shape(self.rotate), (n, n)),
            "shear": (np.shape(self.shear), (n, n)),
            "affine": (np.shape(self.affine), (n + 1, n + 1)),
            "units": (np.shape(self.units), (n,)),
            "axis_labels": (np.shape(self.axis_labels), (n,)),
        }
        for name, (given, wanted) in shapes.items():
            if given != wanted:
                raise ValueError(f"{name} has shape {given}; {n} axes need {wanted}.")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def has_physical_units(self) -> bool:
        """Whether Y and X are measured in something else than pixels."""
        return all(unit not in ("pixel", "") for unit in self.units[-2:])

    @classmethod
    def plain(
        cls,
        scale: Sequence[float],
        units: Sequence[str] | None = None,
        axis_labels: Sequence[str] | None = None,
    ) -> Placement:
        """Place an image at the origin of the world, upright.

        Parameters
        ----------
        scale : sequence of float
            World units per pixel, one for each axis.
        units : sequence of str, optional
            Their names; pixels by default.
        axis_labels : sequence of str, optional
            Names of the axes; napari's own (``-2``, ``-1``) by default.
        """
        n = len(scale)
        labels = axis_labels if axis_labels is not None else [str(i - n) for i in range(n)]
        return cls(
            scale=tuple(float(s) for s in scale),
            translate=(0.0,) * n,
            rotate=_rows(np.eye(n)),
            shear=_rows(np.eye(n)),
            affine=_rows(np.eye(n + 1)),
            units=tuple(units) if units is not None else ("pixel",) * n,
            axis_labels=tuple(labels),
        )

    @classmethod
    def of(cls, layer: Placed) -> Placement:
        """Read the place of a napari layer (or anything that speaks of it in the same words)."""
        n = layer.ndim
        return cls(
            scale=tuple(float(s) for s in layer.scale),
            translate=tuple(float(t) for t in layer.translate),
            rotate=_rows(np.asarray(layer.rotate, float)),
            shear=_rows(_shear_matrix(np.asarray(layer.shear, float), n)),
            affine=_rows(np.asarray(layer.affine, float)),
            units=tuple(str(unit) for unit in layer.units),
            axis_labels=tuple(str(label) for label in layer.axis_labels),
        )

    def as_layer_kwargs(self) -> dict[str, Any]:
        """Give the keyword arguments that put a new napari layer in this place."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": np.array(self.rotate),
            "shear": np.array(self.shear),
            "affine": np.array(self.affine),
            "units": self.units,
            "axis_labels": self.axis_labels,
        }

    def to_world(self, indices: npt.ArrayLike) -> Floats:
        """Find where pixels lie.

        Parameters
        ----------
        indices : array-like, shape (..., n)
            Pixel indices; whole numbers are centres of pixels.

        Returns
        -------
        ndarray of float, shape (..., n)
            World coordinates, in `units`.
        """
        physical = np.asarray(indices, float) @ self._linear().T + np.asarray(self.translate)
        affine = np.asarray(self.affine)
        world: Floats = physical @ affine[:-1, :-1].T + affine[:-1, -1]
        return world

    def _linear(self) -> Floats:
        """Give the matrix from pixel steps to steps before `affine`."""
        linear: Floats = np.asarray(self.rotate) @ np.asarray(self.shear) @ np.diag(self.scale)
        return linear


@dataclass(frozen=True, slots=True)
class Region:
    """A block of an image: for each axis the first index and the one after the last."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.start) != len(self.stop) or len(self.start) < 2:
            raise ValueError("A region needs a start and a stop for each of at least two axes.")
        if any(
            first < 0 or last <= first for first, last in zip(self.start, self.stop, strict=True)
        ):
            raise ValueError(f"A region from {self.start} to {self.stop} holds no pixel.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return tuple(last - first for first, last in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index that cuts the region out of the image; no axis is dropped."""
        return tuple(slice(first, last) for first, last in zip(self.start, self.stop, strict=True))

    @property
    def origin(self) -> tuple[float, ...]:
        """First index along each axis, as `restored_placement` takes it."""
        return tuple(float(first) for first in self.start)

    def between_rows(self, first: int, stop: int) -> Region | None:
        """Keep the part in rows `first` to before `stop`; None when there is none."""
        top, bottom = max(self.start[-2], first), min(self.stop[-2], stop)
        if bottom <= top:
            return None
        start = (*self.start[:-2], top, self.start[-1])
        return Region(start, (*self.stop[:-2], bottom, self.stop[-1]))


def restored_placement(source: Placement, origin: Sequence[float] = (0.0, 0.0)) -> Placement:
    """Place the restoration of an image exactly over the image.

    Parameters
    ----------
    source : Placement
        Place of the whole source image.
    origin : sequence of float
        Index of the first source pixel that was restored, for the last axes: ``(y0, x0)``, or one
        for every axis when a part of a stack was restored.

    Returns
    -------
    Placement
        Half the scale along Y and X, and the first pixel a quarter of a source pixel further up
        and left, carried through scale, shear and rotation. All else is the source's.
    """
    n = source.ndim
    if n < 2:
        raise ValueError("An image to restore has at least the axes Y and X.")
    if not 2 <= len(origin) <= n:
        raise ValueError(f"The origin must have 2 to {n} numbers, not {len(origin)}.")
    first = np.zeros(n)
    first[n - len(origin) :] = origin
    first[-2:] += (1 / FACTOR - 1) / 2
    translate = source.translate + source._linear() @ first
    scale = (*source.scale[:-2], *(s / FACTOR for s in source.scale[-2:]))
    return replace(source, scale=scale, translate=tuple(float(t) for t in translate))


def restored_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Pixels of the restoration of an image of this shape: twice as many along Y and X."""
    return (*shape[:-2], *(FACTOR * size for size in shape[-2:]))


def whole(shape: Sequence[int]) -> Region:
    """All of an image of this shape."""
    return Region((0,) * len(shape), tuple(int(size) for size in shape))


def current_slice(shape: Sequence[int], at: Sequence[float]) -> Region:
    """One picture (Y, X) of a stack.

    Parameters
    ----------
    shape : sequence of int
        Shape of the whole stack.
    at : sequence of float
        A position in it, in pixel indices; Y and X are ignored, and what lies outside counts as
        the nearest picture.
    """
    leading = [_nearest(place, size) for place, size in zip(at[:-2], shape[:-2], strict=True)]
    return Region(
        (*leading, 0, 0),
        (*(i + 1 for i in leading), *(int(size) for size in shape[-2:])),
    )


def current_view(
    shape: Sequence[int], at: Sequence[float], corners: npt.ArrayLike
) -> Region | None:
    """Cut what can be seen out of one picture of a stack.

    Parameters
    ----------
    shape : sequence of int
        Shape of the whole image or stack.
    at : sequence of float
        As for `current_slice`.
    corners : array-like, shape (k, 2)
        Corners of the view in pixel indices (Y, X). With a rotated layer the view is a tilted
        rectangle; the upright one around it is taken.

    Returns
    -------
    Region or None
        Every pixel that is at least partly visible; None when there is none.
    """
    points = np.asarray(corners, float)
    # A pixel covers its index plus and minus a half.
    first = np.floor(points.min(axis=0) + 0.5)
    last = np.ceil(points.max(axis=0) + 0.5)
    size = np.asarray(shape[-2:], float)
    first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    if not bool((last > first).all()):
        return None
    picture = current_slice(shape, at)
    return Region(
        (*picture.start[:-2], *(int(i) for i in first)),
        (*picture.stop[:-2], *(int(i) for i in last)),
    )


def _nearest(place: float, size: int) -> int:
    return int(min(max(round(float(place)), 0), size - 1))


def _rows(matrix: Floats) -> Matrix:
    return tuple(tuple(float(value) for value in row) for row in matrix)


def _shear_matrix(shear: Floats, ndim: int) -> Floats:
    """Full matrix of a shear that napari may give as its upper triangle only."""
    if shear.ndim == 2:
        return shear
    matrix = np.eye(ndim)
    upper = np.triu_indices(ndim, 1)
    # Without shear napari may give a row of zeros of any length.
    if shear.any():
        matrix[upper] = shear
    return matrix
