"""Hear of changes to some layers of a viewer, whoever makes them. No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["PIXELS", "PLACE", "LayerWatch", "PixelsOf"]

PIXELS = ("data",)
"""Events of a layer that has other pixels now."""
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer that lies elsewhere now."""


class PixelsOf:
    """The pixels that a layer had, without keeping them in memory where that is possible.

    Equal to others of the same array. An array that came to lie at the same address is another one.
    """

    def __init__(self, layer: Layer) -> None:
        data = layer.data
        self._data: Callable[[], Any]
        try:
            self._data = weakref.ref(data)
        except TypeError:  # of some lazy arrays, which are small
            self._data = lambda: data

    def are_in(self, layer: Layer) -> bool:
        """Whether the layer still has them."""
        return self._data() is layer.data

    def __eq__(self, other: object) -> bool:
        """Whether both are of one array, which is still there."""
        data = self._data()
        return isinstance(other, PixelsOf) and data is not None and data is other._data()

    __hash__ = None  # type: ignore[assignment]  # what is equal changes when the array goes


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
