"""How much a restoration changes when nothing changes that ought to matter.

The image is restored eight times: in each of the eight flips and rotations, and each time with a
fresh draw of its own noise added. A specimen does not care how it lies in the microscope, nor
which electrons were counted; where the eight results differ, the network decided by chance.

A network can also be wrong eight times alike, above all by wiping out what it takes for noise. So
the mean of the eight is held against the image, and what making it consistent would change
(`napari_semnet.imaging.projection`) counts as a deviation as well: both are added by their squares.
And the more was taken away around a place, noise and all, the more can have been lost with it: the
deviation is weighed by the local residual, as the geometric mean of two parts of the one and one
of the other. That is called sensitivity, in grey levels. It is no probability.

The image is worked on in blocks, each restored eight times by the engine that restores images, so
that memory does not grow with the image, and progress and cancelling are the engine's own. The
offset of a row is found within a block, as nothing is known yet of the rest of the row: in images
wider than a block it differs from one to the next, by as much as the network's error in brightness.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.imaging.consistency import noise_for_check, residual_bands, scale_ends
from napari_semnet.imaging.fresh_noise import draw_noise
from napari_semnet.imaging.intensity import (
    ArrayLike,
    IntensityRange,
    as_grey,
    check_finite,
    given_range,
    measure_range,
    to_unit,
)
from napari_semnet.imaging.noise_level import NoiseLevel, measure_noise
from napari_semnet.imaging.noise_measurement import WHITE
from napari_semnet.imaging.projection import kept_of_residual
from napari_semnet.imaging.slices import telling_slice
from napari_semnet.model import DEFAULT_MODEL, Model
from napari_semnet.restoration.events import (
    Event,
    Finished,
    Notice,
    Progress,
    Restoration,
    RunPlan,
    Started,
    TileDone,
)
from napari_semnet.restoration.host import output_for
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.tiles import SCALE, Box

__all__ = ["VARIANTS", "SensitivityRun", "sensitivity", "spread"]

BLOCK_SIDE = 1024
"""Side of a block in input pixels: 50 MB of sums, and a halo that costs little."""

RESIDUAL_SHARE = 1 / 3
"""Of the local residual in the geometric mean. Chosen once, on eleven images with known truth; see
``docs/trust.md``."""
_AROUND = 6.0
"""Sigma in input pixels over which the residual is local."""
_REACH = 24
"""Pixels that this looks at on each side."""

_SAMPLE_SIDE = 256
"""Side of the part that is restored to see its noise, input pixels."""

ORIENTATIONS: tuple[tuple[int, bool], ...] = tuple(product(range(4), (False, True)))
"""Quarter turns, and whether the result is transposed."""
VARIANTS = len(ORIENTATIONS)
"""Restorations of each block."""


@dataclass(frozen=True, slots=True)
class SensitivityRun:
    """What is varied.

    Attributes
    ----------
    noise : NoiseLevel or None
        Noise of the image; measured where None.
    has_fresh_noise : bool
        Whether noise is drawn afresh.
    has_residual : bool
        Whether what making the result consistent would change, and how much was taken away, are
        counted.
    seed : int
        Chooses the noise.
    """

    noise: NoiseLevel | None = None
    has_fresh_noise: bool = True
    has_residual: bool = True
    seed: int = 0


class _Spread:
    """Standard deviation of arrays that come one by one, by the sums of Welford (1962)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._count = 0
        self._mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape, np.float32)

    def add(self, values: NDArray[np.float32]) -> None:
        self._count += 1
        off = values - self._mean
        self._mean += off / self._count
        self._squares += off * (values - self._mean)

    @property
    def mean(self) -> NDArray[np.float32]:
        return self._mean

    def deviation(self) -> NDArray[np.float32]:
        return np.sqrt(np.maximum(self._squares, 0) / np.float32(self._count - 1))


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of an image, and all around it that its map depends on."""

    index: tuple[int, ...]
    """Place along the leading axes."""
    core: Box
    """Pixels whose map this block gives."""
    read: Box
    """Pixels that are restored."""
    pixels: NDArray[Any]
    """Those pixels."""

    @property
    def where(self) -> tuple[slice, ...]:
        """Place of its map in that of the image."""
        return (*(slice(i, i + 1) for i in self.index), *self.core.enlarged().slices)

    def kept(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut the core out of a map of all that was read, with an axis for each of the image."""
        core = values[self.core.within(self.read).enlarged().slices]
        return core.reshape((1,) * len(self.index) + core.shape)


