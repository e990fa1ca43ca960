"""Restore any image: the engine's front.

`Restorer` keeps a prepared network between calls and yields events while it works; `restore` is
the one call for a script.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import DeviceError, ImageError, SemnetError
from napari_semnet.imaging.intensity import (
    ArrayLike,
    IntensityRange,
    as_grey,
    check_finite,
    from_unit,
    given_range,
    measure_range,
    to_unit,
)
from napari_semnet.model import DEFAULT_MODEL, Model, load_model
from napari_semnet.restoration.attempts import Attempts
from napari_semnet.restoration.backends import Backend, TorchBackend
from napari_semnet.restoration.events import (
    Event,
    Finished,
    Notice,
    Restoration,
    RunPlan,
    Started,
    TileDone,
)
from napari_semnet.restoration.masking import FILL_REACH, fill_missing, mark_missing
from napari_semnet.restoration.precision import agrees_with_fp32
from napari_semnet.restoration.runtime import Device, Precision, describe_device
from napari_semnet.restoration.tiles import SCALE, Tile, choose_tile, count_tiles, plan_tiles

__all__ = ["Restorer", "Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to restore; the defaults suit any machine and image."""

    device: str = "auto"
    """``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: the fastest that the device computes natively."""
    tile: Literal["auto"] | int | tuple[int, int] = "auto"
    """Largest core of a tile in input pixels, one number or (Y, X); ``auto``: as memory allows."""
    halo: Literal["auto", "exact"] | int = "auto"
    """Input pixels read around each core. ``exact``: as far as the network can reach; ``auto``: as
    far as the model was measured to reach, else exact."""
    intensity: Literal["auto"] | tuple[float, float] = "auto"
    """Values of the image that the network sees as 0 and 1."""
    non_finite: Literal["refuse", "mask"] = "refuse"
    """What to do with NaN and infinite pixels."""

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "fp32", "bf16"):
            raise DeviceError(f"The precision is auto, fp32 or bf16, not '{self.precision}'.")
        sides = self.tile if isinstance(self.tile, tuple) else (self.tile, self.tile)
        if self.tile != "auto" and not (
            len(sides) == 2 and all(isinstance(n, int) and n >= 1 for n in sides)
        ):
            raise SemnetError(
                f"A tile is 'auto' or one or two whole numbers of pixels, not {self.tile!r}."
            )
        if self.halo not in ("auto", "exact") and not (
            isinstance(self.halo, int) and self.halo >= 0
        ):
            raise SemnetError(
                f"A halo is 'auto', 'exact' or a whole number of pixels, not {self.halo!r}."
            )
        if self.non_finite not in ("refuse", "mask"):
            raise SemnetError(
                f"Pixels that are not finite are refused or masked ('refuse' or 'mask'), not "
                f"{self.non_finite!r}."
            )


class Restorer:
    """A model made ready to restore images, one after the other.

    Parameters
    ----------
    model : Model, str or Path
        A loaded model, or the name or path of one.
    settings : Settings
        How to restore.

    Notes
    -----
    Calls from several threads are safe; they share the prepared network.
    """

    def __init__(
        self, model: Model | str | Path = DEFAULT_MODEL, settings: Settings | None = None
    ) -> None:
        self.model = model if isinstance(model, Model) else load_model(model)
        self.settings = settings if settings is not None else Settings()
        self.device = describe_device(self.settings.device)
        self._backends: dict[tuple[Device, Precision], Backend] = {}
        self._lock = threading.Lock()
        self._settled: Precision | None = None

    def run(self, image: Any, out: Any = None) -> Iterator[Event]:
        """Restore an image and say what happens.

        Parameters
        ----------
        image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
            See `napari_semnet.imaging.intensity.as_grey`. Only the tile at hand is read.
        out : array-like, shape (..., 2Y, 2X), optional
            Where to write, such as a zarr array; anything that takes slice assignment. A NumPy
            array is made by default.

        Yields
        ------
        Event
            `Started`, then `TileDone` and `Notice`, at last `Finished`. Closing the generator
            stops the work after the tile at hand; finished tiles stay in `out`.

        Raises
        ------
        ImageError
            The image or `out` cannot be used; nothing was written.
        DeviceError
            Not even a small tile fits the memory.
        """
        start = time.perf_counter()
        grey = as_grey(image)
        settings = self.settings
        if settings.non_finite == "refuse":
            check_finite(grey)
        intensity = (
            measure_range(grey)
            if settings.intensity == "auto"
            else given_range(*settings.intensity)
        )
        dtype, shape = np.dtype(grey.dtype), tuple(grey.shape)
        output_shape = (*shape[:-2], SCALE * shape[-2], SCALE * shape[-1])
        target = _output(out, output_shape, dtype)
        reader = _Reader(grey, intensity, settings.non_finite)
        halo = self._halo()
        core = self._core((shape[-2], shape[-1]), halo)
        first = next(plan_tiles(shape, core, halo))
        precision, notices = self._precision(reader, first)
        backend = self._backend(self.device, precision)
        plan = RunPlan(
            intensity,
            self.device.name,
            precision,
            core,
            halo,
            self.model.name,
            self.model.sha256,
        )
        total = count_tiles(shape, core)
        yield Started(total, output_shape, dtype, plan)
        yield from notices
        attempts = Attempts(
            backend, self._backend, describe_device("cpu"), (shape[-2], shape[-1]), halo
        )
        for number, tile in enumerate(plan_tiles(shape, core, halo), 1):
            values, missing = reader.read(tile)
            restored = yield from attempts.restore(tile, values)
            pixels = from_unit(restored, intensity, dtype)
            if missing is not None:
                mark_missing(pixels, missing)
            pixels = pixels.reshape((1,) * len(tile.index) + pixels.shape)
            target[tile.where] = pixels
            yield TileDone(tile.where, pixels, number, total)
        yield Finished(Restoration(target, plan, time.perf_counter() - start))

    def restore(self, image: Any, out: Any = None) -> Restoration:
        """Restore an image; see `run` for what it takes and raises."""
        for event in self.run(image, out):
            if isinstance(event, Finished):
                return event.restored
        raise AssertionError("A run ends with Finished.")

    def _halo(self) -> int:
        asked = self.settings.halo
        exact = self.model.card.architecture.exact_halo
        measured = self.model.card.halo
        if asked == "exact" or (asked == "auto" and measured is None):
            return exact
        if asked == "auto":
            assert measured is not None
            return min(exact, measured.pixels)
        return int(asked)

    def _core(self, plane: tuple[int, int], halo: int) -> tuple[int, int]:
        asked = self.settings.tile
        if asked == "auto":
            return choose_tile(plane, halo, 2**19)
        sides = asked if isinstance(asked, tuple) else (asked, asked)
        return min(plane[0], sides[0]), min(plane[1], sides[1])

    def _backend(self, device: Device, precision: Precision) -> Backend:
        with self._lock:
            key = (device, precision)
            if key not in self._backends:
                self._backends[key] = TorchBackend(self.model.network, device, precision)
            return self._backends[key]

    def _precision(self, reader: _Reader, first: Tile) -> tuple[Precision, list[Notice]]:
        """Settle the precision at first use, by a look at the first tile."""
        asked = self.settings.precision
        wanted: Precision = self.device.precision if asked == "auto" else asked
        if wanted == "fp32" or self._settled is not None:
            return self._settled or wanted, []
        fast, exact = self._backend(self.device, wanted), self._backend(self.device, "fp32")
        agreement = agrees_with_fp32(fast, exact, reader.read(first)[0])
        self._settled = wanted if agreement.is_enough else "fp32"
        if agreement.is_enough:
            return wanted, []
        return "fp32", [Notice(agreement.complaint)]


