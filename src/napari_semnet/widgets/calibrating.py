"""Give layers a pixel size, in a way that can be undone. No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semnet.errors import ImageError
from napari_semnet.files.calibration import PixelSize
from napari_semnet.files.calibration import pixel_size as checked_size
from napari_semnet.files.layers import FILE_KEY
from napari_semnet.files.methods import pixel_size_text
from napari_semnet.imaging.geometry import Placement
from napari_semnet.widgets.layers import METADATA_KEY, image_layers
from napari_semnet.widgets.lineage import layers_over, source_of
from napari_semnet.widgets.record import pixel_size_nm, sizes_of

if TYPE_CHECKING:
    from napari.layers import Image, Layer

__all__ = ["Calibration", "calibrate", "trusted_size"]

NM = "nanometer"
_SIZES = {
    FILE_KEY: ("pixel_size",),
    METADATA_KEY: ("source_pixel_size_nm", "source_pixel_size_from", "pixel_size_nm"),
}
"""What of a layer's metadata tells the size of its pixels."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What a layer was before it got its pixel size."""

    layer: weakref.ref[Layer]
    placement: Placement
    told: dict[str, dict[str, Any]]
    """What its metadata said of the size of its pixels."""

    given: Placement
    """What it had from then on."""

    @classmethod
    def of(cls, layer: Layer, given: Placement) -> _Before:
        told = {
            key: {name: known[name] for name in names if name in known}
            for key, names in _SIZES.items()
            if isinstance(known := layer.metadata.get(key), dict)
        }
        return cls(weakref.ref(layer), Placement.of(layer), told, given)

    def restore(self, factor: float) -> None:
        layer = self.layer()
        if layer is None:
            return
        now, units = Placement.of(layer), self.placement.units[-2:]
        # Where it was moved or turned to since then, it stays; else nothing is lost to rounding.
        _place(layer, self.placement if now == self.given else _grown(now, 1 / factor, units))
        for key, names in _SIZES.items():
            # What was said of other things since then stays, such as where the databar is.
            known = layer.metadata.pop(key, None) or {}
            others = {name: value for name, value in known.items() if name not in names}
            if others or key in self.told:
                layer.metadata[key] = others | self.told.get(key, {})


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pixel size that a user gave to a layer."""

    words: str
    """What was done."""
    factor: float
    """By which the world grew."""
    befores: tuple[_Before, ...]
    """The layer first, then its restorations and what lies over them."""

    def layer(self) -> Image | None:
        """Give the layer, if it is still there."""
        return self.befores[0].layer()

    def undo(self, viewer: Any) -> None:
        """Take the size back from the layers, and from the restorations made since."""
        layer = self.layer()
        if layer is None:
            return
        known = [before.layer() for before in self.befores]
        since = [one for one in _family(layer, viewer) if one not in known]
        for before in self.befores:
            before.restore(self.factor)
        units = self.befores[0].placement.units[-2:]
        for one in since:
            _place(one, _grown(Placement.of(one), 1 / self.factor, units))
        _tell_sizes(since, layer)
        _zoom(viewer, 1 / self.factor)


def trusted_size(layer: Image) -> bool:
    """Whether a layer has a pixel size, and one that nobody called doubtful."""
    if pixel_size_nm(layer) is None:
        return False
    told = layer.metadata.get(FILE_KEY)
    stated = told.get("pixel_size") if isinstance(told, dict) else None
    return not isinstance(stated, dict) or stated.get("confidence") != "low"


def calibrate(viewer: Any, layer: Image, size_nm: float, source: str) -> Calibration:
    """Give a layer its pixel size, and with it the restorations and whatever lies over it.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Image
        Its pixels may be longer than wide; they stay so.
    size_nm : float
        Width of a pixel.
    source : str
        Where the value comes from, for the record.

    Raises
    ------
    ImageError
        No pixel of an electron microscope has this size.
    """
    present = pixel_size_nm(layer)
    height, width = _size_in_world(layer) if present is None else present
    size = checked_size(size_nm * height / width, size_nm, source, "medium")
    if size is None:
        raise ImageError(
            f"{size_nm:g} nm is no size of a pixel: it must be between 0.001 nm and 1 mm. Check "
            "the number and its unit."
        )
    factor = size_nm / width
    family = _family(layer, viewer)
    befores = []
    for one in family:
        place = Placement.of(one)
        given = _grown(place, factor, (NM, NM) if present is None else place.units[-2:])
        befores.append(_Before.of(one, given))
        _place(one, given)
    told = layer.metadata.get(FILE_KEY)
    known = dict(told) if isinstance(told, dict) else {}
    layer.metadata[FILE_KEY] = known | {"pixel_size": asdict(size)}
    _tell_sizes(family[1:], layer)
    _zoom(viewer, factor)
    words = f"'{layer.name}': {pixel_size_text(size.yx)} per pixel, {_short(size)}"
    return Calibration(words, factor, tuple(befores))


def _size_in_world(layer: Image) -> tuple[float, float]:
    """Length of a pixel along Y and X in units of the world, whatever they are."""
    place, n = Placement.of(layer), layer.ndim
    steps = place.to_world(np.eye(n)[-2:]) - place.to_world(np.zeros(n))
    # A turn of the layer would leave its rounding in what the user typed.
    height, width = (float(f"{length:.12g}") for length in np.linalg.norm(steps[:, -2:], axis=1))
    return height, width


def _short(size: PixelSize) -> str:
    return size.source.split(",")[0]


def _family(layer: Image, viewer: Any) -> list[Layer]:
    """Give a layer, and then its restorations and what was laid over any of these."""
    layers = image_layers(viewer.layers)
    made = [layer, *(other for other in layers if source_of(other, layers) is layer)]
    return list(dict.fromkeys([*made, *layers_over(made, viewer.layers)]))


def _tell_sizes(layers: Sequence[Layer], source: Image) -> None:
    """Write the size of a source's pixels into the records of its restorations."""
    for layer in layers:
        if METADATA_KEY in layer.metadata:
            layer.metadata[METADATA_KEY] = layer.metadata[METADATA_KEY] | sizes_of(source)


def _grown(place: Placement, factor: float, units: tuple[str, ...]) -> Placement:
    """Enlarge the world along Y and X around its origin, so that layers keep lying together."""
    n = place.ndim
    growth = np.ones(n)
    growth[-2:] = factor
    affine = np.array(place.affine)
    affine[:-1] *= growth[:, None]
    affine[:, :-1] /= growth[None, :]
    return Placement(
        scale=tuple(float(s) for s in np.asarray(place.scale) * growth),
        translate=tuple(float(t) for t in np.asarray(place.translate) * growth),
        rotate=place.rotate,
        shear=place.shear,
        affine=tuple(tuple(float(v) for v in row) for row in affine),
        units=(*place.units[:-2], *units),
        axis_labels=place.axis_labels,
    )


def _place(layer: Layer, place: Placement) -> None:
    layer.scale = place.scale
    layer.translate = place.translate
    layer.affine = np.array(place.affine)
    layer.units = place.units


def _zoom(viewer: Any, factor: float) -> None:
    """Let the canvas show the same pixels of a world that grew."""
    camera = viewer.scene.camera
    camera.center = tuple(c * factor for c in camera.center)
    camera.zoom /= factor
