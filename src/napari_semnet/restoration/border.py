"""The image beyond its border: mirrored, without ever being made.

The network pads with zeros, which look to it like black specimen where the image ends. So the
image goes on beyond its border as its own mirror image, whose axis is the outermost pixel (numpy
calls that ``reflect``; to repeat the outermost pixel would show the network the same noise twice).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_semnet.card import Card
from napari_semnet.restoration.tiles import Box

__all__ = ["Mirrored", "margin_of", "mirrored"]

_UNMEASURED = 24
"""Mirrored pixels where it was not measured how far a model looks."""


def margin_of(card: Card) -> int:
    """Say how many mirrored pixels a model is shown beyond the border of an image.

    They have to keep the zeros beyond them out of sight, as a halo does what lies beyond it. With
    as many pixels as the measured halo a tile at the border is computed just as one inside.

    Returns
    -------
    int
        Pixels: the measured halo; 24 where none was measured, or all that the network can reach.
    """
    wanted = _UNMEASURED if card.halo is None else card.halo.pixels
    return min(card.architecture.exact_halo, wanted)


def mirrored(first: int, last: int, length: int) -> NDArray[np.intp]:
    """Say which real pixels stand at the places `first` to before `last` along one axis.

    Parameters
    ----------
    first, last : int
        May lie outside the image by any distance: shorter images are mirrored back and forth.
    length : int
        Pixels of the image along this axis.

    Examples
    --------
    >>> mirrored(-2, 6, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    there_and_back = max(1, 2 * (length - 1))
    places = np.arange(first, last) % there_and_back
    return np.minimum(places, there_and_back - places) if length > 1 else 0 * places


class Mirrored:
    """A rectangle that may reach beyond the border of an image.

    Parameters
    ----------
    box : Box
        Pixels that are asked for.
    plane : tuple of int
        (Y, X) of the image.
    """

    def __init__(self, box: Box, plane: tuple[int, int]) -> None:
        self._rows = mirrored(box.top, box.bottom, plane[0])
        self._columns = mirrored(box.left, box.right, plane[1])
        self.real = Box(
            int(self._rows.min()),
            int(self._rows.max()) + 1,
            int(self._columns.min()),
            int(self._columns.max()) + 1,
        )
        """Pixels of the image from which it can be made."""
        self._inside = self.real == box

    def laid_out(self, real: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make the rectangle from the pixels of `real`."""
        if self._inside:
            return real
        rows, columns = self._rows - self.real.top, self._columns - self.real.left
        return real[rows[:, None], columns[None, :]]