class _Reader:
    """Reads tiles of an image as intensities in [0, 1]."""

    def __init__(self, image: ArrayLike, intensity: IntensityRange, non_finite: str) -> None:
        self._image = image
        self._intensity = intensity
        self._plane = (image.shape[-2], image.shape[-1])
        self._may_miss = np.dtype(image.dtype).kind == "f"
        self._masks = non_finite == "mask"

    def read(self, tile: Tile) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Intensities of what the tile reads, and which pixels of its core have no value."""
        if not (self._may_miss and self._masks):
            pixels = np.asarray(self._image[tile.source])
            if self._may_miss:
                check_finite(pixels)
            return to_unit(pixels, self._intensity), None
        wide = tile.read.grown(FILL_REACH, self._plane)
        pixels = np.asarray(self._image[(*tile.index, *wide.slices)])
        missing = ~np.isfinite(pixels)
        values = to_unit(np.where(missing, self._intensity.low, pixels), self._intensity)
        filled = fill_missing(values, missing)[tile.read.within(wide).slices]
        core_missing = missing[tile.core.within(wide).slices]
        return filled, core_missing


def _output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if out is None:
        try:
            return np.empty(shape, dtype)
        except MemoryError as error:
            size = np.prod(shape, dtype=float) * dtype.itemsize / 2**30
            raise ImageError(
                f"There is not enough memory for the result of {size:.1f} GiB. "
                "Give an array on disk as `out`, or restore a part of the image."
            ) from error
    if tuple(out.shape) != shape or np.dtype(out.dtype) != dtype:
        raise ImageError(
            f"The array to write to must have shape {shape} and type {dtype}; "
            f"it has {tuple(out.shape)} and {out.dtype}."
        )
    return out


def restore(
    image: Any,
    model: Model | str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    tile: Literal["auto"] | int | tuple[int, int] = "auto",
    halo: Literal["auto", "exact"] | int = "auto",
    intensity: Literal["auto"] | tuple[float, float] = "auto",
    non_finite: Literal["refuse", "mask"] = "refuse",
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """Denoise an image and double its pixels.

    Parameters
    ----------
    image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
        NumPy, dask, zarr, or anything with a shape, a data type and slices.
    model : Model, str or Path
        A loaded model, or the name or path of one.
    device, precision, tile, halo, intensity, non_finite
        See `Settings`.
    progress : callable, optional
        Called with (tiles done, tiles in all) after each tile.

    Returns
    -------
    ndarray, shape (..., 2Y, 2X)
        In the image's data type; integers rounded, clipped only at what the type can hold.

    Raises
    ------
    SemnetError
        The image, the model or the device cannot be used; the text says what to do.
    """
    settings = Settings(device, precision, tile, halo, intensity, non_finite)
    for event in Restorer(model, settings).run(image):
        if isinstance(event, TileDone) and progress is not None:
            progress(event.done, event.total)
        if isinstance(event, Finished):
            pixels: NDArray[Any] = event.restored.pixels
            return pixels
    raise AssertionError("A run ends with Finished.")
