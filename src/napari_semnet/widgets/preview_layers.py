"""A run's latest preview as three layers of the viewer: input, output and target. No Qt here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_semnet.widgets.layers import bare
from napari_semnet.widgets.lineage import MADE_BY_COMPARISON

__all__ = ["PREVIEW_KEY", "remove_previews", "show_preview", "show_row"]

PREVIEW_KEY = "semnet_preview"
"""Where the metadata of these layers tell what they are."""
PARTS = ("input", "output", "target")
_GAP = 0.05
"""Room between pictures, in their width."""


def show_preview(viewer: Any, path: Path) -> bool:
    """Show the picture that a run wrote, in the layers of the one before if they are there.

    Parameters
    ----------
    viewer : ViewerModel
    path : Path
        Input, output and target beside one another.

    Returns
    -------
    bool
        Whether the picture could be read.
    """
    from PIL import Image as PillowImage

    try:
        with PillowImage.open(path) as file:
            pixels = np.asarray(file)
    except (OSError, ValueError):
        return False
    show_row(viewer, "fine-tune", dict(zip(PARTS, np.split(pixels, 3, axis=1), strict=True)))
    return True


def show_row(viewer: Any, title: str, pictures: dict[str, Any]) -> None:
    """Show pictures of equal size beside one another, to the right of what is open.

    Parameters
    ----------
    viewer : ViewerModel
    title : str
        Begins the layers' names; layers of the same title and size are filled anew.
    pictures : dict of str to ndarray of uint8, (Y, X)
        In their order from left to right.
    """
    known = {
        layer.metadata[PREVIEW_KEY]: layer
        for layer in viewer.layers
        if PREVIEW_KEY in layer.metadata
    }
    names = {part: f"{title}: {part}" for part in pictures}
    if all(
        name in known and known[name].data.shape == pictures[part].shape
        for part, name in names.items()
    ):
        for part, name in names.items():
            known[name].data = pictures[part]
        return
    for name in names.values():
        if name in known:
            viewer.layers.remove(known[name])
    selection = set(viewer.layers.selection)
    scale, units, corner = _beside(viewer)
    for number, (part, pixels) in enumerate(pictures.items()):
        step = number * pixels.shape[1] * (1 + _GAP) * scale[1]
        bare(
            viewer.add_image(
                pixels,
                name=names[part],
                scale=scale,
                units=units,
                translate=(corner[0], corner[1] + step),
                contrast_limits=(0, 255),
                metadata={PREVIEW_KEY: names[part], MADE_BY_COMPARISON: "fine-tune"},
            )
        )
    viewer.layers.selection = {layer for layer in selection if layer in viewer.layers}


def remove_previews(viewer: Any) -> None:
    """Take all of these layers out of the viewer."""
    for layer in [layer for layer in viewer.layers if PREVIEW_KEY in layer.metadata]:
        viewer.layers.remove(layer)


def _beside(viewer: Any) -> tuple[tuple[float, float], Any, tuple[float, float]]:
    """Pixel size and units of the first image, and the corner right of everything."""
    sources = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image) and PREVIEW_KEY not in layer.metadata
    ]
    if not sources:
        return (1.0, 1.0), ("pixel", "pixel"), (0.0, 0.0)
    scale, units = np.abs(sources[0].scale[-2:]), sources[0].units[-2:]
    world = viewer.layers.extent.units
    if world is not None:
        pairs = zip(units, world[-2:], strict=True)
        scale = scale * [float((1 * ours).to(theirs).magnitude) for ours, theirs in pairs]
        units = world[-2:]
    extent = np.asarray(viewer.layers.extent.world)[:, -2:]
    width = float(extent[1, 1] - extent[0, 1])
    place = (float(extent[0, 0]), float(extent[1, 1]) + max(_GAP * width, 2 * float(scale[1])))
    return (float(scale[0]), float(scale[1])), units, place
