"""Measure a network in training on crops that never change."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data, Pool
from napari_semnet.training.degradation import Profile, degrade
from napari_semnet.training.randomness import Draws, sample_keys
from napari_semnet.training.store import Field

__all__ = [
    "Crop",
    "Place",
    "Quality",
    "cut_crops",
    "fingerprint",
    "fixed_crops",
    "measure",
    "places_of",
    "triplets",
]

_SEED = 20_240_229
"""Crops and their degradation are the same for every run, whatever its own seed."""
_PREVIEWED = 4


@dataclass(frozen=True, slots=True)
class Crop:
    """A poor crop and its reference, (1, 1, Y, X) and (1, 1, 2Y, 2X) on the training device."""

    name: str
    """Of the picture, and of the profile where one degraded it."""
    low: Tensor
    target: Tensor
    picture: str = ""
    """Name of the picture alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crop is cut: a square of poor pixels whose corner is at (row, column)."""

    pool: Pool
    field: Field
    row: int
    column: int
    side: int

    @property
    def is_degraded(self) -> bool:
        """Whether its poor picture is made of the good one."""
        return self.field.low is None


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over crops; NaN when the network gave a value that is not a number."""

    psnr: float
    """dB, data range 255."""
    ssim: float

    @property
    def is_finite(self) -> bool:
        """Whether there is anything to compare with."""
        return math.isfinite(self.psnr) and math.isfinite(self.ssim)


def fixed_crops(
    data: Data, config: TrainingConfig, profile: Profile, device: torch.device
) -> tuple[Crop, ...]:
    """Cut and degrade the validation crops; see `cut_crops`."""
    wanted = config.validation
    return cut_crops(data.validation, wanted.crops, wanted.crop, profile, device)


def cut_crops(
    pools: Sequence[Pool], count: int, side: int, profile: Profile, device: torch.device
) -> tuple[Crop, ...]:
    """Cut and degrade crops, the same for every run that has the same pictures.

    Parameters
    ----------
    pools : sequence of Pool
        Where to cut from; evenly over their pictures, at fixed random places.
    count : int
        Number of crops; none where there is no picture.
    side : int
        Of the poor crop in pixels; less where a picture is smaller.
    profile : Profile
        How to degrade what was not measured twice.
    device : torch.device
        Where the crops are wanted.
    """
    crops = []
    for number, place in enumerate(places_of(pools, count, side)):
        field = place.field
        good, measured = place.pool.patch(field, place.row, place.column, place.side)
        target = torch.from_numpy(np.ascontiguousarray(good))[None, None].to(device)
        if measured is None:
            low = degrade(target, profile, seed=_SEED, step=number)
        else:
            low = torch.from_numpy(np.ascontiguousarray(measured))[None, None].to(device)
        # The name goes into the model's card, and a file's name need not be text.
        name = Path(field.path).name.encode("utf-8", "backslashreplace").decode()
        said = f"{name} ({profile.name})" if place.is_degraded else name
        crops.append(Crop(said, low, target, name))
    return tuple(crops)


def places_of(pools: Sequence[Pool], count: int, side: int) -> tuple[Place, ...]:
    """Choose where crops are cut; see `cut_crops`."""
    entries = [(pool, field) for pool in pools for field in pool.fields]
    places = []
    for number in range(count if entries else 0):
        pool, field = entries[_spread(number, len(entries), count)]
        rows, columns = field.target.rows // 2, field.target.columns // 2
        here = min(side, rows, columns)
        draws = Draws(sample_keys(_SEED, number, 0, 1))
        row = int(draws.uniform("crop row")[0] * (rows - here + 1))
        column = int(draws.uniform("crop column")[0] * (columns - here + 1))
        places.append(Place(pool, field, row, column, here))
    return tuple(places)


def fingerprint(data: Data, config: TrainingConfig, profile: Profile) -> str:
    """Give a text that is equal for equal validation crops, and only for those.

    It tells of pictures, places and degradation, not of pixels, whose last bits differ from one
    device to another.
    """
    wanted = config.validation
    content = [
        [*p.field.digests, p.pool.source.reference, p.row, p.column, p.side]
        + ([profile.model_dump(mode="json")] if p.is_degraded else [])
        for p in places_of(data.validation, wanted.crops, wanted.crop)
    ]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _spread(number: int, entries: int, crops: int) -> int:
    if entries <= crops:
        return number % entries
    return number * entries // crops


def measure(network: nn.Module | None, crops: tuple[Crop, ...]) -> Quality:
    """Restore all crops, or enlarge them bicubically where there is no network."""
    from napari_semnet.imaging.quality import psnr, ssim

    figures = []
    for crop in crops:
        restored, target = _grey(_restored(network, crop)), _grey(crop.target)
        if np.isnan(restored).any():
            return Quality(math.nan, math.nan)
        figures.append((psnr(restored, target, 255.0), ssim(restored, target, 255.0)))
    means = np.mean(np.minimum(figures, 100.0), axis=0)
    return Quality(float(means[0]), float(means[1]))


def triplets(network: nn.Module, crops: tuple[Crop, ...]) -> NDArray[np.uint8]:
    """Draw input, output and target beside one another, a few crops below one another."""
    rows = []
    for crop in crops[:_PREVIEWED]:
        parts = (
            functional.interpolate(crop.low, scale_factor=2, mode="nearest"),
            _restored(network, crop),
            crop.target,
        )
        rows.append(np.concatenate([np.rint(np.nan_to_num(_grey(part))) for part in parts], 1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows]
    return np.concatenate(padded).astype(np.uint8)


@torch.inference_mode()
def _restored(network: nn.Module | None, crop: Crop) -> Tensor:
    if network is None:
        return functional.interpolate(crop.low, scale_factor=2, mode="bicubic", align_corners=False)
    restored: Tensor = network(crop.low)
    return restored


def _grey(image: Tensor) -> NDArray[Any]:
    """Grey levels 0 ... 255 of the only picture of a batch, not rounded."""
    grey: NDArray[Any] = image[0, 0].clamp(0, 1).mul(255).double().cpu().numpy()
    return grey
