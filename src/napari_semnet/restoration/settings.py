"""How to restore: what a person can choose, with defaults that suit any machine and image."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from napari_semnet.errors import DeviceError, SemnetError

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to restore; the defaults suit any machine and image."""

    device: str = "auto"
    """``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: the fastest that the device computes natively."""
    tile: Literal["auto"] | int | tuple[int, int] = "auto"
    """Largest core of a tile in input pixels, one number or (Y, X), and larger at the border by the
    halo that it has none of there; ``auto``: as memory allows."""
    halo: Literal["auto", "exact"] | int = "auto"
    """Input pixels read around each core. ``exact``: as far as the network can reach; ``auto``: as
    far as the model was measured to reach, else exact."""
    intensity: Literal["auto"] | tuple[float, float] = "auto"
    """Values of the image that the network sees as 0 and 1."""
    non_finite: Literal["refuse", "mask"] = "refuse"
    """What to do with NaN and infinite pixels."""
    strength: float = 1.0
    """From 0, bicubic enlargement of the noisy image, to 1, all that the network does."""
    backend: Literal["auto", "torch", "torch-stacked", "openvino"] = "auto"
    """What computes on a CPU; ``auto``: what was measured to be fastest on this machine."""

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "fp32", "bf16"):
            raise DeviceError(f"The precision is auto, fp32 or bf16, not '{self.precision}'.")
        # NumPy's whole numbers are kept as Python's, which a record can hold as JSON.
        object.__setattr__(self, "tile", _checked_tile(self.tile))
        object.__setattr__(self, "halo", _checked_halo(self.halo))
        if self.backend not in ("auto", "torch", "torch-stacked", "openvino"):
            raise DeviceError(
                f"The backend is auto, torch, torch-stacked or openvino, not '{self.backend}'."
            )
        if not 0 <= self.strength <= 1:
            raise SemnetError(
                f"A strength lies between 0 (plain enlargement) and 1 (the model's restoration); "
                f"{self.strength:g} does not."
            )
        if self.non_finite not in ("refuse", "mask"):
            raise SemnetError(
                f"Pixels that are not finite are refused or masked ('refuse' or 'mask'), not "
                f"{self.non_finite!r}."
            )


def _checked_tile(tile: Any) -> str | int | tuple[int, int]:
    if isinstance(tile, str) and tile == "auto":
        return tile
    if isinstance(tile, tuple) and len(tile) == 2 and all(_is_whole(side, 1) for side in tile):
        return int(tile[0]), int(tile[1])
    if _is_whole(tile, 1):
        return int(tile)
    raise SemnetError(f"A tile is 'auto' or one or two whole numbers of pixels, not {tile!r}.")


def _checked_halo(halo: Any) -> str | int:
    if isinstance(halo, str) and halo in ("auto", "exact"):
        return halo
    if _is_whole(halo, 0):
        return int(halo)
    raise SemnetError(f"A halo is 'auto', 'exact' or a whole number of pixels, not {halo!r}.")


def _is_whole(number: Any, least: int) -> bool:
    """Whether it is a whole number, of Python or NumPy, and no truth value."""
    return not isinstance(number, bool) and isinstance(number, Integral) and int(number) >= least
