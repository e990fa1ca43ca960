"""Measure how often the test of the residual is wrong: false alarms, and patterns that it misses.

False alarms: synthetic specimens are scanned with noise of the electrons and the electronics,
without and with offset rows and a slow detector. The truth itself is given as the restoration, so
that the residual is nothing but noise. Misses: the restoration lacks a lattice that the specimen
had.

    python benchmarks/trust_whiteness.py [--trials N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from napari_semnet.imaging.consistency import check_consistency
from napari_semnet.imaging.phantom import SPECIMENS, particles
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.whiteness import FALSE_ALARMS

SHAPE = (192, 256)
SCANS = {
    "electrons and electronics": {"electrons": 100, "read": 3, "rows": 0, "lag": 0},
    "few electrons": {"electrons": 25, "read": 3, "rows": 0, "lag": 0},
    "offset rows": {"electrons": 100, "read": 3, "rows": 4, "lag": 0},
    "slow detector": {"electrons": 100, "read": 3, "rows": 0, "lag": 0.5},
    "slow detector, offset rows": {"electrons": 60, "read": 4, "rows": 4, "lag": 0.4},
}
PERIODS = (2.5, 4.0, 8.0)
"""Of the lattice that is missing, input pixels."""
AMPLITUDES = (0.1, 0.2, 0.3, 0.5)
"""Of the lattice, in units of the noise."""


def scanned(
    truth: np.ndarray,
    generator: np.random.Generator,
    *,
    electrons: float,
    read: float,
    rows: float,
    lag: float,
) -> np.ndarray:
    """Scan a specimen; the counted electrons of a slow detector leak into the next pixels."""
    signal = block_mean(truth).astype(np.float64)
    noise = 255 * (generator.poisson(signal * electrons) / electrons - signal)
    for column in range(1, noise.shape[1] if lag else 0):
        fresh = np.sqrt(1 - lag**2) * noise[:, column]
        noise[:, column] = lag * noise[:, column - 1] + fresh
    noise += read * generator.standard_normal(noise.shape)
    noise += rows * generator.standard_normal((len(noise), 1))
    return np.clip(np.rint(255 * signal + noise), 0, 255).astype(np.uint8)


def false_alarms(trials: int) -> list[dict]:
    """Count verdicts of structure where there is nothing but noise."""
    generators = [np.random.default_rng(number) for number, _ in enumerate(SCANS)]
    rows = [{"scan": name, "alarms": 0, "judged": 0, "of": 0} for name in SCANS]
    for trial in range(trials):
        for make in SPECIMENS.values():
            truth = make(SHAPE, trial).truth  # drawing takes longer than judging
            ideal = np.rint(255 * truth).astype(np.uint8)
            for row, generator in zip(rows, generators, strict=True):
                image = scanned(truth, generator, **SCANS[row["scan"]])
                verdict = check_consistency(image, ideal).whiteness
                row["of"] += 1
                row["judged"] += verdict.p_value is not None
                row["alarms"] += verdict.is_structured
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def found_lattices(trials: int) -> list[dict]:
    """Count verdicts of structure where a lattice is missing."""
    rows = []
    x = np.arange(SHAPE[1])
    truths = [particles(SHAPE, trial).truth for trial in range(trials)]
    for period in PERIODS:
        for amplitude in AMPLITUDES:
            hits = 0
            for trial, truth in enumerate(truths):
                generator = np.random.default_rng(trial)
                image = scanned(truth, generator, **SCANS["electrons and electronics"])
                sigma = np.sqrt(2.55 * 255 * block_mean(truth) + 9)
                lattice = np.sqrt(2) * amplitude * sigma * np.sin(2 * np.pi * x / period)
                pixels = np.clip(np.rint(image + lattice), 0, 255).astype(np.uint8)
                ideal = np.rint(255 * truth).astype(np.uint8)
                hits += check_consistency(pixels, ideal).whiteness.is_structured
            rows.append({"period_px": period, "amplitude": amplitude, "found": hits, "of": trials})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=25, help="for each specimen and scan")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    found = {
        "stated_rate": FALSE_ALARMS,
        "shape": SHAPE,
        "false_alarms": false_alarms(arguments.trials),
        "lattices": found_lattices(max(1, 2 * arguments.trials // 5)),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "trust_whiteness.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
