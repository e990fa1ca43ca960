"""Layers next to one another, on the same ground, in one look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.geometry import Placement
from napari_semnet.widgets.layers import link_contrast

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["arrange_in_grid", "show_side_by_side"]

FONT_SIZE = 10


def show_side_by_side(viewer: Any, layers: Sequence[Image]) -> None:
    """Show layers in a row, the first at the left, each with its name, and one scale bar.

    All other layers are hidden. Every cell shows the same part of the world and moves with the
    others; layers of one data type share their contrast limits.

    Parameters
    ----------
    viewer : Viewer
        A viewer that holds the layers.
    layers : sequence of Image
        Two or more of its layers.

    Raises
    ------
    SemnetError
        There are fewer than two layers.
    """
    arrange_in_grid(viewer, layers)
    first = layers[0]
    for layer in layers[1:]:
        if layer.dtype == first.dtype and not (layer.rgb or first.rgb):
            layer.contrast_limits = first.contrast_limits
            link_contrast(viewer, first, layer)


def arrange_in_grid(
    viewer: Any, layers: Sequence[Image], shape: tuple[int, int] | None = None
) -> None:
    """Lay layers out as `show_side_by_side` does, each with contrast limits of its own.

    Parameters
    ----------
    viewer : Viewer
        A viewer that holds the layers.
    layers : sequence of Image
        Two or more of its layers.
    shape : (int, int), optional
        Rows and columns, filled row by row; one row by default.

    Raises
    ------
    SemnetError
        There are fewer than two layers.
    """
    if len(layers) < 2:
        raise SemnetError("Side by side takes at least two layers. Choose two or more.")
    for layer in list(viewer.layers):
        layer.visible = any(layer is shown for shown in layers)
    # The grid fills its cells from the bottom of the layer list to the top.
    for place, layer in enumerate(layers):
        viewer.layers.move(viewer.layers.index(layer), place)
    for layer in layers:
        layer.name_overlay.visible = True
        layer.name_overlay.font_size = FONT_SIZE
    grid = viewer.canvas.grid
    grid.stride = 1
    grid.shape = shape if shape is not None else (1, len(layers))
    grid.enabled = True
    viewer.reset_view()
    # Over cells that do not exist yet a scale bar cannot be laid out.
    bar = viewer.canvas.overlays.scale_bar
    bar.visible = any(Placement.of(layer).has_physical_units for layer in layers)
