"""Draw the pictures of docs/degradation.md: every stage alone, and both profiles.

Run from the repository's root: ``python docs/degradation_gallery.py``. The pictures are made from
a synthetic specimen and always come out the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_semnet.imaging.phantom import particles
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.profile import (
    Blur,
    Chain,
    Correlation,
    Gaussian,
    Levels,
    Profile,
    Rescaling,
    RowJitter,
    RowNoise,
    Sampling,
    Shading,
    Shot,
    Streaks,
    Vibration,
)

FOLDER = Path(__file__).parent / "images"
SHAPE = (100, 132)
GAP, STRIP = 6, 18

Pixels = NDArray[np.uint8]
Panel = tuple[str, Chain]

SHOT = Shot(electrons=(60, 60))

STAGES: dict[str, list[Panel]] = {
    "blur": [
        ("round, sigma 1.2 px", Chain(blur=Blur(sigma=(1.2, 1.2), isotropic=1))),
        ("round, sigma 2.4 px", Chain(blur=Blur(sigma=(2.4, 2.4), isotropic=1))),
        ("astigmatic, 0.5 to 3 px", Chain(blur=Blur(sigma=(0.5, 3.0), isotropic=0))),
    ],
    "rescaling": [
        ("to 0.5, by area", Chain(rescaling=Rescaling(scale=(0.5, 0.5), shrinking=("area",)))),
        ("to 0.5, linear", Chain(rescaling=Rescaling(scale=(0.5, 0.5), shrinking=("linear",)))),
        ("to 0.35, linear", Chain(rescaling=Rescaling(scale=(0.35, 0.35), shrinking=("linear",)))),
    ],
    "sampling": [
        ("area", Chain(sampling=Sampling(kernels=("area",)))),
        ("triangle", Chain(sampling=Sampling(kernels=("triangle",)))),
        ("cubic", Chain(sampling=Sampling(kernels=("cubic",)))),
    ],
    "row-jitter": [
        ("sigma 0.2 px", Chain(row_jitter=RowJitter(sigma=(0.2, 0.2)))),
        ("sigma 0.4 px", Chain(row_jitter=RowJitter(sigma=(0.4, 0.4)))),
        ("sigma 1 px", Chain(row_jitter=RowJitter(sigma=(1.0, 1.0)))),
    ],
    "vibration": [
        (
            f"{amplitude} px, {period} lines",
            Chain(vibration=Vibration(amplitude=(amplitude,) * 2, period=(period,) * 2)),
        )
        for amplitude, period in ((0.5, 5), (0.5, 20), (1.5, 12))
    ],
    "shading": [
        (f"{100 * value:.0f} %", Chain(shading=Shading(amplitude=(value, value))))
        for value in (0.02, 0.1, 0.3)
    ],
    "streaks": [
        (
            f"{1e4 * density:.0f} in 10 000 px, 1/e in {length} px",
            Chain(
                streaks=Streaks(
                    density=(density, density), amplitude=(0.3, 0.3), length=(length, length)
                )
            ),
        )
        for density, length in ((2e-4, 6), (5e-4, 20), (1e-3, 40))
    ],
    "shot": [
        (f"{electrons} electrons", Chain(shot=Shot(electrons=(electrons, electrons))))
        for electrons in (1000, 100, 20)
    ],
    "shot-more": [
        ("60 electrons", Chain(shot=SHOT)),
        ("60, excess 3", Chain(shot=Shot(electrons=(60, 60), excess=(3, 3)))),
        ("60, black level -0.5", Chain(shot=Shot(electrons=(60, 60), black_level=(-0.5, -0.5)))),
    ],
    "correlation": [
        (f"lag one {value}", Chain(shot=SHOT, correlation=Correlation(lag_one=(value, value))))
        for value in (0.0, 0.4, 0.8)
    ],
    "frames": [
        (f"frames: {frames}", Chain(frames=(frames,), shot=SHOT, gaussian=Gaussian(sigma=(15, 15))))
        for frames in (1, 4, 16)
    ],
    "row-noise": [
        (f"sigma {value} levels", Chain(row_noise=RowNoise(sigma=(value, value))))
        for value in (2, 6, 12)
    ],
    "gaussian": [
        (f"sigma {value} levels", Chain(gaussian=Gaussian(sigma=(value, value))))
        for value in (2, 10, 25)
    ],
    "levels": [
        ("gain 0.9", Chain(levels=Levels(gain=(0.9, 0.9)))),
        ("offset 0.1", Chain(levels=Levels(offset=(0.1, 0.1)))),
        ("4 bits", Chain(bits=(4,))),
    ],
}


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    truth = particles(SHAPE, 11, median_diameter_nm=34.0).truth
    scene = torch.from_numpy(truth)[None, None]
    before = taken(scene, Chain(), 0)
    for name, panels in STAGES.items():
        shown = [("before", before)]
        shown += [(title, taken(scene, chain, 3)) for title, chain in panels]
        sheet([shown]).save(FOLDER / f"degradation-{name}.png", optimize=True)
    for name, profile in PROFILES.items():
        draws = degrade(scene.expand(16, -1, -1, -1), profile, seed=2, step=1)
        pictures = [("", as_pixels(picture)) for picture in draws]
        rows = [pictures[start : start + 4] for start in range(0, 16, 4)]
        sheet(rows, strip=0).save(FOLDER / f"degradation-{name}.png", optimize=True)


def taken(scene: torch.Tensor, chain: Chain, step: int) -> Pixels:
    """Degrade one picture by one chain."""
    return as_pixels(degrade(scene, Profile(name="one", chains=(chain,)), seed=1, step=step)[0])


def as_pixels(picture: torch.Tensor) -> Pixels:
    """Grey levels, each pixel shown as 2 x 2."""
    grey = np.rint(picture[0].numpy() * 255).astype(np.uint8)
    return grey.repeat(2, axis=0).repeat(2, axis=1)


def sheet(rows: list[list[tuple[str, Pixels]]], strip: int = STRIP) -> Image.Image:
    """Lay pictures out in rows, each under its title."""
    height, width = rows[0][0][1].shape
    size = (
        len(rows[0]) * (width + GAP) - GAP,
        len(rows) * (height + strip + GAP) - GAP,
    )
    page = Image.new("L", size, 255)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    for i, row in enumerate(rows):
        for j, (title, pixels) in enumerate(row):
            place = (j * (width + GAP), i * (height + strip + GAP))
            draw.text((place[0] + 2, place[1]), title, fill=0, font=font)
            page.paste(Image.fromarray(pixels), (place[0], place[1] + strip))
    return page


if __name__ == "__main__":
    main()
