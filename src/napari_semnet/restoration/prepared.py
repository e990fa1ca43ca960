"""SEMNet made ready to run: the same function, arranged for speed, memory and precision.

Three things differ from `napari_semnet.network.SEMNet`, and none changes what is computed.

*Folded upsampling.* The upsampling and the last convolution work on input pixels, with 2.25 times
fewer products. See `napari_semnet.restoration.folding`.

*Dense blocks without needless copies.* See `napari_semnet.restoration.dense`.

*Precision where it counts.* Only the dense blocks and the upsampling compute in bfloat16. The sums
between RRDBs, the first convolution, the trunk and the last convolution stay in float32: they are a
hundredth of the work, and the 8 bits of a bfloat16 cannot even hold the grey levels of an 8-bit
image. After the trunk the tail runs in bands of rows, so that its 256 feature maps never exist at
once and stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import Concatenated, DenseBlocks, bias_of
from napari_semnet.restoration.folding import fold_last, fold_upsampling, rounded_alike
from napari_semnet.restoration.sweep import Piece, PieceKind, Sweep
from napari_semnet.restoration.tiles import Box, TileKind

__all__ = ["Arrangement", "Prepared", "PreparedNetwork", "Sweeping"]

TAIL_BAND_PIXELS = {"cpu": 2**12}
"""Pixels of a band of the tail, by kind of device: few enough for a CPU's cache."""
MOST_BAND_PIXELS = 2**15
"""On other devices."""
_TAIL_LEAST_ROWS = 8


class Prepared(Protocol):
    """A network that is ready to run."""

    def steps(self, image: Tensor, narrowed: Sequence[Box] = ()) -> Generator[float, None, Tensor]:
        """Restore one image, step by step.

        Parameters
        ----------
        image : Tensor, shape (1, 1, Y, X), float32
            On the network's device, in [0, 1].
        narrowed : sequence of Box
            Pixels of the image whose maps are kept after each RRDB, each within the one before.
            By default all are.

        Yields
        ------
        float
            Part of the work that is done, often enough to be stopped soon. Whoever runs the
            generator sets inference mode around each step, since it belongs to the thread and not
            to the generator.

        Returns
        -------
        Tensor, shape (1, 1, 2Y, 2X), float32
            Of what is kept in the end. Not clipped.

        Raises
        ------
        ArrangementError
            It cannot compute here; another arrangement can take its place.
        """

    def expect(self, kinds: Sequence[TileKind | PieceKind]) -> None:
        """Prepare for images that are going to come, without making anybody wait."""


@runtime_checkable
class Sweeping(Prepared, Protocol):
    """One that can also restore the pieces of a sweep."""

    def begin_sweep(self, sweep: Sweep) -> Any:
        """Give what the pieces of a sweep hand on to each other: nothing yet."""

    def sweep_steps(
        self, image: Tensor, piece: Piece, handed_on: Any
    ) -> Generator[float, None, Tensor]:
        """Restore a piece of a sweep.

        Parameters
        ----------
        image : Tensor, shape (1, 1, Y, X), float32
            What the piece reads.
        piece : Piece
            The one after that which was restored last, or the first.
        handed_on
            What pieces have handed on so far, begun by `begin_sweep`. This one adds to it.

        Yields, returns and raises what `steps` does.
        """


Arrangement = Callable[[SEMNet, torch.device, torch.dtype], Prepared]
"""Makes a network ready."""


@dataclass(frozen=True, slots=True)
class _Convolution:
    weight: Tensor
    bias: Tensor
    padding: int = 1

    def __call__(self, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, self.weight, self.bias, padding=self.padding)


