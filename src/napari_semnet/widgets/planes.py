"""Between napari's layers and pictures that can be compared: planes out, layers in. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import Placement, current_slice
from napari_semnet.imaging.intensity import as_grey
from napari_semnet.imaging.plane import Grid, Plane
from napari_semnet.widgets.layers import (
    UNFINISHED_KEY,
    bare,
    in_units_of,
    is_made_from,
    record_of,
    source_pixels,
    source_shape,
)

if TYPE_CHECKING:
    from napari.layers import Image, Layer

__all__ = [
    "add_picture",
    "flat_placement",
    "nanometres_per_unit",
    "part_placement",
    "plane_of",
    "refuse_other_slices",
    "refuse_unfinished",
    "rounded",
    "slice_origin",
    "world_points",
]


def plane_of(layer: Image, viewer: Any) -> Plane:
    """Take the picture of a layer that the viewer shows, at its place in nanometres.

    Parameters
    ----------
    layer : Image
        Grey, or colour with equal channels; of a multiscale layer the finest level is taken.
    viewer : ViewerModel
        Tells which slice of a stack.

    Returns
    -------
    Plane
        A view of the layer's pixels where they are in memory; places are in pixels of the world
        where the layer has no unit of length.

    Raises
    ------
    ImageError
        The viewer does not show Y and X in 2D, or a slice that the layer does not have, or the
        pixels are not grey values.
    """
    if viewer.dims.ndisplay != 2 or set(viewer.dims.displayed) != {
        viewer.dims.ndim - 2,
        viewer.dims.ndim - 1,
    }:
        raise ImageError(
            "Pictures are compared while the viewer shows Y and X in 2D. Switch it to 2D first."
        )
    if not _is_in_view(layer, viewer):
        raise ImageError(
            f"“{layer.name}” has no picture at the slice in view. Move the slider of the viewer to "
            "one that it has."
        )
    leading = slice_origin(layer, viewer)
    pixels = source_pixels(layer)
    grey = as_grey(pixels) if layer.rgb else pixels
    if np.dtype(grey.dtype).kind not in "iuf":
        raise ImageError(f"“{layer.name}” holds no grey values. Convert it to numbers first.")
    placement = Placement.of(layer)
    corners = placement.to_world([(*leading, 0, 0), (*leading, 1, 0), (*leading, 0, 1)])[:, -2:]
    factors = nanometres_per_unit(layer)
    corners = corners * (factors if factors is not None else (1.0, 1.0))
    matrix = np.eye(3)
    matrix[:2, 0], matrix[:2, 1] = corners[1] - corners[0], corners[2] - corners[0]
    matrix[:2, 2] = corners[0]
    shape = source_shape(layer)[-2:]
    grid = Grid((shape[0], shape[1]), matrix, "px" if factors is None else "nm")
    return Plane(layer.name, grey[(*leading, slice(None), slice(None))], grid)


def slice_origin(layer: Image, viewer: Any) -> tuple[int, ...]:
    """Give the indices along the leading axes of the slice that the viewer shows."""
    shape = source_shape(layer)
    if len(shape) == 2:
        return ()
    return current_slice(shape, _index_in_view(layer, viewer)).start[:-2]


def refuse_unfinished(layer: Image) -> None:
    """Refuse to measure a restoration of which tiles are still to come.

    Raises
    ------
    ImageError
        Some are.
    """
    if UNFINISHED_KEY in layer.metadata:
        raise ImageError(f"“{layer.name}” is not finished. Wait until it is.")


def refuse_other_slices(source: Image, restored: Image, viewer: Any) -> None:
    """Refuse to compare a slice of an image with the restoration of another one.

    A restoration of some slices that was saved and opened again lies at the first ones: files do
    not hold a place along these axes. Its record tells which slices they are.

    Raises
    ------
    ImageError
        It tells of other slices than the one in view.
    """
    if not is_made_from(restored, source):
        return
    try:
        region = record_of(restored).region
    except ImageError:
        return
    seen = slice_origin(source, viewer)
    if region is None or len(region[0]) != len(seen) + 2:
        return
    # Files need not keep axes of length one.
    shown = zip(slice_origin(restored, viewer), source_shape(restored), strict=False)
    has_it = [index for index, length in shown if length > 1]
    told = list(zip(*region, seen, strict=False))
    wanted = [now - first for first, stop, now in told if stop - first > 1]
    if has_it == wanted and all(first <= now < stop for first, stop, now in told):
        return
    slices = ", ".join(
        f"{first}" if stop - first == 1 else f"{first} to {stop - 1}" for first, stop, _ in told
    )
    where = ", ".join(map(str, seen))
    raise ImageError(
        f"“{restored.name}” is the restoration of slice {slices} of “{source.name}”, where slice "
        f"{where} is in view. Move the slider of the viewer there, or restore the slice again."
    )


def _is_in_view(layer: Image, viewer: Any) -> bool:
    """Whether a layer has a picture at the slice that the viewer shows."""
    if layer.ndim == 2:
        return True
    places = zip(_index_in_view(layer, viewer), source_shape(layer)[:-2], strict=False)
    return all(0 <= round(float(place)) < size for place, size in places)


def _index_in_view(layer: Image, viewer: Any) -> Any:
    """Index of the viewer's point in the pixels of a layer."""
    return layer.world_to_data(in_units_of(layer, viewer.dims.point, viewer))


