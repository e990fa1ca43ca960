"""What computes fastest here, and in tiles of which width: measured once, and remembered.

No rule knows it. It depends on the processor's matrix units and caches, on the precision, and on
releases of PyTorch and OpenVINO. So each arrangement restores pieces as tall as tiles are, which
takes some seconds, and the times are kept in the user's cache folder for this processor, these
releases and this kind of network.

The arrangements take turns until the shortest two times of each are alike, and the shortest counts,
in seconds of processor time: other programs that use the machine meanwhile would else decide. A
network of the same kind with fewer RRDBs stands for the whole one: they are alike.

A pixel of a slightly wider tile can take a quarter longer, because a library splits its rows
otherwise. So what is fastest is measured at many widths.
"""

from __future__ import annotations

import math
import platform
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from napari_semnet.errors import DeviceError
from napari_semnet.files.atomic import replacing
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration.backends import DTYPES, TorchBackend, run_through
from napari_semnet.restoration.dense import ArrangementError, Stacked
from napari_semnet.restoration.openvino_network import OpenVINONetwork
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.prepared import Arrangement, Prepared, PreparedNetwork
from napari_semnet.restoration.runtime import CPU, Device, Precision
from napari_semnet.restoration.tile_size import WidthCost

__all__ = [
    "ARRANGEMENTS",
    "Speed",
    "arranged",
    "backend_named",
    "cache_file",
    "fastest",
    "is_measured",
    "measured_speeds",
    "operations",
]

ARRANGEMENTS: Mapping[str, Arrangement] = {
    "torch": PreparedNetwork,
    "torch-stacked": partial(PreparedNetwork, arrange=Stacked),
    "openvino": OpenVINONetwork,
}
"""By name, plainest first."""

_HEIGHT = 480
WIDTHS = (192, 384)
"""Pieces that all arrangements restore: rows, and pixels of a row. With fewer rows their maps stay
in the caches, which flatters those that read them most."""
_AROUND = 34
"""Columns that a tile reads beside what it gives, about: the mean on the way through the network
of a model that looks 29 pixels far. The wider a tile, the less they count."""
_FINE_HEIGHT = 96
_FINE = (*range(160, 281, 8), WIDTHS[-1])
"""Pixels of a row that the fastest one restores, where width matters: what tiles are wide together
with their halo. They are compared with each other only, for which few rows do."""
_HALVINGS = 2
"""How often the steepest step between two neighbours of them is halved."""
_FIRST = (64, 64)
"""Piece that tells what the others will take."""
_RRDBS = 2
"""Of the network that is measured. Fewer, and the first and last convolutions would decide."""
_ROUNDS = 3
_MOST_ROUNDS = 9
_PATIENCE = 20.0
"""Seconds by the clock after which the same pieces are not timed again: where other programs take
the cores, threads wait for each other, and a picture for them."""
_MOST_TALL_ROUNDS = 4
"""Of tall pieces, which take longer, and whose times differ less."""
_NEAR = 1.04
"""How much two times of the same work may differ on a machine that does nothing else."""
_LONGEST = 1.5
"""Seconds that all pieces together may take once. Where they would take longer, only the widest
ones are restored, twice: computing is what takes the time there, and widths hardly matter."""
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
_EDITION = 6
"""Of the arrangements and of how they are measured: times of others say nothing about these."""
_UNKNOWN = dict.fromkeys(WIDTHS, 0.0)

_lock = threading.Lock()
_Times = dict[str, dict[int, float]]
_Entries = TypeAdapter(dict[str, _Times])


