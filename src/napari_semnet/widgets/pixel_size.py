"""Ask for a pixel size where a layer has none that can be trusted."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.files.calibration import NM_PER_UNIT, number
from napari_semnet.files.given_size import DRAWN, TYPED
from napari_semnet.files.methods import pixel_size_text
from napari_semnet.widgets.calibrating import Calibration, calibrate, trusted_size
from napari_semnet.widgets.drawn import Drawing
from napari_semnet.widgets.layers import image_layers
from napari_semnet.widgets.lineage import source_of
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.record import pixel_size_nm

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["PixelSizePanel"]

UNITS = ("nm", "µm", "mm", "pm")


class PixelSizePanel(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Lets the user type a pixel size, or draw over the scale bar and type its length.

    It shows only where one of the chosen layers has no pixel size or a doubtful one, and after a
    pixel size was set, to undo that.

    Parameters
    ----------
    viewer : Viewer
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """A layer has another pixel size now."""
    said = Signal(str)
    """What a user should read."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._measured: weakref.ref[Image] | None = None
        self._done: list[Calibration] = []
        self.drawing = Drawing(viewer, "scale bar", "add_line", self)
        self.drawing.changed.connect(self._update)
        self.text = WrappedLabel(self)
        self.value = QLineEdit(self)
        self.value.setMinimumWidth(50)
        self.unit = QComboBox(self)
        self.unit.addItems(UNITS)
        self.set_button = QPushButton("Set", self)
        self.draw_button = QPushButton("Draw over the scale bar", self)
        self.draw_button.setToolTip(
            "Draw a line from one end of the scale bar to the other,\n"
            "then type the length that is printed beside it"
        )
        self.undo_button = QPushButton("Undo", self)
        row = QGridLayout()
        row.setColumnStretch(0, 1)
        for column, part in enumerate((self.value, self.unit, self.set_button)):
            row.addWidget(part, 0, column)
        row.addWidget(self.draw_button, 1, 0, 1, 3)
        self._fields = QWidget(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._fields.setLayout(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self._fields)
        layout.addWidget(self.undo_button)
        self.set_button.clicked.connect(self.set)
        self.value.returnPressed.connect(self.set)
        self.draw_button.clicked.connect(self.draw)
        self.undo_button.clicked.connect(self.undo)
        self._update()

    def show_layers(self, layers: Sequence[Image]) -> None:
        """Speak of these layers from now on."""
        everything = image_layers(self._viewer.layers)
        # A restoration lies over its source, and follows it.
        sources = (source_of(layer, everything) or layer for layer in layers)
        self._layers = list(dict.fromkeys(sources))
        if self._drawn_over() is not None and self._drawn_over() not in self._layers:
            self._stop_drawing()
        self._update()

    def draw(self) -> None:
        """Let the user draw a line over the scale bar."""
        layer = self._subject()
        if layer is None:
            return
        self._stop_drawing()
        self._measured = weakref.ref(layer)
        self.drawing.draw(layer)
        self._update()

    def set(self) -> None:
        """Give the layer the pixel size that was typed, or that follows from the drawn line."""
        layer = self._subject()
        length = number(self.value.text().strip().replace(",", "."))
        if layer is None:
            return
        if length is None or length <= 0:
            self.said.emit("Type a length above zero first, such as 5.2")
            return
        unit = self.unit.currentText()
        length_nm = length * NM_PER_UNIT[unit]
        pixels = self._line_pixels()
        if self._drawn_over() is not None and pixels is None:
            self.said.emit("Draw a line over the scale bar first, or remove its layer")
            return
        size = length_nm if pixels is None else length_nm / pixels
        source = (
            TYPED
            if pixels is None
            else f"a scale bar of {length:g} {unit} {DRAWN}, {pixels:.1f} pixels"
        )
        try:
            done = calibrate(self._viewer, layer, size, source)
        except SemnetError as error:
            self.said.emit(str(error))
            return
        self._done.append(done)
        self._stop_drawing()
        self.value.clear()
        self.changed.emit()
        self._update()

    def undo(self) -> None:
        """Take the size that was given last back; pressed again, the one before it."""
        last = self._last()
        if last is not None:
            self._done.remove(last)
            last.undo(self._viewer)
            self.changed.emit()
        self._update()

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        self._stop_drawing()
        self.drawing.let_go()

    def _stop_drawing(self) -> None:
        shapes, self._measured = self.drawing.layer, None
        if shapes is not None and shapes in self._viewer.layers:
            self._viewer.layers.remove(shapes)

    def _drawn_over(self) -> Image | None:
        if self._measured is None or self.drawing.layer is None:
            return None
        return self._measured()

    def _subject(self) -> Image | None:
        """Give the layer of which is spoken: the first without a pixel size to be trusted."""
        drawn = self._drawn_over()
        if drawn is not None:
            return drawn
        return next((layer for layer in self._layers if not trusted_size(layer)), None)

    def _line_pixels(self) -> float | None:
        """Length of the drawn line in pixels along X; None where none is drawn."""
        layer, shapes = self._drawn_over(), self.drawing.layer
        if layer is None or shapes is None or not len(shapes.data):
            return None
        ends = np.asarray(shapes.data[-1], float)[[0, -1], -2:]
        # The drawing has the layer's own pixels, which need not be square.
        aspect = abs(float(layer.scale[-2] / layer.scale[-1]))
        across, down = ends[1, 1] - ends[0, 1], (ends[1, 0] - ends[0, 0]) * aspect
        length = float(np.hypot(across, down))
        return length if length >= 1 else None

    def _last(self) -> Calibration | None:
        """Give what was done last to a layer that is there still."""
        layers = image_layers(self._viewer.layers)
        self._done = [done for done in self._done if done.layer() in layers]
        return self._done[-1] if self._done else None

    def _update(self) -> None:
        layer, last = self._subject(), self._last()
        self.setVisible(layer is not None or last is not None)
        self._fields.setVisible(layer is not None)
        self.undo_button.setVisible(last is not None)
        if layer is not None:
            self.text.setText(self._question(layer))
        elif last is not None:
            self.text.setText(f"{last.words}.")
        drawing = self._drawn_over() is not None
        self.value.setPlaceholderText("Length of the bar" if drawing else "Pixel size")

    def _question(self, layer: Image) -> str:
        name = f"'{layer.name}'"
        if self._drawn_over() is not None:
            pixels = self._line_pixels()
            if pixels is None:
                return f"{name}: draw a line from one end of the scale bar to the other."
            return f"{name}: the line is {pixels:.1f} pixels long. How long is the scale bar?"
        size = pixel_size_nm(layer)
        if size is not None:
            return (
                f"{name}: {pixel_size_text(size)} per pixel is doubtful. Check it against the "
                "scale bar, or set it:"
            )
        return f"{name} has no physical units: the scale bar will count pixels. Its pixel size is:"
