"""What is compared: a raw layer, its restoration, the classical one, and another layer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QWidget

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.comparison import classical_bands
from napari_semnet.imaging.geometry import Placement
from napari_semnet.imaging.plane import Plane
from napari_semnet.widgets.background import Steps
from napari_semnet.widgets.layer_combo import LayerCombo
from napari_semnet.widgets.layer_watch import PIXELS, PLACE, LayerWatch, PixelsOf
from napari_semnet.widgets.layers import image_layers
from napari_semnet.widgets.lineage import is_ours, source_of
from napari_semnet.widgets.planes import (
    plane_of,
    refuse_other_slices,
    refuse_unfinished,
    rounded,
    slice_origin,
)

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["CLASSICAL", "Subject", "classical_steps"]

CLASSICAL = "classical"
"""Name of the classical restoration in legends and tables."""
PAUSE_MS = 200
"""Without a further change of a layer until it counts: sliders and the mouse make many."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What a classical restoration is made from."""

    raw: weakref.ref[Image]
    pixels: PixelsOf
    origin: tuple[int, ...]
    place: Placement
    sigma: float


@dataclass(frozen=True, slots=True)
class _Known:
    key: _Key
    plane: Plane


def classical_steps(raw: Plane, sigma: float) -> Steps:
    """Compute the classical restoration of a picture, in its data type.

    Yields
    ------
    float
        Finished part.
    """
    rows, columns = raw.grid.shape
    pixels: Any = np.empty((2 * rows, 2 * columns), dtype=raw.pixels.dtype)
    for band in classical_bands(raw.pixels, sigma):
        pixels[band.rows] = rounded(band.pixels, pixels.dtype)
        yield band.done / band.total
    return Plane(CLASSICAL, pixels, raw.grid.refined(2))


