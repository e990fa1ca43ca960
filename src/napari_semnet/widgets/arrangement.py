"""The three ways to look at the compared layers, and back to how the viewer was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import Colormap
from qtpy.QtCore import QObject, Signal

from napari_semnet.imaging.comparison import (
    common_grid,
    difference_bands,
    symmetric_limit,
)
from napari_semnet.imaging.geometry import Placement, restored_placement
from napari_semnet.imaging.panels import DIVERGING
from napari_semnet.imaging.plane import Plane
from napari_semnet.widgets.background import Steps
from napari_semnet.widgets.blink import Blink
from napari_semnet.widgets.layers import identity
from napari_semnet.widgets.lineage import MADE_BY_COMPARISON, OVER_KEY
from napari_semnet.widgets.planes import add_picture, part_placement, slice_origin
from napari_semnet.widgets.preview_layers import PREVIEW_KEY
from napari_semnet.widgets.side_by_side import arrange_in_grid
from napari_semnet.widgets.swipe import Swipe
from napari_semnet.widgets.viewer_state import SharedContrast, ViewerState

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = [
    "ON_RAW",
    "ON_RESTORED",
    "Arrangement",
    "Changes",
    "add_difference",
    "best_shape",
    "change_steps",
]

ON_RAW, ON_RESTORED = "raw", "restored"
"""The grid that a difference is taken on."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Restored less raw, on one of the two grids."""

    plane: Plane
    first: tuple[int, int]
    """Index of its first pixel on that grid."""
    on: str
    """`ON_RAW` or `ON_RESTORED`."""
    limit: float
    """Grey levels at which the map that shows it ends."""
    mean: float
    deviation: float
    """Of all its pixels, in grey levels."""


