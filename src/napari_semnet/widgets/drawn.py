"""A line or regions that a user draws over the pictures, as a layer of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_semnet.imaging.geometry import Placement
from napari_semnet.imaging.regions import ellipse_outline
from napari_semnet.widgets.layers import bare, identity, source_shape
from napari_semnet.widgets.lineage import OVER_KEY
from napari_semnet.widgets.planes import flat_placement, world_points

if TYPE_CHECKING:
    from napari.layers import Image, Shapes

__all__ = ["Drawing"]

COLOUR = "#ffb000"
PAUSE_MS = 60
"""From a change until it is told, so that a dragged line is measured some times a second."""


class Drawing(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A Shapes layer that is added when it is first needed, and followed.

    Parameters
    ----------
    viewer : Viewer
    name : str
        Of the layer.
    mode : str
        napari's drawing mode to begin with, such as ``add_line``.
    parent : QObject, optional
        As Qt has it.
    """

    changed = Signal()
    """Something was drawn, moved or removed."""

    def __init__(self, viewer: Any, name: str, mode: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._name, self._mode = viewer, name, mode
        self.layer: Shapes | None = None
        self.is_numbered = False
        """Whether shapes show their number; set it before the first is drawn."""
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._tell)
        viewer.layers.events.removed.connect(self._on_removed)

    def draw(self, over: Image) -> Shapes:
        """Let the user draw.

        Parameters
        ----------
        over : Image
            Gives the new layer its place and its units; drawing is in its pixels.
        """
        if self.layer is None:
            self.layer = self._add(over)
            self.layer.events.set_data.connect(self._on_change)
            self.layer.events.data.connect(self._on_change)
        self._viewer.layers.selection = {self.layer}
        self.layer.visible = True
        self.layer.mode = self._mode
        return self.layer

    def outlines(self) -> list[NDArray[np.float64]]:
        """Corners ``(N, 2)`` of each shape in nm (or pixels of the world), in order of drawing."""
        if self.layer is None:
            return []
        shapes = zip(self.layer.shape_type, self.layer.data, strict=True)
        return [
            world_points(
                self.layer, ellipse_outline(corners) if kind == "ellipse" else np.asarray(corners)
            )
            for kind, corners in shapes
        ]

    def let_go(self) -> None:
        """Follow the layer no longer; it stays in the viewer."""
        self._pause.stop()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._forget()

    def _add(self, over: Image) -> Shapes:
        placement = flat_placement(Placement.of(over))
        side = max(source_shape(over)[-2:])
        layer: Shapes = bare(
            self._viewer.add_shapes(
                None,
                ndim=2,
                name=self._name,
                edge_color=COLOUR,
                edge_width=max(1.0, side / 400),
                face_color="transparent",
                features={"number": np.empty(0, dtype=np.int64)},
                text={"string": "{number}", "color": COLOUR, "size": 14, "anchor": "center"}
                if self.is_numbered
                else None,
                metadata={OVER_KEY: identity(over)},
                **placement.as_layer_kwargs(),
            )
        )
        return layer

    def _tell(self) -> None:
        self._number()
        self.changed.emit()

    def _number(self) -> None:
        """Give each shape its number in order of drawing, which tables refer to."""
        if self.layer is None:
            return
        numbers = np.arange(1, len(self.layer.data) + 1)
        if not np.array_equal(self.layer.features["number"], numbers):
            self.layer.features = {"number": numbers}

    def _on_change(self, event: Any = None) -> None:
        if not self._pause.isActive():
            self._pause.start()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self._forget()
            self.changed.emit()

    def _forget(self) -> None:
        if self.layer is not None:
            self.layer.events.set_data.disconnect(self._on_change)
            self.layer.events.data.disconnect(self._on_change)
            self.layer = None
