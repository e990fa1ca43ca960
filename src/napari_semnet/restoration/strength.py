"""From plain interpolation to all that the network does: a blend that is chosen, not computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_semnet.imaging.plane import bicubic_double
from napari_semnet.restoration.tiles import Tile

__all__ = ["weakened"]


def weakened(
    restored: NDArray[np.float32],
    seen: NDArray[np.float32],
    tile: Tile,
    strength: float,
) -> NDArray[np.float32]:
    """Blend a tile's restoration with the bicubic enlargement of what it was made from.

    Parameters
    ----------
    restored : ndarray of float32
        Output of the tile's core.
    seen : ndarray of float32
        Intensities of all that the tile reads.
    tile : Tile
    strength : float
        0 gives the bicubic enlargement, 1 the restoration.

    Returns
    -------
    ndarray of float32
        Shape of `restored`. The enlargement needs 2 pixels of halo to be that of the whole image.
    """
    if strength == 1:
        return restored
    plain = bicubic_double(seen)[tile.core.within(tile.read).enlarged().slices]
    return plain + np.float32(strength) * (restored - plain)
