"""What a comparison changes of a viewer, remembered and put back."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Image, Layer

__all__ = ["SharedContrast", "ViewerState"]

_GRID = ("stride", "shape", "spacing", "enabled")
_BAR = ("visible", "gridded")
_NAME = ("visible", "font_size")


@dataclass(frozen=True, slots=True)
class _LayerState:
    layer: weakref.ref[Layer]
    visible: bool
    name: dict[str, Any]
    contrast: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ViewerState:
    """Grid, scale bar, camera, and each layer's place in the list, visibility and contrast.

    Layers are held by weak references: one that is removed meanwhile is let go.
    """

    grid: dict[str, Any]
    bar: dict[str, Any]
    centre: tuple[float, ...]
    zoom: float
    layers: tuple[_LayerState, ...]
    selected: tuple[weakref.ref[Layer], ...]

    @classmethod
    def of(cls, viewer: Any) -> ViewerState:
        """Remember the state of a viewer."""
        return cls(
            _attributes(viewer.canvas.grid, _GRID),
            _attributes(viewer.canvas.overlays.scale_bar, _BAR),
            tuple(viewer.scene.camera.center),
            float(viewer.scene.camera.zoom),
            tuple(
                _LayerState(
                    weakref.ref(layer),
                    bool(layer.visible),
                    _attributes(layer.name_overlay, _NAME),
                    tuple(layer.contrast_limits) if hasattr(layer, "contrast_limits") else None,
                )
                for layer in viewer.layers
            ),
            tuple(weakref.ref(layer) for layer in viewer.layers.selection),
        )

    def restore(self, viewer: Any) -> None:
        """Put everything back; layers that came later stay above the others, as they are."""
        self.restore_canvas(viewer)
        place = 0
        for state in self.layers:
            layer = state.layer()
            if layer is None or layer not in viewer.layers:
                continue
            if viewer.layers.index(layer) != place:
                viewer.layers.move(viewer.layers.index(layer), place)
            layer.visible = state.visible
            _put_back(layer.name_overlay, state.name)
            if state.contrast is not None and tuple(layer.contrast_limits) != state.contrast:
                layer.contrast_limits = state.contrast
            place += 1
        selected = {layer for layer in (one() for one in self.selected) if layer is not None}
        viewer.layers.selection = selected.intersection(viewer.layers)
        viewer.scene.camera.center = self.centre
        viewer.scene.camera.zoom = self.zoom

    def restore_canvas(self, viewer: Any) -> None:
        """Put the grid and the scale bar back."""
        # The bar goes first: napari lays it out anew in cells that are about to vanish.
        _put_back(viewer.canvas.overlays.scale_bar, self.bar)
        _put_back(viewer.canvas.grid, self.grid)


class SharedContrast:
    """One set of contrast limits for several layers, until it is released.

    Parameters
    ----------
    layers : sequence of Image
        Those of the first one's data type take over its limits; colour is left alone.
    """

    def __init__(self, layers: Sequence[Image]) -> None:
        first = layers[0]
        self._layers = [layer for layer in layers if layer.dtype == first.dtype and not layer.rgb]
        for layer in self._layers[1:]:
            layer.contrast_limits = first.contrast_limits
        for layer in self._layers:
            layer.events.contrast_limits.connect(self._on_limits)

    def release(self) -> None:
        """Let each layer have limits of its own again; they keep what they have."""
        for layer in self._layers:
            layer.events.contrast_limits.disconnect(self._on_limits)
        self._layers = []

    def _on_limits(self, event: Any) -> None:
        limits = tuple(event.source.contrast_limits)
        for layer in self._layers:
            if tuple(layer.contrast_limits) != limits:
                layer.contrast_limits = limits


def _attributes(model: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(model, name) for name in names}


def _put_back(model: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if getattr(model, name) != value:
            setattr(model, name, value)
