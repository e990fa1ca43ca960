"""Take a model's mean error in brightness out of its last bias.

    python recipes/level.py MODEL PICTURES OUT

What is uncertain is guessed a little too dark or too bright on the whole, by a few tenths of a grey
level that hardly depend on the picture. Measured on every sixth of the training pictures, made poor
by the poster's degradations, it is taken off the one number that is added to every pixel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model, save_model
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.training.degradation import PROFILES, degrade

SIDE = 512
EVERY = 6


def main(source: Path, pictures: Path, target: Path) -> None:
    """Measure, shift, write, and print what was measured."""
    model = load_model(source)
    restorer = Restorer(model)
    errors = []
    for number, path in enumerate(sorted(pictures.iterdir())[::EVERY]):
        picture = np.asarray(read_image(path).specimen)
        height, width = (min(n, SIDE) // 4 * 4 for n in picture.shape)
        good = torch.from_numpy(picture[:height, :width].astype(np.float32) / 255)[None, None]
        poor = degrade(good, PROFILES["poster"], seed=0, step=number)[0, 0].numpy()
        restored = restorer.restore(np.rint(255 * poor).clip(0, 255).astype(np.float32)).pixels
        errors.append(float(restored.mean(dtype=np.float64) - 255 * good.double().mean()))
        print(f"{path.name}: {errors[-1]:+.3f} grey levels", flush=True)
    error = float(np.mean(errors))
    assert model.network.last.bias is not None
    with torch.no_grad():
        model.network.last.bias -= error / 255
    save_model(target, model.network, model.card, torch.float16)
    print(f"taken off: {error:+.3f} grey levels, the mean of {len(errors)} pictures")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
