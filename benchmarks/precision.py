"""Measure how far bfloat16 is from float32 on real pictures.

In what was measured to be fastest here, in PyTorch as the engine prepares it, and as SEMNet is
written.

python benchmarks/precision.py PICTURE... [--side 128] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch

from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.choice import backend_named
from napari_semnet.restoration.runtime import describe_device


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    model, device = load_model(), describe_device("cpu")
    exact, fast = (TorchBackend(model.network, device, p) for p in ("fp32", "bf16"))
    names = {"chosen": backend_named(model.network, device, "bf16"), "torch": fast}
    written = copy.deepcopy(model.network).bfloat16()
    rows = []
    for path in arguments.pictures:
        picture = np.asarray(read_image(path).specimen)
        top, left = ((n - arguments.side) // 2 for n in picture.shape)
        crop = picture[top : top + arguments.side, left : left + arguments.side]
        image = crop.astype(np.float32) / 255
        right = run_through(exact.restore_tile(image))
        with torch.inference_mode():
            plain = written(torch.from_numpy(image)[None, None].bfloat16())[0, 0].float().numpy()
        row: dict[str, object] = {"picture": f"{path.parent.name}/{path.name}"}
        results = {name: run_through(b.restore_tile(image)) for name, b in names.items()}
        for name, found in (results | {"plain": plain}).items():
            error = found.astype(np.float64) - right
            row[f"{name}_db"] = round(-10 * np.log10(np.mean(error**2)), 1)
            row[f"{name}_largest_grey_levels"] = round(255 * float(np.abs(error).max()), 2)
        rows.append(row)
        print(json.dumps(row), flush=True)
    found = {
        "device": device.name,
        "model": model.name,
        "chosen": names["chosen"].name,
        "side": arguments.side,
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "precision.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
