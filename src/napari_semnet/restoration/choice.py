"""Which arrangement of the dense blocks is fastest here: measured once, and remembered.

No rule knows it. It depends on the processor's matrix units and caches, on the precision, and on
releases of PyTorch and OpenVINO. So each arrangement runs one RRDB of the network on small pieces,
which takes a second or two, and the times are kept in the user's cache folder for this processor,
these releases and this kind of network.
"""

from __future__ import annotations

import math
import platform
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from napari_semnet.errors import DeviceError
from napari_semnet.files.atomic import replacing
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration.backends import DTYPES, TorchBackend, run_through
from napari_semnet.restoration.dense import ArrangementError, Concatenated, DenseBlocks, Stacked
from napari_semnet.restoration.openvino_blocks import OpenVINOBlocks, openvino_version
from napari_semnet.restoration.prepared import Arrangement
from napari_semnet.restoration.runtime import CPU, Device, Precision

__all__ = [
    "ARRANGEMENTS",
    "Speed",
    "backend_named",
    "cache_file",
    "fastest",
    "measured_speeds",
    "operations",
]

ARRANGEMENTS: Mapping[str, Arrangement] = {
    "torch": Concatenated,
    "torch-stacked": Stacked,
    "openvino": OpenVINOBlocks,
}
"""By name, plainest first."""

_SMALL, _NARROW, _WIDE = (64, 64), (160, 160), (160, 640)
_SECONDS = 0.06
"""Time after which a piece is not run once more."""
_LONGEST = 0.3
"""Seconds that the widest piece may take. Where it would take longer, computing is what takes the
time, and caches hardly matter."""
_HOPELESS = 4.0
"""An arrangement that is slower by this factor on the first piece does not run the others. Small
pieces tell little: starting threads takes its time as well."""
_GAIN = 1.03
"""How much faster than a plainer one an arrangement must be to be chosen."""
_TYPICAL_WIDTH = 184
_MOST_WIDTH_COST = 1 / 700
_LEAST_OPERATIONS = 10**6
"""Operations a pixel below which nothing is gained by a choice."""
_MOST_ENTRIES = 64

_lock = threading.Lock()
_Times = dict[str, tuple[float, float]]
_Entries = TypeAdapter(dict[str, _Times])


@dataclass(frozen=True, slots=True)
class Speed:
    """What an arrangement takes for one RRDB, in seconds for each pixel."""

    name: str
    narrow: float
    """Of tiles 160 pixels wide."""
    wide: float
    """Of tiles 640 pixels wide."""

    @property
    def width_cost(self) -> float:
        """Part by which each pixel of width lengthens the time, taken as a straight line."""
        (_, near), (_, far) = _NARROW, _WIDE
        slope = (self.wide - self.narrow) / (far - near)
        start = self.narrow - slope * near
        if slope <= 0:
            return 0.0
        return min(_MOST_WIDTH_COST, slope / start) if start > 0 else _MOST_WIDTH_COST

    @property
    def typical(self) -> float:
        """Of tiles of the size that is used."""
        (_, near), (_, far) = _NARROW, _WIDE
        part = (_TYPICAL_WIDTH - near) / (far - near)
        return self.narrow + part * (self.wide - self.narrow)


def fastest(speeds: tuple[Speed, ...]) -> Speed:
    """Choose an arrangement; a less plain one only where it gains something."""
    best = speeds[0]
    for speed in speeds[1:]:
        if _GAIN * speed.typical < best.typical:
            best = speed
    return best


def backend_named(
    network: SEMNet, device: Device, precision: Precision, name: str = "auto"
) -> TorchBackend:
    """Prepare a network in an arrangement, or in the fastest one.

    Raises
    ------
    DeviceError
        The arrangement that was asked for cannot compute here.
    """
    architecture = network.architecture
    on_cpu = device.kind == "cpu"
    if not on_cpu or operations(architecture) < _LEAST_OPERATIONS:
        chosen = Speed("torch" if name == "auto" or not on_cpu else name, 0.0, 0.0)
    else:
        speeds = measured_speeds(architecture, precision)
        by_name = {speed.name: speed for speed in speeds}
        chosen = fastest(speeds) if name == "auto" else by_name.get(name, Speed(name, 0.0, 0.0))
    try:
        return TorchBackend(
            network, device, precision, ARRANGEMENTS[chosen.name], chosen.name, chosen.width_cost
        )
    except ArrangementError as error:
        if name == "auto":
            return TorchBackend(network, device, precision)
        raise DeviceError(
            f"{error}. Install it with: pip install 'napari-semnet[openvino]', or use another "
            "backend."
        ) from error