def nanometres_per_unit(layer: Layer) -> tuple[float, float] | None:
    """Nanometres in the units of a layer's Y and X; None where one is not a unit of length."""
    # Units of napari layers are pint's, and know how to become one another.
    quantities = [1.0 * unit for unit in layer.units[-2:]]
    if not all(quantity.check("[length]") for quantity in quantities):
        return None
    y, x = (float(quantity.to("nm").magnitude) for quantity in quantities)
    return y, x


def world_points(layer: Layer, vertices: Any) -> NDArray[np.float64]:
    """Places ``(N, 2)`` of points in a layer's data, in nanometres or pixels of the world."""
    points = np.asarray(vertices, dtype=np.float64)
    places = Placement.of(layer).to_world(points)[:, -2:]
    factors = nanometres_per_unit(layer)
    return places * (factors if factors is not None else (1.0, 1.0))


def part_placement(source: Placement, origin: Sequence[float]) -> Placement:
    """Place a part of an image, with pixels as large as the image's, where it came from.

    Parameters
    ----------
    source : Placement
        Of the whole image.
    origin : sequence of float
        Index of the part's first pixel along every axis.
    """
    affine = np.asarray(source.affine)
    place = source.to_world(np.asarray(origin, float)) - affine[:-1, -1]
    translate = np.linalg.solve(affine[:-1, :-1], place)
    return replace(source, translate=tuple(float(t) for t in translate))


def flat_placement(source: Placement) -> Placement:
    """Place of the last two axes alone, for drawing over every slice of a stack."""

    def corner(matrix: Any, size: int) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row[-size:]) for row in matrix[-size:])

    return Placement(
        scale=source.scale[-2:],
        translate=source.translate[-2:],
        rotate=corner(source.rotate, 2),
        shear=corner(source.shear, 2),
        affine=corner(source.affine, 3),
        units=source.units[-2:],
        axis_labels=source.axis_labels[-2:],
    )


def rounded(values: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    """Grey levels in a data type: integers are rounded and clipped at what it can hold."""
    wanted = np.dtype(dtype)
    if wanted.kind not in "iu":
        return values.astype(wanted, copy=False)
    limits = np.iinfo(wanted)
    return np.clip(np.rint(values), limits.min, limits.max).astype(wanted)


def add_picture(
    viewer: Any, pixels: NDArray[Any], name: str, placement: Placement, **look: Any
) -> Image:
    """Add one picture ``(Y, X)`` as a layer that lies in one slice of the stack it belongs to.

    Parameters
    ----------
    viewer : ViewerModel
    pixels : ndarray, (Y, X)
    name : str
    placement : Placement
        Of all axes of the stack, its first pixel at the picture's.
    **look
        Colour map, contrast limits and the like, as napari has them.
    """
    leading = (1,) * (placement.ndim - 2)
    image: Image = bare(
        viewer.add_image(
            pixels.reshape(leading + pixels.shape),
            name=name,
            rgb=False,
            multiscale=False,
            **look,
            **placement.as_layer_kwargs(),
        )
    )
    return image
