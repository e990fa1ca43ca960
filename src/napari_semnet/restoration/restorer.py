"""Restore any image: the engine's front.

`Restorer` keeps a prepared network between calls and yields events while it works; `restore` is
the one call for a script.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.intensity import (
    ArrayLike,
    as_grey,
    check_finite,
    given_range,
    measure_range,
)
from napari_semnet.model import DEFAULT_MODEL, Model, load_model
from napari_semnet.network import SEMNet
from napari_semnet.restoration.attempts import Attempts
from napari_semnet.restoration.backends import Backend, TorchBackend, is_out_of_memory
from napari_semnet.restoration.choice import arranged, backend_named
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
from napari_semnet.restoration.host import TileReader, output_for
from napari_semnet.restoration.memory import (
    MemoryCost,
    budget,
    counted_cost,
    most_pixels,
    probe_cost,
)
from napari_semnet.restoration.narrowing import surround_of
from napari_semnet.restoration.planned import PlannedRun
from napari_semnet.restoration.precision import agrees_with_fp32, checked_tile
from napari_semnet.restoration.progress import of_whole
from napari_semnet.restoration.runtime import Device, Precision, as_precision, describe_device
from napari_semnet.restoration.settings import Settings
from napari_semnet.restoration.sweep import WIDEST, choose_piece, handed_on_bytes, stages_of
from napari_semnet.restoration.tile_size import choose_tile, largest_read, suited, time_of
from napari_semnet.restoration.tiles import SCALE, Box, Surround

__all__ = ["Restorer", "Settings", "restore"]

MOST_PIXELS_IN_CACHE = 130_000
"""Pixels that a tile reads at most on a CPU where narrow tiles are faster. Larger ones
are slower again, and make progress and cancelling wait."""

BackendMaker = Callable[[SEMNet, Device, Precision], Backend]
"""Prepares a network for a device and a precision."""

_Prepared = TypeVar("_Prepared")
_Sides: TypeAlias = tuple[int, int]


class Restorer:
    """A model made ready to restore images, one after the other.

    Parameters
    ----------
    model : Model, str or Path
        A loaded model, or the name or path of one.
    settings : Settings
        How to restore.
    make_backend : callable, optional
        What computes; by default what `settings.backend` says.

    Notes
    -----
    What is costly is done once and kept: the prepared network, the check of its precision, the
    measurement of its memory. Runs may be made from any thread, also several at a time.
    """

    def __init__(
        self,
        model: Model | str | Path = DEFAULT_MODEL,
        settings: Settings | None = None,
        make_backend: BackendMaker | None = None,
    ) -> None:
        self.model = model if isinstance(model, Model) else load_model(model)
        self.settings = settings if settings is not None else Settings()
        self.device = describe_device(self.settings.device)
        self._cpu = describe_device("cpu")
        self._make_backend = make_backend
        self._lock = threading.RLock()
        self._backends: dict[tuple[Device, Precision, str], Backend] = {}
        self._costs: dict[tuple[Device, Precision], MemoryCost] = {}
        self._settled: dict[Device, Precision] = {}

    def another(self) -> Restorer:
        """Give one that does the same with a network of its own, to compute beside this one."""
        return Restorer(self.model, self.settings, self._make_backend)

    def run(self, image: Any, out: Any = None) -> Generator[Event, None, None]:
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
            `Started`, then for each tile some `Progress` and one `TileDone`, a `Notice` where
            something went otherwise than planned, at last `Finished`. Closing the generator stops
            the work at once; what is in `out` by then are whole finished tiles.

        Raises
        ------
        ImageError
            The image or `out` cannot be used; nothing was written.
        DeviceError
            Not even a small tile fits the memory.
        """
        start = time.perf_counter()
        grey = as_grey(image)
        shape = tuple(grey.shape)
        output_shape = (*shape[:-2], SCALE * shape[-2], SCALE * shape[-1])
        target = output_for(out, output_shape, np.dtype(grey.dtype))
        if self.settings.non_finite == "refuse":
            check_finite(grey)
        work = self.begin(grey)
        total = len(work)
        work.prepare()
        yield Started(total, output_shape, work.dtype, work.plan)
        yield from work.notices
        for number, tile in enumerate(work.tiles(), 1):
            pixels = yield from of_whole(work.restore(work.read(tile)), number - 1, total, Progress)
            pixels = pixels.reshape((1,) * len(tile.index) + pixels.shape)
            target[tile.where] = pixels
            yield TileDone(tile.where, pixels, number, total)
        plan = replace(work.plan, backend=work.backend_name)
        yield Finished(Restoration(target, plan, time.perf_counter() - start))

    def restore(self, image: Any, out: Any = None) -> Restoration:
        """Restore an image; see `run` for what it takes and raises."""
        for event in self.run(image, out):
            if isinstance(event, Finished):
                return event.restored
        raise AssertionError("A run ends with Finished.")

    def begin(
        self,
        image: Any,
        plan: RunPlan | None = None,
        largest: tuple[int, int] | None = None,
    ) -> PlannedRun:
        """Settle how to restore an image, without restoring any of it yet.

        Pixels that are not finite are refused when they are read, not here: that takes reading
        all of the image.

        Parameters
        ----------
        image : array-like
            As for `run`.
        plan : RunPlan, optional
            What was settled before, here or on another machine, for the same image and model: it
            is done the same way again. By default everything is chosen and measured now.
        largest : (int, int), optional
            (Y, X) of the parts that are going to be asked for; tiles are no larger.

        Raises
        ------
        ImageError
            The image cannot be used.
        """
        grey = as_grey(image)
        shape = tuple(grey.shape)
        if plan is None:
            plan, backend, notices = self._planned(grey, largest)
        else:
            precision, name = as_precision(plan.precision), plan.backend
            # The one of the plan, so that every machine that works to it gives the same bytes.
            backend, notices = self._where_it_fits(lambda at: self._backend(at, precision, name))
        surround = surround_of(self.model.card, (shape[-2], shape[-1]), plan.halo)
        later = surround.later if plan.later is None else plan.later
        surround = replace(surround, core=(0, 0) if plan.swept else plan.tile, later=later)
        reader = TileReader(grey, plan.intensity, self.settings.non_finite)
        attempts = Attempts(backend, self._backend, self._cpu, surround)
        stages = stages_of(self.model.card.architecture)
        return PlannedRun(
            plan, grey, surround, reader, attempts, stages, self.settings.strength, tuple(notices)
        )

    def _planned(
        self, grey: ArrayLike, largest: tuple[int, int] | None
    ) -> tuple[RunPlan, Backend, list[Notice]]:
        """Choose and measure all that decides about the result."""
        asked = self.settings.intensity
        intensity = measure_range(grey) if asked == "auto" else given_range(*asked)
        reader = TileReader(grey, intensity, self.settings.non_finite)
        (backend, said), notices = self._where_it_fits(
            lambda device: self._settle(device, reader, tuple(grey.shape))
        )
        device, precision = backend.device, backend.precision
        halo = self._halo()
        height, width = grey.shape[-2:]
        tallest, widest = largest or (height, width)
        part = (min(height, tallest), min(width, widest))
        surround = surround_of(self.model.card, part, halo)
        if part != (height, width):
            surround = replace(surround, around=halo)
        tile = self._core(surround, device, precision)
        swept = self._piece(surround, tile, backend)
        if backend.width_cost is not None and not swept:
            surround = suited(surround, tile[1], backend.width_cost)
        plan = RunPlan(
            intensity,
            device.name,
            precision,
            swept or tile,
            halo,
            self.model.name,
            self.model.sha256,
            backend.name,
            surround.later,
            swept is not None,
        )
        return plan, backend, [*notices, *said]

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

    def _core(self, surround: Surround, device: Device, precision: Precision) -> _Sides:
        asked = self.settings.tile
        if asked == "auto":
            return self._fitting_core(surround, device, precision)
        sides = asked if isinstance(asked, tuple) else (asked, asked)
        return min(surround.plane[0], sides[0]), min(surround.plane[1], sides[1])

    def _piece(self, surround: Surround, tile: _Sides, backend: Backend) -> _Sides | None:
        """Give rows and columns of the pieces of a sweep; None where tiles do as well."""
        architecture = self.model.card.architecture
        cost = backend.width_cost
        if self.settings.tile != "auto" or cost is None or not backend.sweeps:
            return None
        whole = surround.tile((), Box(0, surround.plane[0], 0, surround.plane[1]))
        read, core, stages = whole.read, whole.core, stages_of(architecture)
        piece = choose_piece(read, core, stages, cost, time_of(surround, tile, cost))
        if piece is None:
            return None
        precision = as_precision(backend.precision)
        taken = counted_cost(architecture, precision).of(math.prod(piece))
        taken += handed_on_bytes(architecture, precision, min(WIDEST, whole.read.shape[1]))
        return piece if taken < budget(backend.device) else None

    def _fitting_core(self, surround: Surround, device: Device, precision: Precision) -> _Sides:
        available = budget(device)
        width_cost = self._backend(device, precision).width_cost
        counted = counted_cost(self.model.card.architecture, precision)
        most = most_pixels(self.model.card.architecture)
        if width_cost is not None:
            largest = min(MOST_PIXELS_IN_CACHE, counted.pixels_within(available))
            return choose_tile(surround, largest, width_cost)
        whole = largest_read(surround, surround.plane)
        if counted.of(whole) <= available and whole <= most:
            return surround.plane
        with self._lock:
            key = (device, precision)
            if key not in self._costs:
                self._costs[key] = _measured_cost(self._backend(device, precision), counted)
            cost = self._costs[key]
        return choose_tile(surround, min(most, cost.pixels_within(available)))

    def _backend(self, device: Device, precision: Precision, name: str = "") -> Backend:
        """Give a backend, made once: a plan's, for which nothing is measured, or the settings'."""
        by_name = arranged if name else backend_named
        make = self._make_backend or partial(by_name, name=name or self.settings.backend)
        with self._lock:
            for key in ((device, precision, ""), (device, precision, name)):
                kept = self._backends.get(key)
                if kept is not None and (self._make_backend or name in ("", kept.name)):
                    return kept
            self._backends[key] = made = make(self.model.network, device, precision)
            return made

    def _exact(self, device: Device) -> Backend:
        """Give a float32 backend for one look: too little to measure what is fastest for it."""
        kept = self._backends.get((device, "fp32", ""))
        make = self._make_backend or TorchBackend
        return kept or make(self.model.network, device, "fp32")

    def _where_it_fits(
        self, prepared: Callable[[Device], _Prepared]
    ) -> tuple[_Prepared, list[Notice]]:
        """Prepare a network: on the CPU where the device cannot even hold it, which is said."""
        try:
            return prepared(self.device), []
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self.device == self._cpu:
                raise
        notice = Notice(
            f"{self.device.name} has too little free memory for the network; "
            f"{self._cpu.name} restores the image."
        )
        return prepared(self._cpu), [notice]

    def _settle(
        self, device: Device, reader: TileReader, shape: tuple[int, ...]
    ) -> tuple[Backend, list[Notice]]:
        """Settle the precision at first use, by a look at the middle of the first slice."""
        asked = self.settings.precision
        wanted: Precision = device.precision if asked == "auto" else asked
        backend = self._backend(device, wanted)
        if wanted == "fp32":
            return backend, []
        with self._lock:
            if device in self._settled:
                return self._backend(device, self._settled[device]), []
            sample = reader.read(checked_tile(shape))[0]
            agreement = agrees_with_fp32(backend, self._exact(device), sample)
            self._settled[device] = precision = wanted if agreement.is_enough else "fp32"
        complaint = [] if agreement.is_enough else [Notice(agreement.complaint)]
        return self._backend(device, precision), [*agreement.said, *complaint]


def _measured_cost(backend: Backend, counted: MemoryCost) -> MemoryCost:
    try:
        return probe_cost(backend, counted)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return counted


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
    strength: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """Denoise an image and double its pixels.

    Parameters
    ----------
    image : array-like, shape (..., Y, X) or (..., Y, X, 3 or 4)
        NumPy, dask, zarr, or anything with a shape, a data type and slices.
    model : Model, str or Path
        A loaded model, or the name or path of one.
    device, precision, tile, halo, intensity, non_finite, strength
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
    settings = Settings(device, precision, tile, halo, intensity, non_finite, strength)
    for event in Restorer(model, settings).run(image):
        if isinstance(event, TileDone) and progress is not None:
            progress(event.done, event.total)
        if isinstance(event, Finished):
            pixels: NDArray[Any] = event.restored.pixels
            return pixels
    raise AssertionError("A run ends with Finished.")