class Subject(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Lists to choose the layers from, at the top of the compare widget.

    Parameters
    ----------
    viewer : Viewer
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """Other pictures are compared now: of other layers, of another slice, with another blur, or as
    a layer got other pixels or another place."""
    moving = Signal()
    """A layer has got another place; `changed` follows when it stays there."""
    layers_changed = Signal()
    """They are of other layers; comes right after `changed`."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._known: _Known | None = None
        self._wanted: _Key | None = None
        self.raw_list = LayerCombo(viewer, "Choose the raw image", self)
        self.restored_list = LayerCombo(viewer, "Choose its restoration", self)
        self.other_list = LayerCombo(viewer, "None", self)
        self.other_list.setToolTip(
            "A reference (slow scan of the same place), a second acquisition, or the result of "
            "another model"
        )
        self.has_classical = QCheckBox("Classical: bicubic, Gaussian", self)
        self.has_classical.setChecked(True)
        self.has_classical.setToolTip(
            "What interpolation and a blur achieve without any network, computed when needed"
        )
        self.sigma = QDoubleSpinBox(self)
        self.sigma.setRange(0.0, 20.0)
        self.sigma.setSingleStep(0.25)
        self.sigma.setDecimals(2)
        self.sigma.setValue(1.0)
        self.sigma.setSuffix(" px")
        self.sigma.setKeyboardTracking(False)
        self.sigma.setToolTip("Standard deviation of the blur, in pixels of the raw image")
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.changed)
        self._pixels = LayerWatch(PIXELS, self._on_pixels)
        self._place = LayerWatch(PLACE, self._on_place)
        self._lay_out()
        self.changed.connect(self._follow)
        for combo in (self.raw_list, self.restored_list, self.other_list):
            combo.chosen.connect(self.changed)
            combo.chosen.connect(self.layers_changed)
        self.has_classical.toggled.connect(lambda _: self.changed.emit())
        self.sigma.valueChanged.connect(lambda _: self.changed.emit())
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.dims.events.current_step.connect(self._on_slice)
        self.guess()

    def guess(self, restored: Image | None = None) -> None:
        """Choose a restoration and its source.

        Parameters
        ----------
        restored : Image, optional
            The restoration; the topmost one whose source is there by default.
        """
        layers = [layer for layer in image_layers(self.viewer.layers) if not is_ours(layer)]
        made = [layer for layer in layers if source_of(layer, layers) is not None]
        if restored is None:
            selected = [layer for layer in made if layer in self.viewer.layers.selection]
            restored = next(iter(selected + made), None)
        if restored is None:
            return
        self.restored_list.choose(restored)
        self.raw_list.choose(source_of(restored, layers))

    def raw(self) -> Image:
        """Give the raw layer, or refuse with what to do."""
        return _chosen(self.raw_list, "raw image")

    def restored(self) -> Image:
        """Give the restored layer, or refuse with what to do."""
        layer = _chosen(self.restored_list, "restoration")
        if layer is self.raw_list.layer():
            raise SemnetError("The raw image and the restoration are one layer. Choose two.")
        refuse_unfinished(layer)
        self._refuse_other_slices()
        return layer

    def pair(self) -> tuple[Image, Image]:
        """Give the raw layer and the restored one, or refuse with what to do."""
        return self.raw(), self.restored()

    def other(self) -> Image | None:
        """Give the third layer, if one is chosen."""
        layer: Image | None = self.other_list.layer()
        return layer

    def layers(self) -> list[Image]:
        """Give the chosen layers: raw, restored, other."""
        chosen = [self.raw_list.layer(), self.restored_list.layer(), self.other()]
        return list(dict.fromkeys(layer for layer in chosen if layer is not None))

    def planes(self) -> list[Plane]:
        """Give the pictures that are compared, the classical one only if it is computed.

        Raises
        ------
        SemnetError
            No layer is chosen, or one of them is no grey picture or not finished.
        """
        layers = self.layers()
        if not layers:
            raise SemnetError("Choose the raw image and its restoration above.")
        for layer in layers:
            refuse_unfinished(layer)
        self._refuse_other_slices()
        planes = [plane_of(layer, self.viewer) for layer in layers]
        known = self.classical()
        if known is not None:
            planes.insert(1 if self.raw_list.layer() is not None else 0, known)
        return planes

    def _refuse_other_slices(self) -> None:
        raw, restored = self.raw_list.layer(), self.restored_list.layer()
        if raw is not None and restored is not None:
            refuse_other_slices(raw, restored, self.viewer)

    def classical(self) -> Plane | None:
        """Give the classical restoration, if it is asked for and computed."""
        key = self._key()
        known = self._known
        return known.plane if key is not None and known is not None and known.key == key else None

    def missing_classical(self) -> Callable[[], Steps] | None:
        """Give the work that computes the classical restoration; None where none is needed."""
        key = self._key()
        if key is None or self.classical() is not None:
            return None
        self._wanted = key
        return partial(classical_steps, plane_of(self.raw(), self.viewer), key.sigma)

    def keep_classical(self, plane: Plane) -> None:
        """Remember what the last work of `missing_classical` computed."""
        if self._wanted is not None:
            self._known = _Known(self._wanted, plane)
            self._wanted = None

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        for combo in (self.raw_list, self.restored_list, self.other_list):
            combo.let_go()
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.dims.events.current_step.disconnect(self._on_slice)
        self._pause.stop()
        for watch in (self._pixels, self._place):
            watch.follow(())
        self._known = None

    def _follow(self) -> None:
        """Hear of what becomes of the layers that are compared now."""
        self._pause.stop()
        for watch in (self._pixels, self._place):
            watch.follow(self.layers())

    def _on_pixels(self, event: Any = None) -> None:
        self._pause.start()

    def _on_place(self, event: Any = None) -> None:
        self.moving.emit()
        self._pause.start()

    def _key(self) -> _Key | None:
        """Say what the classical restoration is made from now; None where it is not asked for."""
        raw = self.raw_list.layer()
        if raw is None or not self.has_classical.isChecked():
            return None
        origin = slice_origin(raw, self.viewer)
        return _Key(weakref.ref(raw), PixelsOf(raw), origin, Placement.of(raw), self.sigma.value())

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Raw", self.raw_list)
        form.addRow("Restored", self.restored_list)
        form.addRow("Other", self.other_list)
        row = QHBoxLayout()
        row.addWidget(self.has_classical, 1)
        row.addWidget(self.sigma)
        form.addRow(row)

    def _on_inserted(self, event: Any = None) -> None:
        if self.restored_list.layer() is None:
            self.guess()

    def _on_slice(self, event: Any = None) -> None:
        if any(layer.ndim > 2 for layer in self.layers()):
            self.changed.emit()


def _chosen(combo: LayerCombo, what: str) -> Image:
    layer: Image | None = combo.layer()
    if layer is None:
        raise SemnetError(f"No {what} is chosen. Choose one at the top of the widget.")
    return layer
