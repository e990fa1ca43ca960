"""Hear of changes to some layers of a viewer, whoever makes them. No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["PIXELS", "PLACE", "LayerWatch"]

PIXELS = ("data",)
"""Events of a layer that has other pixels now."""
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer that lies elsewhere now."""


class LayerWatch:
    """Follows the layers that it was told last.

    Parameters
    ----------
    events : sequence of str
        Names of napari's events of layers.
    tell : callable
        Gets each event; a method, of which napari keeps no more than a weak reference.
    """

    def __init__(self, events: Sequence[str], tell: Callable[[Any], None]) -> None:
        self._events, self._tell = tuple(events), tell
        self._layers: tuple[weakref.ref[Layer], ...] = ()

    def follow(self, layers: Sequence[Layer]) -> None:
        """Follow these layers from now on, and no others."""
        for emitter in self._emitters():
            emitter.disconnect(self._tell)
        self._layers = tuple(weakref.ref(layer) for layer in layers)
        for emitter in self._emitters():
            emitter.connect(self._tell)

    def _emitters(self) -> list[Any]:
        layers = [layer for layer in (one() for one in self._layers) if layer is not None]
        return [getattr(layer.events, name) for layer in layers for name in self._events]
