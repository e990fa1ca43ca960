"""Measure what the engine gains on a CPU, beside its peers, in one run.

The frame goes in as an array and comes out as one. Plain float32 PyTorch runs the network as it is
written, on the whole frame: that is what Real-ESRGAN's script does on a CPU. Its way of cutting
tiles (ten pixels of padding, cut at the border, thrown away) is written anew here and runs the same
network in float32; what it leaves at the seams is measured against its own whole frame. So are
MONAI's sliding windows, where MONAI is installed. The part `large` restores a picture 4096 pixels
wide and compares it with single tiles. Non-local means and BM3D denoise the same frame
without enlarging it.

    python benchmarks/cpu_speed.py PICTURE [--size 480x640] [--parts ours plain bm3d nlm]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.files.reader import read_image
from napari_semnet.model import DEFAULT_MODEL, Model, load_model
from napari_semnet.network import SEMNet
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.choice import ARRANGEMENTS, backend_named
from napari_semnet.restoration.events import TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import as_precision, describe_device
from napari_semnet.restoration.sweep import stages_of

ROUNDS = 6
TILES = (
    *((64, 64), (96, 96), (128, 128), (192, 192), (256, 256), (384, 384)),
    *((256, 240), (462, 242), (512, 192)),
)
"""What single tiles read, (Y, X)."""
NEAR = 0.85
"""Part of the best tile's rate from which on one is timed again."""
PARTS = ("ours", "plain", "bm3d", "nlm", "pad10", "monai", "large")


def best_of(work: Callable[[], object], runs: int) -> float:
    """Shortest wall-clock time of some runs, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def mean_of(work: Callable[[], object]) -> float:
    """Mean wall-clock time of some runs after a first one, in seconds."""
    work()
    start = time.perf_counter()
    for _ in range(ROUNDS):
        work()
    return (time.perf_counter() - start) / ROUNDS


def agreement(pixels: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """PSNR in dB of unrounded grey levels of 255."""
    error = pixels.astype(np.float64) - exact
    return round(float(10 * np.log10(255**2 / np.mean(error**2))), 1)


def plain(network: SEMNet, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run the network as it is written, in float32, on all of a frame."""
    with torch.inference_mode():
        image = torch.from_numpy(frame.astype(np.float32) / 255)[None, None]
        return 255 * network(image)[0, 0].numpy()


def in_padded_tiles(
    network: SEMNet, frame: NDArray[np.uint8], tile: int, pad: int
) -> NDArray[np.float32]:
    """Cut a frame into tiles with padding that is cut at the border and thrown away."""
    height, width = frame.shape
    out = np.empty((2 * height, 2 * width), np.float32)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            above, before = max(0, top - pad), max(0, left - pad)
            seen = frame[above : min(height, bottom + pad), before : min(width, right + pad)]
            done = plain(network, seen)
            rows = slice(2 * (top - above), 2 * (bottom - above))
            columns = slice(2 * (left - before), 2 * (right - before))
            out[2 * top : 2 * bottom, 2 * left : 2 * right] = done[rows, columns]
    return out


