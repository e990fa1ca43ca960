"""A slider from plain interpolation to all that the network did, on a layer that is there."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.imaging.plane import bicubic_double
from napari_semnet.widgets.layer_watch import PixelsOf
from napari_semnet.widgets.layers import METADATA_KEY, source_pixels
from napari_semnet.widgets.planes import rounded
from napari_semnet.widgets.trust_work import Pair, pair_of

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["FULL_KEY", "StrengthSlider", "blended", "plain_enlargement"]

FULL_KEY = "semnet_full_strength"
"""Where the metadata of a weakened layer keep what the network gave."""
LARGEST = 2**25
"""Pixels of a layer up to which it is blended while the slider moves."""
STEPS = 100


def plain_enlargement(raw: Image, restored: Image, viewer: Any) -> NDArray[np.float32]:
    """Enlarge what a restoration was made from by bicubic interpolation.

    Raises
    ------
    ImageError
        The two do not belong together or lie together no longer, or the restoration is on a disk
        or too large for this.
    """
    pixels = restored.data
    elsewhere = "Restore the file with napari-semnet restore --strength."
    if not isinstance(pixels, np.ndarray):
        raise ImageError(
            f"“{restored.name}” is on a disk, where the slider changes nothing. {elsewhere}"
        )
    if pixels.size > LARGEST:
        raise ImageError(f"“{restored.name}” is too large to be blended in the viewer. {elsewhere}")
    pair = pair_of(raw, restored, viewer)
    if tuple(pair.restored.pixels.shape) != tuple(pixels.shape[-2:]):
        raise ImageError(
            f"“{raw.name}” does not lie under all of “{restored.name}”. Move it back there, or "
            "restore the image again."
        )
    leading = pixels.shape[:-2]
    if int(np.prod(leading)) == 1:
        return bicubic_double(pair.raw.pixels).reshape(pixels.shape)
    return _enlarged_stack(raw, pair, leading).reshape(pixels.shape)


def _enlarged_stack(raw: Image, pair: Pair, leading: tuple[int, ...]) -> NDArray[np.float32]:
    source = source_pixels(raw)
    if tuple(source.shape[: len(leading)]) != leading or raw.rgb:
        raise ImageError(
            "The restoration has other slices than its source, so that the two cannot be blended. "
            "Restore the slice in view, or the whole layer."
        )
    return np.stack(
        [
            bicubic_double(np.asarray(source[index])[pair.rows, pair.columns])
            for index in np.ndindex(*leading)
        ]
    )


def blended(full: NDArray[Any], plain: NDArray[np.float32], strength: float) -> NDArray[Any]:
    """Blend a restoration with plain enlargement.

    Parameters
    ----------
    full : ndarray
        What the network gave.
    plain : ndarray of float32
        Bicubic enlargement, of the same shape.
    strength : float
        0 to 1.

    Returns
    -------
    ndarray
        In the data type of `full`; equal to it at full strength.
    """
    if strength == 1:
        return full.copy()
    return rounded(plain + np.float32(strength) * (full.astype(np.float32) - plain), full.dtype)


@dataclass(frozen=True, slots=True)
class _Blend:
    raw: weakref.ref[Image]
    enlarged: PixelsOf
    """The pixels that were enlarged: a layer may get others."""
    layer: weakref.ref[Image]
    full: NDArray[Any]
    plain: NDArray[np.float32]

    def is_of(self, raw: Image, restored: Image) -> bool:
        """Whether this is still what the two layers are blended from."""
        return (
            self.enlarged.are_in(raw)
            and self.full is restored.metadata.get(FULL_KEY)
            and self.raw() is raw
            and self.layer() is restored
        )


class StrengthSlider(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Blends the chosen restoration while the slider moves.

    Parameters
    ----------
    viewer : Viewer
    pair : callable
        Gives the raw layer and its restoration, or raises what stands against it.
    parent : QWidget, optional
        As Qt has it.
    """

    refused = Signal(str)
    """What stands against it."""

    def __init__(
        self,
        viewer: Any,
        pair: Callable[[], tuple[Image, Image]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._pair = viewer, pair
        self._blend: _Blend | None = None
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, STEPS)
        self.slider.setValue(STEPS)
        self.slider.setToolTip("0 %: bicubic enlargement of the noisy image; 100 %: the model")
        self.value = QLabel("100 %", self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, 1)
        row.addWidget(self.value)
        self.slider.valueChanged.connect(self._on_value)

    def follow(self) -> None:
        """Show the strength of the restoration that is chosen now."""
        try:
            strength = _strength_of(self._pair()[1])
        except SemnetError:
            strength = 1.0
        self._show(strength)

    def _show(self, strength: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(STEPS * strength))
        self.slider.blockSignals(False)
        self.value.setText(f"{round(STEPS * strength)} %")

    def _on_value(self, value: int) -> None:
        try:
            raw, restored = self._pair()
            blend = self._blend_of(raw, restored)
        except SemnetError as error:
            self.follow()
            self.refused.emit(str(error))
            return
        strength = value / STEPS
        _note_strength(restored, strength)
        # Not into the array that is there: somebody may be saving or measuring it.
        restored.data = blended(blend.full, blend.plain, strength)
        self.value.setText(f"{value} %")

    def _blend_of(self, raw: Image, restored: Image) -> _Blend:
        kept = self._blend
        if kept is not None and kept.is_of(raw, restored):
            return kept
        full = restored.metadata.get(FULL_KEY)
        if full is None:
            if _strength_of(restored) != 1:
                raise ImageError(
                    f"“{restored.name}” was made with a strength of "
                    f"{_strength_of(restored):.0%}. Restore the image again to choose another."
                )
            plain = plain_enlargement(raw, restored, self._viewer)
            full = restored.data.copy()
            restored.metadata[FULL_KEY] = full
        else:
            plain = plain_enlargement(raw, restored, self._viewer)
        self._blend = _Blend(weakref.ref(raw), PixelsOf(raw), weakref.ref(restored), full, plain)
        return self._blend


def _strength_of(layer: Image) -> float:
    record = layer.metadata.get(METADATA_KEY)
    chosen = record.get("parameters", {}) if isinstance(record, dict) else {}
    return float(chosen.get("strength", 1.0))


def _note_strength(layer: Image, strength: float) -> None:
    """Write the strength into the layer's record, which goes with it into files."""
    record = layer.metadata.get(METADATA_KEY)
    if isinstance(record, dict):
        chosen = {**record.get("parameters", {}), "strength": strength}
        layer.metadata[METADATA_KEY] = {**record, "parameters": chosen}
