"""Upsampling and the convolutions after it, folded into kernels on input pixels.

Copying each pixel into a 2x2 block and convolving the copies with a 3x3 kernel multiplies several
of its weights with the same pixel. Added beforehand, they leave for each of the four output
positions of a block, the *phases*, a 2x2 kernel on input pixels: 2.25 times fewer products. A zero
beyond the border of the enlarged image is half of a zero beyond the border of the small one, so the
border is exact as well. The last convolution is folded likewise, so that it reads these four
phases as channels and the enlarged maps are never laid out.

In bfloat16 the four kernels must be rounded alike. What they have in common is the sum of their
weights, which is what a flat area is multiplied with. Rounded each on its own, these sums differ,
and every flat area gets a grid of 2 pixels: weak (0.005 grey level with the bundled model), but its
peak in the spectrum is a thousand times its surroundings.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

__all__ = ["fold_last", "fold_upsampling", "rounded_alike"]

_PHASE_TAPS = (((0,), (1, 2)), ((0, 1), (2,)))
"""For an output row of even and of odd number: kernel rows on the first and second input row."""

_BFLOAT16_BITS = 7
"""Bits of a bfloat16's significand that are stored."""
_LEAST = 2.0**-60
"""Smaller weights are as good as none; without a bound, zero would have no step."""


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


def rounded_alike(folded: Tensor) -> Tensor:
    """Round folded kernels to bfloat16 so that those of all four phases have the same sum.

    Each weight is rounded to its own bfloat16 step, or to a coarser one that all four sums can be
    multiples of; what is then missing from the common sum goes to the weight of the finest step.

    Parameters
    ----------
    folded : Tensor, shape (4 * features out, features in, 2, 2), float64
        As `fold_upsampling` gives them.

    Returns
    -------
    Tensor, of the same shape and type
        Each value is one that bfloat16 holds, and for each pair of features the sums over the
        2x2 weights are equal in all phases.
    """
    kernels = folded.reshape(4, -1, *folded.shape[1:2], 4)
    own = torch.exp2(kernels.abs().clamp_min(_LEAST).log2().floor() - _BFLOAT16_BITS)
    finest = own.argmin(-1, keepdim=True)
    common = own.amin(-1).amax(0)
    wanted = kernels[0].sum(-1)
    while True:
        step = torch.maximum(own, common[..., None])
        rounded = (kernels / step).round() * step
        missing = (wanted / common).round() * common - rounded.sum(-1)
        rounded.scatter_add_(-1, finest, missing[..., None])
        too_fine = (rounded.bfloat16().double() != rounded).any(-1).any(0)
        if not too_fine.any():
            return rounded.reshape(folded.shape)
        common = torch.where(too_fine, 2 * common, common)
