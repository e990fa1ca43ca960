"""SEMNet, computed by OpenVINO, where it is installed.

The graph is built from the weights in memory, without a detour over files, and holds the whole
network: what goes in and out is small, while 64 maps handed from one runtime to another would take
a tenth of the time.

A bfloat16 has 8 bits and cannot hold the grey levels of an 8-bit image. So the image is given as
two channels, its rounded value and what is missing from it. The graph ends with the sum of the last
convolution and one number: of all ends that were tried, only there it writes float32.

In a dense block each convolution sees all maps before it. To concatenate them all each time is a
fifth of the time, to convolve each apart and add up makes too many small convolutions. So maps are
concatenated in groups, the input and what is grown first, then two by two; each group is convolved,
and the sums are made in place: those of a dense block begin with its input. Where an RRDB ends it
is otherwise, since each sum in place is rounded, and there nothing makes the error smaller again.

It is built and compiled for each kind of tile: a graph for any shape takes a fifth longer for every
tile. Kinds that are expected are compiled side by side, each by a thread, while the first of them
computes. What is compiled is not kept on disk: loading it would save 0.07 s of 0.3 s a kind.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.network import RDB, SEMNet
from napari_semnet.restoration.dense import ArrangementError, convolutions_of, dense_blocks_of
from napari_semnet.restoration.folding import fold_last, fold_upsampling, rounded_alike
from napari_semnet.restoration.openvino_runtime import load_openvino
from napari_semnet.restoration.tiles import Box, TileKind

__all__ = ["OpenVINONetwork", "kept_bytes"]

_POLL_MILLISECONDS = 20
"""How often a run looks whether it is still wanted, while it waits for whatever it is."""

_KEPT_KINDS = 12
"""Kinds of tiles that stay compiled: in corners, along borders and inside, and a few others."""

_KEPT_PIXELS = 400_000
"""Pixels of the kinds that keep memory for their maps, the last ones used: three to a row."""

_BYTES_PER_WEIGHT = 10
"""That a kind takes without its maps: weights in both precisions, and as they are convolved."""

_Values = NDArray[np.float32]


class _Tail(NamedTuple):
    """Folded kernels of what comes after the trunk."""

    up: _Values
    up_bias: _Values
    last: _Values
    last_bias: _Values


class OpenVINONetwork:
    """A SEMNet run by OpenVINO on the CPU.

    Parameters
    ----------
    network, device, dtype
        See `napari_semnet.restoration.prepared.PreparedNetwork`.

    Raises
    ------
    ArrangementError
        OpenVINO is not installed or does not load.
    """

    def __init__(self, network: SEMNet, device: torch.device, dtype: torch.dtype) -> None:
        try:
            self._core = load_openvino().Core()
            self._network = deepcopy(network)
            # Folded once: that takes longer than all else of building a graph.
            self._tail = _Tail(*_upsampling(network.up, dtype), *_last(network.last))
        except (ImportError, OSError, RuntimeError) as error:
            raise ArrangementError(f"OpenVINO cannot be used: {_first_line(error)}") from error
        self._precision = "bf16" if dtype == torch.bfloat16 else "f32"
        self._compiled: OrderedDict[TileKind, Future[Any]] = OrderedDict()
        self._with_maps: dict[TileKind, Any] = {}
        self._lock = threading.Lock()

    def steps(self, image: Tensor, narrowed: Sequence[Box] = ()) -> Generator[float, None, Tensor]:
        """See `napari_semnet.restoration.prepared.Prepared.steps`.

        It can be stopped at any time, also while it waits for its kind to be compiled, but does not
        know how far it is.
        """
        rounded = image.bfloat16().float()
        given = torch.cat((rounded, image - rounded), 1).numpy()
        try:
            # A request of its own for each run: several may go on at a time.
            kind = (image.shape[-2], image.shape[-1], tuple(narrowed))
            ready = yield from self._ready_for(kind)
            request = ready.create_infer_request()
            request.start_async({0: given}, share_inputs=True)
            try:
                while not request.wait_for(_POLL_MILLISECONDS):
                    yield 0.0
            except GeneratorExit:
                request.cancel()
                with suppress(RuntimeError):  # It says that it was cancelled.
                    request.wait()
                raise
            return functional.pixel_shuffle(torch.from_numpy(request.get_output_tensor(0).data), 2)
        except RuntimeError as error:
            raise ArrangementError(f"OpenVINO failed: {_first_line(error)}") from error

    def expect(self, kinds: Sequence[TileKind]) -> None:
        """See `napari_semnet.restoration.prepared.Prepared.expect`."""
        with self._lock:
            self._compile_ahead(kinds[:_KEPT_KINDS])

    def _ready_for(self, kind: TileKind) -> Generator[float, None, Any]:
        """Give the network compiled for a kind of tile, as soon as it is."""
        with self._lock:
            self._compile_ahead([kind])
            compiled = self._compiled[kind]
        while not wait([compiled], _POLL_MILLISECONDS / 1000).done:
            yield 0.0
        try:
            ready = compiled.result()
        except BaseException:
            with self._lock:
                # To be tried again, unless somebody does that already.
                if self._compiled.get(kind) is compiled:
                    del self._compiled[kind]
            raise
        self._keep_maps(kind, ready)
        return ready

    def _compile_ahead(self, kinds: Sequence[TileKind]) -> None:
        """Have kinds compiled that are not, and let go what was not used for long."""
        new = [kind for kind in kinds if kind not in self._compiled]
        if new:
            threads = torch.get_num_threads()
            pool = ThreadPoolExecutor(min(threads, len(new)), "semnet-compile")
            self._compiled |= {kind: pool.submit(self._compile, kind, threads) for kind in new}
            pool.shutdown(wait=False)
        for kind in kinds:
            self._compiled.move_to_end(kind)
        while len(self._compiled) > _KEPT_KINDS:
            self._with_maps.pop(self._compiled.popitem(last=False)[0], None)

    def _keep_maps(self, kind: TileKind, compiled: Any) -> None:
        """Release the maps of the kinds that were used before the last ones."""
        with self._lock:
            self._with_maps.pop(kind, None)
            self._with_maps[kind] = compiled
            pixels = 0
            for other in reversed(list(self._with_maps)):
                pixels += other[0] * other[1]
                if other != kind and pixels > _KEPT_PIXELS:
                    # One that computes just now keeps them until another tile is begun.
                    with suppress(RuntimeError):
                        self._with_maps[other].release_memory()
                        del self._with_maps[other]

    def _compile(self, kind: TileKind, threads: int) -> Any:
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Each model would choose the same first cores, and two at once share one of them.
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(_graph(self._network, self._tail, kind), "CPU", settings)


def kept_bytes(weights: int) -> int:
    """Say what all kinds of tiles take that stay compiled, without their maps.

    Parameters
    ----------
    weights : int
        Of the network.
    """
    return _KEPT_KINDS * _BYTES_PER_WEIGHT * weights


def _graph(network: SEMNet, tail: _Tail, kind: TileKind) -> Any:
    """Build the network, from images (1, 2, Y, X) to be added up to their pixels (1, 4, Y, X)."""
    import openvino
    import openvino.opset13 as ops

    a = network.architecture
    height, width, narrowed = kind
    scaling = _constant(np.array(a.residual_scaling))
    given = ops.parameter([1, 2, height, width], np.float32)
    weight, bias = _values(network.first)
    first = maps = _convolved(given, weight.sum(1, keepdims=True).repeat(2, 1), bias)
    for number, rrdb in enumerate(network.body):
        deep = maps
        for rdb in dense_blocks_of(rrdb):
            deep = _densely(deep, rdb, a.residual_scaling, a.negative_slope)
        if narrowed:
            outer = narrowed[number - 1] if number else Box(0, height, 0, width)
            maps, deep = (_cut(m, outer, narrowed[number]) for m in (maps, deep))
        maps = ops.add(maps, ops.multiply(deep, scaling))
    if narrowed:
        first = _cut(first, Box(0, height, 0, width), narrowed[-1])
    deep = ops.add(first, _convolved(maps, *_values(network.trunk)))
    phases = _rectified(_convolved(deep, tail.up, tail.up_bias), a.negative_slope)
    pixels = _convolved(phases, tail.last)
    return openvino.Model([ops.add(pixels, _constant(tail.last_bias))], [given], "semnet")


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


def _cut(maps: Any, outer: Box, inner: Box) -> Any:
    """Keep of the maps of `outer` those of `inner`."""
    import openvino.opset13 as ops

    if inner == outer:
        return maps
    box = inner.within(outer)
    start, stop, step, axes = (
        ops.constant(np.array(numbers, np.int64))
        for numbers in ((box.top, box.left), (box.bottom, box.right), (1, 1), (2, 3))
    )
    return ops.slice(maps, start, stop, step, axes)


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


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
