"""Measure whether the map of sensitivity tells where a restoration is wrong.

On good pictures, degraded as the poster does, and on synthetic specimens, whose truth is known:
rank correlation (Spearman) between the map and the true error, both as root mean squares over
windows of the restored picture. On gratings from coarse to finer than the input can carry: the
map, the error, and what is left of the lines.

    python benchmarks/trust_sensitivity.py [PICTURES] [--model NAME] [--side N] [--out FOLDER]

Where PICTURES holds the folders ``val`` and ``train``, all of ``val`` are measured, with which the
definition of the map was chosen, and one of each source in ``train``, which had no part in that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from napari_semnet.imaging.intensity import given_range
from napari_semnet.imaging.noise_level import measure_noise
from napari_semnet.imaging.phantom import SPECIMENS, acquire, grating
from napari_semnet.model import DEFAULT_MODEL
from napari_semnet.restoration.events import Finished
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.sensitivity import SensitivityRun, sensitivity
from napari_semnet.training.cases import Found, Plan, find_cases

WINDOW = 32
"""Side of a window, restored pixels."""
RANGE = given_range(0, 255)
PITCHES = (2.2, 2.6, 3.0, 3.4, 4.0, 5.0, 6.0, 8.0, 12.0, 24.0)
"""Pixels of the truth; an input pixel is 2 of them, so that lines below 4 cannot be carried."""


def windows(picture: np.ndarray, rim: int = WINDOW) -> np.ndarray:
    """Root mean square over windows, without a rim."""
    inner = picture[rim:-rim, rim:-rim].astype(np.float64)
    rows, columns = (n // WINDOW for n in inner.shape)
    cut = np.square(inner[: rows * WINDOW, : columns * WINDOW])
    return np.sqrt(cut.reshape(rows, WINDOW, columns, WINDOW).mean(axis=(1, 3)))


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation (Spearman)."""
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def detail(picture: np.ndarray) -> np.ndarray:
    """Give what a Gaussian of one pixel takes away."""
    exact = picture.astype(np.float64)
    return exact - gaussian_filter(exact, 1.0)


def measured(restorer: Restorer, image: np.ndarray, noise_from: np.ndarray) -> tuple:
    """Restore and map."""
    restored = restorer.restore(image.astype(np.float32)).pixels
    run = SensitivityRun(noise=measure_noise(noise_from, RANGE))
    for event in sensitivity(restorer, image, run=run):
        if isinstance(event, Finished):
            return restored, event.restored.pixels
    raise AssertionError("A run ends with Finished.")


def middle(low: np.ndarray, high: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the middle out of an input and of its reference."""
    top, left = (max(0, (n - side) // 2) for n in low.shape)
    part = low[top : top + side, left : left + side]
    return part, high[2 * top :, 2 * left :][: 2 * part.shape[0], : 2 * part.shape[1]]


def cases(pictures: Path | None, side: int) -> Iterator[tuple[str, str, np.ndarray, ...]]:
    """Name, kind, input, whole input, truth."""
    for name, make in SPECIMENS.items():
        specimen = make((side, side), 3)
        image = acquire(specimen)
        yield name, "specimen", image, image, 255 * specimen.truth
    for kind, found in chosen(pictures):
        case = next(found.cases())
        low, high = middle(case.low, case.high, side)
        yield found.path.stem, kind, low, case.low, high.astype(np.float64)


def chosen(pictures: Path | None) -> Iterator[tuple[str, Found]]:
    """Choose the pictures to measure on."""
    if pictures is None:
        return
    has_both = (pictures / "val").is_dir() and (pictures / "train").is_dir()
    for found in find_cases(Plan(pictures / "val" if has_both else pictures, draws=1)):
        if isinstance(found, Found):
            yield "picture", found
    sources = set[str]()
    for found in find_cases(Plan(pictures / "train", draws=1)) if has_both else ():
        if isinstance(found, Found) and found.source not in sources:
            sources.add(found.source)
            yield "further picture", found


def correlations(restorer: Restorer, pictures: Path | None, side: int) -> list[dict]:
    """Correlate map and error, case by case and over all windows of a kind together."""
    rows, pooled = [], {}
    for name, kind, image, whole, truth in cases(pictures, side):
        restored, spread = measured(restorer, image, whole)
        error, told = windows(restored - truth), windows(spread)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "spearman": rank(told, error),
                "detail_of_truth": rank(windows(detail(truth)), error),
                "detail_of_input": rank(windows(detail(image).repeat(2, 0).repeat(2, 1)), error),
                "windows": error.size,
                "error": float(np.sqrt(np.square(error).mean())),
                "sensitivity": float(np.sqrt(np.square(told).mean())),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        kept = pooled.setdefault(kind, ([], []))
        kept[0].extend(told.ravel())
        kept[1].extend(error.ravel())
    for kind, (told, error) in pooled.items():
        of_kind = [row["spearman"] for row in rows if row["kind"] == kind]
        rows.append(
            {
                "name": f"all {kind}s",
                "kind": "pooled",
                "spearman": rank(np.array(told), np.array(error)),
                "mean_of_cases": float(np.mean(of_kind)),
                "windows": len(told),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def gratings(restorer: Restorer, side: int = 96) -> list[dict]:
    """Follow the map from lines that the input carries to lines that it cannot."""
    rows = []
    for pitch in PITCHES:
        specimen = grating((side, side), 1, pitch_nm=pitch, angle_deg=0, rim=0, rim_nm=0)
        truth = 255.0 * specimen.truth
        image = acquire(specimen)
        # The noise of the grating itself cannot be told from its lines; that of a flat field can.
        flat = grating((side, side), 1, pitch_nm=4.0 * side)
        restored, spread = measured(restorer, image, acquire(flat))
        inner = np.s_[WINDOW:-WINDOW, WINDOW:-WINDOW]
        lines = truth[inner] - truth[inner].mean()
        rows.append(
            {
                "pitch_input_px": pitch / 2,
                "sensitivity": float(np.sqrt(np.square(spread[inner]).mean())),
                "error": float(np.sqrt(np.square((restored - truth)[inner]).mean())),
                "lines_left": float((restored[inner] * lines).sum() / np.square(lines).sum()),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="?", type=Path, help="folder of good pictures")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--side", type=int, default=192, help="input pixels used of a picture")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    # By PyTorch, so that the figures do not depend on what else is installed.
    restorer = Restorer(arguments.model, Settings(intensity=(0.0, 255.0), backend="torch"))
    found = {
        "model": restorer.model.name,
        "sha256": restorer.model.sha256,
        "window_px": WINDOW,
        "side_px": arguments.side,
        "gratings": gratings(restorer),
        "correlations": correlations(restorer, arguments.pictures, arguments.side),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "trust_sensitivity.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