@dataclass(frozen=True, slots=True)
class Speed:
    """What an arrangement takes, in seconds for each pixel."""

    name: str
    times: Mapping[int, float]
    """Of tiles by their width, in rising order."""

    @property
    def best(self) -> float:
        """For each pixel of a result, in tiles of the one of `WIDTHS` that suits it."""
        return min(self.times[width] * width / (width - _AROUND) for width in WIDTHS)

    @property
    def width_cost(self) -> WidthCost | None:
        """What width costs, or None where it does not matter.

        A width that is fast may lie between those of `WIDTHS`. Between two others a width counts as
        the middle one of the three: steps stay where they are, and one time that came out too long
        does not make anybody avoid its width.
        """
        if self.times[WIDTHS[-1]] <= _HARDLY * min(self.times.values()):
            return None
        times = list(self.times.values())
        inner = (sorted(times[i - 1 : i + 2])[1] for i in range(1, len(times) - 1))
        return WidthCost(tuple(self.times), (times[0], *inner, times[-1]))


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
    if device.kind != "cpu" or operations(architecture) < _LEAST_OPERATIONS:
        chosen = Speed("torch" if name == "auto" else name, _UNKNOWN)
    else:
        speeds = measured_speeds(architecture, precision)
        by_name = {speed.name: speed for speed in speeds}
        chosen = fastest(speeds) if name == "auto" else by_name.get(name, Speed(name, _UNKNOWN))
    try:
        return arranged(network, device, precision, chosen.name, chosen.width_cost)
    except DeviceError:
        if name == "auto":
            return TorchBackend(network, device, precision)
        raise


def arranged(
    network: SEMNet,
    device: Device,
    precision: Precision,
    name: str,
    width_cost: WidthCost | None = None,
) -> TorchBackend:
    """Prepare a network in an arrangement, which counts on a CPU only; nothing is measured.

    Raises
    ------
    DeviceError
        The arrangement cannot compute here.
    """
    if device.kind != "cpu":
        name = "torch"
    try:
        return TorchBackend(network, device, precision, ARRANGEMENTS[name], name, width_cost)
    except ArrangementError as error:
        raise DeviceError(
            f"{error}. Install it with: pip install 'napari-semnet[openvino]', or use another "
            "backend."
        ) from error


def measured_speeds(architecture: Architecture, precision: Precision) -> tuple[Speed, ...]:
    """Give the speeds of all arrangements on this CPU, from the cache folder where they are there.

    What stands in the cache and cannot be understood is as good as nothing.
    """
    key = _key(architecture, precision, torch.get_num_threads())
    with _lock:
        entries = _read()
        times = entries.get(key)
        if not times:
            times = _measure(architecture, precision)
            newest = dict(list((entries | {key: times}).items())[-_MOST_ENTRIES:])
            with suppress(OSError), replacing(cache_file()) as temporary:
                temporary.write_bytes(_Entries.dump_json(newest, indent=1))
    return tuple(Speed(name, times[name]) for name in ARRANGEMENTS if name in times)


def is_measured(
    architecture: Architecture, device: Device, precision: Precision, threads: int
) -> bool:
    """Whether `backend_named` need not measure anything first, which takes some seconds.

    Parameters
    ----------
    architecture, device, precision
        As `backend_named` gets them.
    threads : int
        That are going to share a sum.
    """
    if device.kind != "cpu" or operations(architecture) < _LEAST_OPERATIONS:
        return True
    return bool(_read().get(_key(architecture, precision, threads)))


def cache_file() -> Path:
    """Where measured speeds are kept."""
    import platformdirs

    return platformdirs.user_cache_path("napari-semnet", appauthor=False) / "speeds.json"


def _read() -> dict[str, _Times]:
    try:
        entries = _Entries.validate_json(cache_file().read_bytes())
    except (OSError, ValidationError):
        return {}
    sound = all(
        math.isfinite(time) and time > 0
        for times in entries.values()
        for by_width in times.values()
        for time in by_width.values()
    ) and all(
        list(by_width) == sorted(by_width) and by_width.keys() >= set(WIDTHS)
        for times in entries.values()
        for by_width in times.values()
    )
    return entries if sound else {}