def measured_speeds(architecture: Architecture, precision: Precision) -> tuple[Speed, ...]:
    """Give the speeds of all arrangements on this CPU, from the cache folder where they are there.

    What stands in the cache and cannot be understood is as good as nothing.
    """
    key = _key(architecture, precision)
    with _lock:
        entries = _read()
        times = entries.get(key)
        if times is None or "torch" not in times:
            times = _measure(architecture, precision)
            newest = dict(list((entries | {key: times}).items())[-_MOST_ENTRIES:])
            with suppress(OSError), replacing(cache_file()) as temporary:
                temporary.write_bytes(_Entries.dump_json(newest, indent=1))
    return tuple(Speed(name, *times[name]) for name in ARRANGEMENTS if name in times)


def cache_file() -> Path:
    """Where measured speeds are kept."""
    import platformdirs

    return platformdirs.user_cache_path("napari-semnet", appauthor=False) / "speed.json"


def _read() -> dict[str, _Times]:
    try:
        entries = _Entries.validate_json(cache_file().read_bytes())
    except (OSError, ValidationError):
        return {}
    sound = all(
        math.isfinite(time) and time > 0
        for times in entries.values()
        for pair in times.values()
        for time in pair
    )
    return entries if sound else {}


def _key(architecture: Architecture, precision: Precision) -> str:
    a = architecture
    return "; ".join(
        (
            _processor(),
            f"{torch.get_num_threads()} threads",
            f"PyTorch {torch.__version__}",
            f"OpenVINO {openvino_version() or '-'}",
            f"{a.features}+{a.growth}x{a.conv_per_rdb}x{a.rdb_per_block}",
            precision,
        )
    )


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({_isa()})"
    return f"{platform.processor() or platform.machine()} ({_isa()})"


def _isa() -> str:
    return str(torch.backends.cpu.get_cpu_capability())


def operations(architecture: Architecture) -> int:
    """Floating-point operations of all dense blocks for each pixel."""
    a = architecture
    inputs = [a.features + i * a.growth for i in range(a.conv_per_rdb)]
    outputs = [a.growth] * (a.conv_per_rdb - 1) + [a.features]
    products = sum(9 * i * o for i, o in zip(inputs, outputs, strict=True))
    return 2 * products * a.blocks * a.rdb_per_block


def _measure(architecture: Architecture, precision: Precision) -> _Times:
    with torch.random.fork_rng(devices=[]):
        network = SEMNet(replace(architecture, blocks=1))
    times: _Times = {}
    for name, arrange in ARRANGEMENTS.items():
        if name == "torch-stacked" and not torch._C._has_mkldnn:
            continue  # Without oneDNN volumes are convolved far too slowly.
        bound = _HOPELESS * min((pair[0] for pair in times.values()), default=math.inf)
        with suppress(ArrangementError):
            with torch.inference_mode():
                pair = _times_of(arrange, network, precision, bound)
            if pair is not None:
                times[name] = pair
    return times


def _times_of(
    arrange: Arrangement, network: SEMNet, precision: Precision, bound: float
) -> tuple[float, float] | None:
    blocks = arrange(network, CPU, DTYPES[precision])
    small = _seconds_per_pixel(blocks, network, _SMALL)
    if small > bound:
        return None
    if small * math.prod(_WIDE) > _LONGEST:
        return small, small
    narrow, wide = (_seconds_per_pixel(blocks, network, shape) for shape in (_NARROW, _WIDE))
    return narrow, wide


def _seconds_per_pixel(blocks: DenseBlocks, network: SEMNet, shape: tuple[int, int]) -> float:
    maps = torch.full((1, network.architecture.features, *shape), 0.1)
    maps = maps.to(memory_format=torch.channels_last)
    best = math.inf
    run_through(blocks.run(maps))  # The first run prepares kernels.
    start = time.perf_counter()
    while time.perf_counter() - start < _SECONDS or best == math.inf:
        maps.fill_(0.1)
        before = time.perf_counter()
        run_through(blocks.run(maps))
        best = min(best, time.perf_counter() - before)
    return best / math.prod(shape)
