"""SEMNet as OpenVINO's graph, built from the weights in memory, without a detour over files.

A bfloat16 has 8 bits and cannot hold the grey levels of an 8-bit image. So the image is given as
two channels, its rounded value and what is missing from it. The graph ends with the sum of the last
convolution and one number: of all ends that were tried, only there it writes float32.

In a dense block each convolution sees all maps before it. To concatenate them all each time is a
fifth of the time, to convolve each apart and add up makes too many small convolutions. So maps are
concatenated in groups, the input and what is grown first, then two by two; each group is convolved,
and the sums are made in place: those of a dense block begin with its input. Where an RRDB ends it
is otherwise, since each sum in place is rounded, and there nothing makes the error smaller again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_semnet.network import RDB, SEMNet
from napari_semnet.restoration.dense import convolutions_of, dense_blocks_of
from napari_semnet.restoration.folding import fold_last, fold_upsampling, rounded_alike
from napari_semnet.restoration.sweep import Part, PieceKind
from napari_semnet.restoration.tiles import Box, TileKind

__all__ = ["Tail", "piece_graph", "tail_of", "tile_graph"]

_Values = NDArray[np.float32]


class Tail(NamedTuple):
    """Folded kernels of what comes after the trunk."""

    up: _Values
    up_bias: _Values
    last: _Values
    last_bias: _Values


def tail_of(network: SEMNet, dtype: torch.dtype) -> Tail:
    """Fold what comes after the trunk, once: it takes longer than all else of building a graph."""
    return Tail(*_upsampling(network.up, dtype), *_last(network.last))


def tile_graph(network: SEMNet, tail: Tail, kind: TileKind) -> Any:
    """Build the network for a tile.

    Parameters
    ----------
    network : SEMNet
    tail : Tail
        Its folded last part.
    kind : tuple
        Rows and columns of the tile, and what is kept of it after each RRDB.

    Returns
    -------
    openvino.Model
        It takes images (1, 2, Y, X), to be added up, and gives their pixels (1, 4, Y, X).
    """
    import openvino
    import openvino.opset13 as ops

    height, width, narrowed = kind
    whole = outer = Box(0, height, 0, width)
    given = ops.parameter([1, 2, height, width], np.float32)
    first = maps = _first(network, given)
    for rrdb, inner in zip(network.body, narrowed or (whole,) * len(network.body), strict=True):
        maps = _cut(_rrdb(network, rrdb, maps), inner.within(outer))
        outer = inner
    pixels = _pixels(network, tail, _cut(first, outer), maps)
    return openvino.Model([pixels], [given], "semnet")


def piece_graph(network: SEMNet, tail: Tail, kind: PieceKind, dtype: torch.dtype) -> Any:
    """Build the network for a piece of a sweep.

    Parameters
    ----------
    network : SEMNet
    tail : Tail
        Its folded last part.
    kind : PieceKind
        What is new, and what is handed on.
    dtype : torch.dtype
        Of the maps that are handed on.

    Returns
    -------
    openvino.Model
        It takes images (1, 2, Y, X), to be added up, and for each stage what maps were handed on
        to it, above and before. It gives pixels (1, 4, Y, X), and for each stage what maps it hands
        on, below and after. All these maps are (1, rows, columns, features).
    """
    import openvino
    import openvino.opset13 as ops

    given = ops.parameter([1, 2, *kind.window], np.float32)
    inputs, outputs = [given], []
    kept = openvino.Type.bf16 if dtype == torch.bfloat16 else openvino.Type.f32
    features = network.architecture.features

    def received(rows: int, columns: int) -> Any:
        inputs.append(ops.parameter([1, rows, columns, features], kept))
        return ops.transpose(ops.convert(inputs[-1], openvino.Type.f32), np.array([0, 3, 1, 2]))

    def joined(maps: Any, part: Part) -> Any:
        (rows, columns), (_, seen_columns) = part.new, part.seen
        for box in (
            Box(rows - part.below, rows, 0, columns),
            Box(0, rows, columns - part.after, columns),
        ):
            if box.pixels:
                handed_on = ops.transpose(_cut(maps, box), np.array([0, 2, 3, 1]))
                outputs.append(ops.convert(handed_on, kept))
        above = [received(part.above, seen_columns)] if part.above else []
        if part.before:
            maps = ops.concat([received(rows, part.before), maps], 3)
        return ops.concat([*above, maps], 2) if above else maps

    first = _first(network, given)
    maps = _cut(first, kind.first)
    *stages, last = kind.parts
    for rrdb, part in zip(network.body, stages, strict=True):
        let_go = part.spoilt * (len(dense_blocks_of(rrdb)) - 1)
        maps = _rrdb(network, rrdb, joined(maps, part), part.spoilt)
        maps = _cut(maps, part.given.moved(-let_go, -let_go))
    pixels = _pixels(network, tail, _cut(first, kind.skipping), joined(maps, last))
    return openvino.Model([_cut(pixels, last.given), *outputs], inputs, "semnet")


def _first(network: SEMNet, given: Any) -> Any:
    """Build the first convolution, of images that are to be added up."""
    weight, bias = _values(network.first)
    return _convolved(given, weight.sum(1, keepdims=True).repeat(2, 1), bias)


def _rrdb(network: SEMNet, rrdb: nn.Module, maps: Any, spoilt: int = 0) -> Any:
    """Build an RRDB, after each dense block of which so many pixels along each side are let go.

    After the last one they stay: cut before they are added, sums would be rounded otherwise.
    """
    import openvino.opset13 as ops

    a = network.architecture
    deep = maps
    for number, rdb in enumerate(dense_blocks_of(rrdb)):
        if number:
            deep = _within(deep, spoilt)
        deep = _densely(deep, rdb, a.residual_scaling, a.negative_slope)
    change = ops.multiply(deep, _constant(np.array(a.residual_scaling)))
    return ops.add(_within(maps, number * spoilt), change)


def _pixels(network: SEMNet, tail: Tail, first: Any, maps: Any) -> Any:
    """Build all that comes after the last RRDB."""
    import openvino.opset13 as ops

    deep = ops.add(first, _convolved(maps, *_values(network.trunk)))
    slope = network.architecture.negative_slope
    phases = _rectified(_convolved(deep, tail.up, tail.up_bias), slope)
    return ops.add(_convolved(phases, tail.last), _constant(tail.last_bias))


def _densely(maps: Any, rdb: RDB, scaling: float, slope: float) -> Any:
    """Build a dense block."""
    import openvino.opset13 as ops

    *growing, last = convolutions_of(rdb)
    groups = [maps]
    for number, conv in enumerate(growing):
        grown = _rectified(_convolved_together(groups, *_values(conv)), slope)
        if number % 2:
            groups.append(grown)
        else:
            groups[-1] = ops.concat([groups[-1], grown], 1)
    return _convolved_together(groups, *_values(last, scaling), maps)


def _convolved_together(
    groups: list[Any], weight: _Values, bias: _Values, sums: Any | None = None
) -> Any:
    """Convolve groups of maps as if they were concatenated, and add that to sums."""
    import openvino.opset13 as ops

    ends = np.cumsum([group.get_output_shape(0)[1] for group in groups])
    first, *others = np.split(weight, ends[:-1], 1)
    together = _convolved(groups[0], first, bias)
    if sums is not None:
        together = ops.add(together, sums)
    for group, part in zip(groups[1:], others, strict=True):
        together = ops.add(_convolved(group, part), together)
    return together


def _convolved(maps: Any, weight: _Values, bias: _Values | None = None) -> Any:
    import openvino.opset13 as ops

    around = [1, 1]
    result = ops.convolution(maps, _constant(weight), around, around, around, around)
    return result if bias is None else ops.add(result, _constant(bias.reshape(1, -1, 1, 1)))


def _rectified(maps: Any, slope: float) -> Any:
    import openvino.opset13 as ops

    return ops.prelu(maps, _constant(np.array([slope])))


def _cut(maps: Any, box: Box) -> Any:
    """Keep a box of the maps."""
    import openvino.opset13 as ops

    if list(box.shape) == list(maps.get_output_shape(0)[2:]):
        return maps
    start, stop, step, axes = (
        ops.constant(np.array(numbers, np.int64))
        for numbers in ((box.top, box.left), (box.bottom, box.right), (1, 1), (2, 3))
    )
    return ops.slice(maps, start, stop, step, axes)


def _within(maps: Any, margin: int) -> Any:
    """Cut a margin off each side of the maps."""
    rows, columns = maps.get_output_shape(0)[2:]
    return _cut(maps, Box(margin, rows - margin, margin, columns - margin))


def _upsampling(up: nn.Conv2d, dtype: torch.dtype) -> tuple[_Values, _Values]:
    """Kernels that give the four output positions of a pixel, all around that pixel.

    They are those of `fold_upsampling`, made 3x3: the zeros cost a hundredth of the time, and
    each phase begins and ends where the image does, as the last convolution needs it.
    """
    weight, bias = _values(up)
    folded = fold_upsampling(torch.from_numpy(weight).double())
    if dtype == torch.bfloat16:
        folded = rounded_alike(folded)
    wide = np.zeros((*folded.shape[:2], 3, 3), np.float32)
    for phase, (down, right) in enumerate(np.ndindex(2, 2)):
        part = slice(phase * len(weight), (phase + 1) * len(weight))
        wide[part, :, down : down + 2, right : right + 2] = folded[part].float().numpy()
    return wide, np.tile(bias, 4)


def _last(last: nn.Conv2d) -> tuple[_Values, _Values]:
    """Kernels that make the four grey pixels of an input pixel from such phases."""
    weight, bias = _values(last)
    features = weight.shape[1]
    grey = torch.from_numpy(weight).double().mean(0, keepdim=True)
    folded = fold_last(grey).float().numpy()
    wide = np.zeros((4, 4 * features, 3, 3), np.float32)
    for phase, (down, right) in enumerate(np.ndindex(2, 2)):
        part = slice(phase * features, (phase + 1) * features)
        wide[:, part, 1 - down : 3 - down, 1 - right : 3 - right] = folded[:, part]
    return wide, bias.mean(keepdims=True)


def _values(conv: nn.Conv2d, factor: float = 1.0) -> tuple[_Values, _Values]:
    assert conv.bias is not None
    weight, bias = (t.detach().float().numpy() for t in (conv.weight, conv.bias))
    return (
        (weight, bias) if factor == 1 else (np.float32(factor) * weight, np.float32(factor) * bias)
    )


def _constant(values: NDArray[Any]) -> Any:
    import openvino.opset13 as ops

    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))