def change_steps(raw: Plane, restored: Plane, on: str) -> Steps:
    """Compute what a restoration changed.

    Parameters
    ----------
    raw, restored : Plane
    on : str
        `ON_RAW` averages the restored picture over each raw pixel; `ON_RESTORED` interpolates the
        raw one.

    Yields
    ------
    float
        Finished part; the result is returned as `Changes`.
    """
    whole, other = (raw, restored) if on == ON_RAW else (restored, raw)
    grid = common_grid(whole.grid, other.grid)
    pixels = np.empty(grid.shape, dtype=np.float32)
    for band in difference_bands(restored, raw, grid):
        pixels[band.rows] = band.pixels
        yield 0.9 * band.done / band.total
    first = np.rint(whole.grid.indices(grid.places([(0, 0)]))[0]).astype(int)
    known = pixels[np.isfinite(pixels)]
    return Changes(
        Plane("restored − raw", pixels, grid),
        (int(first[0]), int(first[1])),
        on,
        symmetric_limit(pixels[:: 1 + len(pixels) // 2048]),
        float(known.mean(dtype=np.float64)),
        float(known.std(dtype=np.float64)),
    )


def add_difference(viewer: Any, raw: Image, restored: Image, changes: Changes) -> Image:
    """Show a difference as a layer, at its place, in a map that is white where nothing changed."""
    whole = raw if changes.on == ON_RAW else restored
    origin = (*slice_origin(whole, viewer), *changes.first)
    return add_picture(
        viewer,
        changes.plane.pixels,
        f"restored − raw ±{changes.limit:.3g} grey",
        part_placement(Placement.of(whole), origin),
        colormap=Colormap(DIVERGING, name="difference"),
        contrast_limits=(-changes.limit, changes.limit),
        metadata={
            MADE_BY_COMPARISON: "difference",
            OVER_KEY: identity(whole),
            "minuend": restored.name,
            "subtrahend": raw.name,
            "grid": changes.on,
        },
    )


def best_shape(count: int, canvas: Sequence[float], picture: Sequence[float]) -> tuple[int, int]:
    """Choose rows and columns of a grid so that its pictures are as large as can be.

    Parameters
    ----------
    count : int
        Cells.
    canvas, picture : (float, float)
        Height and width, each in a unit of its own.
    """

    def size(columns: int) -> float:
        rows = -(-count // columns)
        return min(canvas[0] / rows / picture[0], canvas[1] / columns / picture[1])

    columns = max(range(count, 0, -1), key=size)
    return -(-count // columns), columns


class Arrangement(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """One of grid, swipe and blink at a time; leaving it puts the viewer back as it was.

    Parameters
    ----------
    viewer : Viewer
    parent : QObject, optional
        As Qt has it.
    """

    left = Signal()
    """The viewer is as it was before."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._before: ViewerState | None = None
        self._contrast: SharedContrast | None = None
        self._own: list[Image] = []
        self._shown: list[Image] = []
        self.swipe: Swipe | None = None
        self.blink: Blink | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_active(self) -> bool:
        """Whether the viewer is arranged for a comparison."""
        return self._before is not None

    def show_grid(
        self, raw: Image, restored: Image, classical: Plane | None, changes: Changes
    ) -> None:
        """Show raw, classical, restored and difference side by side."""
        self._enter([raw, restored])
        cells = [raw, restored]
        if classical is not None:
            origin = (*slice_origin(raw, self._viewer), 0, 0)
            layer = add_picture(
                self._viewer,
                classical.pixels,
                classical.name,
                restored_placement(Placement.of(raw), origin),
                colormap=raw.colormap,
                contrast_limits=tuple(raw.contrast_limits),
                metadata={MADE_BY_COMPARISON: "classical", "source": raw.name},
            )
            self._own.append(layer)
            cells.insert(1, layer)
        self._contrast = SharedContrast(cells)
        difference = add_difference(self._viewer, raw, restored, changes)
        self._own.append(difference)
        cells.append(difference)
        place = changes.plane.grid
        extent = [n * size for n, size in zip(place.shape, place.pixel_size, strict=True)]
        shape = best_shape(len(cells), self._viewer.canvas.size, extent)
        arrange_in_grid(self._viewer, cells, shape)
        self._viewer.canvas.overlays.scale_bar.gridded = True
        self._watch()

    def show_swipe(self, raw: Image, restored: Image) -> Swipe:
        """Show the restoration at the right of a divider, the raw image at its left."""
        self._enter([raw, restored])
        self._contrast = SharedContrast([raw, restored])
        self.swipe = Swipe(self._viewer, raw, restored, self)
        self.swipe.layer.metadata[MADE_BY_COMPARISON] = "swipe"
        self._viewer.layers.selection = {raw}
        self._watch()
        return self.swipe

    def show_blink(self, layers: Sequence[Image]) -> Blink:
        """Show the layers in turn."""
        self._enter(layers)
        self._contrast = SharedContrast(layers)
        self.blink = Blink(self._viewer, layers, self)
        # Keys go to the selected layer first, and drawing layers have uses of their own for them.
        self._viewer.layers.selection = {layers[0]}
        self._watch()
        return self.blink

    def leave(self) -> None:
        """Put the viewer back as it was."""
        before, self._before = self._before, None
        if before is None:
            return
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._shown = []
        if self._contrast is not None:
            self._contrast.release()
            self._contrast = None
        if self.swipe is not None:
            self.swipe.stop()
            self.swipe.deleteLater()
            self.swipe = None
        if self.blink is not None:
            self.blink.stop()
            self.blink.deleteLater()
            self.blink = None
        # Each layer that goes while there is a grid would lay the whole grid out anew.
        before.restore_canvas(self._viewer)
        own, self._own = self._own, []
        for layer in own:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        before.restore(self._viewer)
        self.left.emit()

    def let_go(self) -> None:
        """Leave, and follow the viewer no longer."""
        self.leave()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _enter(self, layers: Sequence[Image]) -> None:
        self.leave()
        self._before = ViewerState.of(self._viewer)
        self._viewer.canvas.grid.enabled = False
        self._shown = list(layers)

    def _watch(self) -> None:
        """Hear of pictures that come from now on, after napari itself has taken them in."""
        self._viewer.layers.events.inserted.connect(self._on_inserted, position="last")

    def _on_inserted(self, event: Any) -> None:
        """Leave to a further picture: it would lie over one of these, or move them on by a cell."""
        picture = event.value
        # Previews of a fine-tuning come by themselves, and lie beside all others.
        if hasattr(picture, "contrast_limits") and PREVIEW_KEY not in picture.metadata:
            self.leave()

    def _on_removed(self, event: Any) -> None:
        shown = list(self._shown)
        if self.swipe is not None:
            shown.append(self.swipe.layer)
        if self.is_active and any(event.value is layer for layer in shown):
            self.leave()
