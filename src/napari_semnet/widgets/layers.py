"""Between napari's layers and the engine: pixels out, a restored layer in. No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from napari.experimental import link_layers, unlink_layers
from napari.layers import Image
from pydantic import ValidationError

from napari_semnet.errors import ImageError
from napari_semnet.files.layers import FILE_KEY
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reordered import unordered
from napari_semnet.imaging.geometry import (
    Placement,
    Region,
    current_slice,
    current_view,
    restored_placement,
    whole,
)

__all__ = [
    "METADATA_KEY",
    "NO_DATA",
    "SOURCE_KEY",
    "UNFINISHED_KEY",
    "add_restored_layer",
    "bare",
    "colour_nan",
    "identity",
    "image_layers",
    "in_units_of",
    "is_made_from",
    "link_contrast",
    "name_of_result",
    "record_of",
    "region_of",
    "source_name",
    "source_pixels",
    "source_shape",
    "specimen_rows",
]

METADATA_KEY = "semnet"
"""Where a restored layer's metadata tell how it was made."""
SOURCE_KEY = "semnet_source"
"""Where they tell which layer of this session it was made from: names change, and come again."""
UNFINISHED_KEY = "semnet_unfinished"
"""In the metadata of a restored layer as long as tiles are still missing in it."""
NO_DATA = (0.20, 0.28, 0.42, 1.0)
"""Colour of what is not restored yet: a blue that no grey and few colour maps have."""


def image_layers(layers: Iterable[Any]) -> list[Image]:
    """Image layers, the topmost first, as napari's own list shows them."""
    return [layer for layer in layers if isinstance(layer, Image)][::-1]


def bare(layer: Any) -> Any:
    """Take a layer out of the wrapper in which napari hands objects to plugins.

    Links between layers are kept by identity, which a wrapper does not have.
    """
    return getattr(layer, "__wrapped__", layer)


def name_of_result(source: str) -> str:
    """Name of a restored layer."""
    return f"{source} [SEMNet 2x]"


def source_name(layer: Any) -> str | None:
    """Name of the layer that a restored one was made from; None for what is no restoration."""
    record = layer.metadata.get(METADATA_KEY)
    return record.get("source") if isinstance(record, dict) else None


def record_of(layer: Image) -> Provenance:
    """Read how a restored layer was made.

    Raises
    ------
    ImageError
        The layer's metadata do not tell.
    """
    try:
        return Provenance.model_validate(layer.metadata[METADATA_KEY])
    except (KeyError, ValidationError) as error:
        raise ImageError(
            f"'{layer.name}' does not tell how it was made. Restore its source again."
        ) from error


def identity(layer: Any) -> str:
    """Tell a layer from all others of this session, whatever they are called."""
    return str(layer.unique_id)


def is_made_from(layer: Any, source: Any) -> bool:
    """Whether a layer is a restoration of another one.

    Of what was restored in an earlier session only the source's name and shape are known.
    """
    if layer is source or source_name(layer) is None:
        return False
    if SOURCE_KEY in layer.metadata:
        return bool(layer.metadata[SOURCE_KEY] == identity(source))
    shape = layer.metadata[METADATA_KEY].get("source_shape")
    return source_name(layer) == source.name and (
        not shape or unordered(shape) == unordered(source_shape(source))
    )


def source_pixels(layer: Image) -> Any:
    """Pixels at full resolution, as lazy as they come; colour channels, if any, are last."""
    return layer.data[0] if layer.multiscale else layer.data


def source_shape(layer: Image) -> tuple[int, ...]:
    """Pixels along each axis at full resolution, without colour channels."""
    shape = tuple(int(size) for size in source_pixels(layer).shape)
    return shape[:-1] if layer.rgb else shape


def specimen_rows(layer: Image) -> tuple[int, int] | None:
    """First row of the specimen and the one after its last, where the layer's file tells.

    The other rows are the databar: drawn by the microscope's software, not by its beam.
    """
    told = layer.metadata.get(FILE_KEY)
    rows = told.get("specimen_rows") if isinstance(told, dict) else None
    if rows is None or tuple(rows) == (0, source_shape(layer)[-2]):
        return None
    first, stop = (int(row) for row in rows)
    return first, stop


def region_of(layer: Image, kind: str, viewer: Any) -> Region:
    """Find the part of a layer that a user means, without the databar.

    Parameters
    ----------
    layer : Image
        The layer.
    kind : str
        ``layer``, ``viewed`` (the same one), ``view`` or ``slice``.
    viewer : ViewerModel
        Tells which slice and which part of it can be seen.

    Raises
    ------
    ImageError
        Nothing of the specimen is in view, or the view is not one of pictures (Y, X).
    """
    region = _asked_region(layer, kind, viewer)
    rows = specimen_rows(layer)
    specimen = region if rows is None else region.between_rows(*rows)
    if specimen is None:
        raise ImageError(
            f"Only the databar of '{layer.name}' is in view, which is not restored. "
            "Move the specimen into view, or choose the whole layer."
        )
    return specimen


