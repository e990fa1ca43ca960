"""How much memory a tile takes, and how large a tile may therefore be.

What a tile takes at its peak is ``fixed + per_pixel * pixels``. It is counted from the
architecture first, which is enough to see that a small image fits; for a larger one it is measured
on this device and in this precision, with two probe runs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from napari_semnet.network import Architecture
from napari_semnet.restoration.backends import Backend, run_through
from napari_semnet.restoration.runtime import Device, Precision

__all__ = [
    "CPU_CEILING",
    "MemoryCost",
    "budget",
    "counted_cost",
    "fit_cost",
    "most_pixels",
    "peak_memory",
    "probe_cost",
    "tiles_at_once",
]

CPU_CEILING = 2**30
"""Bytes that a tile takes on a CPU at most, however much memory is free. Larger tiles gain
nothing there: no device has to be kept busy, and the halo is a small part already."""

_SHARE = {"cpu": 0.5, "cuda": 0.85, "mps": 0.5}
"""Part of the free memory that is used. A CPU's is shared with everything else that runs."""

_LEAST_PIXELS = 64**2
_PROBE_SIDES = (128, 256)
_TRUST = 1.5
"""Measured and counted cost differ by less than this factor, or the measurement was disturbed."""


@dataclass(frozen=True, slots=True)
class MemoryCost:
    """Memory at the peak of a tile's computation, in bytes."""

    fixed: float
    """Whatever the tile."""
    per_pixel: float
    """For each input pixel that the tile reads."""

    def of(self, pixels: int) -> float:
        """Bytes that a tile of so many pixels takes."""
        return self.fixed + self.per_pixel * pixels

    def pixels_within(self, available: float) -> int:
        """How many pixels a tile may read to take no more than `available` bytes."""
        return max(_LEAST_PIXELS, math.floor((available - self.fixed) / self.per_pixel))


def counted_cost(architecture: Architecture, precision: Precision) -> MemoryCost:
    """Count the maps that exist at once, as `PreparedNetwork` runs a SEMNet.

    Within a dense block: its input in float32, and in the block's own precision the input, what
    each convolution grew, all of it concatenated, and the change. One map of slack stands for
    what libraries take for themselves.
    """
    a = architecture
    grown = a.growth * (a.conv_per_rdb - 1)
    maps = a.features + grown + (a.features + grown) + a.features + max(a.features, a.growth)
    size = 4 if precision == "fp32" else 2
    output = 4 * 4
    tail = 2**15 * 4 * (3 * 4 * a.features)
    return MemoryCost(fixed=float(tail), per_pixel=4.0 * a.features + size * maps + 2 * output)


def most_pixels(architecture: Architecture) -> int:
    """How many pixels a tile may have, whatever the memory.

    Beyond 2**31 values in one array, GPU libraries count them otherwise and become slow or fail.
    """
    widest = architecture.features + architecture.growth * (architecture.conv_per_rdb - 1)
    return (2**31 - 1) // widest


def fit_cost(small: tuple[int, float], large: tuple[int, float], counted: MemoryCost) -> MemoryCost:
    """Fit two measured peaks, (pixels, bytes) each, and keep the fit near what was counted.

    A measurement can be disturbed: other threads take and give back memory, and what an
    allocator has kept from before is not taken again. So it counts only within a factor of 1.5
    of the counted cost.
    """
    slope = (large[1] - small[1]) / (large[0] - small[0])
    per_pixel = min(max(slope, counted.per_pixel / _TRUST), counted.per_pixel * _TRUST)
    fixed = min(max(small[1] - per_pixel * small[0], 0.0), counted.fixed * _TRUST)
    return MemoryCost(max(fixed, counted.fixed / _TRUST), per_pixel)


def probe_cost(backend: Backend, counted: MemoryCost) -> MemoryCost:
    """Measure what tiles take, with two runs of different size.

    Parameters
    ----------
    backend : Backend
        Its device and precision are what is measured.
    counted : MemoryCost
        See `fit_cost`.
    """
    if backend.device.kind == "mps":
        return counted  # Metal keeps no peak, and its memory is not the process's.

    def taken(side: int) -> tuple[int, float]:
        return side * side, peak_memory(backend.device, lambda: _run(backend, side))

    small, large = (taken(side) for side in _PROBE_SIDES)
    return fit_cost(small, large, counted)


def _run(backend: Backend, side: int) -> None:
    run_through(backend.restore_tile(np.full((side, side), 0.5, np.float32)))


def peak_memory(device: Device, work: Callable[[], object]) -> float:
    """Bytes that some work takes at its peak: of a GPU by PyTorch's record, else of the process."""
    if device.kind != "cuda":
        return _peak_resident(work)
    before = torch.cuda.memory_allocated(device.torch_device)
    torch.cuda.reset_peak_memory_stats(device.torch_device)
    work()
    return float(torch.cuda.max_memory_allocated(device.torch_device) - before)


def _peak_resident(work: Callable[[], object]) -> float:
    """Growth of the process's memory during some work, sampled every other millisecond."""
    process = psutil.Process()
    samples = [process.memory_info().rss]
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.002):
            samples.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch, name="semnet-memory-probe", daemon=True)
    watcher.start()
    try:
        work()
    finally:
        finished.set()
        watcher.join()
    return float(max(samples) - samples[0])


def budget(device: Device) -> float:
    """Bytes that a tile may take on a device now."""
    share = _SHARE.get(device.kind, 0.5)
    if device.kind == "cuda":
        # What PyTorch holds but does not use is free for it, though not for the driver.
        held = torch.cuda.memory_reserved(device.torch_device)
        used = torch.cuda.memory_allocated(device.torch_device)
        return share * (torch.cuda.mem_get_info(device.torch_device)[0] + held - used)
    if device.kind == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return share * max(0, free)
    return float(min(share * psutil.virtual_memory().available, CPU_CEILING))


def tiles_at_once(device: Device, each: float) -> int:
    """How many tiles of so many bytes may be computed at once, at least one; on a GPU it is one."""
    if device.kind != "cpu":
        return 1
    free = float(psutil.virtual_memory().available)
    return max(1, math.floor(_SHARE["cpu"] * free / each))
