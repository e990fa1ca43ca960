"""List of the viewer's image layers, of which one or several are chosen."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QWidget

from napari_semnet.widgets.layers import METADATA_KEY, image_layers
from napari_semnet.widgets.lineage import is_ours, source_of

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["LayerList"]

ROWS_SHOWN = 4


class LayerList(QListWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Follows the viewer's layers and keeps what is chosen by layer, not by place or name.

    Parameters
    ----------
    viewer : Viewer
        Its selected image layers are chosen at first; of a restoration, what was restored.
    parent : QWidget, optional
        As Qt has it.
    """

    chosen_changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[weakref.ref[Image]] = []
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setToolTip("Layers to restore. Ctrl or Shift adds to the choice.")
        height = self.fontMetrics().height() + 6
        self.setFixedHeight(ROWS_SHOWN * height + 2 * self.frameWidth())
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self._fill)
        self.itemSelectionChanged.connect(self._on_choice)
        self._fill()
        self.choose(self._first_choice())

    def chosen(self) -> list[Image]:
        """Give the chosen layers, from top to bottom."""
        rows = sorted(index.row() for index in self.selectedIndexes())
        layers = (self._layers[row]() for row in rows)
        return [layer for layer in layers if layer is not None]

    def choose(self, layers: Sequence[Image]) -> None:
        """Choose these layers and no others."""
        self.blockSignals(True)
        for row, known in enumerate(self._layers):
            self.item(row).setSelected(known() in layers)
        self.blockSignals(False)
        self._on_choice()

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self._fill)
        for layer in image_layers(self._viewer.layers):
            layer.events.units.disconnect(self._on_units)

    def _first_choice(self) -> list[Image]:
        """Take what is selected in napari, else the topmost image that is no result itself."""
        layers = image_layers(self._viewer.layers)
        selected = [layer for layer in layers if layer in self._viewer.layers.selection]
        meant = dict.fromkeys(source_of(layer, layers) or layer for layer in selected)
        acquired = [layer for layer in layers if not _is_result(layer)]
        wanted = [layer for layer in meant if layer in acquired]
        return wanted or acquired[:1] or selected or layers[:1]

    def _next_choice(self) -> list[Image]:
        """Take this where all that was chosen is gone."""
        return self._first_choice()

    def _on_choice(self) -> None:
        """Show the choice in bold: themes tell it apart by little but a shade."""
        for row in range(self.count()):
            item = self.item(row)
            font = item.font()
            font.setBold(item.isSelected())
            item.setFont(font)
        self.chosen_changed.emit()

    def _on_units(self, event: Any = None) -> None:
        self.chosen_changed.emit()

    def _fill(self, event: Any = None) -> None:
        chosen = self.chosen()
        layers = image_layers(self._viewer.layers)
        self.blockSignals(True)
        self.clear()
        self._layers = [weakref.ref(layer) for layer in layers]
        self.addItems([layer.name for layer in layers])
        self.blockSignals(False)
        for layer in layers:
            layer.events.units.connect(self._on_units)
        self.choose([layer for layer in chosen if layer in layers] or self._next_choice())


def _is_result(layer: Image) -> bool:
    return METADATA_KEY in layer.metadata or is_ours(layer)
