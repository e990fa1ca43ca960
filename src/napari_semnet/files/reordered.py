"""Arrays and shapes with their axes in another order, such as the one that a format wants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["reordered", "unordered"]


def reordered(array: Any, order: Sequence[int]) -> Any:
    """See an array with its axes in another order; nothing is read before it is asked for.

    Parameters
    ----------
    array : array-like
        With a shape, a data type and slices.
    order : sequence of int
        Its axes as they are to come, as `numpy.transpose` takes them.

    Returns
    -------
    array-like
        The array itself where its axes come so already; of what numpy and dask make a view.
    """
    if list(order) == sorted(order):
        return array
    return array.transpose(order) if hasattr(array, "transpose") else _Reordered(array, order)


def unordered(shape: Sequence[int]) -> tuple[int, ...]:
    """Give a shape (..., Y, X) that is equal for equal stacks, whatever their order of axes.

    Those before the last two are sorted by length and without those of length one, which files
    need not keep.

    Examples
    --------
    >>> unordered((3, 1, 2, 64, 80)) == unordered((2, 3, 64, 80))
    True
    """
    *leading, height, width = shape
    return (*sorted(length for length in leading if length > 1), height, width)


class _Reordered:
    """What reads from the array, by integers and slices."""

    def __init__(self, array: Any, order: Sequence[int]) -> None:
        self._array, self._order = array, tuple(order)
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.dtype = np.dtype(array.dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return np.asarray(self[()], dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            place = keys.index(Ellipsis)
            keys[place : place + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        there = dict(zip(self._order, keys, strict=True))
        piece = np.asarray(self._array[tuple(there[axis] for axis in range(self.ndim))])
        # An integer takes its axis away.
        left = [axis for axis in self._order if isinstance(there[axis], slice)]
        return piece.transpose([sorted(left).index(axis) for axis in left])
