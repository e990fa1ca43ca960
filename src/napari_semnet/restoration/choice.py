"""What computes fastest here, and in tiles of which width: measured once, and remembered.

No rule knows it. It depends on the processor's matrix units and caches, on the precision, and on
releases of PyTorch and OpenVINO. So each arrangement restores small pieces, which takes some
seconds, and the times are kept in the user's cache folder for this processor, these releases and
this kind of network.

The arrangements take turns and the shortest of their times counts, in seconds of processor time:
other programs that use the machine meanwhile would else decide.
"""

from __future__ import annotations

import math
import platform
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from napari_semnet.errors import DeviceError
from napari_semnet.files.atomic import replacing
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration.backends import DTYPES, TorchBackend, run_through
from napari_semnet.restoration.dense import ArrangementError, Stacked
from napari_semnet.restoration.openvino_network import OpenVINONetwork, openvino_version
from napari_semnet.restoration.prepared import Arrangement, Prepared, PreparedNetwork
from napari_semnet.restoration.runtime import CPU, Device, Precision
from napari_semnet.restoration.tiles import WidthCost

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
    "torch": PreparedNetwork,
    "torch-stacked": partial(PreparedNetwork, arrange=Stacked),
    "openvino": OpenVINONetwork,
}
"""By name, plainest first."""

_HEIGHT = 192
WIDTHS = (96, 192, 384)
"""Pieces that are restored: rows, and pixels of a row."""
_FIRST = (64, 64)
"""Piece that tells what the others will take."""
_ROUNDS = 3
_LONGEST = 1.0
"""Seconds that the widest piece may take. Where it would take longer, computing is what takes the
time, and caches hardly matter."""
_HOPELESS = 4.0
"""An arrangement that is slower by this factor on the first piece does not run the others. Small
pieces tell little: starting threads takes its time as well."""
_GAIN = 1.03
"""How much faster than a plainer one an arrangement must be to be chosen."""
_HARDLY = 1.05
"""How much slower wide tiles must be for width to matter."""
_LEAST_OPERATIONS = 10**6
"""Operations a pixel below which nothing is gained by a choice."""
_MOST_ENTRIES = 64
_EDITION = 2
"""Of the arrangements: times of other ones say nothing about these."""
_UNKNOWN = (0.0, 0.0, 0.0)

_lock = threading.Lock()
_Times = dict[str, tuple[float, float, float]]
_Entries = TypeAdapter(dict[str, _Times])


@dataclass(frozen=True, slots=True)
class Speed:
    """What an arrangement takes, in seconds for each pixel."""

    name: str
    times: tuple[float, float, float]
    """Of tiles of `WIDTHS`."""

    @property
    def best(self) -> float:
        """Of tiles of the width that suits it."""
        return min(self.times)

    @property
    def width_cost(self) -> WidthCost | None:
        """What width costs, or None where it does not matter."""
        return WidthCost(WIDTHS, self.times) if self.times[-1] > _HARDLY * self.best else None


def fastest(speeds: tuple[Speed, ...]) -> Speed:
    """Choose an arrangement; a less plain one only where it gains something."""
    best = speeds[0]
    for speed in speeds[1:]:
        if _GAIN * speed.best < best.best:
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
        chosen = Speed("torch" if name == "auto" or not on_cpu else name, _UNKNOWN)
    else:
        speeds = measured_speeds(architecture, precision)
        by_name = {speed.name: speed for speed in speeds}
        chosen = fastest(speeds) if name == "auto" else by_name.get(name, Speed(name, _UNKNOWN))
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
    return tuple(Speed(name, times[name]) for name in ARRANGEMENTS if name in times)


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
        for three in times.values()
        for time in three
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
            f"{a.features}+{a.growth}x{a.conv_per_rdb}x{a.rdb_per_block}x{a.blocks}",
            precision,
            f"{_HEIGHT} x {WIDTHS}, edition {_EDITION}",
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
        network = SEMNet(architecture)
    ready: dict[str, Prepared] = {}
    first: dict[str, float] = {}
    with torch.inference_mode():
        for name, arrange in ARRANGEMENTS.items():
            if name == "torch-stacked" and not torch._C._has_mkldnn:
                continue  # Without oneDNN volumes are convolved far too slowly.
            with suppress(ArrangementError):
                ready[name] = arrange(network, CPU, DTYPES[precision])
                _seconds_per_pixel(ready[name], _FIRST)  # The first run prepares kernels.
                first[name] = _seconds_per_pixel(ready[name], _FIRST)
        near = {name: s for name, s in first.items() if s < _HOPELESS * min(first.values())}
        if min(near.values()) * _HEIGHT * WIDTHS[-1] > _LONGEST:
            return {name: (seconds,) * 3 for name, seconds in near.items()}
        best = {(name, width): math.inf for name in near for width in WIDTHS}
        for _ in range(_ROUNDS):
            for name, width in best:
                with suppress(ArrangementError):
                    seconds = _seconds_per_pixel(ready[name], (_HEIGHT, width))
                    best[name, width] = min(best[name, width], seconds)
    narrow, middle, wide = WIDTHS
    times = {name: (best[name, narrow], best[name, middle], best[name, wide]) for name in near}
    return {name: three for name, three in times.items() if max(three) < math.inf}


def _seconds_per_pixel(network: Prepared, shape: tuple[int, int]) -> float:
    image = torch.full((1, 1, *shape), 0.5)
    start = _now()
    run_through(network.steps(image))
    return max(1e-12, (_now() - start) / math.prod(shape))


def _now() -> float:
    """Seconds for which each thread had a processor; Windows counts only every 16 milliseconds."""
    if sys.platform == "win32":
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()