def _key(architecture: Architecture, precision: Precision, threads: int) -> str:
    a = architecture
    return "; ".join(
        (
            _processor(),
            f"{threads} threads",
            f"PyTorch {torch.__version__}",
            f"OpenVINO {openvino_version() or '-'}",
            f"{a.features}+{a.growth}x{a.conv_per_rdb}x{a.rdb_per_block}x{a.blocks}",
            precision,
            f"edition {_EDITION}",
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
    part = replace(architecture, blocks=min(architecture.blocks, _RRDBS))
    with torch.random.fork_rng(devices=[]):
        network = SEMNet(part)
    ready: dict[str, Prepared] = {}
    first: dict[str, float] = {}
    with torch.inference_mode():
        for name, arrange in ARRANGEMENTS.items():
            if name == "torch-stacked" and not torch._C._has_mkldnn:
                continue  # Without oneDNN volumes are convolved far too slowly.
            with suppress(ArrangementError):
                ready[name] = arrange(network, CPU, DTYPES[precision])
                # The first run prepares kernels, and another program may delay any.
                first[name] = min(_seconds_per_pixel(ready[name], _FIRST) for _ in range(_ROUNDS))
        near = {name: s for name, s in first.items() if s < _HOPELESS * min(first.values())}
        ready = {name: ready[name] for name in near}
        if min(near.values()) * _HEIGHT * sum(WIDTHS) > _LONGEST:
            wide = _in_turns(ready, WIDTHS[-1:], _HEIGHT, rounds=1)
            return {name: dict.fromkeys(WIDTHS, *times.values()) for name, times in wide.items()}
        times = _in_turns(ready, WIDTHS, _HEIGHT, _MOST_TALL_ROUNDS)
        best = fastest(tuple(Speed(name, times[name]) for name in times))
        if best.width_cost is not None:
            times[best.name] = _finely(ready[best.name], best.times)
    return times


def _finely(network: Prepared, times: Mapping[int, float]) -> dict[int, float]:
    """Measure a network at many widths, and where the steepest step between two of them is.

    Few shapes stay compiled, so widths come one after the other. Meanwhile a machine becomes
    faster or slower, so that each takes turns with the narrowest, which all are compared by.
    """
    found = dict(times)
    narrow = WIDTHS[0]

    def measure(width: int) -> None:
        for pair in _in_turns({"": network}, (narrow, width), _FINE_HEIGHT).values():
            found[width] = times[narrow] * pair[width] / pair[narrow]

    for width in _FINE:
        measure(width)
    for _ in range(_HALVINGS):
        near = sorted(found.keys() - {WIDTHS[-1]})
        step = max(pairwise(near), key=lambda pair: found[pair[1]] / found[pair[0]])
        measure(sum(step) // 2)
    return dict(sorted(found.items()))


def _in_turns(
    networks: Mapping[str, Prepared],
    widths: tuple[int, ...],
    height: int,
    rounds: int = _MOST_ROUNDS,
) -> _Times:
    """Measure networks at some widths, at most so many times; one that fails is left out.

    A time counts once another has come near it. What uses the same caches meanwhile makes times
    longer, so that they differ.
    """
    found: dict[tuple[str, int], list[float]] = {(n, w): [] for n in networks for w in widths}
    start = time.monotonic()
    for turn in range(1, 2 + rounds):  # The first time kernels are prepared.
        for name, width in found:
            with suppress(ArrangementError):
                seconds = _seconds_per_pixel(networks[name], (height, width))
                found[name, width] = sorted([*found[name, width], seconds])
        is_late = turn > 1 and time.monotonic() - start > _PATIENCE
        if is_late or (turn > _ROUNDS and all(_agree(times) for times in found.values())):
            break
    times = {name: {w: found[name, w][0] for w in widths if found[name, w]} for name in networks}
    return {name: each for name, each in times.items() if len(each) == len(widths)}


def _agree(times: Sequence[float]) -> bool:
    """Whether the two shortest of some times in rising order differ by little."""
    return len(times) < 2 or times[1] <= _NEAR * times[0]


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
