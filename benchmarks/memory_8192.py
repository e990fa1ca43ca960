"""Measure how much memory it takes to restore a picture of 8192 x 8192 pixels.

The whole process is counted (interpreter, PyTorch, model and all), without the picture and its
result. Two networks: one as wide as SEMNet but with a single dense block, which takes as much
memory for a pixel and finishes the picture in minutes; and the real model, of which so many tiles
are restored as are asked for (each takes the same).

    python benchmarks/memory_8192.py [--tiles 4] [--reduced-tiles 60] [--side 8192] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

BAR_GB = 2.0


@dataclass(frozen=True)
class Row:
    """One run."""

    network: str
    side: int
    device: str
    precision: str
    tile: tuple[int, int]
    halo: int
    tiles_done: int
    tiles: int
    seconds: float
    input_and_output_gb: float
    peak_beyond_gb: float
    """Peak of the process's resident memory less the touched parts of picture and result, 1e9 B."""
    idle_gb: float
    """The same before the run: interpreter, libraries and model."""


class Watch:
    """Samples the process's resident memory every five milliseconds."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.peak = self.now()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def now(self) -> int:
        """Resident bytes."""
        return self._process.memory_info().rss

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def reduced_model():
    """Make a network as wide as SEMNet, with one dense block of its 18 and its halo."""
    import torch

    from napari_semnet.model import DEFAULT_MODEL, Card, Model, read_card
    from napari_semnet.network import Architecture, SEMNet

    torch.manual_seed(0)
    architecture = Architecture(blocks=1, rdb_per_block=1)
    card = Card(
        name="one dense block", architecture=architecture, halo=read_card(DEFAULT_MODEL).halo
    )
    network = SEMNet(architecture).eval().requires_grad_(False)
    return Model(network, card, "0" * 64, Path("reduced.safetensors"))


def measure(model, side: int, most_tiles: int | None) -> Row:
    """Restore a picture of noise, or its first tiles."""
    from napari_semnet.restoration.events import Finished, Started, TileDone
    from napari_semnet.restoration.restorer import Restorer

    watch = Watch()
    idle = watch.now()
    image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    out = np.zeros((2 * side, 2 * side), np.uint8)
    out[:] = 1  # every page is there from the start, so that the result's share is known
    restorer = Restorer(model)
    done, seconds = 0, 0.0
    with watch:
        start = time.perf_counter()
        for event in restorer.run(image, out):
            if isinstance(event, Started):
                started = event
            if isinstance(event, TileDone):
                done = event.done
                seconds = time.perf_counter() - start
                if done == most_tiles:
                    break
            if isinstance(event, Finished):
                seconds = event.restored.seconds
    held = image.nbytes + out.nbytes
    plan = started.plan
    return Row(
        model.name,
        side,
        plan.device_name,
        plan.precision,
        plan.tile,
        plan.halo,
        done,
        started.total_tiles,
        round(seconds, 1),
        round(held / 1e9, 3),
        round((watch.peak - held) / 1e9, 3),
        round(idle / 1e9, 3),
    )


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--tiles", type=int, default=8, help="tiles of the real model")
    parser.add_argument("--reduced-tiles", type=int, help="of the reduced one; all by default")
    parser.add_argument("--real-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    from napari_semnet.model import load_model

    rows = []
    if not arguments.real_only:
        rows.append(measure(reduced_model(), arguments.side, arguments.reduced_tiles))
    rows.append(measure(load_model(), arguments.side, arguments.tiles))
    for row in rows:
        print(json.dumps(asdict(row)))
        verdict = "less" if row.peak_beyond_gb < BAR_GB else "MORE"
        print(
            f"{row.network}: {row.peak_beyond_gb} GB beyond input and output: {verdict} than 2 GB"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "memory_8192.json").write_text(
        json.dumps([asdict(row) for row in rows], indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
