"""Small pictures and small configurations for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_semnet.training.config import TrainingConfig, config_from

SMALL_NETWORK = {"features": 8, "growth": 4, "blocks": 1, "rdb_per_block": 1, "conv_per_rdb": 2}


def scene(seed: int, rows: int = 80, columns: int = 96) -> np.ndarray:
    """A smooth picture in 0 ... 1 that looks nowhere the same."""
    noise = np.random.default_rng(seed).normal(size=(rows, columns))
    smooth = ndimage.gaussian_filter(noise, 2.5)
    smooth -= smooth.min()
    return smooth / smooth.max()


def as_8bit(unit: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def write_png(path: Path, unit: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(as_8bit(unit)).save(path)
    return path


def write_doubtful(path: Path) -> Path:
    """A picture whose lowest rows may be a databar: black, and without text."""
    return write_png(path, np.vstack([0.2 + 0.6 * scene(0, 200, 256), np.zeros((24, 256))]))


def write_scenes(folder: Path, count: int = 4, first_seed: int = 0, **size: int) -> Path:
    for number in range(count):
        write_png(folder / f"scene-{number}.png", scene(first_seed + number, **size))
    return folder


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a run of seconds on pictures in `folder`; `changes` replace whole tables."""
    return {
        "steps": 12,
        "patch": 12,
        "batch": 2,
        "store": str(folder / "store"),
        "degradation": "poster",
        "data": [{"images": str(folder / "pictures")}],
        "network": SMALL_NETWORK,
        "validation": {"crops": 2, "crop": 24, "share": 0.25},
        "hardware": {"device": "cpu", "precision": "fp32"},
        "intervals": {"log": 4, "evaluate": 6, "preview": 12, "checkpoint": 5},
        **changes,
    }


def small_config(folder: Path, **changes: Any) -> TrainingConfig:
    """A configuration that can be run, with its pictures."""
    if not (folder / "pictures").exists():
        write_scenes(folder / "pictures")
    return config_from(settings(folder, **changes), folder)
