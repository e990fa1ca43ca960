"""Keep a network from drawing a grid of two pixels, whatever it has learned."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["without_grid"]


def without_grid(kernels: Tensor) -> Tensor:
    """Take out of kernels whatever they answer to a pitch of two pixels.

    Enlarging copies each pixel to four places. What follows treats each of the four in its own way,
    so that they differ on the whole, even in flat areas: the picture gets a grid. A kernel ``k``
    answers to such grids by its sums ``sum k (-1)^y``, ``sum k (-1)^x`` and ``sum k (-1)^(x + y)``.
    Where all three of a last convolution are zero no grid passes it. Stripes and edges of one
    pixel still do: they are not the same all over the picture. [1]_ is about such grids, and how
    networks can be built that draw none.

    Parameters
    ----------
    kernels : Tensor, shape (..., Y, X)
        Of 3 x 3 pixels or more.

    Returns
    -------
    Tensor, shape (..., Y, X)
        The nearest kernels, by the sum of squares, whose three sums are zero. A kernel that blurs
        comes out nearly as it was, one with a sharp middle much changed, in its sum as well.

    References
    ----------
    .. [1] Y. Sugawara, S. Shiota and H. Kiya, "Checkerboard artifacts free convolutional neural
       networks", APSIPA Transactions on Signal and Information Processing, 2019.
    """
    height, width = kernels.shape[-2:]
    rows = (-1.0) ** torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    columns = (-1.0) ** torch.arange(width, dtype=torch.float64)[None, :].expand(height, width)
    grids = torch.stack([rows, columns, rows * columns]).flatten(1)
    onto = (torch.linalg.pinv(grids) @ grids).to(kernels)
    flat = kernels.flatten(-2)
    nearest: Tensor = flat - flat @ onto
    return nearest.reshape(kernels.shape)
