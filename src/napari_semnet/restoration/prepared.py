"""SEMNet made ready to run: the same function, arranged for speed, memory and precision.

Three things differ from `napari_semnet.network.SEMNet`, and none changes what is computed.

*Folded upsampling.* Copying each pixel into a 2x2 block and convolving the copies with a 3x3
kernel multiplies several of its weights with the same pixel. Added beforehand, they leave for each
of the four output positions of a block a 2x2 kernel on input pixels: 2.25 times fewer products. A
zero beyond the border of the enlarged image is half of a zero beyond the border of the small one,
so the border is exact as well. The last convolution is folded likewise, so that it reads these
four positions as channels and the enlarged maps are never laid out.

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
from itertools import product
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import Concatenated, DenseBlocks
from napari_semnet.restoration.tiles import Box

__all__ = ["Arrangement", "Prepared", "PreparedNetwork", "fold_last", "fold_upsampling"]

_PHASE_TAPS = (((0,), (1, 2)), ((0, 1), (2,)))
"""For an output row of even and of odd number: kernel rows on the first and second input row."""

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


Arrangement = Callable[[SEMNet, torch.device, torch.dtype], Prepared]
"""Makes a network ready."""


def fold_upsampling(weight: Tensor) -> Tensor:
    """Fold nearest-neighbour 2x upsampling into the 3x3 kernel that follows it.

    Parameters
    ----------
    weight : Tensor, shape (features out, features in, 3, 3)
        Kernel at output resolution.

    Returns
    -------
    Tensor, shape (4 * features out, features in, 2, 2)
        Kernels at input resolution, in the order (phase row, phase column, feature). On input
        padded by one zero all around, the output of phase (p, q) for pixel (y, x) is the
        convolution's at (y + p, x + q).
    """

    def summed(rows: tuple[int, ...], columns: tuple[int, ...]) -> Tensor:
        return weight[:, :, rows][..., columns].sum((2, 3))

    phases = [
        torch.stack([torch.stack([summed(r, c) for c in across], -1) for r in down], -2)
        for down in _PHASE_TAPS
        for across in _PHASE_TAPS
    ]
    return torch.cat(phases)


def fold_last(weight: Tensor) -> Tensor:
    """Fold a 3x3 kernel at output resolution for the phases that a folded upsampling gives.

    Parameters
    ----------
    weight : Tensor, shape (1, features in, 3, 3)
        Kernel at output resolution.

    Returns
    -------
    Tensor, shape (4, 4 * features in, 2, 2)
        Kernels at input resolution, in the order (phase row, phase column) of the output and
        (phase row, phase column, feature) of the input, for phases as `fold_upsampling` has them.
    """
    features = weight.shape[1]
    folded = weight.new_zeros(2, 2, 2, 2, features, 2, 2)
    for a, b, y, x in product(range(2), range(2), range(3), range(3)):
        # Row 2i + a - 1 + y of the enlarged maps is phase p of input row i + down, which stands
        # at i + down + p.
        (down, p), (across, q) = divmod(a - 1 + y, 2), divmod(b - 1 + x, 2)
        folded[a, b, p, q, :, down + p, across + q] += weight[0, :, y, x]
    return folded.reshape(4, 4 * features, 2, 2)


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
        self._first = placed(first.weight.sum(1, keepdim=True), _bias(first))
        self._dense = arrange(network, device, dtype)
        self._trunk = placed(trunk.weight, _bias(trunk))
        self._dtype = dtype
        folded = fold_upsampling(up.weight.double())
        self._up = placed(folded, _bias(up).repeat(4), padding=0, dtype=dtype)
        grey = fold_last(last.weight.detach().double().mean(0, keepdim=True))
        self._last = placed(grey, _bias(last).mean().repeat(4), padding=0)

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


def _bias(module: nn.Conv2d) -> Tensor:
    assert module.bias is not None
    return module.bias.detach()
