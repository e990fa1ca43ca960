"""Draw the synthetic specimens that `semnet-x2.toml` trains on beside real pictures.

    python recipes/synthetic_specimens.py FOLDER

Real references are noisy, so a network learns from them what noise looks like as well. These have
none, and show what the real ones of the training set lack: areas that are perfectly flat beside
edges of every contrast, rough surfaces whose grain is as fine as the pixels, and lines of every
pitch. The same command draws the same pictures.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.io import imsave

from napari_semnet.imaging.phantom import fibres, grating, particles

SIDE = 768
Floats = NDArray[np.float64]


def polygons(generator: np.random.Generator) -> Floats:
    """Draw flat grains with straight borders, polished as for back-scattered electrons."""
    oversampled = 3 * SIDE
    grain = math.exp(generator.uniform(math.log(40), math.log(400)))
    seeds = generator.uniform(0, oversampled, (max(4, int((SIDE / grain) ** 2)), 2))
    place = np.stack(np.mgrid[:oversampled, :oversampled], axis=-1)
    owner = cKDTree(seeds).query(place.reshape(-1, 2))[1].reshape(oversampled, oversampled)
    middle, contrast = generator.uniform(0.15, 0.85), generator.uniform(0.01, 0.3)
    greys = middle + contrast * generator.standard_normal(len(seeds))
    fine = greys.clip(0.0, 1.0)[owner]
    picture = fine.reshape(SIDE, 3, SIDE, 3).mean(axis=(1, 3))
    return np.asarray(ndimage.gaussian_filter(picture, generator.uniform(0.0, 1.0)))


def rough(generator: np.random.Generator) -> Floats:
    """Draw a surface of random height, brighter where it is steep and darker in its pores."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    grain = math.exp(generator.uniform(math.log(2.0), math.log(14.0)))
    power = generator.uniform(0.7, 2.2)
    # Falls as a power of the frequency down to the grain, and faster below it.
    shape = np.maximum(frequency, 2 / SIDE) ** -power * np.exp(-((frequency * grain) ** 2))
    noise = np.fft.rfft2(generator.standard_normal((SIDE, SIDE)))
    height = np.fft.irfft2(noise * shape, (SIDE, SIDE))
    slope = np.hypot(*np.gradient(height))
    pores = height - ndimage.gaussian_filter(height, 2 * grain)
    light = generator.uniform(0, 2 * math.pi)
    down, right = np.gradient(height)
    shaded = math.sin(light) * down + math.cos(light) * right
    parts = [slope, pores, shaded, height]
    shares = generator.dirichlet([1.0, 1.0, 0.5, 0.3])
    picture = sum(
        share * (part - part.mean()) / part.std() for share, part in zip(shares, parts, strict=True)
    )
    picture = picture / np.std(picture)
    contrast = math.exp(generator.uniform(math.log(0.015), math.log(0.15)))
    return np.asarray(generator.uniform(0.2, 0.7) + contrast * picture)


def drawn(generator: np.random.Generator, kind: int) -> Floats:
    """Draw particles, fibres and lines of the phantom, of many sizes."""
    shape, seed = (SIDE // 2, SIDE // 2), int(generator.integers(2**31))
    size = math.exp(generator.uniform(math.log(8), math.log(90)))
    if kind == 0:
        truth = particles(shape, seed, median_diameter_nm=size).truth
    elif kind == 1:
        truth = fibres(shape, seed, diameter_nm=size).truth
    else:
        low, high = generator.uniform(0.1, 0.45), generator.uniform(0.5, 0.8)
        angle = generator.uniform(0, 180)
        truth = grating(
            shape, seed, pitch_nm=size, angle_deg=angle, low=low, high=high, rim=0.1
        ).truth
    return truth.astype(np.float64)


def main(folder: Path) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(72):
        generator = np.random.default_rng([2026, number])
        name, picture = (
            ("polygons", polygons(generator))
            if number < 24
            else ("rough", rough(generator))
            if number < 54
            else ("drawn", drawn(generator, number % 3))
        )
        grey = np.rint(255 * picture).clip(0, 255).astype(np.uint8)
        imsave(folder / f"{name}_{number:02d}.png", grey, check_contrast=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
