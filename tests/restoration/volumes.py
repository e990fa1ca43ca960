"""Volumes that are restored twice, and what must be the same about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet.files.provenance import Provenance
from napari_semnet.restoration.blocks import Shard
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.volumes import begin_volume

FP32 = Settings(device="cpu", precision="fp32")
BLOCK = 64


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape).astype(dtype)


def whole_volume(model: Any, image: Any, path: Path, settings: Settings = FP32) -> VolumeRun:
    """Restore an image in one go."""
    volume = begin_volume(Restorer(model, settings), image, path, block=BLOCK)
    for _ in volume.run(Shard()):
        pass
    for _ in volume.finish(Provenance(pixel_size_nm=(2.0, 2.0))):
        pass
    return volume


def chunk_bytes(path: Path) -> dict[str, bytes]:
    """Every file of the levels, which is all but the group's own metadata."""
    files = (p for p in path.rglob("*") if p.is_file() and p.parent != path)
    return {str(p.relative_to(path)): p.read_bytes() for p in files}
