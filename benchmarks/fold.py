"""Measure what the prepared network gains over running SEMNet as it is written.

Each part is timed in turns, in one process, as processor seconds for one input pixel on one
thread: that compares the arrangements even while other programs use the machine.

    python benchmarks/fold.py [--shapes 128x128 480x640] [--rounds 3] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from napari_semnet.model import load_model
from napari_semnet.network import SEMNet
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.prepared import PreparedNetwork
from napari_semnet.restoration.runtime import CPU, describe_device

LAST = torch.channels_last


def as_written(network: SEMNet, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """SEMNet's own forward pass, in channels_last like the prepared one."""
    import copy

    own = copy.deepcopy(network).to(dtype).to(memory_format=LAST)
    return lambda image: own(image.to(dtype).contiguous(memory_format=LAST)).float()


def tail_as_written(network: SEMNet) -> Callable[[Tensor], Tensor]:
    """Upsampling and the two convolutions after it, not folded."""
    return lambda maps: network.last(
        functional.leaky_relu_(network.up(functional.interpolate(maps, scale_factor=2)), 0.2)
    )


def timed(cases: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Best processor time of each case, run in turns."""
    best = dict.fromkeys(cases, math.inf)
    for _ in range(rounds):
        for name, work in cases.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return best


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["128x128", "480x640"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = load_model().network.to(memory_format=LAST)
    rows = []
    for shape in arguments.shapes:
        height, width = (int(n) for n in shape.split("x"))
        image = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))
        cases: dict[str, Callable[[], Tensor]] = {}
        for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
            written, ready = as_written(network, dtype), PreparedNetwork(network, CPU, dtype)
            cases[f"as written, {name}"] = lambda image=image, run=written: run(image)
            cases[f"prepared, {name}"] = lambda image=image, run=ready: run_through(
                run.steps(image)
            )
        maps = torch.rand(1, 64, height, width).contiguous(memory_format=LAST)
        tail = tail_as_written(network)
        cases["tail as written, fp32"] = lambda maps=maps, tail=tail: tail(maps)
        cases["tail folded, fp32 (with trunk)"] = partial(ready._tail, image, maps)
        with torch.inference_mode():
            for name, seconds in timed(cases, arguments.rounds).items():
                row = {"shape": shape, "case": name, "us_per_pixel": 1e6 * seconds / image.numel()}
                rows.append(row)
                print(f"{shape:>9}  {name:32} {row['us_per_pixel']:8.2f} us/px")
    found = {"device": describe_device("cpu").name, "threads": 1, "rows": rows}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "fold.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
