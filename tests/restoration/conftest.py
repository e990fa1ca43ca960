"""Small networks that behave like the large one, and backends that fail on purpose."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_semnet.model import Card, Halo, Model
from napari_semnet.network import RDB, Architecture, SEMNet
from napari_semnet.restoration import restorer as restorer_module
from napari_semnet.restoration.backends import Backend, TorchBackend
from napari_semnet.restoration.runtime import Device, Precision, describe_device
from napari_semnet.restoration.tiles import Box, TileKind

REDUCED = Architecture(features=8, growth=4, blocks=1, rdb_per_block=2, conv_per_rdb=3)
"""Reaches as far as 10 input pixels, so that small images have an inside."""


def reduced_network(architecture: Architecture = REDUCED, seed: int = 0) -> SEMNet:
    """A network whose dense blocks matter: they start 10 times larger than for training."""
    torch.manual_seed(seed)
    network = SEMNet(architecture)
    with torch.no_grad():
        for block in network.modules():
            if isinstance(block, RDB):
                for conv in block.conv:
                    conv.weight.mul_(10)
                    conv.bias.normal_(0, 0.1)
    return network.eval().requires_grad_(False)


def reduced_model(
    architecture: Architecture = REDUCED, halo: Halo | None = None, seed: int = 0
) -> Model:
    card = Card(name="reduced", architecture=architecture, halo=halo)
    return Model(reduced_network(architecture, seed), card, "0" * 64, Path("reduced.safetensors"))


@pytest.fixture(scope="session")
def model() -> Model:
    return reduced_model()


def pretend_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second device by name; what it computes is computed on the CPU."""
    gpu = Device("Pretended GPU", torch.device("cuda", 0), "fp32")
    real = describe_device
    monkeypatch.setattr(
        restorer_module, "describe_device", lambda name: real("cpu") if name == "cpu" else gpu
    )


Fault = Callable[[NDArray[np.float32], Device, Precision], NDArray[np.float32] | None]
"""Looks at a tile; raises, gives a wrong result, or gives None to let it be computed."""


class FaultyBackend:
    """A real backend behind a fault that strikes after half of the tile's steps."""

    def __init__(self, inner: Backend, fault: Fault, computed: list) -> None:
        self.device, self.precision = inner.device, inner.precision
        self.name, self.width_cost = inner.name, inner.width_cost
        self._inner, self._fault, self._computed = inner, fault, computed

    def restore_tile(
        self, image: NDArray[np.float32], narrowed: Sequence[Box] = ()
    ) -> Generator[float, None, NDArray[np.float32]]:
        self._computed.append((self.device.kind, self.precision, image.shape))
        yield 0.5
        wrong = self._fault(image, self.device, self.precision)
        if wrong is not None:
            return wrong
        return (yield from self._inner.restore_tile(image, narrowed))

    def expect(self, kinds: Sequence[TileKind]) -> None:
        self._inner.expect(kinds)

    def release_memory(self) -> None:
        self._computed.append("released")


@pytest.fixture
def faulty() -> Callable[[Fault], tuple[Callable[..., Backend], list]]:
    """Gives a maker of faulty backends, and the list of what they were asked to compute."""

    def with_fault(fault: Fault) -> tuple[Callable[..., Backend], list]:
        computed: list = []

        def make(network: SEMNet, device: Device, precision: Precision) -> Backend:
            real = Device(device.name, torch.device("cpu"), device.precision)
            backend = FaultyBackend(TorchBackend(network, real, precision), fault, computed)
            backend.device = device
            return backend

        return make, computed

    return with_fault
