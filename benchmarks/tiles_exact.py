"""Measure how far tiles are from the whole picture, for the bundled model and several halos.

python benchmarks/tiles_exact.py PICTURE... [--side 225] [--tile 75] [--halos auto exact]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model
from napari_semnet.restoration.restorer import Restorer, Settings


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=225)
    parser.add_argument("--tile", type=int, default=75)
    parser.add_argument("--halos", nargs="+", default=("auto", "exact"), choices=("auto", "exact"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    model, rows = load_model(), []
    for path in arguments.pictures:
        picture = np.asarray(read_image(path).specimen)
        top, left = ((n - arguments.side) // 2 for n in picture.shape)
        part = slice(top, top + arguments.side), slice(left, left + arguments.side)
        crop = picture[part].astype(np.float32)

        def restored(crop: np.ndarray = crop, **chosen: object) -> np.ndarray:
            settings = Settings(precision="fp32", intensity=(0.0, 255.0), **chosen)
            return Restorer(model, settings).restore(crop).pixels

        whole = restored(tile=arguments.side)
        for halo in arguments.halos:
            difference = np.abs(restored(tile=arguments.tile, halo=halo) - whole).max()
            row = {
                "picture": path.name,
                "side": arguments.side,
                "tile": arguments.tile,
                "halo": halo,
                "largest_difference_grey_levels": float(difference),
                "largest_difference_of_range": float(difference / 255),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "tiles_exact.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
