"""What computes a tile: a network prepared for one device and one precision.

`Backend` is all that the engine knows of it, so that another runtime can take the place of
PyTorch.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.events import Notice
from napari_semnet.restoration.prepared import Arrangement, Prepared, PreparedNetwork, Sweeping
from napari_semnet.restoration.runtime import Device, Precision
from napari_semnet.restoration.sweep import Piece, PieceKind, Sweep
from napari_semnet.restoration.tile_size import WidthCost
from napari_semnet.restoration.tiles import Box, TileKind

__all__ = [
    "DTYPES",
    "Backend",
    "TorchBackend",
    "exact_convolutions",
    "is_out_of_memory",
    "run_through",
]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What a precision is called in PyTorch."""

_MEMORY_COMPLAINTS = (
    "can't allocate memory",
    "defaultcpuallocator",
    "out of memory",
    "cudnn_status_alloc_failed",
    "could not create a primitive",
)


class Backend(Protocol):
    """A network that is ready to restore tiles."""

    @property
    def device(self) -> Device:
        """Where it computes."""

    @property
    def precision(self) -> Precision:
        """How the body of the network computes."""

    @property
    def name(self) -> str:
        """What computes: ``torch``, ``torch-stacked`` or ``openvino``."""

    @property
    def width_cost(self) -> WidthCost | None:
        """See `napari_semnet.restoration.tile_size.choose_tile`."""

    def restore_tile(
        self, image: NDArray[np.float32], narrowed: Sequence[Box] = ()
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        """Map intensities (Y, X) in [0, 1] to (2Y, 2X), both on the host, not clipped.

        Where `narrowed` is given, it says of which pixels the maps are kept after each RRDB, and
        the output is that of the last of them. Yields the part that is done, from 0 to 1, so that
        whoever runs it can show progress and stop within a tile, and a notice where something had
        to be done otherwise; returns the result. The same tile gives the same bytes. Out of memory
        is an error for which `is_out_of_memory` is true; the backend can be used again after it.
        """

    @property
    def sweeps(self) -> bool:
        """Whether pieces of a sweep can be restored."""

    def begin_sweep(self, sweep: Sweep) -> object | None:
        """Give what the pieces of a sweep hand on to each other; None where it does not sweep."""

    def restore_piece(
        self, image: NDArray[np.float32], piece: Piece, handed_on: object
    ) -> Generator[float, None, NDArray[np.float32]]:
        """Restore what a piece gives, as `restore_tile` does, from what it reads.

        Pieces of a sweep come in their order. `handed_on` is what `begin_sweep` gave.

        Raises
        ------
        ArrangementError
            What computes has failed.
        """

    def expect(self, kinds: Sequence[TileKind | PieceKind]) -> None:
        """Prepare for tiles that are going to come, without making anybody wait."""

    def release_memory(self) -> None:
        """Give back what is kept only to be faster the next time."""


class TorchBackend:
    """A SEMNet run by PyTorch, or by another runtime behind it.

    Parameters
    ----------
    network : SEMNet
        Left as it is; the backend works on a copy.
    device : Device
        Where to compute.
    precision : {"fp32", "bf16"}
        Of the body; the tail is always computed in float32.
    arrange : callable
        Makes the network ready.
    name : str
        What the arrangement is called.
    width_cost : WidthCost, optional
        See `Backend.width_cost`.
    """

    def __init__(
        self,
        network: SEMNet,
        device: Device,
        precision: Precision,
        arrange: Arrangement = PreparedNetwork,
        name: str = "torch",
        width_cost: WidthCost | None = None,
    ) -> None:
        self.device = device
        self.precision = precision
        self.name = name
        self.width_cost = width_cost
        self._source = network
        self._network = self._prepared(arrange)

    def _prepared(self, arrange: Arrangement) -> Prepared:
        return arrange(self._source, self.device.torch_device, DTYPES[self.precision])

    def restore_tile(
        self, image: NDArray[np.float32], narrowed: Sequence[Box] = ()
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        """See `Backend.restore_tile`.

        Where the arrangement fails, the tile and all later ones are computed in the plain one.
        """
        try:
            return (yield from self._steps(image, narrowed))
        except ArrangementError as error:
            complaint = str(error)
        self._network, self.name = self._prepared(PreparedNetwork), "torch"
        yield Notice(f"{complaint}. PyTorch computes in its place.")
        return (yield from self._steps(image, narrowed))

    @property
    def sweeps(self) -> bool:
        """See `Backend.sweeps`."""
        return isinstance(self._network, Sweeping)

    def begin_sweep(self, sweep: Sweep) -> object | None:
        """See `Backend.begin_sweep`."""
        return self._network.begin_sweep(sweep) if isinstance(self._network, Sweeping) else None

    def restore_piece(
        self, image: NDArray[np.float32], piece: Piece, handed_on: object
    ) -> Generator[float, None, NDArray[np.float32]]:
        """See `Backend.restore_piece`."""
        if not isinstance(self._network, Sweeping):
            raise ArrangementError(f"{self.name} computes no sweeps")
        steps = self._network.sweep_steps(self._given(image), piece, handed_on)
        return (yield from self._run(steps))

    def _steps(
        self, image: NDArray[np.float32], narrowed: Sequence[Box]
    ) -> Generator[float, None, NDArray[np.float32]]:
        return (yield from self._run(self._network.steps(self._given(image), narrowed)))

    def _given(self, image: NDArray[np.float32]) -> Tensor:
        tile = torch.from_numpy(np.ascontiguousarray(image))[None, None]
        return tile.to(self.device.torch_device)

    def _run(
        self, steps: Generator[float, None, Tensor]
    ) -> Generator[float, None, NDArray[np.float32]]:
        while True:
            # Both belong to the thread or to the process: left on between steps, they would
            # reach into whatever the caller does there.
            with torch.inference_mode(), exact_convolutions(self.device):
                try:
                    done = next(steps)
                except StopIteration as stop:
                    result: NDArray[np.float32] = stop.value[0, 0].cpu().numpy()
                    return result
            yield done

    def expect(self, kinds: Sequence[TileKind | PieceKind]) -> None:
        """See `Backend.expect`."""
        self._network.expect(kinds)

    def release_memory(self) -> None:
        """See `Backend.release_memory`."""
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        elif self.device.kind == "mps":
            torch.mps.empty_cache()


_CUDNN_SETTINGS = threading.Lock()


def exact_convolutions(device: Device) -> AbstractContextManager[None]:
    """Let a device compute float32 as float32, and the same way each time."""
    return _exact_convolutions() if device.kind == "cuda" else nullcontext()


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Let cuDNN compute float32 as float32, and the same way each time.

    TF32 keeps 10 bits of the significand, so that tiles would differ from the whole by more than
    rounding; benchmark mode may choose another kernel each time. The settings are the process's,
    hence the lock. Since PyTorch 2.9 convolutions have one of their own, and reading the older
    one can fail when another part of the program has used the newer.
    """
    cudnn = torch.backends.cudnn
    newer = getattr(cudnn, "conv", None)
    where, name = (cudnn, "allow_tf32") if newer is None else (newer, "fp32_precision")
    wanted = (
        (where, name, False if newer is None else "ieee"),
        (cudnn, "benchmark", False),
        (cudnn, "deterministic", True),
    )
    with _CUDNN_SETTINGS:
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
        try:
            for owner, name, value in wanted:
                setattr(owner, name, value)
            yield
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


_Result = TypeVar("_Result")


def run_through(steps: Generator[object, None, _Result]) -> _Result:
    """Run a generator to its end and give what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: _Result = stop.value
            return result


def is_out_of_memory(error: BaseException) -> bool:
    """Tell running out of memory, on any device, from every other failure.

    CUDA has an error of its own for it; the CPU's and Apple's allocators raise a bare
    `RuntimeError` that only its text gives away.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # oneDNN has no "descriptor" for what it cannot compute, and no "primitive" for want of memory.
    text = str(error).lower().replace("primitive descriptor", "")
    return isinstance(error, RuntimeError) and any(part in text for part in _MEMORY_COMPLAINTS)
