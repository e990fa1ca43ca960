"""Compare what lies beyond a picture's border: the network's own zeros, or the picture mirrored.

The middle of each picture is degraded by the profile `poster`, together with what lies around it,
and restored whole: as it is, so that each convolution pads with zeros as in training, and with a
mirrored margin. PSNR is told by distance from the border. Flat pictures tell what the border does
to grey levels.

    python benchmarks/border.py PICTURE... [--model NAME] [--margins 0 8 29] [--side N]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from napari_semnet.files.reader import read_image
from napari_semnet.model import DEFAULT_MODEL, load_model
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.choice import backend_named
from napari_semnet.restoration.runtime import describe_device
from napari_semnet.training.degradation import PROFILES, degrade

RINGS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 10**6), (0, 10**6))
"""Input pixels from the border, from and to before."""
AROUND = 16
"""Input pixels that are degraded around what is used: the degradation has a border as well."""
LEVELS = (0, 5, 20, 60, 128, 200, 235, 250, 255)
DRAWS = 2
SEED = 5


def rings(side: int) -> list[np.ndarray]:
    """Tell the output pixels at each distance from the border."""
    near = np.minimum(np.arange(side), np.arange(side)[::-1])
    distance = np.kron(np.minimum.outer(near, near), np.ones((2, 2), int))
    return [(distance >= first) & (distance < last) for first, last in RINGS]


def pairs(paths: list[Path], side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Degrade the middle of each picture; give what is poor and what is good, in [0, 1]."""
    found = []
    wide = 2 * (side + 2 * AROUND)
    for number, path in enumerate(paths):
        picture = np.asarray(read_image(path).specimen).astype(np.float32) / 255
        if min(picture.shape) < wide:
            continue
        top, left = ((n - wide) // 2 for n in picture.shape)
        good = torch.from_numpy(picture[top : top + wide, left : left + wide])[None, None]
        for draw in range(DRAWS):
            step = 10 * draw + number
            poor = degrade(good, PROFILES["poster"], seed=SEED, step=step)[0, 0].numpy()
            inner = slice(AROUND, -AROUND), slice(AROUND, -AROUND)
            middle = good[0, 0].numpy()[2 * AROUND : -2 * AROUND, 2 * AROUND : -2 * AROUND]
            found.append((poor[inner], middle))
    return found


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--margins", nargs="+", type=int, default=[0, 8, 29])
    parser.add_argument("--side", type=int, default=160, help="input pixels along each side")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    cpu = describe_device("cpu")
    backend = backend_named(model.network, cpu, cpu.precision)
    cases = pairs(arguments.pictures, arguments.side)

    def restored(image: np.ndarray, margin: int) -> np.ndarray:
        wide = np.pad(image, margin, mode="reflect").astype(np.float32)
        height, width = (2 * n for n in image.shape)
        whole = run_through(backend.restore_tile(wide))
        part = whole[2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]
        return np.clip(part, 0, 1).astype(np.float64)

    rows = []
    for margin in arguments.margins:
        errors = [restored(poor, margin) - good for poor, good in cases]
        areas = rings(arguments.side)
        psnr = [[-10 * np.log10(np.mean(e[area] ** 2)) for area in areas] for e in errors]
        flats = {}
        for level in LEVELS:
            off = 255 * restored(np.full((64, 64), level / 255), margin) - level
            flats[level] = [float(np.abs(off[area]).max()) for area in rings(64)]
        rows.append(
            {"margin": margin, "psnr": np.mean(psnr, 0).tolist(), "largest_on_flats": flats}
        )
        print(json.dumps(rows[-1]), flush=True)
    found = {
        "model": model.name,
        "sha256": model.sha256,
        "precision": backend.precision,
        "backend": backend.name,
        "cases": len(cases),
        "rings": RINGS,
        "margins": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "border.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
