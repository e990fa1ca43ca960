"""A divider over the picture: one layer at its left, another one at its right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_semnet.imaging.geometry import Placement, Region
from napari_semnet.widgets.layers import bare, in_units_of, source_pixels, source_shape
from napari_semnet.widgets.planes import part_placement

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["Swipe"]

REACH = 10
"""Screen pixels from the divider within which the mouse takes hold of it."""
REDRAW_MS = 25


class Swipe(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Shows the right part of one layer over another one.

    The part is a layer of its own, whose pixels are a view of the other's: nothing is copied, of
    what is on a disk only the slice in view is read, and the two layers that are compared are only
    hidden or shown. Its frame is the divider.

    Parameters
    ----------
    viewer : Viewer
    under, over : Image
        Layers of the viewer, which may have pixels of different size; `over` is shown at the
        right of the divider.
    parent : QObject, optional
        As Qt has it.
    """

    moved = Signal(float)
    """New place of the divider, as a part of the width of `over`."""

    def __init__(
        self, viewer: Any, under: Image, over: Image, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._under, self._over = under, over
        self._columns = source_shape(over)[-1]
        self._shown = -1
        self.column = self._columns // 2
        """First column of `over` that is shown."""
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_MS)
        self._redraw.timeout.connect(self._draw)
        for layer in viewer.layers:
            if hasattr(layer, "contrast_limits"):
                layer.visible = layer is under
        self.layer = self._add_layer()
        """The temporary layer."""
        self._draw()
        over.events.contrast_limits.connect(self._copy_contrast)
        over.events.set_data.connect(self._refresh)
        viewer.mouse_drag_callbacks.append(self._on_drag)

    @property
    def part(self) -> float:
        """Place of the divider, from 0 (left border of `over`) to 1."""
        return self.column / self._columns

    def move_to(self, part: float) -> None:
        """Move the divider.

        Parameters
        ----------
        part : float
            From 0, at the left border of the upper layer, to 1; what lies outside counts as the
            border.
        """
        self._move(round(part * self._columns))

    def stop(self) -> None:
        """Take the temporary layer away and let go of the mouse."""
        self._redraw.stop()
        self._over.events.contrast_limits.disconnect(self._copy_contrast)
        self._over.events.set_data.disconnect(self._refresh)
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)

    def _add_layer(self) -> Image:
        over = self._over
        layer: Image = bare(
            self._viewer.add_image(
                self._pixels(),
                name=f"{over.name} (swipe)",
                rgb=over.rgb,
                multiscale=False,
                colormap=over.colormap,
                contrast_limits=tuple(over.contrast_limits),
                gamma=over.gamma,
                interpolation2d=over.interpolation2d,
                **self._placement().as_layer_kwargs(),
            )
        )
        layer.bounding_box.points = False
        layer.bounding_box.line_color = "#ffb000"
        layer.bounding_box.line_thickness = 2
        layer.bounding_box.visible = True
        return layer

    def _pixels(self) -> Any:
        pixels, first = source_pixels(self._over), min(self.column, self._columns - 1)
        if not isinstance(pixels, np.ndarray):  # A slice of what is on a disk is read at once.
            from napari_semnet.restoration.part import PartOf

            shape = source_shape(self._over)
            return PartOf(pixels, Region((*(0 for _ in shape[:-1]), first), shape))
        return pixels[..., first:, :] if self._over.rgb else pixels[..., first:]

    def _placement(self) -> Placement:
        whole = Placement.of(self._over)
        first = min(self.column, self._columns - 1)
        return part_placement(whole, (*(0,) * (whole.ndim - 1), first))

    def _move(self, column: int) -> None:
        column = min(max(column, 0), self._columns)
        if column != self.column:
            self.column = column
            self.moved.emit(self.part)
            if not self._redraw.isActive():
                self._redraw.start()

    def _draw(self) -> None:
        if self._shown == self.column or self.layer not in self._viewer.layers:
            return
        self._shown = self.column
        self.layer.visible = self.column < self._columns
        self.layer.data = self._pixels()
        self.layer.translate = self._placement().translate

    def _refresh(self, event: Any = None) -> None:
        """Show what has changed in the layer whose pixels are shown, such as further tiles."""
        if self.layer in self._viewer.layers:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _copy_contrast(self, event: Any = None) -> None:
        self.layer.contrast_limits = self._over.contrast_limits

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow the mouse while its button is down, if it went down on the divider."""
        if not self._is_near(event):
            return
        camera = viewer.scene.camera
        panned, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                self._move(round(self._column_at(event.position) + 0.5))
                yield
            # Moves may be left out when they come fast; the place of the release counts.
            self._move(round(self._column_at(event.position) + 0.5))
        finally:
            camera.mouse_pan = panned

    def _is_near(self, event: Any) -> bool:
        here = self._column_at(event.position)
        along = []
        for axis in (-2, -1):
            beside = np.array(event.position, dtype=float)
            beside[axis] += 1.0
            along.append(self._column_at(beside) - here)
        # Columns per unit of the world, in the direction that crosses them.
        steepness = math.hypot(*along)
        distance = abs(here + 0.5 - self.column) / steepness
        return bool(distance * self._viewer.scene.camera.zoom <= REACH)

    def _column_at(self, position: Any) -> float:
        place = in_units_of(self._over, position, self._viewer)
        return float(self._over.world_to_data(place)[-1])
