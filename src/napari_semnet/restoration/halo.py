"""How far a trained model really looks, measured on real pictures.

The network can reach `Architecture.exact_halo` pixels, but a trained one hardly uses them all, and
a narrow halo saves most of what tiling costs. So for each model the smallest halo is measured with
which tiles differ from the whole image by less than a small bound anywhere.

One pair of runs tells about all halos at once. A picture is restored whole, and again in tiles
without any halo. Where a tile was cut, the two differ, less and less with distance: a pixel
`d` pixels from the nearest cut is what a tile with a halo of `d` would have given.

The same is done with maps that are whole up to some RRDB and cut after it: that tells how much of
the halo is still needed there. What all these cuts change together is what the bound is for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_semnet.errors import DeviceError, ImageError, SemnetError
from napari_semnet.imaging.intensity import as_grey, is_finite, measure_range, to_unit
from napari_semnet.model import Halo, Model
from napari_semnet.network import SEMNet
from napari_semnet.restoration.backends import exact_convolutions, is_out_of_memory
from napari_semnet.restoration.events import Progress
from napari_semnet.restoration.narrowing import narrowest, reaches
from napari_semnet.restoration.runtime import Device, describe_device
from napari_semnet.restoration.tiles import SCALE, Tile, plan_tiles

__all__ = [
    "BOUND",
    "SIDE",
    "HaloEvent",
    "HaloMeasured",
    "Picture",
    "PictureMeasured",
    "measure_halo",
    "smallest_halo",
]

BOUND = 0.05
"""Largest difference to the whole-image result that tiles may make, in grey levels of 255."""

SIDE = 512
"""Pixels along each side that are used of a picture, from its middle."""

_SMALLEST_PICTURE = 64
_RECORDED = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 80)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to measure on."""

    name: str
    pixels: Any
    """Array-like (Y, X), or (..., Y, X), of which the first slice is used."""


@dataclass(frozen=True, slots=True)
class PictureMeasured:
    """One picture is done."""

    name: str
    halo: int
    """Smallest halo that keeps this picture within the bound, where all of it is kept."""
    differences: tuple[float, ...]
    """For each halo from 0 on, the largest difference in grey levels of 255."""
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class HaloMeasured:
    """The last event: the halo of the model, for its card."""

    halo: Halo


HaloEvent: TypeAlias = Progress | PictureMeasured | HaloMeasured


def measure_halo(
    model: Model,
    pictures: Sequence[Picture],
    *,
    bound: float = BOUND,
    device: str = "auto",
    side: int = SIDE,
) -> Iterator[HaloEvent]:
    """Measure the smallest halo that cannot be seen, in float32.

    Parameters
    ----------
    model : Model
        What to measure.
    pictures : sequence of Picture
        Real pictures, such as the model is used for.
    bound : float
        Largest difference allowed anywhere, in grey levels of 255.
    device : str
        See `describe_device`.
    side : int
        Pixels along each side that are used of a picture, from its middle.

    Yields
    ------
    HaloEvent
        Progress, one `PictureMeasured` for each picture, and at last `HaloMeasured`.

    Raises
    ------
    ImageError
        There is no picture, or one is smaller than 64 x 64 pixels.
    SemnetError
        The bound is not positive.
    DeviceError
        A picture of `side` pixels does not fit the memory.
    """
    if not bound > 0:
        raise SemnetError(f"The bound must be more than 0 grey levels, not {bound:g}.")
    if not pictures:
        raise ImageError("A halo is measured on pictures; give at least one.")
    crops = [_crop(picture, side) for picture in pictures]
    most = reaches(model.card.architecture)
    exact = most[0]
    ready = _Network(model.network, describe_device(device))
    measured: list[list[list[float]]] = []
    for number, (picture, crop) in enumerate(zip(pictures, crops, strict=True)):
        found: list[list[float]] = []
        for said in _differences(ready, crop, exact):
            if isinstance(said, float):
                yield Progress((number + said) / len(pictures))
            else:
                found = said
        measured.append(found)
        halo = smallest_halo(found[0], bound, exact)
        yield PictureMeasured(picture.name, halo, tuple(found[0]), number + 1, len(pictures))
    yield HaloMeasured(_chosen(measured, bound, most, ", ".join(p.name for p in pictures)))


def _chosen(
    measured: list[list[list[float]]], bound: float, most: tuple[int, ...], measured_on: str
) -> Halo:
    """Choose what tiles read, and what they keep of it."""
    # A pixel can lie between two cuts, so one may make half of what is allowed.
    halo, *later = narrowest(measured, bound / 2, most)
    worst = reduce(_largest, (differences[0] for differences in measured))
    recorded = sorted({*_RECORDED, halo})
    return Halo(
        pixels=halo,
        later=tuple(later),
        bound=bound,
        differences={h: worst[h] for h in recorded if h < len(worst)},
        measured_on=measured_on,
    )


def smallest_halo(differences: Sequence[float], bound: float, exact: int) -> int:
    """Choose the smallest halo that keeps tiles within a bound.

    Parameters
    ----------
    differences : sequence of float
        For each halo from 0 on, the largest difference that one cut makes.
    bound : float
        Largest difference allowed. A pixel can lie between two cuts, so one may make half of it.
    exact : int
        What is given where no measured halo is enough.
    """
    for halo, difference in enumerate(differences[:exact]):
        if difference < bound / 2:
            return halo
    return exact