class PreparedNetwork:
    """A SEMNet for inference on one device; the network it is made from is left as it is.

    Parameters
    ----------
    network : SEMNet
        Any number of channels: for grey input a network of several is folded to one, by adding
        up the first kernel's inputs and averaging the last one's outputs.
    device : torch.device
        Where it runs.
    dtype : torch.dtype
        Of the dense blocks: `torch.float32` or `torch.bfloat16`.
    arrange : callable
        Makes the dense blocks ready: `Concatenated` or `Stacked`.
    """

    def __init__(
        self,
        network: SEMNet,
        device: torch.device,
        dtype: torch.dtype,
        arrange: Callable[[SEMNet, torch.device, torch.dtype], DenseBlocks] = Concatenated,
    ) -> None:
        architecture = network.architecture
        # Apple's kernels work with the channels first; all others are faster with them last.
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._slope = architecture.negative_slope
        self._steps = architecture.blocks * architecture.rdb_per_block
        self._band = TAIL_BAND_PIXELS.get(device.type, MOST_BAND_PIXELS)

        def placed(
            weight: Tensor, bias: Tensor, padding: int = 1, dtype: torch.dtype = torch.float32
        ) -> _Convolution:
            weight = weight.detach().to(device, dtype)
            bias = bias.detach().to(device, dtype, copy=True)
            return _Convolution(weight.clone(memory_format=self._layout), bias, padding)

        first, trunk, up, last = network.first, network.trunk, network.up, network.last
        self._first = placed(first.weight.sum(1, keepdim=True), bias_of(first))
        self._dense = arrange(network, device, dtype)
        self._trunk = placed(trunk.weight, bias_of(trunk))
        self._dtype = dtype
        folded = fold_upsampling(up.weight.detach().double())
        if dtype == torch.bfloat16:
            folded = rounded_alike(folded)
        self._up = placed(folded, bias_of(up).repeat(4), padding=0, dtype=dtype)
        grey = fold_last(last.weight.detach().double().mean(0, keepdim=True))
        self._last = placed(grey, bias_of(last).mean().repeat(4), padding=0)

    def steps(self, image: Tensor, narrowed: Sequence[Box] = ()) -> Generator[float, None, Tensor]:
        """See `Prepared.steps`."""
        image = image.to(memory_format=self._layout)
        dense = self._dense.run(self._first(image), narrowed)
        while True:
            try:
                done = next(dense)
            except StopIteration as stop:
                maps: Tensor = stop.value
                break
            yield done * self._steps / (self._steps + 1)
        shallow = self._first(image)
        return self._tail(shallow[..., *narrowed[-1].slices] if narrowed else shallow, maps)

    def expect(self, kinds: Sequence[TileKind | PieceKind]) -> None:
        """Do nothing: one kind of tile is computed like the other."""

    def _tail(self, shallow: Tensor, maps: Tensor) -> Tensor:
        """From what comes out of the first convolution and the dense blocks to pixels."""
        height, width = maps.shape[-2:]
        deep = self._trunk(maps).add_(shallow)
        restored = deep.new_empty((1, 1, 2 * height, 2 * width))
        rows = max(_TAIL_LEAST_ROWS, self._band // width)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            above, below = int(first == 0), int(last == height)
            band = deep[:, :, first - 1 + above : last + 1 - below].to(self._dtype)
            phases = self._up(functional.pad(band, (1, 1, above, below)))
            _clear_beyond_border(phases, bool(above), bool(below))
            pixels = self._last(functional.leaky_relu_(phases, self._slope).float())
            restored[:, :, 2 * first : 2 * last] = functional.pixel_shuffle(pixels, 2)
        return restored


def _clear_beyond_border(phases: Tensor, at_top: bool, at_bottom: bool) -> None:
    """Put zeros where phases lie beyond the border: there the last convolution pads with them."""
    features = phases.shape[1] // 4
    by_phase = phases.view(1, 2, 2, features, *phases.shape[-2:])
    by_phase[:, :, 1, :, :, 0] = 0
    by_phase[:, :, 0, :, :, -1] = 0
    if at_top:
        by_phase[:, 1, :, :, 0] = 0
    if at_bottom:
        by_phase[:, 0, :, :, -1] = 0
