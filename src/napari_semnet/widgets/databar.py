"""The databar in the restore widget: what is believed of it, and a rectangle to correct that."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.drawn import Drawing
from napari_semnet.widgets.layer_watch import PixelsOf
from napari_semnet.widgets.layers import source_shape
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.specimen import (
    Specimen,
    rows_beside,
    searched_specimen,
    state_specimen,
    stated_specimen,
)

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["DatabarPanel"]

FILL = "#ffb00050"
AT_ONCE = 2**22
"""Pixels that are searched for a databar without delay, which takes some 0.2 s."""
NOT_SEARCHED = Specimen(None, "", True)
LIKELY_PART = 0.08
"""Of the height, for the rectangle to begin with where nothing is known of a databar."""


class DatabarPanel(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Says which rows of the chosen layers are restored, and lets the user correct it.

    The databar is drawn by the microscope's software, not by its beam: it is neither restored nor
    measured. Where it is not certain whether there is one, the user is asked.

    Parameters
    ----------
    viewer : Viewer
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """Other rows are believed to be specimen now."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._edited: weakref.ref[Image] | None = None
        self._searched: weakref.WeakKeyDictionary[Image, tuple[PixelsOf, Specimen]] = (
            weakref.WeakKeyDictionary()
        )
        self.task = Task(self)
        self.drawing = Drawing(viewer, "databar", "select", self)
        self.drawing.changed.connect(self._on_drawn)
        self.text = WrappedLabel(self)
        self.edit_button = QPushButton(self)
        self.edit_button.setToolTip(
            "Show the databar as a rectangle that can be dragged: select it, then pull its edges"
        )
        self.none_button = QPushButton("There is none", self)
        self.none_button.setToolTip("All rows of this layer are specimen")
        row = QHBoxLayout()
        row.addWidget(self.edit_button)
        row.addWidget(self.none_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.edit_button.clicked.connect(self._on_edit)
        self.none_button.clicked.connect(self.state_none)
        self._update()

    def show_layers(self, layers: Sequence[Image]) -> None:
        """Speak of these layers from now on."""
        self._layers = list(layers)
        edited = self.edited()
        if edited is not None and edited not in self._layers:
            self.stop_editing()
        self._search_next()
        self._update()

    def question(self) -> str:
        """Give what must be answered before the layers can be restored; empty where nothing.

        Whoever asks before a large picture is searched waits for the answer.
        """
        for layer in self._layers:
            if self._known(layer) is None:
                self._keep(layer, PixelsOf(layer), searched_specimen(layer))
        open_ones = [layer for layer in self._layers if not self._belief(layer).is_certain]
        if not open_ones:
            return ""
        return f"Say above where the databar of '{open_ones[0].name}' is, or that there is none"

    def edited(self) -> Image | None:
        """Give the layer whose databar can be dragged now, if any."""
        if self._edited is None or self.drawing.layer is None:
            return None
        return self._edited()

    def edit(self) -> None:
        """Show the databar of the layer at hand as a rectangle that can be dragged."""
        layer = self._subject()
        if layer is None:
            return
        self.stop_editing()
        height, width = source_shape(layer)[-2:]
        rows = self._bar_rows(layer)
        if rows is not None and rows[0] > 0:
            top, bottom = 0, rows[0]
        else:
            first = rows[1] if rows is not None else self._belief(layer).suspected
            top, bottom = first or round(height * (1 - LIKELY_PART)), height
        shapes = self.drawing.draw(layer)
        shapes.name = f"{layer.name} [databar]"
        corners = np.array([(top, 0), (top, width), (bottom, width), (bottom, 0)]) - 0.5
        shapes.add_rectangles(corners, edge_color="#ffb000", face_color=FILL)
        shapes.selected_data = {0}
        self._edited = weakref.ref(layer)
        self._update()

    def accept(self) -> None:
        """Believe the rectangle, and take it away."""
        layer, rows = self.edited(), self._drawn_rows()
        self.stop_editing()
        if layer is not None and rows is not None:
            state_specimen(layer, rows)
            self.changed.emit()
        self._update()

    def state_none(self) -> None:
        """Take all rows of the layer at hand for specimen."""
        layer = self._subject()
        self.stop_editing()
        if layer is not None:
            state_specimen(layer, (0, source_shape(layer)[-2]))
            self.changed.emit()
        self._update()

    def stop_editing(self) -> None:
        """Take the rectangle away and believe what was believed before."""
        shapes, self._edited = self.drawing.layer, None
        if shapes is not None and shapes in self._viewer.layers:
            self._viewer.layers.remove(shapes)

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        self.task.cancel()
        self.stop_editing()
        self.drawing.let_go()

    def _belief(self, layer: Image) -> Specimen:
        """Ask the layer; where it says nothing its pixels are searched, once."""
        known = self._known(layer)
        if known is None and math.prod(source_shape(layer)[-2:]) <= AT_ONCE:
            known = self._keep(layer, PixelsOf(layer), searched_specimen(layer))
        return NOT_SEARCHED if known is None else known

    def _known(self, layer: Image) -> Specimen | None:
        """Give what the layer says, or what was found in its pixels; None before the search."""
        stated = stated_specimen(layer)
        if stated is not None:
            return stated
        pixels, found = self._searched.get(layer, (None, None))
        return found if pixels is not None and pixels.are_in(layer) else None

    def _keep(self, layer: Image, pixels: PixelsOf, found: Specimen) -> Specimen:
        self._searched[layer] = (pixels, found)
        return found

    def _search_next(self) -> None:
        """Search a large picture beside the window, which would stand still for seconds else."""
        unknown = [layer for layer in self._layers if self._belief(layer) is NOT_SEARCHED]
        if self.task.is_running or not unknown:
            return
        layer, pixels = unknown[0], PixelsOf(unknown[0])

        def steps() -> Steps:
            yield 0.0
            return searched_specimen(layer)

        def keep(found: Specimen) -> None:
            self._keep(layer, pixels, found)
            self._search_next()
            self._update()

        self.task.start(steps, keep)

    def _subject(self) -> Image | None:
        """Give the layer of which the buttons speak: the edited, an uncertain, one with a bar."""
        edited = self.edited()
        if edited is not None:
            return edited
        uncertain = [layer for layer in self._layers if not self._belief(layer).is_certain]
        with_bar = [layer for layer in self._layers if self._bar_rows(layer) is not None]
        return next(iter(uncertain + with_bar + self._layers), None)

    def _bar_rows(self, layer: Image) -> tuple[int, int] | None:
        """Rows of the specimen where a databar is left out; else None."""
        rows = self._belief(layer).rows
        return None if rows == (0, source_shape(layer)[-2]) else rows

    def _drawn_rows(self) -> tuple[int, int] | None:
        layer, shapes = self.edited(), self.drawing.layer
        if layer is None or shapes is None:
            return None
        height = source_shape(layer)[-2]
        if not len(shapes.data):
            return 0, height
        corners = np.concatenate([np.asarray(corners) for corners in shapes.data])
        top, bottom = float(corners[:, -2].min()), float(corners[:, -2].max())
        return rows_beside(top, bottom, height)

    def _on_edit(self) -> None:
        if self.edited() is None:
            self.edit()
        else:
            self.accept()

    def _on_drawn(self) -> None:
        if self.drawing.layer is None:
            self._edited = None
        self._update()

    def _update(self) -> None:
        layer = self._subject()
        self.setVisible(layer is not None)
        if layer is None:
            return
        editing, certain = self.edited() is not None, self._belief(layer).is_certain
        has_bar = self._bar_rows(layer) is not None
        words = "Done" if editing else "Edit the databar" if has_bar else "Mark a databar"
        self.edit_button.setText(words)
        self.none_button.setVisible(editing or has_bar or not certain)
        self.text.setText(self._sentence(layer))

    def _sentence(self, layer: Image) -> str:
        name = f"'{layer.name}'"
        if self.edited() is not None:
            rows = self._drawn_rows()
            if rows is None:
                return "The rectangle covers the whole picture. Make it smaller."
            return (
                f"{name}: rows {rows[0]} to {rows[1] - 1} would be restored. Drag the edges of the "
                "rectangle to those of the databar, then press Done."
            )
        belief, rows = self._belief(layer), self._bar_rows(layer)
        if belief is NOT_SEARCHED:
            return f"{name}: looking for a databar"
        if not belief.is_certain:
            where = "" if belief.suspected is None else f" from row {belief.suspected} on"
            return f"{name}: is there a databar{where}? It is not certain."
        told = f" ({belief.told})" if belief.told else ""
        if rows is None:
            return f"{name}: no databar{told}, all rows are restored."
        more = sum(self._bar_rows(other) is not None for other in self._layers) - 1
        others = f" So it is of {more} more." if more > 0 else ""
        return (
            f"{name}: rows {rows[0]} to {rows[1] - 1} show the specimen{told}; the databar is left "
            f"out.{others}"
        )
