"""Which slice of a stack stands for all of it where one is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["telling_index", "telling_slice"]


def telling_index(image: Any) -> tuple[int, ...]:
    """Find the slice nearest to the middle of a stack that shows something.

    A slice that the microscope lost is black, padding is of one grey level, and what is masked has
    no values: none of them says anything of the others.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Slices are read one by one until one has two different finite values.

    Returns
    -------
    tuple of int
        Place along the leading axes; that of the middle where no slice shows anything.

    Examples
    --------
    >>> telling_index(np.array([[[1, 2]], [[3, 4]], [[0, 0]]]))
    (1,)
    >>> telling_index(np.zeros((3, 4, 1, 2)))
    (1, 2)
    """
    shape = tuple(image.shape[:-2])
    for index in _from_the_middle(shape):
        if _varies(np.asarray(image[index])):
            return index
    return _middle(shape)


def telling_slice(image: Any) -> NDArray[Any]:
    """Take the slice of `telling_index`, in memory; a single picture as it is."""
    return np.asarray(image[telling_index(image)])


def _varies(pixels: NDArray[Any]) -> bool:
    known = pixels if pixels.dtype.kind in "iu" else pixels[np.isfinite(pixels)]
    return bool(known.size) and bool(known.min() < known.max())


def _middle(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n // 2 for n in shape)


def _from_the_middle(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Give all places, the nearest to the middle first; the middle itself without sorting any."""
    middle = _middle(shape)
    yield middle

    def distance(index: tuple[int, ...]) -> int:
        return sum(abs(i - m) for i, m in zip(index, middle, strict=True))

    yield from (i for i in sorted(np.ndindex(*shape), key=distance) if i != middle)
