"""Which acquisition a layer comes from, as far as its metadata tell. No Qt here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari.layers import Image

from napari_semnet.errors import ImageError
from napari_semnet.widgets.layers import SOURCE_KEY, identity, is_made_from, source_name

__all__ = [
    "MADE_BY_COMPARISON",
    "OVER_KEY",
    "is_ours",
    "layers_over",
    "refuse_one_acquisition",
    "source_of",
]

MADE_BY_COMPARISON = "semnet_comparison"
"""Where the metadata of layers that a comparison adds tell what they are."""
OVER_KEY = "semnet_over"
"""Where the metadata of what is shown or drawn over a layer tell which layer that is."""


def is_ours(layer: Any) -> bool:
    """Whether a comparison added the layer."""
    return MADE_BY_COMPARISON in layer.metadata


def source_of(layer: Image, layers: Iterable[Any]) -> Image | None:
    """Find the layer that a restored one was made from, if it is there still."""
    return next(
        (other for other in layers if isinstance(other, Image) and is_made_from(layer, other)), None
    )


def layers_over(ground: Iterable[Any], layers: Iterable[Any]) -> list[Any]:
    """Find what was laid over some layers: maps, differences, lines and regions."""
    known = {identity(layer) for layer in ground}
    return [layer for layer in layers if layer.metadata.get(OVER_KEY) in known]


def refuse_one_acquisition(first: Image, second: Image | None) -> None:
    """Refuse to correlate a picture with itself or with what was made from it.

    Raises
    ------
    ImageError
        There is no second layer, or both come from one acquisition.
    """
    reason = (
        "Fourier ring correlation needs two separate acquisitions of one place: within one, noise "
        "agrees with itself, and a mere blur would look like better resolution. "
    )
    if second is None:
        raise ImageError(
            reason + "Open a second acquisition of the same place and choose it as “Other”."
        )
    if first is second or _are_of_one_acquisition(first, second):
        raise ImageError(
            reason + f"“{first.name}” and “{second.name}” come from one. Choose another layer."
        )


def _are_of_one_acquisition(first: Image, second: Image) -> bool:
    known = [_acquisition(layer) for layer in (first, second)]
    if None not in known:
        return known[0] == known[1]
    names = [source_name(layer) or layer.name for layer in (first, second)]
    return bool(names[0] == names[1])


def _acquisition(layer: Image) -> str | None:
    """Identity of the layer with the acquired pixels; None of a restoration out of a file."""
    if source_name(layer) is None:
        return identity(layer)
    source: str | None = layer.metadata.get(SOURCE_KEY)
    return source
