"""Measure what the engine makes of a GPU, beside Real-ESRGAN's way of running the same network.

PyTorch and this source tree are all that it needs: no napari, no model file, no network.

    PYTHONPATH=src python benchmarks/gpu_speed.py [--device cuda] [--size 480x640] [--frames 16]

Four things are measured in one run, and reported beside each other:

* the rate of matrix products in bfloat16, which bounds everything else;
* the network as it is written, in float16 with the channels first, called as Real-ESRGAN's script
  calls its own: frame to the device, network, result back;
* the engine on one frame, 8-bit array in, 8-bit array out;
* the engine on a stack of frames.

The weights are random, which changes no time. On a CPU it runs as well, to be tried out, and
in float32 where a GPU has float16: with ``--size 64x64 --frames 2`` it takes seconds, and what it
prints there says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.imaging.intensity import from_unit, given_range, to_unit
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.runtime import describe_device

BARS = {"share of matrix rate, frame": 0.45, "times fp16 as written": 2.5, "share, stack": 0.55}


def operations_for_a_pixel(a: Architecture) -> int:
    """Floating-point operations of the network as it is written, for each input pixel."""
    inputs = [a.features + number * a.growth for number in range(a.conv_per_rdb)]
    outputs = [a.growth] * (a.conv_per_rdb - 1) + [a.features]
    dense = sum(i * o for i, o in zip(inputs, outputs, strict=True))
    before = a.features * (a.in_channels + a.features)
    after = a.scale**2 * a.features * (a.features + a.in_channels)
    return 2 * 9 * (a.blocks * a.rdb_per_block * dense + before + after)


def finish(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def best_of(work: Callable[[], object], device: torch.device, runs: int) -> float:
    """Shortest wall-clock time of some runs, in seconds, after two that do not count."""
    times = []
    for _ in range(runs + 2):
        finish(device)
        start = time.perf_counter()
        work()
        finish(device)
        times.append(time.perf_counter() - start)
    return min(times[2:])


def matrix_rate(device: torch.device, runs: int) -> float:
    """Operations a second of a product of two square bfloat16 matrices."""
    side = 1024 if device.type == "cpu" else 8192
    left = torch.full((side, side), 0.5, dtype=torch.bfloat16, device=device)
    return 2 * side**3 / best_of(lambda: left @ left, device, runs)


def as_written(
    network: SEMNet, device: torch.device
) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Give the network in float16, channels first, frame by frame, as Real-ESRGAN runs its own.

    In float32 on a CPU, as Real-ESRGAN's script does there.
    """
    # Processors without products in float16 take minutes for it.
    precision = torch.float32 if device.type == "cpu" else torch.float16
    written = network.to(device, precision)

    def restore(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with torch.inference_mode():
            image = torch.from_numpy(frame.astype(np.float32) / 255)[None, None]
            restored = written(image.to(device, precision)).float().cpu().clamp_(0, 1).numpy()[0, 0]
        return (255 * restored).round().astype(np.uint8)

    return restore


def by_engine(backend: TorchBackend, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Restore a frame that fits the device as one tile."""
    limits = given_range(0, 255)
    restored = run_through(backend.restore_tile(to_unit(frame, limits)))
    result: NDArray[np.uint8] = from_unit(restored, limits, frame.dtype)
    return result


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", default="480x640", help="rows x columns of a frame")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    height, width = (int(n) for n in arguments.size.split("x"))
    found = describe_device(arguments.device)
    device = found.torch_device
    torch.manual_seed(0)
    network = SEMNet().eval().requires_grad_(False)
    work = operations_for_a_pixel(network.architecture) * height * width
    stack = np.random.default_rng(0).integers(0, 256, (arguments.frames, height, width), np.uint8)
    backend = TorchBackend(network, found, "bf16")
    rate = matrix_rate(device, arguments.runs)
    one = best_of(lambda: by_engine(backend, stack[0]), device, arguments.runs)
    many = best_of(lambda: [by_engine(backend, frame) for frame in stack], device, 1)
    written = as_written(network, device)  # Last: it changes the network.
    peer = best_of(lambda: written(stack[0]), device, arguments.runs)
    figures = {
        "device": found.name,
        "torch": torch.__version__,
        "size": (height, width),
        "frames": arguments.frames,
        "matrix_teraflops_bf16": rate / 1e12,
        "seconds": {"engine, frame": one, "engine, stack": many, "fp16 as written": peer},
        "share of matrix rate, frame": work / one / rate,
        "share, stack": arguments.frames * work / many / rate,
        "times fp16 as written": peer / one,
    }
    print(json.dumps(figures, indent=1))
    if device.type != "cpu":
        for name, bar in BARS.items():
            value = figures[name]
            print(f"{name}: {value:.2f} ({'reaches' if value >= bar else 'misses'} {bar:g})")
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