def _asked_region(layer: Image, kind: str, viewer: Any) -> Region:
    shape = source_shape(layer)
    if kind in ("layer", "viewed"):
        return whole(shape)
    at = layer.world_to_data(in_units_of(layer, viewer.dims.point, viewer))
    if kind == "slice":
        return current_slice(shape, at)
    region = current_view(shape, at, _view_corners(layer, viewer))
    if region is None:
        raise ImageError(
            f"Nothing of '{layer.name}' is in view. Move it into view, or choose the whole layer."
        )
    return region


def _view_corners(layer: Image, viewer: Any) -> list[tuple[float, float]]:
    """Corners of the canvas as (Y, X) indices of a layer's pixels."""
    dims = viewer.dims
    # Axes of the viewer that are the layer's Y and X.
    if dims.ndisplay != 2 or set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
        raise ImageError(
            "The current view can only be cut out while the viewer shows Y and X in 2D. "
            "Switch to it, or choose the whole layer."
        )
    # In grid mode each layer has a cell of its own, and all cells show the same ground.
    rows, columns = viewer.canvas.grid.actual_shape(list(viewer.layers))
    half = np.asarray(viewer.canvas.size, float) / (rows, columns) / (2 * viewer.scene.camera.zoom)
    centre = np.asarray(viewer.scene.camera.center[-2:], float)
    corners = []
    for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        world = np.asarray(dims.point, float)
        world[list(dims.displayed)] = centre + half * signs
        index = layer.world_to_data(in_units_of(layer, world, viewer))
        corners.append((float(index[-2]), float(index[-1])))
    return corners


def in_units_of(layer: Image, world: Any, viewer: Any) -> Any:
    """Express a point of the viewer's world in the units of one layer."""
    units = viewer.layers.extent.units
    if units is None or tuple(units[-layer.ndim :]) == tuple(layer.units):
        return world
    factors = [
        (1 * theirs).to(ours).magnitude
        for theirs, ours in zip(units[-layer.ndim :], layer.units, strict=True)
    ]
    converted = np.array(world, float)
    converted[-layer.ndim :] *= factors
    return converted


def add_restored_layer(
    viewer: Any,
    source: Image,
    pixels: Any,
    region: Region,
    metadata: dict[str, Any],
    marks: Mapping[str, Any] = MappingProxyType({}),
) -> Image:
    """Show restored pixels exactly over the layer that they were made from.

    Parameters
    ----------
    viewer : ViewerModel
        Where to add the layer; it goes right above its source and earlier results of it.
    source : Image
        Left as it is. Colour map, gamma, blending, opacity and interpolation are taken over, and
        the contrast limits are linked.
    pixels : array-like, shape (..., 2Y, 2X), or tuple of array-like
        Restoration of `region`; a tuple holds its levels, the finest first, of which NaN is drawn
        in a colour of its own.
    region : Region
        Part of the source.
    metadata : dict
        How the pixels came about, for the new layer's metadata.
    marks : mapping
        What else these hold, from the moment on that others hear of the layer.
    """
    placement = restored_placement(Placement.of(source), region.origin)
    if source.rgb:
        # An RGB layer is drawn without colour map, from black to the white of its data type.
        dtype = source_pixels(source).dtype
        white = np.iinfo(dtype).max if dtype.kind in "iu" else 1
        look: dict[str, Any] = {"colormap": "gray", "contrast_limits": (0, white)}
    else:
        look = {"colormap": source.colormap, "contrast_limits": tuple(source.contrast_limits)}
    result: Image = bare(
        viewer.add_image(
            pixels,
            name=name_of_result(source.name),
            rgb=False,
            multiscale=isinstance(pixels, tuple),
            gamma=source.gamma,
            blending=source.blending,
            opacity=source.opacity,
            interpolation2d=source.interpolation2d,
            interpolation3d=source.interpolation3d,
            rendering=source.rendering,
            projection_mode=source.projection_mode,
            metadata={METADATA_KEY: metadata, SOURCE_KEY: identity(source), **marks},
            **look,
            **placement.as_layer_kwargs(),
        )
    )
    if isinstance(pixels, tuple):
        colour_nan(result, NO_DATA)
    if not source.rgb:
        result.contrast_limits_range = source.contrast_limits_range
        link_contrast(viewer, source, result)
    if source in viewer.layers:
        last, place = viewer.layers.index(result), viewer.layers.index(source) + 1
        # A further result lies over the ones before it, where it can be seen.
        while place < last and is_made_from(viewer.layers[place], source):
            place += 1
        viewer.layers.move(last, place)
    return result


def colour_nan(layer: Image, colour: Sequence[float]) -> None:
    """Draw NaN in this colour (red, green, blue and opacity, each 0 to 1)."""
    layer.colormap = layer.colormap.model_copy(update={"nan_color": np.asarray(colour, float)})


def link_contrast(viewer: Any, first: Image, second: Image) -> None:
    """Give two layers one set of contrast limits, until one of them leaves the viewer.

    napari keeps what it links in memory for good, pixels and all; so the link is undone when
    either layer is removed.
    """
    link_layers((first, second), ("contrast_limits",))
    pair = (weakref.ref(first), weakref.ref(second))
    removed = viewer.layers.events.removed

    def forget(event: Any) -> None:
        layers = [layer for layer in (one() for one in pair) if layer is not None]
        if len(layers) < 2 or any(event.value is layer for layer in layers):
            removed.disconnect(forget)
            if layers:
                unlink_layers(layers, ("contrast_limits",))

    removed.connect(forget)
