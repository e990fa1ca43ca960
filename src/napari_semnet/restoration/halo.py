"""How far a trained model really looks, measured on real pictures.

The network can reach `Architecture.exact_halo` pixels, but a trained one hardly uses them all, and
a narrow halo saves most of what tiling costs. So for each model the smallest halo is measured with
which tiles differ from the whole image by less than a small bound anywhere.

One pair of runs tells about all halos at once. A picture is restored whole, and again in tiles
without any halo. Where a tile was cut, the two differ, less and less with distance: a pixel
`d` pixels from the nearest cut is what a tile with a halo of `d` would have given.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import DeviceError, ImageError, SemnetError
from napari_semnet.imaging.intensity import as_grey, check_finite, measure_range, to_unit
from napari_semnet.model import Halo, Model
from napari_semnet.restoration.backends import Backend, TorchBackend, is_out_of_memory
from napari_semnet.restoration.events import Notice, Progress
from napari_semnet.restoration.runtime import describe_device
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
    """Smallest halo that keeps this picture within the bound."""
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
    backend = TorchBackend(model.network, describe_device(device), "fp32")
    exact = model.card.architecture.exact_halo
    worst: list[float] = []
    for number, (picture, crop) in enumerate(zip(pictures, crops, strict=True)):
        differences: list[float] = []
        for said in _differences(backend, crop, exact):
            if isinstance(said, float):
                yield Progress((number + said) / len(pictures))
            else:
                differences = said
        worst = _largest(worst, differences)
        halo = smallest_halo(differences, bound, exact)
        yield PictureMeasured(picture.name, halo, tuple(differences), number + 1, len(pictures))
    chosen = smallest_halo(worst, bound, exact)
    recorded = {h: worst[h] for h in sorted({*_RECORDED, chosen}) if h < len(worst)}
    names = ", ".join(picture.name for picture in pictures)
    yield HaloMeasured(Halo(pixels=chosen, bound=bound, differences=recorded, measured_on=names))


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
    check_finite(plane)
    top, left = (max(0, (n - side) // 2) for n in plane.shape)
    return to_unit(plane[top : top + side, left : left + side], measure_range(plane))


def _differences(
    backend: Backend, image: NDArray[np.float32], exact: int
) -> Generator[float | list[float], None, None]:
    """Yield the part that is done, then for each halo the largest difference in grey levels."""
    height, width = image.shape
    core = _cut_length(height, exact), _cut_length(width, exact)
    tiles = list(plan_tiles(image.shape, core, 0))
    try:
        whole = yield from _scaled(backend.restore_tile(image), 0.0, 0.5)
        largest = np.zeros(max(core), np.float64)
        for number, tile in enumerate(tiles):
            start = 0.5 + 0.5 * number / len(tiles)
            part = backend.restore_tile(image[tile.read.slices])
            cut = yield from _scaled(part, start, 0.5 / len(tiles))
            error = 255.0 * np.abs(cut.astype(np.float64) - whole[tile.where])
            np.maximum.at(largest, _distances(tile, (height, width)), error)
    except (RuntimeError, MemoryError) as failure:
        if not is_out_of_memory(failure):
            raise
        raise DeviceError(
            f"{backend.device.name} has too little free memory for pictures of {height} x {width} "
            "pixels. Measure on smaller ones."
        ) from failure
    deepest = max(_distances(tile, (height, width)).max() for tile in tiles)
    # With a halo of h all pixels are at least h from a cut.
    enough = np.maximum.accumulate(largest[: deepest + 1][::-1])[::-1]
    yield enough.tolist()


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


def _scaled(
    steps: Generator[Notice | float, None, NDArray[np.float32]], start: float, share: float
) -> Generator[float, None, NDArray[np.float32]]:
    while True:
        try:
            said = next(steps)
            if isinstance(said, float):
                yield start + share * said
        except StopIteration as stop:
            result: NDArray[np.float32] = stop.value
            return result


def _largest(one: list[float], other: list[float]) -> list[float]:
    """Take the larger at each halo; where only one was measured so far out, that one."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return [max(a, b) for a, b in zip(longer, shorter, strict=False)] + longer[len(shorter) :]
