"""Saturated areas, which stay as they were recorded.

A detector at the end of its range says no more than "at least this much". A network rounds such an
area off by a grey level or so. Where a whole neighbourhood was recorded at the end of the range,
the restoration is at the end of the range as well.

One bright pixel proves nothing: noise reaches the end too, and pixels set one by one would be
speckles. So 5 x 5 equal pixels are asked for. The pixels in the middle of such squares and their
nearest neighbours are set; along an edge the outermost pixel of a saturated area is not, because
an edge that was recorded blurred is the network's to restore.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.imaging.intensity import IntensityRange, to_unit
from napari_semnet.restoration.tiles import SCALE, Tile

__all__ = ["REACH", "range_ends", "with_saturation"]

_SQUARE = 5
_NEIGHBOURS = 3
REACH = (_SQUARE + _NEIGHBOURS - 2) // 2
"""Pixels on each side that decide about one: 3."""


def range_ends(intensity: IntensityRange, dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Say which intensities a recording may be saturated at.

    Parameters
    ----------
    intensity : IntensityRange
    dtype : dtype
        Of the image.

    Returns
    -------
    tuple of float
        On the network's scale. The ends of the range; and of integers what their type holds at
        most and at least, wherever the range ends. The least and greatest value of an image that
        is not saturated are among them: they do no harm, because no square of 5 x 5 equals them.
    """
    ends = {0.0, 1.0}
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        ends |= {float(end) for end in to_unit(np.array([limits.min, limits.max]), intensity)}
    return tuple(sorted(ends))


def with_saturation(
    restored: NDArray[np.float32],
    seen: NDArray[np.float32],
    tile: Tile,
    ends: tuple[float, ...],
) -> NDArray[np.float32]:
    """Put the recorded intensity where a tile's input is saturated.

    Parameters
    ----------
    restored : ndarray of float32
        Output of the tile's core.
    seen : ndarray of float32
        Intensities of all that the tile reads.
    tile : Tile
    ends : tuple of float
        See `range_ends`.

    Returns
    -------
    ndarray of float32
        Shape of `restored`. It takes `REACH` pixels of halo to be that of the whole image.
    """
    core = tile.core.within(tile.read)
    looked_at = core.grown(REACH, tile.read.shape)
    for end in ends:
        at_end = seen[looked_at.slices] == np.float32(end)
        area = _area(at_end)[core.within(looked_at).slices] if at_end.any() else at_end
        if area.any():
            enlarged = np.repeat(np.repeat(area, SCALE, 0), SCALE, 1)
            restored = np.where(enlarged, np.float32(end), restored)
    return restored


def _area(at_end: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the pixels that are set; what lies beyond the array does not object."""
    middles = ndimage.minimum_filter(at_end, _SQUARE, mode="constant", cval=1)
    area: NDArray[np.bool_] = ndimage.maximum_filter(middles, _NEIGHBOURS, mode="constant", cval=0)
    return area
