"""A model small enough to restore a picture in a blink."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_semnet.model import Card, save_model
from napari_semnet.network import Architecture, SEMNet


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a network with random weights: fast, and of no other use."""
    architecture = Architecture(features=8, growth=4, blocks=1, rdb_per_block=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SEMNet(architecture)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, network, Card(name="tiny", architecture=architecture, licence="BSD-3-Clause"))
    return path
