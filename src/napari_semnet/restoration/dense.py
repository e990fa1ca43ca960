"""The dense blocks, arranged for the hardware that computes them.

Each convolution of a dense block sees all maps before it. There are two ways to show it them.

*Concatenated* one after the other along the channels, as the network is written. The maps are
copied again for each convolution. GPUs have the bandwidth for it.

*Stacked* in groups of channels along a third axis, behind each other in memory. There the next
group is written once, right behind those before it, and a convolution over the first `n` groups
reads them where they are: a 3x3 convolution of 32 n channels is a n x 3 x 3 convolution of 32
channels, with the same products and sums. A CPU, which is short of bandwidth, wins a fifth of its
time by it, and half of it where the tile is too large for its caches.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from types import EllipsisType
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.network import RDB, RRDB, SEMNet
from napari_semnet.restoration.tiles import Box

__all__ = [
    "ArrangementError",
    "Concatenated",
    "DenseBlocks",
    "Stacked",
    "bias_of",
    "convolutions_of",
    "cuts",
    "dense_blocks_of",
]


class ArrangementError(RuntimeError):
    """An arrangement cannot compute here; another one can take its place."""


class DenseBlocks(Protocol):
    """All RRDBs of a network, ready to run."""

    def run(self, maps: Tensor, narrowed: Sequence[Box]) -> Generator[float, None, Tensor]:
        """Turn maps (1, features, Y, X) of float32 into what comes out of the last RRDB.

        The given maps may be changed. Where `narrowed` is not empty it says which pixels are kept
        after each RRDB, counted from the first pixel of `maps`. Yields the part that is done, from
        0 to 1, often enough to be stopped soon.
        """


class Concatenated:
    """Dense blocks whose convolutions see a concatenation along the channels.

    Parameters
    ----------
    network : SEMNet
        Left as it is.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        In which precision.
    """

    def __init__(self, network: SEMNet, device: torch.device, dtype: torch.dtype) -> None:
        a = network.architecture
        self._dtype = dtype
        # Apple's kernels work with the channels first; all others are faster with them last.
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._scaling, self._slope = a.residual_scaling, a.negative_slope
        self._count = a.blocks * a.rdb_per_block
        self._widest = a.features + a.growth * (a.conv_per_rdb - 1)
        self._blocks = tuple(
            tuple(
                tuple(
                    (
                        conv.weight.detach().to(device, dtype).clone(memory_format=self._layout),
                        bias_of(conv).to(device, dtype, copy=True),
                    )
                    for conv in convolutions_of(rdb)
                )
                for rdb in dense_blocks_of(rrdb)
            )
            for rrdb in network.body
        )

    def run(self, maps: Tensor, narrowed: Sequence[Box]) -> Generator[float, None, Tensor]:
        """See `DenseBlocks.run`.

        The concatenations take turns in one piece of memory. Made anew each time, these are the
        largest arrays of all, and on a CPU the system hands out and clears their pages again and
        again.
        """
        height, width = maps.shape[-2:]
        workspace = torch.empty(
            self._widest * height * width, dtype=self._dtype, device=maps.device
        )
        done = 0
        for block, kept in zip(self._blocks, cuts(narrowed, len(self._blocks)), strict=True):
            deep = maps.to(self._dtype, copy=True, memory_format=self._layout)
            for convolutions in block:
                deep.add_(self._change(deep, convolutions, workspace), alpha=self._scaling)
                done += 1
                yield done / self._count
            maps = maps[kept].add_(deep[kept], alpha=self._scaling)
        return maps

    def _change(
        self, maps: Tensor, convolutions: tuple[tuple[Tensor, Tensor], ...], workspace: Tensor
    ) -> Tensor:
        """Compute what a dense block adds to its input, before scaling."""
        *growing, last = convolutions
        seen = [maps]
        together = maps
        for convolution in growing:
            grown = functional.conv2d(together, *convolution, padding=1)
            seen.append(functional.leaky_relu_(grown, self._slope))
            together = self._together(seen, workspace)
        return functional.conv2d(together, *last, padding=1)

    def _together(self, seen: list[Tensor], workspace: Tensor) -> Tensor:
        height, width = seen[0].shape[-2:]
        channels = sum(maps.shape[1] for maps in seen)
        part = workspace[: channels * height * width]
        if self._layout == torch.channels_last:
            together = part.view(1, height, width, channels).permute(0, 3, 1, 2)
        else:
            together = part.view(1, channels, height, width)
        torch.cat(seen, dim=1, out=together)
        return together


class Stacked:
    """Dense blocks whose convolutions see groups of channels stacked along a third axis.

    Parameters
    ----------
    network, device, dtype
        See `Concatenated`.
    """

    def __init__(self, network: SEMNet, device: torch.device, dtype: torch.dtype) -> None:
        a = network.architecture
        self._dtype = dtype
        self._scaling, self._slope = a.residual_scaling, a.negative_slope
        self._count = a.blocks * a.rdb_per_block
        self._group = math.gcd(a.features, a.growth)
        self._of_input, self._of_growth = a.features // self._group, a.growth // self._group
        self._groups = self._of_input + self._of_growth * (a.conv_per_rdb - 1)

        def placed(conv: nn.Conv2d, factor: float) -> tuple[Tensor, Tensor]:
            weight = self._grouped(factor * conv.weight.detach()).to(device, dtype)
            bias = (factor * bias_of(conv)).to(device, dtype)
            return weight.clone(memory_format=torch.channels_last_3d), bias

        def ready(rdb: RDB) -> tuple[tuple[Tensor, Tensor], ...]:
            *growing, last = convolutions_of(rdb)
            return (*(placed(conv, 1.0) for conv in growing), placed(last, self._scaling))

        self._blocks = tuple(
            tuple(ready(rdb) for rdb in dense_blocks_of(rrdb)) for rrdb in network.body
        )

    def _grouped(self, maps: Tensor) -> Tensor:
        """View channels (N, C, Y, X) as groups of them, (N, group, C / group, Y, X)."""
        number, channels, height, width = maps.shape
        shape = number, channels // self._group, self._group, height, width
        return maps.view(shape).transpose(1, 2)

    def _empty(self, groups: int, maps: Tensor) -> Tensor:
        """Make room for groups (1, group, groups, Y, X), each whole in memory."""
        shape = (1, groups, *maps.shape[-2:], self._group)
        return torch.empty(shape, dtype=maps.dtype, device=maps.device).permute(0, 4, 1, 2, 3)

    def _stacked_in(self, memory: Tensor, maps: Tensor) -> Tensor:
        """Lay all groups of a dense block, as large as `maps`, out in a piece of memory."""
        height, width = maps.shape[-2:]
        part = memory[: self._groups * height * width * self._group]
        shape = (1, self._groups, height, width, self._group)
        return part.view(shape).permute(0, 4, 1, 2, 3)

    def run(self, maps: Tensor, narrowed: Sequence[Box]) -> Generator[float, None, Tensor]:
        """See `DenseBlocks.run`."""
        memory = torch.empty(
            self._groups * self._group * maps.shape[-2] * maps.shape[-1],
            dtype=self._dtype,
            device=maps.device,
        )
        sums = self._empty(self._of_input, maps).copy_(self._grouped(maps))
        done = 0
        for block, kept in zip(self._blocks, cuts(narrowed, len(self._blocks)), strict=True):
            stack = self._stacked_in(memory, sums)
            deep = stack[:, :, : self._of_input]
            deep.copy_(sums)
            for *growing, last in block:
                seen = self._of_input
                for convolution in growing:
                    grown = functional.conv3d(stack[:, :, :seen], *convolution, padding=(0, 1, 1))
                    place = stack[:, :, seen : seen + self._of_growth]
                    # One pass over the maps rectifies them and puts them where they belong.
                    torch.ops.aten.leaky_relu.out(
                        self._grouped(grown[:, :, 0]), self._slope, out=place
                    )
                    seen += self._of_growth
                change = functional.conv3d(stack, *last, padding=(0, 1, 1))
                deep.add_(self._grouped(change[:, :, 0]))
                done += 1
                yield done / self._count
            sums = sums[kept].add_(deep[kept], alpha=self._scaling)
        return sums.transpose(1, 2).flatten(1, 2)


def cuts(narrowed: Sequence[Box], blocks: int) -> Iterator[tuple[slice | EllipsisType, ...]]:
    """Give what each RRDB keeps as an index into the maps that it was given."""
    if not narrowed:
        yield from ((...,),) * blocks
    seen = Box(0, 0, 0, 0)
    for box in narrowed:
        yield (..., *box.within(seen).slices)
        seen = box


def bias_of(conv: nn.Conv2d) -> Tensor:
    """Give the bias of a convolution, which all in a network have."""
    assert conv.bias is not None
    return conv.bias.detach()


def convolutions_of(rdb: RDB) -> list[nn.Conv2d]:
    """Give the convolutions of a dense block, in order."""
    return [conv for conv in rdb.conv if isinstance(conv, nn.Conv2d)]


def dense_blocks_of(rrdb: nn.Module) -> list[RDB]:
    """Give the dense blocks of an RRDB, in order."""
    assert isinstance(rrdb, RRDB)
    return [rdb for rdb in rrdb.rdb if isinstance(rdb, RDB)]
