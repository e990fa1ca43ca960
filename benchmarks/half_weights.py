"""Measure what a model file loses by storing most of its weights in 16 bits.

Restores crops of pictures in float32 with the weights of a training run's checkpoint, which has 32
bits, with the same as a model file has them, and with all of them rounded to float16.

python benchmarks/half_weights.py RUN/checkpoints/last.safetensors PICTURE... [--side 192]
    [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from napari_semnet import __version__
from napari_semnet.files.reader import read_image
from napari_semnet.model import stored_dtype
from napari_semnet.network import SEMNet

BOUND = 0.05
"""Grey levels of 255 that may be lost."""


def main() -> None:
    """Measure, print a row a picture, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=192, help="of the crop, pixels")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    weights = {
        name.removeprefix("average."): value
        for name, value in load_file(arguments.checkpoint).items()
        if name.startswith("average.")
    }
    exact = SEMNet().eval()
    exact.load_state_dict(weights)
    halved = copy.deepcopy(exact).half().float()
    stored = copy.deepcopy(exact)
    stored.load_state_dict(
        {key: w.to(stored_dtype(key, torch.float16)).float() for key, w in weights.items()}
    )
    rows = []
    for path in arguments.pictures:
        picture = np.asarray(read_image(path).specimen)
        top, left = ((n - arguments.side) // 2 for n in picture.shape)
        crop = picture[top : top + arguments.side, left : left + arguments.side]
        image = torch.from_numpy(crop.astype(np.float32) / 255)[None, None]
        with torch.inference_mode():
            right = exact(image)
            error = 255 * (stored(image) - right).double().abs()
            wholly = 255 * (halved(image) - right).double().abs()
        rows.append(
            {
                "picture": f"{path.parent.name}/{path.name}",
                "largest_grey_levels": round(float(error.max()), 4),
                "mean_grey_levels": round(float(error.mean()), 5),
                "largest_with_all_halved": round(float(wholly.max()), 4),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    largest = max(float(str(row["largest_grey_levels"])) for row in rows)
    print(f"largest difference: {largest:.4f} grey levels (bound {BOUND})")
    found = {"version": __version__, "side": arguments.side, "bound": BOUND, "rows": rows}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "half_weights.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