@dataclass(frozen=True, slots=True)
class _Variation:
    """How an image is varied, and what counts as a deviation."""

    run: SensitivityRun
    noise: NoiseLevel
    intensity: IntensityRange
    ends: tuple[float, float]
    """Values at which the whole image is cut off; a block by itself may have others."""

    @property
    def unit(self) -> float:
        """Grey levels of the image in one of 255."""
        return (self.intensity.high - self.intensity.low) / WHITE

    def draws(self, block: _Block, slice_number: int) -> Iterator[NDArray[np.float32]]:
        """Give a block's pixels above black as often as they are restored, each with new noise."""
        # In float64, so that a small contrast on a large offset survives the subtraction.
        above = (block.pixels.astype(np.float64) - self.intensity.low).astype(np.float32)
        levels = WHITE * to_unit(block.pixels, self.intensity)
        # What has no value must not spread: an infinite pixel would make endless noise around it.
        known = np.where(np.isfinite(levels), levels, np.float32(0))
        for draw in range(VARIANTS):
            varied = above.copy()
            if self.run.has_fresh_noise:
                varied += self.unit * draw_noise(
                    known,
                    self.noise,
                    seed=self.run.seed,
                    draw=draw,
                    slice_number=slice_number,
                    corner=(block.read.top, block.read.left),
                )
            yield varied

    def deviation(self, block: _Block, seen: _Spread) -> NDArray[np.float32]:
        """Say how far the results for a block are off, from each other and from its pixels."""
        deviation = seen.deviation()
        if not self.run.has_residual:
            return deviation
        restored = seen.mean.astype(np.float64) + self.intensity.low
        change, taken = self._of_residual(block.pixels, restored)
        deviation = np.hypot(deviation, np.float32(self.unit) * change)
        taken *= np.float32(self.unit)
        return np.asarray(deviation ** (1 - RESIDUAL_SHARE) * taken**RESIDUAL_SHARE)

    def _of_residual(
        self, pixels: NDArray[Any], restored: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Find what of the residual is no noise, and how large it is around each place.

        Both are on restored pixels, in grey levels of 255.
        """
        bands = list(residual_bands(pixels, restored, self.intensity, self.noise, self.ends))
        sigma = np.sqrt(self.noise.variance(np.concatenate([band.predicted for band in bands])))
        standardised = np.concatenate([band.standardised for band in bands])
        kept = sigma * kept_of_residual(standardised, self.noise)
        squares = np.square(sigma * standardised)
        taken = ndimage.gaussian_filter(squares, _AROUND, radius=_REACH, mode="reflect")
        change, around = (
            part.astype(np.float32).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
            for part in (kept, np.sqrt(np.maximum(taken, 0)))
        )
        return change, around


def sensitivity(
    restorer: Restorer, image: Any, out: Any = None, run: SensitivityRun | None = None
) -> Generator[Event, None, None]:
    """Map how much a restoration depends on what ought not to matter.

    Parameters
    ----------
    restorer : Restorer
        How the image was restored.
    image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
        What was restored.
    out : array-like of float32, shape (..., 2Y, 2X), optional
        Where to write the map; a NumPy array is made by default.
    run : SensitivityRun, optional
        What is varied.

    Yields
    ------
    Event
        As `Restorer.run`: `Started`, `Progress`, a `TileDone` for each block, and `Finished` with
        the map, in grey levels of the image. Closing the generator stops the work.

    Raises
    ------
    ImageError, DeviceError
        As `Restorer.run`; or the noise of the image cannot be measured.
    """
    start = time.perf_counter()
    run = run or SensitivityRun()
    grey = as_grey(image)
    if restorer.settings.non_finite == "refuse":
        check_finite(grey)
    variation, above_black = _settled(restorer, grey, run)
    shape = (*grey.shape[:-2], SCALE * grey.shape[-2], SCALE * grey.shape[-1])
    target = output_for(out, shape, np.dtype(np.float32))
    halo = max(_halo(restorer.model), _REACH if run.has_residual else 0)
    places = list(_places(tuple(grey.shape)))
    said: set[str] = set()
    plan: RunPlan | None = None
    for number, (index, core) in enumerate(places):
        read = _from_even(core.grown(halo, (grey.shape[-2], grey.shape[-1])))
        block = _Block(index, core, read, np.asarray(grey[(*index, *read.slices)]))
        seen = _Spread(read.enlarged().shape)
        draws = variation.draws(block, _flat_index(index, grey.shape[:-2]))
        for event in _restored_eightfold(above_black, draws, seen):
            match event:
                case Started() if plan is None:
                    plan = replace(event.plan, intensity=variation.intensity)
                    yield Started(len(places), shape, np.dtype(np.float32), plan)
                case Progress(fraction):
                    yield Progress((number + fraction) / len(places))
                case Notice(text) if text not in said:
                    said.add(text)
                    yield event
        found = block.kept(variation.deviation(block, seen))
        target[block.where] = found
        yield TileDone(block.where, found, number + 1, len(places))
    assert plan is not None, "There is at least one block."
    yield Finished(Restoration(target, plan, time.perf_counter() - start))


def spread(
    image: Any,
    model: Model | str | Path = DEFAULT_MODEL,
    *,
    settings: Settings | None = None,
    run: SensitivityRun | None = None,
) -> NDArray[np.float32]:
    """Map how much a restoration depends on what ought not to matter; see `sensitivity`.

    Returns
    -------
    ndarray of float32, shape (..., 2Y, 2X)
        In grey levels of the image.

    Raises
    ------
    SemnetError
        The image, the model or the device cannot be used.
    """
    for event in sensitivity(Restorer(model, settings), image, run=run):
        if isinstance(event, Finished):
            pixels: NDArray[np.float32] = event.restored.pixels
            return pixels
    raise AssertionError("A run ends with Finished.")


def _settled(
    restorer: Restorer, image: ArrayLike, run: SensitivityRun
) -> tuple[_Variation, Restorer]:
    """Settle what every block shares, and what restores them: one range, at full strength."""
    asked = restorer.settings.intensity
    intensity = measure_range(image) if asked == "auto" else given_range(*asked)
    low, high = intensity.low, intensity.high
    as_is, above_black = (
        Restorer(restorer.model, replace(restorer.settings, intensity=ends, strength=1.0))
        for ends in ((low, high), (0.0, high - low))
    )
    noise = run.noise or _noise_of(image, intensity, as_is)
    return _Variation(run, noise, intensity, scale_ends(image)), above_black


def _restored_eightfold(
    restorer: Restorer, draws: Iterator[NDArray[np.float32]], seen: _Spread
) -> Iterator[Event]:
    """Restore what is drawn, each time in another orientation, and add up the results."""
    for number, (pixels, orientation) in enumerate(zip(draws, ORIENTATIONS, strict=True)):
        for event in restorer.run(_turned(pixels, *orientation)):
            match event:
                case Progress(fraction):
                    yield Progress((number + fraction) / VARIANTS)
                case Finished(restored):
                    seen.add(_turned_back(restored.pixels, *orientation))
                case _:
                    yield event


def _noise_of(image: ArrayLike, intensity: IntensityRange, restorer: Restorer) -> NoiseLevel:
    """Measure the noise of an image, in the residual of its middle if need be."""
    pixels = telling_slice(image)
    noise = measure_noise(pixels, intensity)
    if noise.source != "whole":
        return noise
    top, left = (max(0, (n - _SAMPLE_SIDE) // 2) for n in pixels.shape)
    part = pixels[top : top + _SAMPLE_SIDE, left : left + _SAMPLE_SIDE]
    return noise_for_check(part, restorer.restore(part).pixels, intensity)


def _halo(model: Model) -> int:
    """Input pixels around a block with which it cannot be told from the whole image."""
    exact = model.card.architecture.exact_halo
    return exact if model.card.halo is None else min(exact, model.card.halo.pixels)


def _from_even(box: Box) -> Box:
    """Let a box begin at an even row and column."""
    # Detail is sought in blocks that begin at each other pixel: those of the whole image.
    return replace(box, top=box.top - box.top % 2, left=box.left - box.left % 2)


def _places(shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Box]]:
    rows, columns = (_edges(n) for n in shape[-2:])
    for index in np.ndindex(*shape[:-2]):
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                yield index, Box(top, bottom, left, right)


def _edges(length: int) -> list[int]:
    count = math.ceil(length / BLOCK_SIDE)
    return [round(number * length / count) for number in range(count + 1)]


def _turned(pixels: NDArray[Any], turns: int, is_transposed: bool) -> NDArray[Any]:
    turned = np.rot90(pixels, turns)
    return np.ascontiguousarray(turned.T if is_transposed else turned)


def _turned_back(pixels: NDArray[Any], turns: int, is_transposed: bool) -> NDArray[Any]:
    return np.rot90(pixels.T if is_transposed else pixels, -turns)


def _flat_index(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(index, shape)) if index else 0