def in_sliding_windows(network: SEMNet, frame: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Run MONAI's sliding windows at its own defaults: a quarter of overlap, averaged."""
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        image = torch.from_numpy(frame.astype(np.float32) / 255)[None, None]
        done = sliding_window_inference(image, (side, side), 1, network, overlap=0.25)
        return 255 * done[0, 0].numpy()


def large(model: Model, picture: NDArray[np.uint8], rows: int) -> Iterator[dict[str, Any]]:
    """Time single tiles of many sizes, and rows of a picture 4096 pixels wide beside the best.

    What a machine gives changes by a tenth within a minute. So the tiles that come near the best
    are timed again after each row of tiles, and the best of them by these times is what the picture
    is compared with.
    """
    restorer = Restorer(model)
    strip = np.resize(picture, (rows, picture.shape[1]))
    strip = np.concatenate([strip] * math.ceil(4096 / picture.shape[1]), 1)[:, :4096]
    work = restorer.begin(strip)
    plan = work.plan
    backend = backend_named(model.network, describe_device("cpu"), as_precision(plan.precision))
    # What a piece of a sweep sees, or a tile reads.
    around = 2 * max(stages_of(model.card.architecture).reaches) if plan.swept else 2 * plan.halo
    read = tuple(side + around for side in plan.tile)
    tiles = {
        shape: np.ascontiguousarray(strip[: shape[0], : shape[1]]) / np.float32(255)
        for shape in sorted({*TILES, read})
    }

    def seconds_of(shape: tuple[int, ...]) -> float:
        return mean_of(lambda: run_through(backend.restore_tile(tiles[shape])))

    def told(name: str, shape: tuple[int, ...], seconds: float) -> dict[str, Any]:
        rate = round(math.prod(shape) / seconds / 1e6, 4)
        return {"name": name, "seconds": seconds, "size": shape, "megapixels_per_second": rate}

    single = {shape: seconds_of(shape) for shape in tiles}
    for shape, seconds in single.items():
        yield told(f"one tile, {backend.name}", shape, seconds)
    small = strip[: plan.tile[0], : plan.tile[1]]
    yield told("engine, picture of one tile", small.shape, mean_of(lambda: restorer.restore(small)))
    per_pixel = {shape: seconds / math.prod(shape) for shape, seconds in single.items()}
    near = [shape for shape, cost in per_pixel.items() if NEAR * cost <= min(per_pixel.values())]
    across = len({tile.core.left for tile in work.tiles()})
    # The second time nothing has to be compiled any more, as with the single tiles.
    for time_of in ("the first time", "again"):
        between: list[list[float]] = []
        seconds, since = 0.0, time.perf_counter()
        for event in restorer.run(strip):
            seconds += time.perf_counter() - since
            if isinstance(event, TileDone) and event.done % across == 0:
                between.append([seconds_of(shape) for shape in near])
            since = time.perf_counter()
        again = dict(zip(near, np.mean(between, axis=0), strict=True))
        for shape, mean in again.items():
            yield told("one tile, between rows of tiles", shape, float(mean))
        best = min(mean / math.prod(shape) for shape, mean in again.items())
        yield told(f"engine, 4096 wide, {time_of}", strip.shape, seconds) | {
            "tile": plan.tile,
            "swept": plan.swept,
            "halo": plan.halo,
            "part_of_best_tile": round(float(strip.size / seconds * best), 3),
        }


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--tile", type=int, default=192, help="of the peers' tiles")
    parser.add_argument("--rows", type=int, default=4096, help="of the part `large`")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cpu_speed.json"))
    arguments = parser.parse_args()
    height, width = (int(n) for n in arguments.size.split("x"))
    picture = np.asarray(read_image(arguments.picture).specimen)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    frame = np.ascontiguousarray(picture[top : top + height, left : left + width])
    model = load_model(arguments.model)
    network = model.network
    rows: list[dict[str, object]] = []
    found: dict[str, object] = {}

    def told(name: str, seconds: float, **more: object) -> None:
        rows.append({"method": name, "seconds": round(seconds, 3), **more})
        print(json.dumps(rows[-1]), flush=True)

    whole: NDArray[np.float32] | None = None
    if "plain" in arguments.parts or {"pad10", "monai"} & set(arguments.parts):
        plain(network, frame[:64, :64])
        start = time.perf_counter()
        whole = plain(network, frame)
        told("SEMNet as written, fp32, whole", time.perf_counter() - start)
    if "ours" in arguments.parts:
        for backend in ("auto", *ARRANGEMENTS):
            restorer = Restorer(model, Settings(backend=backend))
            start = time.perf_counter()
            restored = restorer.restore(frame)
            first = time.perf_counter() - start
            seconds = best_of(lambda restorer=restorer: restorer.restore(frame), 2)
            plan = restored.plan
            told(
                f"engine, {backend}",
                seconds,
                first_run_seconds=round(first, 3),
                backend=plan.backend,
                precision=plan.precision,
                tile=plan.tile,
                halo=plan.halo,
            )
        if whole is not None:
            exact = Settings(intensity=(0.0, 255.0))
            floats = Restorer(model, exact).restore(frame.astype(np.float32)).pixels
            found["decibels_between_engine_and_fp32"] = agreement(floats, whole)
    if "bm3d" in arguments.parts:
        import bm3d

        told("BM3D", best_of(lambda: bm3d.bm3d(frame / 255.0, 10 / 255), 1))
    if "nlm" in arguments.parts:
        from skimage.restoration import denoise_nl_means

        told("NLM", best_of(lambda: denoise_nl_means(frame / 255.0, h=0.04, fast_mode=True), 1))
    peers = {
        "pad10": (
            "padding of 10, fp32",
            lambda: in_padded_tiles(network, frame, arguments.tile, 10),
        ),
        "monai": ("MONAI sliding windows, fp32", lambda: in_sliding_windows(network, frame, 192)),
    }
    for part, (name, work) in peers.items():
        if part in arguments.parts:
            assert whole is not None
            start = time.perf_counter()
            done = work()
            told(
                name,
                time.perf_counter() - start,
                tile=arguments.tile,
                largest_difference_to_whole=round(float(np.abs(done - whole).max()), 4),
            )
    if "large" in arguments.parts:
        for row in large(model, picture, arguments.rows):
            told(**row)
    if whole is not None and "pad10" in arguments.parts:
        limits = {"precision": "fp32", "intensity": (0.0, 255.0)}
        floats = frame.astype(np.float32)
        one = Restorer(model, Settings(**limits, tile=max(frame.shape))).restore(floats)
        cut = Restorer(model, Settings(**limits, tile=arguments.tile)).restore(floats)
        difference = float(np.abs(cut.pixels - one.pixels).max())
        told("engine in tiles, fp32", cut.seconds, largest_difference_to_whole=round(difference, 4))
    found |= {
        "device": describe_device("cpu").name,
        "threads": torch.get_num_threads(),
        "model": model.name,
        "size": frame.shape,
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
