"""SEMNet, the network of the poster, and nothing else.

The poster describes "94 convolutional layers and 19 LeakyReLU activation functions", 6
residual-in-residual dense blocks (RRDBs) of 3 residual dense blocks (RDBs) of 5 convolutions,
and nearest-neighbour upsampling by 2. Six RRDBs hold 90 convolutions, which leaves four outside
them. RRDBNet [1]_ has five there for one 2x step (first, trunk, up, a high-resolution one, last),
so exactly one is missing, and the poster does not say which.

This module reads the poster as *first, trunk, up, last*: the trunk convolution is what the long
skip connection of RRDBNet closes over, the poster's figure ends in one "up-sampling convolutional
layer", and the high-resolution convolution is the one that RRDBNet-like networks drop without
changing anything else. With one activation module per RDB (used four times) and one after the
up-sampling convolution the count is 94 / 19 as stated; with one grey channel the network has
4,391,617 parameters.

References
----------
.. [1] X. Wang et al., "ESRGAN: Enhanced super-resolution generative adversarial networks",
   ECCV Workshops 2018, :doi:`10.1007/978-3-030-11021-5_5`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["RDB", "RRDB", "Architecture", "SEMNet"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What it takes to build a SEMNet.

    The defaults are the poster's network. Smaller values make reduced networks for tests and
    experiments; `scale` is fixed, since the network has exactly one 2x step.
    """

    in_channels: int = 1
    """Grey channels of input and output."""
    features: int = 64
    """Feature maps between the dense blocks."""
    growth: int = 32
    """Feature maps that each convolution in a dense block adds."""
    blocks: int = 6
    """RRDBs."""
    rdb_per_block: int = 3
    """RDBs in each RRDB."""
    conv_per_rdb: int = 5
    """Convolutions in each RDB; each but the last is followed by the activation."""
    scale: int = 2
    """Output pixels per input pixel along each axis."""
    residual_scaling: float = 0.2
    """Factor on each residual branch before it is added."""
    negative_slope: float = 0.2
    """Slope of the leaky rectifier below zero."""

    def __post_init__(self) -> None:
        counts = ("in_channels", "features", "growth", "blocks", "rdb_per_block")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.conv_per_rdb < 2:
            raise ValueError(f"conv_per_rdb must be at least 2, got {self.conv_per_rdb}.")
        if self.scale != 2:
            raise ValueError(f"SEMNet doubles the pixels; a scale of {self.scale} is not its own.")

    @property
    def exact_halo(self) -> int:
        """Input pixels around a tile beyond which nothing can reach the tile's output.

        Each 3x3 convolution at input resolution reaches one pixel further; the two at output
        resolution together reach one input pixel, and are counted as two for safety. 94 for
        the poster's network.
        """
        return 2 + self.blocks * self.rdb_per_block * self.conv_per_rdb + 2


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


class RDB(nn.Module):
    """Residual dense block: each convolution sees the input and all outputs before it.

    Parameters
    ----------
    architecture : Architecture
        Gives `features`, `growth`, `conv_per_rdb`, `residual_scaling` and `negative_slope`.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        last = a.conv_per_rdb - 1
        self.conv = nn.ModuleList(
            _conv(a.features + i * a.growth, a.features if i == last else a.growth)
            for i in range(a.conv_per_rdb)
        )
        self.activation = nn.LeakyReLU(a.negative_slope, inplace=True)
        self.residual_scaling = a.residual_scaling

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, features, Y, X) to features of the same shape."""
        seen = x
        for conv in list(self.conv)[:-1]:
            # Joined to what was joined before, not to its pieces: a gradient then adds up few
            # large tensors, and a training step takes a fifth less.
            seen = torch.cat([seen, self.activation(conv(seen))], dim=1)
        return x + self._scaled_last(seen)

    def _scaled_last(self, seen: Tensor) -> Tensor:
        """Convolve by a scaled kernel: a pass over few weights in place of two over the maps."""
        last, scaling = self.conv[-1], self.residual_scaling
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        return functional.conv2d(seen, scaling * last.weight, scaling * last.bias, padding=1)


class RRDB(nn.Module):
    """Residual-in-residual dense block: dense blocks in a row, bridged by a residual.

    Parameters
    ----------
    architecture : Architecture
        Gives `rdb_per_block`, `residual_scaling` and what `RDB` takes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.rdb = nn.Sequential(*(RDB(architecture) for _ in range(architecture.rdb_per_block)))
        self.residual_scaling = architecture.residual_scaling

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, features, Y, X) to features of the same shape."""
        change: Tensor = self.rdb(x)
        return x + self.residual_scaling * change


class SEMNet(nn.Module):
    """The poster's network: a noisy image in, a denoised image of twice the pixels out.

    Parameters
    ----------
    architecture : Architecture, optional
        Sizes of the network; the poster's by default.

    Notes
    -----
    Weights start as in ESRGAN: Kaiming-normal scaled by 0.1 in the dense blocks, with biases at
    zero, so that every residual branch starts small. Convolutions outside them keep PyTorch's
    own start: scaled down as well, they stall training.

    Every operation has stride 1 and the upsampling copies pixels, so the network is exactly
    translation-equivariant at input pixels away from the border; `Architecture.exact_halo` and
    exact tiling rest on that. At the border each convolution pads with zeros.

    Examples
    --------
    >>> network = SEMNet()
    >>> sum(isinstance(m, nn.Conv2d) for m in network.modules())
    94
    >>> sum(isinstance(m, nn.LeakyReLU) for m in network.modules())
    19
    >>> sum(p.numel() for p in network.parameters())
    4391617
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        a = architecture if architecture is not None else Architecture()
        self.architecture = a
        self.first = _conv(a.in_channels, a.features)
        self.body = nn.Sequential(*(RRDB(a) for _ in range(a.blocks)))
        self.trunk = _conv(a.features, a.features)
        self.up = _conv(a.features, a.features)
        self.activation = nn.LeakyReLU(a.negative_slope, inplace=True)
        self.last = _conv(a.features, a.in_channels)
        self._initialise_dense_blocks()

    def _initialise_dense_blocks(self) -> None:
        for block in self.body.modules():
            # Where there is no memory there are no numbers to draw; PyTorch would load its compiler
            # for it, which takes a second.
            if isinstance(block, nn.Conv2d) and not block.weight.is_meta:
                nn.init.kaiming_normal_(block.weight)
                with torch.no_grad():
                    block.weight.mul_(0.1)
                assert block.bias is not None
                nn.init.zeros_(block.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Restore a batch of images.

        Parameters
        ----------
        image : Tensor, shape (N, in_channels, Y, X), float32 or bfloat16
            Intensities with the image's range mapped to [0, 1].

        Returns
        -------
        Tensor, shape (N, in_channels, 2Y, 2X)
            Same range, not clipped: values may pass 0 and 1 by a little.
        """
        shallow: Tensor = self.first(image)
        deep = shallow + self.trunk(self.body(shallow))
        enlarged = functional.interpolate(deep, scale_factor=2, mode="nearest")
        restored: Tensor = self.last(self.activation(self.up(enlarged)))
        return restored
