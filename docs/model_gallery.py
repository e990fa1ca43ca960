"""Draw the gallery of docs/model-quality.md: real noisy pictures, and where the model fails.

    python docs/model_gallery.py SEM_IMAGES [--model NAME]

`SEM_IMAGES` is a folder with `noisy/` (pictures taken in a hurry, no clean reference) and `val/`
(good pictures that no model was trained on). The same pictures come out each time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_semnet.files.reader import read_image
from napari_semnet.imaging.comparison import classical
from napari_semnet.imaging.panels import DIVERGING, colour_table, tinted
from napari_semnet.imaging.phantom import acquire, grating
from napari_semnet.imaging.quality import noise_sigma, psnr
from napari_semnet.model import DEFAULT_MODEL
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.training.degradation import degrade
from napari_semnet.training.profile import Blur, Chain, Correlation, Gaussian, Profile, Shot

FOLDER = Path(__file__).parent / "images"
ROWS, COLUMNS = 120, 160
GAP, STRIP = 6, 18

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A poor crop, what is shown of it, and the truth where there is one."""

    title: str
    poor: Pixels
    truth: Pixels | None = None


def crop(path: Path, row: int, column: int, factor: int = 1) -> Pixels:
    """Cut the part of a picture that is shown."""
    pixels = np.asarray(read_image(path).pixels)
    return pixels[row : row + factor * ROWS, column : column + factor * COLUMNS].astype(np.uint8)


def noisy_cases(folder: Path) -> list[Case]:
    """Pictures of real microscopes, as they are."""
    return [
        Case("FIB-SEM, lift-out", crop(folder / "noisy" / "fibsem-liftout_1.png", 380, 600)),
        Case("FIB-SEM, lift-out, later", crop(folder / "noisy" / "fibsem-liftout_2.png", 380, 600)),
        Case("Ni superalloy", crop(folder / "noisy" / "superalloy_1070-150H.png", 300, 400)),
    ]


def made(title: str, truth: Pixels, chain: Chain) -> Case:
    """Make a poor picture of a good one."""
    unit = torch.from_numpy(truth.astype(np.float32) / 255)[None, None]
    poor = degrade(unit, Profile(name=title, chains=(chain,)), seed=0, step=0)
    return Case(title, np.rint(255 * poor[0, 0].numpy()).astype(np.uint8), truth)


def known_cases(folder: Path) -> list[Case]:
    """Good pictures made poor, so that the truth is known."""
    middling = Chain(
        blur=Blur(sigma=(1.0, 1.0)),
        shot=Shot(electrons=(300, 300)),
        gaussian=Gaussian(sigma=(10, 10)),
    )
    val = folder / "val"
    return [
        made("plant cross-section", crop(val / "plant_xsec_C9-1_A_m08.png", 200, 200, 2), middling),
        made(
            "metal powder",
            crop(val / "powder_ampis_Sc2Tile_003-001-000_0-000.png", 300, 300, 2),
            middling,
        ),
        made(
            "nerve, block face",
            crop(val / "axon_sub-rat4_sample-data12_SEM.png", 100, 100, 2),
            middling,
        ),
    ]


def failing_cases(folder: Path) -> list[Case]:
    """Show what it should not be believed on."""
    fine = grating((ROWS, COLUMNS), pitch_nm=3.0, rim=0.0, angle_deg=4.0, duty=0.5)
    texture = crop(folder / "val" / "ballmill_powder_D1.png", 300, 300, 2)
    starved = Chain(
        blur=Blur(sigma=(1.5, 1.5)),
        shot=Shot(electrons=(40, 40)),
        gaussian=Gaussian(sigma=(25, 25)),
    )
    slow = Chain(
        shot=Shot(electrons=(60, 60)),
        correlation=Correlation(lag_one=(0.8, 0.8)),
        gaussian=Gaussian(sigma=(2, 2)),
    )
    return [
        Case(
            "lines finer than the pixels",
            acquire(fine, electrons=400, read_noise=3.0),
            np.rint(255 * fine.truth).astype(np.uint8),
        ),
        made("fine texture, far too few electrons", texture, starved),
        made("noise that a slow detector smeared along the lines", texture, slow),
    ]


def shown(pixels: NDArray[np.generic], limits: tuple[float, float]) -> Image.Image:
    """Grey levels at a contrast that all panels of a row share."""
    low, high = limits
    unit = (np.asarray(pixels, np.float32) - low) / max(high - low, 1e-6)
    return Image.fromarray(np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)).convert("RGB")


def panels(case: Case, restorer: Restorer) -> list[tuple[str, Image.Image]]:
    """Raw, classical, restored, what was taken away, and the truth."""
    poor = case.poor
    restored = restorer.restore(poor).pixels
    smooth = classical(poor, 1.0)
    noise = noise_sigma(poor)
    taken = restored.reshape(ROWS, 2, COLUMNS, 2).mean(axis=(1, 3)) - poor
    limits = tuple(np.percentile(smooth, (0.3, 99.7)))
    colours = colour_table(DIVERGING)
    difference = Image.fromarray(tinted(taken, (-3 * noise, 3 * noise), colours))
    size = (2 * COLUMNS, 2 * ROWS)

    def figure(pixels: NDArray[np.generic]) -> str:
        if case.truth is None:
            return ""
        levels = np.clip(np.rint(pixels), 0, 255)
        return f", {psnr(levels, case.truth, data_range=255):.1f} dB"

    found = [
        (
            f"raw, noise {noise:.0f} grey levels",
            shown(poor, limits).resize(size, Image.Resampling.NEAREST),
        ),
        (f"Gaussian 1 px + bicubic{figure(smooth)}", shown(smooth, limits)),
        (f"{restorer.model.name}{figure(restored)}", shown(restored, limits)),
        (
            f"restored - raw, -{3 * noise:.0f} to {3 * noise:.0f} grey levels",
            difference.resize(size, Image.Resampling.NEAREST),
        ),
    ]
    if case.truth is not None:
        found.append(("the good picture", shown(case.truth, limits)))
    return found


def draw(name: str, cases: list[Case], restorer: Restorer) -> None:
    """Write a figure of one row a case."""
    font = ImageFont.load_default(13)
    rows = [panels(case, restorer) for case in cases]
    width = max(len(row) for row in rows) * (2 * COLUMNS + GAP) - GAP
    height = 2 * ROWS + 2 * STRIP + GAP
    page = Image.new("RGB", (width, len(rows) * height - GAP), "white")
    pen = ImageDraw.Draw(page)
    for number, (case, row) in enumerate(zip(cases, rows, strict=True)):
        top = number * height
        pen.text((0, top + 1), case.title, fill="black", font=font)
        for place, (text, picture) in enumerate(row):
            left = place * (2 * COLUMNS + GAP)
            pen.text((left, top + STRIP + 1), text, fill="black", font=font)
            page.paste(picture, (left, top + 2 * STRIP))
    # 256 colours hold all greys and the map, in a third of the size.
    page.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """Draw the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    restorer = Restorer(arguments.model)
    draw("model-noisy", noisy_cases(arguments.pictures), restorer)
    draw("model-known", known_cases(arguments.pictures), restorer)
    draw("model-fails", failing_cases(arguments.pictures), restorer)


if __name__ == "__main__":
    main()