def _crop(picture: Picture, side: int) -> NDArray[np.float32]:
    grey = as_grey(picture.pixels)
    plane = np.asarray(grey[(0,) * (len(grey.shape) - 2)])
    if min(plane.shape) < _SMALLEST_PICTURE:
        raise ImageError(
            f"{picture.name} is too small to measure a halo on: {plane.shape[0]} x "
            f"{plane.shape[1]} pixels, and {_SMALLEST_PICTURE} x {_SMALLEST_PICTURE} are needed."
        )
    if not is_finite(plane):
        raise ImageError(
            f"{picture.name} has pixels that are NaN or infinite. Give pictures without any."
        )
    top, left = (max(0, (n - side) // 2) for n in plane.shape)
    return to_unit(plane[top : top + side, left : left + side], measure_range(plane))


class _Network:
    """A SEMNet in float32 that tells its maps between RRDBs, and goes on from any of them."""

    def __init__(self, network: SEMNet, device: Device) -> None:
        self.device = device
        self._network = deepcopy(network).to(device.torch_device, torch.float32).eval()
        self.blocks = len(network.body)

    def first(self, image: NDArray[np.float32]) -> Tensor:
        """Give what the first convolution makes of an image."""
        given = torch.from_numpy(np.ascontiguousarray(image))[None, None]
        channels = self._network.architecture.in_channels
        with self._ready():
            maps: Tensor = self._network.first(
                given.to(self.device.torch_device).expand(-1, channels, -1, -1)
            )
        return maps

    def maps(self, maps: Tensor, done: int = 0) -> Iterator[Tensor]:
        """Yield the maps after each RRDB; the first `done` are behind the given ones."""
        for rrdb in list(self._network.body)[done:]:
            with self._ready():
                maps = rrdb(maps)
            yield maps

    def pixels(self, first: Tensor, maps: Tensor) -> NDArray[np.float32]:
        """Give the result, from the maps of the first convolution and of the last RRDB."""
        network = self._network
        with self._ready():
            deep = first + network.trunk(maps)
            enlarged = functional.interpolate(deep, scale_factor=2, mode="nearest")
            restored = network.last(network.activation(network.up(enlarged)))
            result: NDArray[np.float32] = restored.mean(1)[0].cpu().numpy()
        return result

    @contextmanager
    def _ready(self) -> Iterator[None]:
        with torch.inference_mode(), exact_convolutions(self.device):
            yield


def _differences(
    network: _Network, image: NDArray[np.float32], exact: int
) -> Generator[float | list[list[float]], None, None]:
    """Yield the part that is done, then what cuts change in grey levels.

    That is for each place, the image and the maps after each RRDB, the largest difference at each
    distance from a cut there.
    """
    height, width = image.shape
    core = _cut_length(height, exact), _cut_length(width, exact)
    tiles = list(plan_tiles(image.shape, core, 0))
    deepest = max(int(_distances(tile, (height, width)).max()) for tile in tiles)
    # RRDBs that are computed, in whole pictures: all, all again, and from each one on.
    total = 2 * network.blocks + network.blocks * (network.blocks - 1) / 2
    done = 0.0
    found: list[list[float]] = []
    try:
        first = network.first(image)
        places = [first]
        for maps in network.maps(first):
            places.append(maps)
            done += 1
            yield done / total
        whole = network.pixels(first, places[-1])
        for number, place in enumerate(places):
            largest = np.zeros(deepest + 1, np.float64)
            for tile in tiles:
                part = (..., *tile.core.slices)
                shallow = first[part] if number else network.first(image[tile.core.slices])
                maps = place[part] if number else shallow
                for further in network.maps(maps, number):
                    maps = further
                    done += tile.core.pixels / image.size
                    yield min(1.0, done / total)
                error = 255.0 * np.abs(
                    network.pixels(shallow, maps).astype(np.float64) - whole[tile.where]
                )
                np.maximum.at(largest, _distances(tile, (height, width)), error)
            # With a halo of h all pixels are at least h from a cut.
            found.append(np.maximum.accumulate(largest[::-1])[::-1].tolist())
    except (RuntimeError, MemoryError) as failure:
        if not is_out_of_memory(failure):
            raise
        raise DeviceError(
            f"{network.device.name} has too little free memory for pictures of {height} x {width} "
            "pixels. Measure on smaller ones."
        ) from failure
    yield found


def _cut_length(length: int, exact: int) -> int:
    """Side of the tiles: wide enough to see all of the reach where the picture allows it."""
    return -(-length // max(2, length // (2 * exact + 2)))


def _distances(tile: Tile, plane: tuple[int, int]) -> NDArray[np.intp]:
    """Distance of each output pixel of a tile to the nearest cut, in input pixels."""
    height, width = tile.core.shape
    rows = _from_cuts(height, tile.core.top > 0, tile.core.bottom < plane[0])
    columns = _from_cuts(width, tile.core.left > 0, tile.core.right < plane[1])
    nearest = np.minimum(rows[:, None], columns[None, :])
    return np.repeat(np.repeat(nearest, SCALE, 0), SCALE, 1)


def _from_cuts(length: int, starts_cut: bool, ends_cut: bool) -> NDArray[np.intp]:
    """Distance along one axis; a border of the picture is no cut."""
    places = np.arange(length)
    far = np.full(length, length - 1)
    return np.minimum(places if starts_cut else far, places[::-1] if ends_cut else far)


def _largest(one: list[float], other: list[float]) -> list[float]:
    """Take the larger at each halo; where only one was measured so far out, that one."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return [max(a, b) for a, b in zip(longer, shorter, strict=False)] + longer[len(shorter) :]
