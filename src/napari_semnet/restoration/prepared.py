"""SEMNet made ready to run: the same function, arranged for speed, memory and precision.

Three things differ from `napari_semnet.network.SEMNet`, and none changes what is computed.

*Folded upsampling.* Copying each pixel into a 2x2 block and convolving the copies with a 3x3
kernel multiplies several of its weights with the same pixel. Added beforehand, they leave for each
of the four output positions of a block a 2x2 kernel on input pixels: 2.25 times fewer products. A
zero beyond the border of the enlarged image is half of a zero beyond the border of the small one,
so the border is exact as well.

*One workspace.* Each convolution of a dense block sees the concatenation of all maps before it.
Made anew each time, these are the largest arrays of all, and on a CPU the system hands out and
clears their pages again and again. Here they take turns in one piece of memory.

*Precision where it counts.* Only the dense blocks compute in bfloat16. The sums between them, the
first convolution and the tail (trunk, folded upsampling, last) stay in float32: they are a
hundredth of the work, and the 8 bits of a bfloat16 cannot even hold the grey levels of an 8-bit
image. The tail reaches three pixels far and runs in bands of rows, so that its 256 feature maps
never exist at once.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.network import RDB, RRDB, SEMNet

__all__ = ["PreparedNetwork", "fold_upsampling"]

_PHASE_TAPS = (((0,), (1, 2)), ((0, 1), (2,)))
"""For an output row of even and of odd number: kernel rows on the first and second input row."""

_TAIL_REACH = 3
_TAIL_BAND_PIXELS = 2**15
_TAIL_LEAST_ROWS = 16


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
    """

    def __init__(self, network: SEMNet, device: torch.device, dtype: torch.dtype) -> None:
        architecture = network.architecture
        self._dtype = dtype
        # Apple's kernels work with the channels first; all others are faster with them last.
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._scaling = architecture.residual_scaling
        self._slope = architecture.negative_slope
        self._steps = architecture.blocks * architecture.rdb_per_block
        self._widest = architecture.features + architecture.growth * (architecture.conv_per_rdb - 1)

        def placed(weight: Tensor, bias: Tensor, dtype: torch.dtype, padding: int) -> _Convolution:
            moved = weight.detach().to(device, dtype, copy=True)
            weight = moved.contiguous(memory_format=self._layout)
            return _Convolution(weight, bias.detach().to(device, dtype, copy=True), padding)

        def plain(module: nn.Module, dtype: torch.dtype) -> _Convolution:
            assert isinstance(module, nn.Conv2d)
            return placed(module.weight, _bias(module), dtype, 1)

        first, up, last = network.first, network.up, network.last
        full = torch.float32
        self._first = placed(first.weight.sum(1, keepdim=True), _bias(first), full, 1)
        self._blocks = tuple(
            tuple(tuple(plain(conv, dtype) for conv in rdb.conv) for rdb in _dense_blocks(rrdb))
            for rrdb in network.body
        )
        self._trunk = plain(network.trunk, full)
        folded = fold_upsampling(up.weight.detach().double())
        self._up = placed(folded, _bias(up).repeat(4), full, 0)
        self._last = placed(
            last.weight.mean(0, keepdim=True), _bias(last).mean(0, keepdim=True), full, 1
        )

    def steps(self, image: Tensor) -> Generator[float, None, Tensor]:
        """Restore one image, step by step.

        Parameters
        ----------
        image : Tensor, shape (1, 1, Y, X), float32
            On the network's device, in [0, 1].

        Yields
        ------
        float
            Part of the work that is done, after each dense block. Whoever runs the generator sets
            inference mode around each step, since it belongs to the thread and not to the
            generator.

        Returns
        -------
        Tensor, shape (1, 1, 2Y, 2X), float32
            Not clipped.
        """
        image = image.to(memory_format=self._layout)
        height, width = image.shape[-2:]
        workspace = torch.empty(
            self._widest * height * width, dtype=self._dtype, device=image.device
        )
        maps = self._first(image)
        done = 0
        for block in self._blocks:
            deep = maps.to(self._dtype, copy=True)
            for convolutions in block:
                deep.add_(self._change(deep, convolutions, workspace), alpha=self._scaling)
                done += 1
                yield done / (self._steps + 1)
            maps.add_(deep, alpha=self._scaling)
        del workspace
        restored = maps.new_empty((1, 1, 2 * height, 2 * width))
        rows = max(_TAIL_LEAST_ROWS, _TAIL_BAND_PIXELS // width)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            above, below = max(0, first - _TAIL_REACH), min(height, last + _TAIL_REACH)
            band = self._tail(image[:, :, above:below], maps[:, :, above:below])
            kept = slice(2 * (first - above), 2 * (last - above))
            restored[:, :, 2 * first : 2 * last] = band[:, :, kept]
        return restored

    def _change(
        self, maps: Tensor, convolutions: tuple[_Convolution, ...], workspace: Tensor
    ) -> Tensor:
        """Compute what a dense block adds to its input, before scaling."""
        *growing, last = convolutions
        seen = [maps]
        together = maps
        for convolution in growing:
            grown = functional.leaky_relu_(convolution(together), self._slope)
            seen.append(grown)
            together = self._concatenated(seen, workspace)
        return last(together)

    def _concatenated(self, seen: list[Tensor], workspace: Tensor) -> Tensor:
        height, width = seen[0].shape[-2:]
        channels = sum(maps.shape[1] for maps in seen)
        part = workspace[: channels * height * width]
        if self._layout == torch.channels_last:
            together = part.view(1, height, width, channels).permute(0, 3, 1, 2)
        else:
            together = part.view(1, channels, height, width)
        torch.cat(seen, dim=1, out=together)
        return together

    def _tail(self, image: Tensor, maps: Tensor) -> Tensor:
        """From the dense blocks' output to pixels, for a band of rows."""
        height, width = image.shape[-2:]
        deep = self._trunk(maps).add_(self._first(image))
        phases = self._up(functional.pad(deep, (1, 1, 1, 1)))
        features = phases.shape[1] // 4
        enlarged = torch.empty(
            (1, features, 2 * height, 2 * width), device=deep.device, memory_format=self._layout
        )
        for number, phase in enumerate(torch.split(phases, features, dim=1)):
            p, q = divmod(number, 2)
            enlarged[:, :, p::2, q::2] = phase[:, :, p : p + height, q : q + width]
        return self._last(functional.leaky_relu_(enlarged, self._slope))


def _bias(module: nn.Conv2d) -> Tensor:
    assert module.bias is not None
    return module.bias


def _dense_blocks(rrdb: nn.Module) -> list[RDB]:
    assert isinstance(rrdb, RRDB)
    return [rdb for rdb in rrdb.rdb if isinstance(rdb, RDB)]
