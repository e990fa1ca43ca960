"""Where steps are computed: one device as it is, or many through Lightning Fabric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.errors import TrainingError
from napari_semnet.network import SEMNet
from napari_semnet.restoration.runtime import Device, describe_device
from napari_semnet.training.config import Hardware
from napari_semnet.training.losses import LossTerms, mean_of_parts
from napari_semnet.training.parts import Parts

__all__ = [
    "Engine",
    "Fabric",
    "Loss",
    "MixedPrecision",
    "OneDevice",
    "engine_for",
    "is_lost_partner",
]

Loss: TypeAlias = Callable[[Tensor, Tensor], LossTerms]
"""Of inputs (N, 1, Y, X) and targets (N, 1, 2Y, 2X): means over the samples."""


class MixedPrecision(nn.Module):
    """A SEMNet whose body is computed in bfloat16 and whose last convolution in float32.

    The output is then not rounded to the eight bits of a bfloat16.

    Parameters
    ----------
    network : SEMNet
        Its weights are used, in float32.
    kind : str
        Type of the device, such as ``cuda``.
    is_bf16 : bool
        Whether there is a bfloat16 part at all.
    """

    def __init__(self, network: SEMNet, kind: str, is_bf16: bool) -> None:
        super().__init__()
        self.network = network
        self._kind = kind
        self._is_bf16 = is_bf16

    def forward(self, image: Tensor) -> Tensor:
        """Restore (N, 1, Y, X) to (N, 1, 2Y, 2X), float32 both."""
        if not self._is_bf16:
            whole: Tensor = self.network(image)
            return whole
        net = self.network
        # Each weight is used once, so that keeping it rounded would bring nothing.
        with torch.autocast(self._kind, torch.bfloat16, cache_enabled=False):
            shallow = net.first(image)
            deep = shallow + net.trunk(net.body(shallow))
            enlarged = functional.interpolate(deep, scale_factor=2, mode="nearest")
            wide = net.activation(net.up(enlarged))
        last: Tensor = net.last(wide.float())
        return last


class Engine(Protocol):
    """What the training loop needs of the machine."""

    device: torch.device
    name: str
    """As shown to people."""
    precision: str
    rank: int
    """Number of this process, from 0."""
    world: int
    """Number of processes."""

    def wrap(self, module: nn.Module) -> nn.Module:
        """Prepare a module that is on the device, so that gradients are those of all processes."""

    def gradient(
        self, loss: Loss, inputs: Tensor, targets: Tensor, weights: Sequence[Tensor]
    ) -> LossTerms:
        """Leave in the weights the gradient of a batch, averaged over all processes.

        Returns
        -------
        LossTerms
            Of this process's samples; detached.
        """

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""

    def wait(self) -> None:
        """Wait for all processes."""


class OneDevice:
    """One process on one device; needs nothing but PyTorch."""

    rank = 0
    world = 1

    def __init__(self, device: Device, precision: str, *, in_parts: bool) -> None:
        self.device = device.torch_device
        self.name = device.name
        self.precision = precision
        self._parts = Parts(torch.get_num_threads() if in_parts else 1)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Nothing to prepare."""
        return module

    def gradient(
        self, loss: Loss, inputs: Tensor, targets: Tensor, weights: Sequence[Tensor]
    ) -> LossTerms:
        """Leave in the weights the gradient of a batch, the same from run to run."""
        return self._parts.gradient(loss, inputs, targets, weights)

    def any(self, flag: bool) -> bool:
        """There is only one process."""
        return flag

    def wait(self) -> None:
        """Nothing to wait for."""


class Fabric:
    """Several processes, on one or several nodes, through Lightning Fabric (DDP)."""

    def __init__(self, device: Device, precision: str, hardware: Hardware) -> None:
        try:
            from lightning_fabric import Fabric as LightningFabric
        except ImportError as error:
            raise TrainingError(
                "Training on several devices needs the package lightning-fabric. Install it, or "
                "train on one device."
            ) from error
        self._fabric: Any = LightningFabric(
            accelerator=device.kind,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="ddp",
            precision="32-true",
        )
        self._fabric.launch()
        self.device = self._fabric.device
        self.rank = self._fabric.global_rank
        self.world = self._fabric.world_size
        self.name = f"{self.world} x {device.name}"
        self.precision = precision

    def wrap(self, module: nn.Module) -> nn.Module:
        """Make it a module that exchanges gradients."""
        wrapped: nn.Module = self._fabric.setup_module(module, move_to_device=False)
        return wrapped

    def gradient(
        self, loss: Loss, inputs: Tensor, targets: Tensor, weights: Sequence[Tensor]
    ) -> LossTerms:
        """Leave in the weights the gradient of a batch, averaged over all processes."""
        terms = loss(inputs, targets)
        self._fabric.backward(terms.total)
        return mean_of_parts([terms])

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        flags = torch.tensor(float(flag), device=self.device)
        return float(self._fabric.all_reduce(flags, reduce_op="sum")) > 0

    def wait(self) -> None:
        """Wait for all processes."""
        self._fabric.barrier()


_LOST_PARTNER = ("by peer", "gloo", "nccl", "remote worker", "remote process")


def is_lost_partner(error: BaseException) -> bool:
    """Tell whether an error came of another process of the run that is no longer there.

    Parameters
    ----------
    error : BaseException
        What a step of several processes raised.
    """
    if isinstance(error, torch.distributed.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _LOST_PARTNER)


def engine_for(hardware: Hardware) -> Engine:
    """Choose the engine that a configuration asks for.

    Raises
    ------
    DeviceError
        The device is not here.
    TrainingError
        Several devices are asked for and Lightning Fabric is not installed.
    """
    device = describe_device(hardware.device)
    precision = device.precision if hardware.precision == "auto" else hardware.precision
    if hardware.devices * hardware.nodes == 1:
        on_cpu, compiled = device.kind == "cpu", hardware.compile != "off"
        return OneDevice(device, precision, in_parts=on_cpu and not compiled)
    return Fabric(device, precision, hardware)
