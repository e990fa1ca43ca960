"""What a user chose, and its one translation into the engine's settings.

Neither Qt nor napari is needed here: the restore widget and napari's preferences both end in
`Choices`, and nothing else speaks to the engine about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from napari_semnet.errors import ImageError

if TYPE_CHECKING:
    from napari_semnet.restoration.restorer import Restorer, Settings

__all__ = [
    "AUTO",
    "HALOS",
    "NON_FINITE",
    "PRECISIONS",
    "REGIONS",
    "Choices",
    "KeptRestorer",
]

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
NonFinite: TypeAlias = Literal["refuse", "mask"]

AUTO = "auto"

REGIONS = {
    "layer": "Whole layer",
    "viewed": "Whole layer, as it is viewed",
    "view": "Current view",
    "slice": "Current slice",
}
"""What of a layer is restored, and how the widget calls it."""

PRECISIONS = {
    AUTO: "Automatic",
    "bf16": "bf16 (faster)",
    "fp32": "fp32 (most exact)",
}

HALOS = {
    AUTO: "Automatic",
    "exact": "Exact",
}
"""Named halos; any number of pixels may be given instead."""

NON_FINITE = {
    "refuse": "Refuse the image",
    "mask": "Keep them, restore around them",
}
"""What happens to NaN and infinite pixels."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything about a restoration that a user can choose, besides the layers.

    All but `intensity`, which belongs to one image, is kept between sessions under the same
    names in the manifest's configuration ``restoration``.
    """

    model: str = ""
    """Name or path of a model; empty for the one that comes with the package."""
    device: str = AUTO
    """``auto``, or a device as PyTorch names it: ``cpu``, ``cuda:0``, ``mps``."""
    precision: str = AUTO
    """A key of `PRECISIONS`."""
    tile: int = 0
    """Side of a tile in pixels of the source; 0 lets the engine choose."""
    halo: str = AUTO
    """A key of `HALOS`, or a number of source pixels."""
    non_finite: str = "refuse"
    """A key of `NON_FINITE`."""
    region: str = "layer"
    """A key of `REGIONS`."""
    folder: str = ""
    """Where results go that fill up as they are viewed; empty for the source's own folder."""
    intensity: tuple[float, float] | None = None
    """Values that become black and white for the network; None lets the engine measure them."""

    def engine_settings(self) -> Settings:
        """Translate into what `Restorer` takes.

        Raises
        ------
        ImageError
            The halo is no number, or the intensity range is empty.
        """
        from napari_semnet.restoration.restorer import Settings

        if self.intensity is not None and not self.intensity[0] < self.intensity[1]:
            raise ImageError(
                f"The intensity range from {self.intensity[0]:g} to {self.intensity[1]:g} is "
                "empty. Give a low value and a higher one, or choose the automatic range."
            )
        return Settings(
            device=self.device,
            precision=cast("Precision", self.precision),
            tile=self.tile if self.tile > 0 else "auto",
            halo=self._halo(),
            intensity=self.intensity if self.intensity is not None else "auto",
            non_finite=cast("NonFinite", self.non_finite),
        )

    def _halo(self) -> Literal["auto", "exact"] | int:
        if self.halo in HALOS:
            return cast('Literal["auto", "exact"]', self.halo)
        if self.halo.strip().isdecimal():
            return int(self.halo)
        raise ImageError(
            f"The halo '{self.halo}' is neither a number of pixels nor one of "
            f"{', '.join(HALOS)}. Set one of these under Advanced."
        )


class KeptRestorer:
    """Keeps the last restorer, so that a second run with the same choices starts at once.

    It is used from worker threads, so it must know nothing of the window.
    """

    def __init__(self) -> None:
        self._kept: tuple[object, Restorer] | None = None

    def get(self, choices: Choices) -> Restorer:
        """Load the model and make it ready on the device; the first time this takes seconds.

        Raises
        ------
        SemnetError
            The model or the device cannot be used.
        """
        from napari_semnet.model import DEFAULT_MODEL, resolve_model
        from napari_semnet.restoration.restorer import Restorer

        path = resolve_model(choices.model or DEFAULT_MODEL)
        settings = choices.engine_settings()
        key = (path, path.stat().st_mtime_ns, settings)
        if self._kept is None or self._kept[0] != key:
            # Let go of the old network first: two might not fit the device.
            self._kept = None
            self._kept = (key, Restorer(path, settings))
        return self._kept[1]
