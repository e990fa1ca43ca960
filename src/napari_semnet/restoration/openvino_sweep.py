"""What the pieces of a sweep hand on to each other, as OpenVINO's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.restoration.sweep import Piece, Sweep

__all__ = ["HandedOn"]


class HandedOn:
    """Maps that pieces hand on to those that come after them.

    To the right that is what a piece gave, as it is. Downwards it is rows as long as the image, of
    which pieces lower down need other columns than those that a piece above gave.

    Parameters
    ----------
    sweep : Sweep
        Whose pieces they are.
    features : int
        How many maps there are.
    dtype : torch.dtype
        Of the maps: bfloat16 or float32.
    """

    def __init__(self, sweep: Sweep, features: int, dtype: torch.dtype) -> None:
        import openvino

        half = dtype == torch.bfloat16
        self._type = openvino.Type.bf16 if half else openvino.Type.f32
        self._features = features
        self._left = sweep.read.left
        kept = [2 * reach if len(sweep.rows[0]) > 2 else 0 for reach in sweep.stages.reaches]
        shapes = [(1, rows, sweep.read.shape[1], features) for rows in kept]
        self._above, self._below = (
            [np.empty(shape, np.int16 if half else np.float32) for shape in shapes] for _ in "01"
        )
        self._before: list[Any] = []
        self._used: dict[tuple[int, str], Any] = {}

    def to(self, piece: Piece) -> list[Any]:
        """Give what a piece needs, in the order in which its graph takes it."""
        if piece.column == 0:
            self._above, self._below = self._below, self._above
        before, tensors = iter(self._before), []
        stages = zip(piece.new, piece.kind.parts, self._above, strict=True)
        for stage, (new, part, rows) in enumerate(stages):
            if part.above:
                first = new.left - part.before - self._left
                tensors.append(self._tensor(stage, "above", part.above, part.seen[1]))
                _values(tensors[-1])[:] = rows[:, :, first : first + part.seen[1]]
            if part.before:
                tensors.append(next(before))
        return tensors

    def room_for(self, piece: Piece) -> list[Any]:
        """Give room for what a piece will hand on, in the order in which its graph gives it."""
        tensors = []
        after = "after, odd" if piece.column % 2 else "after, even"  # The others are in use.
        for stage, part in enumerate(piece.kind.parts):
            if part.below:
                tensors.append(self._tensor(stage, "below", part.below, part.new[1]))
            if part.after:
                tensors.append(self._tensor(stage, after, part.new[0], part.after))
        return tensors

    def keep(self, piece: Piece, given: list[Any]) -> None:
        """Keep what a piece handed on, in the room that was made for it."""
        tensors, self._before = iter(given), []
        for new, part, rows in zip(piece.new, piece.kind.parts, self._below, strict=True):
            if part.below:
                place = slice(new.left - self._left, new.right - self._left)
                rows[:, :, place] = _values(next(tensors))
            if part.after:
                self._before.append(next(tensors))

    def _tensor(self, stage: int, purpose: str, rows: int, columns: int) -> Any:
        """Give a tensor: that of last time where it is as large, since new memory is slow."""
        import openvino

        shape = [1, rows, columns, self._features]
        used = self._used.get((stage, purpose))
        if used is None or list(used.get_shape()) != shape:
            used = self._used[stage, purpose] = openvino.Tensor(self._type, shape)
        return used


def _values(tensor: Any) -> NDArray[Any]:
    """Give the values of a tensor. NumPy has no bfloat16: what stands for it are its bits."""
    values: NDArray[Any] = tensor.data
    return values if values.dtype == np.float32 else values.view(np.int16)
