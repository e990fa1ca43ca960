"""Show a failure and what the checks say of it: a fine lattice and small letters, wiped out.

A specimen with known truth carries, beside particles, a lattice of 2.5 input pixels and three
letters, both weaker than the noise of the scan. The picture shows the input, the restoration, the
truth, the residual in units of the noise, and the sensitivity.

    python benchmarks/trust_failure.py [--model NAME] [--out FOLDER] [--images FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_semnet.imaging.panels import DIVERGING, colour_table, tinted
from napari_semnet.imaging.phantom import Specimen, acquire, particles
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.projection import make_consistent
from napari_semnet.model import DEFAULT_MODEL
from napari_semnet.restoration.events import Finished
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.sensitivity import SensitivityRun, sensitivity
from napari_semnet.restoration.trust import as_record, describe_sensitivity, judge, sentences

SHAPE = (160, 224)
PERIOD = 5
"""Of the lattice, truth pixels: 2.5 input pixels, more than the 2 that an input can carry."""
LATTICE, LETTERS = 0.06, 0.16
"""Amplitude and contrast, of white; the noise there has a deviation of about 0.05."""
LATTICE_PLACE = np.s_[40:140, 60:180]
LETTERS_AT = (300, 250)
HEAT = np.array([(0, 0, 0), (0.5, 0.05, 0.35), (0.95, 0.4, 0.1), (1, 1, 0.8)])
"""Colours of the sensitivity, from none to much."""


def specimen() -> Specimen:
    """Particles, a lattice and letters."""
    plain = particles(SHAPE, 2, cover=0.22)
    truth = plain.truth.copy()
    columns = np.arange(truth.shape[1])
    wave = LATTICE * np.sin(2 * np.pi * columns / PERIOD).astype(np.float32)
    truth[LATTICE_PLACE] = 0.22 + wave[LATTICE_PLACE[1]]
    sheet = Image.new("L", truth.shape[::-1])
    ImageDraw.Draw(sheet).text(LETTERS_AT, "A7 x", 255, ImageFont.load_default(18))
    truth += np.float32(LETTERS / 255) * np.asarray(sheet, np.float32)
    return dataclasses.replace(plain, name="failure", truth=np.clip(truth, 0, 1))


def inside(picture: np.ndarray) -> np.ndarray:
    """Cut the lattice out of a picture on restored pixels."""
    return picture[LATTICE_PLACE][8:-8, 8:-8]


def left_of_lattice(restored: np.ndarray, truth: np.ndarray) -> float:
    """Amplitude of the lattice in the restoration over that in the truth."""
    lines = inside(truth) - inside(truth).mean()
    return float((inside(restored) * lines).sum() / np.square(lines).sum())


def drawn(panels: list[tuple[str, np.ndarray]]) -> Image.Image:
    """Lay grey or coloured panels out in two rows, with titles."""
    height, width = 2 * SHAPE[0], 2 * SHAPE[1]
    title, gap = 26, 8
    rows = -(-len(panels) // 3)
    sheet = Image.new(
        "RGB", (3 * (width + gap) - gap, rows * (height + title + gap) - gap), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for number, (name, pixels) in enumerate(panels):
        left, top = number % 3 * (width + gap), number // 3 * (height + title + gap)
        draw.text((left + 2, top + 3), name, "#222222", ImageFont.load_default(16))
        picture = Image.fromarray(pixels).convert("RGB").resize((width, height), 0)
        sheet.paste(picture, (left, top + title))
    return sheet


def main() -> None:
    """Restore, check, draw, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    restorer = Restorer(arguments.model, Settings(intensity=(0.0, 255.0), backend="torch"))
    known = specimen()
    truth = 255.0 * known.truth
    image = acquire(known, electrons=100, read_noise=3, seed=5)
    restored = restorer.restore(image).pixels
    found = judge(image, restored, restorer.model.card)
    noise = found.consistency.noise
    spread = np.empty(0)
    for event in sensitivity(restorer, image, run=SensitivityRun(noise=noise)):
        if isinstance(event, Finished):
            spread = event.restored.pixels
    consistent = make_consistent(image, restored)
    residual = (image - block_mean(restored)) / np.sqrt(noise.variance(block_mean(restored)))
    said = [*sentences(found), describe_sensitivity(spread)]
    record = as_record(found) | {
        "model": restorer.model.name,
        "sha256": restorer.model.sha256,
        "said": said,
        "lattice_left": left_of_lattice(restored, truth),
        "lattice_left_when_consistent": left_of_lattice(consistent, truth),
        "sensitivity_on_lattice": float(inside(spread).mean()),
        "sensitivity_median": float(np.median(spread)),
        "error_on_lattice": float(np.sqrt(np.square(inside(restored - truth)).mean())),
    }
    colours = tinted(residual, (-4.0, 4.0), colour_table(DIVERGING))
    panels = [
        ("input", image),
        (f"restored by {restorer.model.name}", restored),
        ("truth", np.rint(truth).astype(np.uint8)),
        ("residual, -4 to 4 units of noise", colours),
        ("sensitivity, 0 to 20 grey levels", tinted(spread, (0.0, 20.0), colour_table(HEAT))),
        ("made consistent", consistent),
    ]
    arguments.images.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    drawn(panels).quantize(256).save(arguments.images / "trust-failure.png", optimize=True)
    text = json.dumps(record, indent=1)
    (arguments.out / "trust_failure.json").write_text(text + "\n")
    print("\n".join(said))
    print({key: value for key, value in record.items() if "lattice" in key})


if __name__ == "__main__":
    main()
