"""Time the degradation beside the network's training step, and beside a peer.

    python benchmarks/degradation_speed.py [--batch 4] [--patch 72] [--steps 10] [--network]

The peer does what most restoration frameworks do: one sample after the other on the CPU, with
functions of NumPy and SciPy for the blur, the resizing and the noise. It draws from the ranges of
the profile `poster`. On the CPU, processor seconds on one thread are taken, so that other programs
do not count; on a GPU, seconds. All figures are taken in one run on one machine; compare their
ratios.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.network import SEMNet
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.filters import gaussian_kernels
from napari_semnet.training.losses import combined_loss


def peer(pictures: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Degrade by the ranges of `poster`, one sample after the other."""
    return np.stack([_one(picture[0], generator)[None] for picture in pictures])


def _one(picture: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    uniform = generator.uniform
    if uniform() < 0.8:
        major = minor = uniform(0.1, 2.4)
        if uniform() < 0.5:
            minor = uniform(0.1, 2.4)
        widths = (np.array([value]) for value in (major, minor, uniform(0, np.pi)))
        kernel = gaussian_kernels(*widths, 9)[0]
        picture = ndimage.correlate(picture, kernel, mode="mirror")
    if uniform() < 0.7:
        size = picture.shape
        scale = float(np.exp(uniform(np.log(0.5), np.log(2.0))))
        smaller = ndimage.zoom(picture, scale, order=1, grid_mode=True, mode="nearest")
        back = [after / before for after, before in zip(size, smaller.shape, strict=True)]
        picture = ndimage.zoom(smaller, back, order=3, grid_mode=True, mode="nearest")
    rows, columns = picture.shape
    poor = picture.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    if uniform() < 0.75:
        electrons = 10 ** uniform(2, 4)
        poor = generator.poisson(np.clip(poor, 0, None) * electrons) / electrons
    if uniform() < 0.75:
        poor = poor + generator.normal(0, uniform(2, 25) / 255, poor.shape)
    return (np.rint(np.clip(poor, 0, 1) * 255) / 255).astype(np.float32)


def seconds(work: Callable[[int], object], steps: int, device: torch.device) -> float:
    """Median time of one call after one to warm up."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    work(0)
    times = []
    for step in range(1, steps + 1):
        _wait(device)
        start = clock()
        work(step)
        _wait(device)
        times.append(clock() - start)
    return float(np.median(times))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4, help="samples in a step")
    parser.add_argument("--patch", type=int, default=72, help="side of a poor patch in pixels")
    parser.add_argument("--steps", type=int, default=10, help="calls the median is taken of")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--network", action="store_true", help="also time SEMNet's training step")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    generator = np.random.default_rng(1)
    shape = (arguments.batch, 1, 2 * arguments.patch, 2 * arguments.patch)
    numbers = generator.random(shape, dtype=np.float32)
    pictures = torch.from_numpy(numbers).to(device)
    rows = [
        (
            name,
            seconds(
                lambda step, p=profile: degrade(pictures, p, seed=1, step=step),
                arguments.steps,
                device,
            ),
        )
        for name, profile in PROFILES.items()
    ]
    rows.append(
        (
            "peer, ranges of poster",
            seconds(lambda step: peer(numbers, generator), arguments.steps, device),
        )
    )
    if arguments.network:
        rows.append(("SEMNet, one training step", _training_step(pictures, device)))
    ours = rows[0][1]
    print(
        f"{arguments.batch} patches of {arguments.patch} x {arguments.patch} px on {device}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    for name, duration in rows:
        print(f"{name:<28} {1e3 * duration:9.2f} ms   {duration / ours:8.2f} x poster")


def _training_step(pictures: torch.Tensor, device: torch.device) -> float:
    network = SEMNet().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    poor = degrade(pictures, PROFILES["poster"], seed=1, step=0)

    def step(_: int) -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            restored = network(poor)
        combined_loss(restored, pictures).total.backward()
        optimiser.step()

    return seconds(step, 3, device)


if __name__ == "__main__":
    main()
