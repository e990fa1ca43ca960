"""A list of the viewer's image layers of which one is chosen."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_semnet.widgets.layers import image_layers
from napari_semnet.widgets.lineage import is_ours

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["LayerCombo"]


class LayerCombo(QComboBox):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Follows the viewer's layers and keeps what is chosen by layer, not by place or name.

    Layers that a comparison added are not offered.

    Parameters
    ----------
    viewer : Viewer
    none : str
        What to read where no layer is chosen.
    parent : QWidget, optional
        As Qt has it.
    """

    chosen = Signal()
    """Another layer is chosen, by the user or because the former one went."""

    def __init__(self, viewer: Any, none: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._none = viewer, none
        self._layers: list[weakref.ref[Image]] = []
        # A long name must not widen the dock.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumContentsLength(10)
        for event in self._events():
            event.connect(self._fill)
        self._fill()
        self.activated.connect(lambda _: self.chosen.emit())

    def layer(self) -> Image | None:
        """Give the chosen layer."""
        row = self.currentIndex() - 1
        return self._layers[row]() if 0 <= row < len(self._layers) else None

    def choose(self, layer: Image | None) -> None:
        """Choose a layer, or none."""
        rows = [row for row, known in enumerate(self._layers, 1) if known() is layer]
        before = self.layer()
        self.setCurrentIndex(rows[0] if layer is not None and rows else 0)
        if self.layer() is not before:
            self.chosen.emit()

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        for event in self._events():
            event.disconnect(self._fill)

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered, events.renamed

    def _fill(self, event: Any = None) -> None:
        had_choice, before = self.currentIndex() > 0, self.layer()
        layers = [layer for layer in image_layers(self._viewer.layers) if not is_ours(layer)]
        self._layers = [weakref.ref(layer) for layer in layers]
        self.clear()
        self.addItems([self._none, *(layer.name for layer in layers)])
        rows = [row for row, layer in enumerate(layers, 1) if layer is before]
        self.setCurrentIndex(rows[0] if rows else 0)
        if had_choice and not rows:
            self.chosen.emit()
