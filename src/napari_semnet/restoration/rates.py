"""How fast this machine restores, beside how fast it multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from napari_semnet.model import Model
from napari_semnet.network import Architecture
from napari_semnet.restoration.backends import DTYPES
from napari_semnet.restoration.choice import ARRANGEMENTS, operations
from napari_semnet.restoration.memory import peak_memory
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import Device, Precision, describe_device

__all__ = ["Rate", "matrix_rate", "measure_rates", "operations_of_network"]

_SIDE = 2048
_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Rate:
    """What one way to compute gave."""

    device: str
    precision: str
    backend: str
    tile: tuple[int, int]
    """(Y, X) of a core, input pixels."""
    halo: int
    seconds: float
    """From array to array, the best of the runs."""
    megapixels_per_second: float
    """Input pixels."""
    matrix_teraflops: float
    """Rate of matrix products in this precision, measured in the same run."""
    share: float
    """Part of that rate at which the network's own operations ran; halos count as loss."""
    memory_bytes: float
    """Most that the run took beyond picture and result."""


def matrix_rate(device: torch.device, precision: Precision) -> float:
    """Measure operations a second of a product of two square matrices of 2048 rows."""
    left = torch.full((_SIDE, _SIDE), 0.5, dtype=DTYPES[precision], device=device)
    right = left.clone()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        before = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # Wait for the device.
        best = min(best, time.perf_counter() - before)
    return 2 * _SIDE**3 / best


def operations_of_network(architecture: Architecture) -> int:
    """Floating-point operations of the network as it is written, for each input pixel."""
    a = architecture
    around = 9 * (a.in_channels * a.features + a.features**2)
    tail = 4 * 9 * (a.features**2 + a.features * a.in_channels)
    return operations(a) + 2 * (around + tail)


def measure_rates(
    model: Model, device: str, size: tuple[int, int], runs: int
) -> Iterator[Rate | str]:
    """Measure each way in which a device can restore.

    Parameters
    ----------
    model : Model
    device : str
        See `describe_device`.
    size : tuple of int
        (Y, X) of the picture.
    runs : int
        The best of so many counts, after one that does not.

    Yields
    ------
    Rate or str
        A result, or a sentence about a backend that cannot compute here.
    """
    from napari_semnet.errors import DeviceError

    found = describe_device(device)
    picture = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    precisions: list[Precision] = ["bf16", "fp32"] if found.precision == "bf16" else ["fp32"]
    for precision in precisions:
        rate = matrix_rate(found.torch_device, precision)
        for backend in ARRANGEMENTS if found.kind == "cpu" else ("torch",):
            settings = Settings(device=device, precision=precision, backend=backend)  # type: ignore[arg-type]
            try:
                yield _measured(Restorer(model, settings), found, picture, rate, runs)
            except DeviceError as error:
                yield str(error)


def _measured(
    restorer: Restorer, device: Device, picture: np.ndarray, rate: float, runs: int
) -> Rate:
    memory = peak_memory(device, lambda: restorer.restore(picture))
    done = [restorer.restore(picture) for _ in range(runs)]
    best = min(done, key=lambda restoration: restoration.seconds)
    work = operations_of_network(restorer.model.card.architecture) * picture.size
    plan = best.plan
    return Rate(
        plan.device_name,
        plan.precision,
        plan.backend,
        plan.tile,
        plan.halo,
        best.seconds,
        picture.size / best.seconds / 1e6,
        rate / 1e12,
        work / best.seconds / rate,
        memory,
    )
