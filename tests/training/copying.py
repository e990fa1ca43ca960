"""A network with a known answer: it copies each pixel, or averages neighbours, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.imaging.phantom import acquire, fibres, particles
from napari_semnet.model import Card, save_model
from napari_semnet.network import Architecture, SEMNet

ARCHITECTURE = Architecture(features=4, growth=2, blocks=1, rdb_per_block=1, conv_per_rdb=2)


def write_copying_model(path: Path, *, gain: float = 1.0, kernel: str = "one") -> Path:
    """Write a model whose result is ``gain`` times its input, each pixel as 2 x 2.

    `kernel` "mean" averages 3 x 3 pixels of the result.
    """
    network = SEMNet(ARCHITECTURE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.first.weight[0, 0, 1, 1] = gain
        network.up.weight[0, 0, 1, 1] = 1.0
        if kernel == "mean":
            network.last.weight[0, 0] = 1 / 9
        else:
            network.last.weight[0, 0, 1, 1] = 1.0
    save_model(path, network, Card(name=path.stem, architecture=ARCHITECTURE), torch.float32)
    return path


def copied(low: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the copying model must give."""
    return low.repeat(2, axis=0).repeat(2, axis=1)


def references() -> dict[str, NDArray[np.uint8]]:
    """Three small pictures without noise."""
    specimens = {"gold": particles((40, 48), 1), "mat": fibres((44, 40), 2)}
    pictures = {name: np.rint(255 * s.truth).astype(np.uint8) for name, s in specimens.items()}
    return pictures | {"film": acquire(particles((80, 80), 5), 1e6, 0)}
