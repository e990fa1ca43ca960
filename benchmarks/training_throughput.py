"""Measure training speed beside the two ways in which such a network is usually trained.

All three train the same network (the poster's, by default) with the same losses and batches of
the same size, in one process each taking its turn, so that what else the machine does meets all
alike:

* per sample: float32, NCHW, dense blocks that join all pieces anew for each convolution, Adam and
  the weight average parameter by parameter, and a PyTorch data loader that decodes the picture's
  file and degrades one crop after the other on the CPU (OpenCV where it is installed), as BasicSR
  and its descendants do;
* plain module: float32, NCHW, a Lightning-style module of `training_step` and
  `configure_optimizers` with this package's degradation in batch;
* this package's own training run, precision "auto".

    python benchmarks/training_throughput.py PICTURES [--rounds 4] [--steps 3] [--device auto]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from napari_semnet import __version__
from napari_semnet.network import RDB, Architecture, SEMNet
from napari_semnet.restoration.runtime import describe_device
from napari_semnet.training.config import config_from
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.events import Started, Step
from napari_semnet.training.losses import combined_loss
from napari_semnet.training.trainer import training_run

try:
    import cv2
except ImportError:
    cv2 = None

KERNEL = 21
"""Side of blur kernels in pixels, as usual in blind super-resolution."""


class CropsOfFiles(Dataset[tuple[Tensor, Tensor]]):
    """One random crop of one file, degraded by itself."""

    def __init__(self, paths: list[Path], patch: int, length: int) -> None:
        self.paths, self.side, self.length = paths, 2 * patch, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng(index)
        picture = _decode(self.paths[index % len(self.paths)])
        y, x = (int(generator.integers(0, size - self.side + 1)) for size in picture.shape)
        high = picture[y : y + self.side, x : x + self.side].astype(np.float32) / 255
        high = np.rot90(high, int(generator.integers(4))).copy()
        low = _degraded(high, generator)
        return torch.from_numpy(low)[None], torch.from_numpy(high)[None]


def _decode(path: Path) -> np.ndarray:
    if cv2 is not None:
        return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def _degraded(high: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blur, resize and back, halve, Gaussian and Poisson noise, 8 bits, one crop at a time."""
    if generator.random() < 0.8:
        high = _filtered(high, _kernel(generator))
    if generator.random() < 0.7:
        scale = math.exp(generator.uniform(math.log(0.5), math.log(2)))
        between = max(4, round(len(high) * scale))
        high = _resized(_resized(high, between), len(high))
    low = _resized(high, len(high) // 2)
    if generator.random() < 0.75:
        electrons = 10 ** generator.uniform(2, 4)
        low = generator.poisson(np.clip(low, 0, 1) * electrons) / electrons
    if generator.random() < 0.75:
        low = low + generator.uniform(2, 25) / 255 * generator.standard_normal(low.shape)
    return (np.clip(np.rint(255 * low), 0, 255) / 255).astype(np.float32)


def _kernel(generator: np.random.Generator) -> np.ndarray:
    sigmas, angle = generator.uniform(0.1, 2.4, 2), generator.uniform(0, math.pi)
    if generator.random() < 0.5:
        sigmas[1] = sigmas[0]
    y, x = np.mgrid[-(KERNEL // 2) : KERNEL // 2 + 1, -(KERNEL // 2) : KERNEL // 2 + 1]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2) / 2)
    return (kernel / kernel.sum()).astype(np.float32)


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    if cv2 is not None:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return ndimage.convolve(image, kernel, mode="mirror")


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    if cv2 is not None:
        return cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(image.astype(np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


class PieceByPiece(RDB):
    """The same block as Real-ESRGAN and its descendants write it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map features to features."""
        pieces = [x]
        for conv in list(self.conv)[:-1]:
            pieces.append(self.activation(conv(torch.cat(pieces, dim=1))))
        return x + self.residual_scaling * self.conv[-1](torch.cat(pieces, dim=1))


def per_sample(arguments: argparse.Namespace, device: torch.device) -> Iterator[None]:
    """Train the usual way; one step each time."""
    network = _network(arguments)
    for rrdb in network.body:
        rrdb.rdb = nn.Sequential(*(PieceByPiece(network.architecture) for _ in rrdb.rdb))
    network = network.to(device)
    average = copy.deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    crops = CropsOfFiles(_files(arguments.pictures), arguments.patch, 10**6)
    loader = DataLoader(crops, arguments.batch, num_workers=arguments.workers)
    for low, high in loader:
        optimiser.zero_grad()
        loss = combined_loss(network(low.to(device)), high.to(device)).total
        loss.backward()
        optimiser.step()
        for old, new in zip(average.parameters(), network.parameters(), strict=True):
            old.data.mul_(0.999).add_(new.data, alpha=0.001)
        yield


class PlainModule(nn.Module):
    """What a Lightning module of this network would hold."""

    def __init__(self, network: SEMNet) -> None:
        super().__init__()
        self.network = network

    def training_step(self, high: Tensor, number: int) -> Tensor:
        """Degrade, restore, compare."""
        low = degrade(high, PROFILES["poster"], seed=0, step=number)
        return combined_loss(self.network(low), high).total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam as the poster has it."""
        return torch.optim.Adam(self.parameters(), lr=1e-4)


class Crops(Dataset[Tensor]):
    """Random crops of pictures that are held in memory."""

    def __init__(self, paths: list[Path], patch: int, length: int) -> None:
        self.pictures = [_decode(path) for path in paths]
        self.side, self.length = 2 * patch, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        generator = np.random.default_rng(index)
        picture = self.pictures[index % len(self.pictures)]
        y, x = (int(generator.integers(0, size - self.side + 1)) for size in picture.shape)
        return torch.from_numpy(
            picture[y : y + self.side, x : x + self.side].astype(np.float32)[None] / 255
        )


def plain_module(arguments: argparse.Namespace, device: torch.device) -> Iterator[None]:
    """Train a plain module; one step each time."""
    module = PlainModule(_network(arguments)).to(device)
    optimiser = module.configure_optimizers()
    crops = Crops(_files(arguments.pictures), arguments.patch, 10**6)
    for number, high in enumerate(DataLoader(crops, arguments.batch)):
        optimiser.zero_grad()
        loss = module.training_step(high.to(device), number)
        loss.backward()
        optimiser.step()
        yield


def ours(arguments: argparse.Namespace, folder: Path, told: list[Step]) -> Iterator[None]:
    """Train by this package; one step each time. `told` takes what the run says of each."""
    config = config_from(
        {
            "steps": 10**6,
            "batch": arguments.batch,
            "patch": arguments.patch,
            "store": str(folder / "store"),
            "degradation": "poster",
            "data": [{"images": str(arguments.pictures)}],
            "network": _sizes(arguments),
            "validation": {"crops": 0},
            "hardware": {"device": arguments.device, "compile": arguments.compile},
            "intervals": {"log": 1, "evaluate": 10**6, "preview": 10**6, "checkpoint": 10**6},
        }
    )
    for event in training_run(config, folder / "run"):
        if isinstance(event, Started):
            print(f"ours: {event.device}, {event.precision}, {event.parameters:,} parameters")
        if isinstance(event, Step):
            told.append(event)
            yield


def _sizes(arguments: argparse.Namespace) -> dict[str, int]:
    if arguments.small:
        return {"features": 8, "growth": 4, "blocks": 1, "rdb_per_block": 1, "conv_per_rdb": 2}
    return {}


def _network(arguments: argparse.Namespace) -> SEMNet:
    return SEMNet(Architecture(**_sizes(arguments))).train()


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".png", ".tif"})
    if not found:
        raise SystemExit(f"There is no picture in {folder}.")
    return found


def _finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def main() -> None:
    """Measure, print, write JSON and Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="folder of good pictures")
    parser.add_argument(
        "--ways", nargs="+", choices=["per sample", "plain module"], help="to measure beside ours"
    )
    parser.add_argument("--rounds", type=int, default=4, help="turns of each way")
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=64, help="side of the poor crop, pixels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", default="off", help="mode of torch.compile, ours only")
    parser.add_argument("--workers", type=int, default=2, help="of the per-sample loader")
    parser.add_argument("--threads", type=int, default=None, help="of PyTorch; unchanged if absent")
    parser.add_argument("--small", action="store_true", help="a tiny network, to try this script")
    parser.add_argument("--note", default="", help="said in the result, such as what else ran")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    device = describe_device(arguments.device)
    told: list[Step] = []
    others = arguments.ways or ["per sample", "plain module"]
    seconds: dict[str, list[float]] = {name: [] for name in (*others, "ours")}
    processor: dict[str, list[float]] = {name: [] for name in seconds}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ways: dict[str, Any] = {
            "per sample": per_sample(arguments, device.torch_device),
            "plain module": plain_module(arguments, device.torch_device),
            "ours": ours(arguments, Path(folder), told),
        }
        ways = {name: ways[name] for name in seconds}
        for way in ways.values():
            stack.enter_context(contextlib.closing(way))
            next(way)  # the first step sets things up
        told.clear()
        for turn in range(arguments.rounds):
            for name, way in ways.items():
                _finish(device.torch_device)
                start, used = time.perf_counter(), time.process_time()
                for _ in range(arguments.steps):
                    next(way)
                _finish(device.torch_device)
                seconds[name].append((time.perf_counter() - start) / arguments.steps)
                processor[name].append((time.process_time() - used) / arguments.steps)
                print(f"round {turn + 1}, {name}: {seconds[name][-1]:.3f} s a step", flush=True)
    result = _result(arguments, device.name, seconds, processor, told)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"training_throughput_{device.torch_device.type}"
    target.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    target.with_suffix(".md").write_text(_table(result))
    print(_table(result))


def _result(
    arguments: argparse.Namespace,
    device: str,
    seconds: dict[str, list[float]],
    processor: dict[str, list[float]],
    told: list[Step],
) -> dict[str, Any]:
    ask = getattr(torch.cpu, "get_capabilities", dict)
    capabilities = ask()
    return {
        "version": __version__,
        "torch": torch.__version__,
        "device": device,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "amx": bool(capabilities.get("amx_bf16") or capabilities.get("amx_tile")),
        "avx512_bf16": bool(capabilities.get("avx512_bf16")),
        "batch": arguments.batch,
        "patch": arguments.patch,
        "compile": arguments.compile,
        "network": "tiny" if arguments.small else "the poster's",
        "opencv": None if cv2 is None else cv2.__version__,
        "workers": arguments.workers,
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "seconds_a_step": {name: statistics.median(times) for name, times in seconds.items()},
        "all_seconds": seconds,
        "processor_seconds_a_step": {
            name: statistics.median(times) for name, times in processor.items()
        },
        "faster": {
            name: _ratio(times, seconds["ours"])
            for name, times in seconds.items()
            if name != "ours"
        },
        "waiting_ms": statistics.median(step.waiting_ms for step in told),
        "note": arguments.note,
    }


def _ratio(theirs: list[float], own: list[float]) -> dict[str, float]:
    """Ratio round by round: neighbours in time had the same share of the machine."""
    ratios = [one / other for one, other in zip(theirs, own, strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)}


def _table(result: dict[str, Any]) -> str:
    conditions = (
        f"{result['network'].capitalize()} network, batch {result['batch']} of {result['patch']} x "
        f"{result['patch']} input pixels, PyTorch {result['torch']}, {result['threads']} threads; "
        f"AMX: {'yes' if result['amx'] else 'no'}, AVX-512 bf16: "
        f"{'yes' if result['avx512_bf16'] else 'no'}. Medians of {result['rounds']} turns of "
        f"{result['steps']} steps, all ways taking turns."
    )
    lines = [
        f"# Training throughput on {result['device']}",
        "",
        conditions,
        "",
        "| way | s a step | steps a second | processor s a step | ours is faster by (range) |",
        "|---|---|---|---|---|",
    ]
    for name, time_taken in result["seconds_a_step"].items():
        faster = result["faster"].get(name)
        by = "" if faster is None else (
            f"{faster['median']:.2f} x ({faster['least']:.2f} to {faster['greatest']:.2f})"
        )  # fmt: skip
        used = result["processor_seconds_a_step"][name]
        lines.append(f"| {name} | {time_taken:.3f} | {1 / time_taken:.2f} | {used:.2f} | {by} |")
    waiting = (
        f"Waiting for a batch, ours: {result['waiting_ms']:.2f} ms a step (median). Loader workers "
        f"of the per-sample way: {result['workers']}, whose processor time is not counted here; "
        f"OpenCV: {result['opencv'] or 'not installed, SciPy and Pillow instead'}."
    )
    lines += ["", waiting]
    if result["note"]:
        lines += ["", result["note"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
