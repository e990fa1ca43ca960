"""Two layers in turn at one place, by a key or by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["FASTEST", "KEY", "Blink"]

KEY = "B"
FASTEST = 3.0
"""Changes per second; flashing faster than that can cause seizures (WCAG 2.3.1)."""


class Blink(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Shows one of several layers at a time.

    Parameters
    ----------
    viewer : Viewer
    layers : sequence of Image
        Layers of the viewer; all other pictures are hidden.
    parent : QObject, optional
        As Qt has it.
    """

    shown = Signal(str)
    """Name of the layer that is shown now."""

    def __init__(self, viewer: Any, layers: Sequence[Image], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = list(layers)
        self._current = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.flip)
        self._former = viewer.bind_key(KEY, None)
        viewer.bind_key(KEY, self._on_key)
        for layer in viewer.layers:
            if hasattr(layer, "contrast_limits"):
                layer.visible = False
        for layer in self._layers:
            layer.name_overlay.visible = True
        self._show()

    @property
    def current(self) -> Image:
        """The layer that is shown."""
        return self._layers[self._current]

    def flip(self) -> None:
        """Show the next layer."""
        self._current = (self._current + 1) % len(self._layers)
        self._show()

    def run(self, rate: float) -> None:
        """Change by itself.

        Parameters
        ----------
        rate : float
            Changes per second, at most `FASTEST`; 0 changes by the key alone.
        """
        if rate <= 0:
            self._timer.stop()
        else:
            self._timer.start(round(1000 / min(rate, FASTEST)))

    def stop(self) -> None:
        """Let go of the key and of the clock."""
        self._timer.stop()
        self._viewer.bind_key(KEY, None)
        if self._former is not None:
            self._viewer.bind_key(KEY, self._former)

    def _on_key(self, viewer: Any) -> None:
        self.flip()

    def _show(self) -> None:
        for layer in self._layers:
            layer.visible = layer is self.current
        self.shown.emit(self.current.name)
