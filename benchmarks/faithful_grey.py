"""Measure what a model does to grey levels that it ought to leave alone.

Three questions: does a flat picture stay flat, do
saturated areas stay saturated, and is the mean of a real picture kept? Saturated areas are asked of
the engine as well, in each data type, since it is what keeps them.

    python benchmarks/faithful_grey.py PICTURE... [--model NAME] [--side N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from napari_semnet.files.reader import read_image
from napari_semnet.model import DEFAULT_MODEL, Model, load_model
from napari_semnet.restoration.restorer import Restorer, Settings

LEVELS = (0, 1, 16, 32, 64, 96, 128, 160, 192, 224, 240, 254, 255)
SIDE = 64
RIM = 12
"""Input pixels along the border that are told apart: there the network pads with zeros."""


def flat(restorer: Restorer) -> list[dict[str, float]]:
    """Restore flat pictures, in floats, so that fractions of a level are seen."""
    rows = []
    for level in LEVELS:
        out = restorer.restore(np.full((SIDE, SIDE), level, np.float32)).pixels
        inside = out[2 * RIM : -2 * RIM, 2 * RIM : -2 * RIM]
        off = np.abs(out - level)
        edge, corner = _rim(off.shape)
        rows.append(
            {
                "level": level,
                "inside_offset": float(inside.mean() - level),
                "inside_peak_to_peak": float(np.ptp(inside)),
                "largest_offset_along_edges": float(off[edge].max()),
                "largest_offset_in_corners": float(off[corner].max()),
            }
        )
    return rows


def _rim(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Tell the rim of an output: along its edges, and in its corners."""
    near = [np.minimum(np.arange(n), np.arange(n)[::-1]) < 2 * RIM for n in shape]
    rows, columns = near[0][:, None], near[1][None, :]
    return rows ^ columns, rows & columns


def saturated(restorer: Restorer) -> dict[str, float]:
    """Restore a checkerboard of black and white squares, and look well inside them."""
    squares = 255.0 * ((np.indices((160, 160)) // 40).sum(0) % 2)
    out = restorer.restore(squares.astype(np.float32)).pixels
    middle = np.zeros(squares.shape, bool)
    for y in range(0, 160, 40):
        for x in range(0, 160, 40):
            middle[y + RIM : y + 40 - RIM, x + RIM : x + 40 - RIM] = True
    middle = np.kron(middle, np.ones((2, 2), bool))
    white = np.kron(squares, np.ones((2, 2))) > 0
    return {
        "largest_offset_in_black": float(np.abs(out[middle & ~white]).max()),
        "largest_offset_in_white": float(np.abs(out[middle & white] - 255).max()),
    }


def noisy_squares(model: Model) -> list[dict[str, object]]:
    """Restore a black and a white square on a noisy ground, in each data type."""
    rng = np.random.default_rng(0)
    ground = np.rint(60 + rng.normal(0, 5, (128, 128)))
    ground[24:104, 16:56], ground[24:104, 72:112] = 0, 255
    restorer = Restorer(model)
    rows = []
    for name, factor in (("uint8", 1), ("uint16", 257), ("uint16", 16), ("float32", 1 / 255)):
        out = restorer.restore((ground * factor).astype(name)).pixels / factor
        row: dict[str, object] = {"dtype": name, "largest_value": 255 * factor}
        for value in (0, 255):
            area = np.kron(_inside(ground == value), np.ones((2, 2), bool))
            row[f"largest_offset_in_square_of_{value}"] = float(np.abs(out[area] - value).max())
        rows.append(row)
    return rows


def mean_shift(restorer: Restorer, path: Path, side: int | None) -> dict[str, object]:
    """Restore a real picture and compare the means, and its saturated pixels where it has any."""
    picture = np.asarray(read_image(path).specimen)
    if side is not None:
        top, left = (max(0, (n - side) // 2) for n in picture.shape)
        picture = picture[top : top + side, left : left + side]
    restoration = restorer.restore(picture)
    out = restoration.pixels
    row: dict[str, object] = {
        "picture": f"{path.parent.name}/{path.name}",
        "shape": picture.shape,
        "precision": restoration.plan.precision,
        "mean": float(picture.mean()),
        "mean_shift": float(out.mean() - picture.mean()),
    }
    for value in (0, 255):
        area = _inside(picture == value)
        row[f"pixels_inside_areas_of_{value}"] = int(area.sum())
        if area.any():
            off = np.abs(out[np.kron(area, np.ones((2, 2), bool))].astype(int) - value)
            row[f"largest_offset_in_areas_of_{value}"] = int(off.max())
    return row


def _inside(area: np.ndarray, margin: int = 3) -> np.ndarray:
    """Pixels whose surroundings of `margin` pixels belong to the area as well."""
    padded = np.pad(area, margin)
    height, width = area.shape
    inside = np.ones_like(area)
    for y in range(2 * margin + 1):
        for x in range(2 * margin + 1):
            inside &= padded[y : y + height, x : x + width]
    return inside


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--side", type=int, help="use so many pixels from the middle")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    fine = Restorer(model, Settings(precision="fp32", intensity=(0.0, 255.0)))
    found: dict[str, object] = {"model": model.name, "sha256": model.sha256}
    found["flat"] = flat(fine)
    found["saturated_squares"] = saturated(fine)
    found["noisy_squares"] = noisy_squares(model)
    print(json.dumps(found, indent=1), flush=True)
    found["pictures"] = rows = []
    restorer = Restorer(model)
    for path in arguments.pictures:
        rows.append(mean_shift(restorer, path, arguments.side))
        print(json.dumps(rows[-1]), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"faithful_grey_{model.name}.json"
    (arguments.out / name).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
