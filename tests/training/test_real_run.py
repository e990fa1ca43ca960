"""The poster's network on real pictures, for two hundred steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_semnet.files.reader import read_image
from napari_semnet.imaging.quality import noise_sigma
from napari_semnet.model import load_model
from napari_semnet.restoration.restorer import restore
from napari_semnet.training.config import config_from
from napari_semnet.training.events import Evaluated, Event, Step
from napari_semnet.training.trainer import train


@pytest.mark.training
@pytest.mark.timeout(1800)
def test_two_hundred_steps_on_real_pictures_learn_to_denoise(shared: Path, tmp_path: Path) -> None:
    pictures = shared / "sem-images"
    config = config_from(
        {
            "preset": "sem",
            "steps": 200,
            "batch": 2,
            "patch": 32,
            "ema": 0.9,
            "store": str(tmp_path / "store"),
            "data": [{"images": str(pictures / "train"), "table": str(pictures / "sources.csv")}],
            "optimiser": {"learning_rate": 4e-4, "largest_gradient": 1.0},
            "schedule": {"kind": "cosine", "warmup": 10},
            "validation": {
                "sources": [{"images": str(pictures / "val")}],
                "crops": 4,
                "crop": 64,
            },
            "hardware": {"device": "cpu"},
            "intervals": {"log": 20, "evaluate": 100, "preview": 200, "checkpoint": 100},
            "model": {"name": "two-hundred", "halo_pictures": 0},
        }
    )
    said: list[Event] = []
    path = train(config, tmp_path / "run", callback=said.append)
    losses = [event.l1 for event in said if isinstance(event, Step)]
    assert losses[-1] < 0.5 * losses[0]
    measured = [event for event in said if isinstance(event, Evaluated)]
    assert measured[-1].psnr > measured[0].psnr
    card = load_model(path).card
    assert card.training.steps == 200
    assert "MIT" in card.training.data[0]
    noisy = read_image(pictures / "noisy" / "superalloy_1070-150H.png").pixels[:96, :128]
    restored = restore(noisy, model=path, device="cpu")
    assert restored.shape == (192, 256)
    assert noise_sigma(restored) < 0.5 * noise_sigma(noisy)
    assert np.abs(restored.mean() - noisy.mean()) < 20
