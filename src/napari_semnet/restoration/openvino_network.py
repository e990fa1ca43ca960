"""SEMNet, computed by OpenVINO, where it is installed.

The graph is built from the weights in memory, without a detour over files, and holds the whole
network: what goes in and out is small, while 64 maps handed from one runtime to another would take
a tenth of the time.

A bfloat16 has 8 bits and cannot hold the grey levels of an 8-bit image. So the image is given as
two channels, its rounded value and what is missing from it. The graph ends with the sum of the last
convolution and one number: of all ends that were tried, only there it writes float32.

It is compiled for each shape of tile when that first comes: a graph for any shape takes a fifth
longer for every tile. What is compiled is not kept on disk: loading it would save 0.07 s a shape.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import ArrangementError, convolutions_of, dense_blocks_of
from napari_semnet.restoration.prepared import fold_last, fold_upsampling

__all__ = ["OpenVINONetwork", "openvino_version"]

_POLL_MILLISECONDS = 20
"""How often a run looks whether it is still wanted."""

_KEPT_SHAPES = 4
"""Shapes of tiles that stay compiled: the tiles of one picture have at most so many."""

_Values = NDArray[np.float32]


def openvino_version() -> str:
    """Version of OpenVINO, or nothing where it is not installed or does not load."""
    try:
        import openvino
    except (ImportError, OSError):
        return ""
    return str(openvino.__version__)


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
            import openvino

            self._core = openvino.Core()
            self._graph = _graph(network)
        except (ImportError, OSError, RuntimeError) as error:
            raise ArrangementError(f"OpenVINO cannot be used: {_first_line(error)}") from error
        self._precision = "bf16" if dtype == torch.bfloat16 else "f32"
        self._compiled: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def steps(self, image: Tensor) -> Generator[float, None, Tensor]:
        """See `napari_semnet.restoration.prepared.Prepared.steps`.

        It can be stopped at any time, but tells no progress.
        """
        rounded = image.bfloat16().float()
        given = torch.cat((rounded, image - rounded), 1).numpy()
        try:
            # A request of its own for each run: several may go on at a time.
            request = self._compiled_for(*image.shape[-2:]).create_infer_request()
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

    def _compiled_for(self, height: int, width: int) -> Any:
        with self._lock:
            if (height, width) in self._compiled:
                self._compiled.move_to_end((height, width))
                return self._compiled[height, width]
            if len(self._compiled) == _KEPT_SHAPES:
                self._compiled.popitem(last=False)
            self._graph.reshape([1, 2, height, width])
            settings = {
                "INFERENCE_PRECISION_HINT": self._precision,
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                # Each model would choose the same first cores, and two at once share one of them.
                "ENABLE_CPU_PINNING": False,
            }
            self._compiled[height, width] = self._core.compile_model(self._graph, "CPU", settings)
            return self._compiled[height, width]


def _graph(network: SEMNet) -> Any:
    """Build the network, from images (1, 2, Y, X) to be added up to their pixels (1, 4, Y, X)."""
    import openvino
    import openvino.opset13 as ops

    a = network.architecture

    def convolved(maps: Any, weight: _Values, bias: _Values) -> Any:
        around = [1, 1]
        result = ops.convolution(maps, _constant(weight), around, around, around, around)
        return ops.add(result, _constant(bias.reshape(1, -1, 1, 1)))

    def rectified(maps: Any) -> Any:
        return ops.prelu(maps, _constant(np.array([a.negative_slope])))

    given = ops.parameter([1, 2, -1, -1], np.float32)
    weight, bias = _values(network.first)
    first = maps = convolved(given, weight.sum(1, keepdims=True).repeat(2, 1), bias)
    for rrdb in network.body:
        deep = maps
        for rdb in dense_blocks_of(rrdb):
            *growing, last = convolutions_of(rdb)
            seen = [deep]
            together = deep
            for conv in growing:
                seen.append(rectified(convolved(together, *_values(conv))))
                together = ops.concat(seen, 1)
            deep = ops.add(deep, convolved(together, *_values(last, a.residual_scaling)))
        scaling = _constant(np.array(a.residual_scaling))
        maps = ops.add(maps, ops.multiply(deep, scaling))
    deep = ops.add(first, convolved(maps, *_values(network.trunk)))
    phases = rectified(convolved(deep, *_upsampling(network.up)))
    weight, bias = _last(network.last)
    pixels = ops.convolution(phases, _constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
    return openvino.Model([ops.add(pixels, _constant(bias))], [given], "semnet")


def _upsampling(up: nn.Conv2d) -> tuple[_Values, _Values]:
    """Kernels that give the four output positions of a pixel, all around that pixel.

    They are those of `fold_upsampling`, made 3x3: the zeros cost a hundredth of the time, and
    each phase begins and ends where the image does, as the last convolution needs it.
    """
    weight, bias = _values(up)
    folded = fold_upsampling(torch.from_numpy(weight).double()).float().numpy()
    wide = np.zeros((*folded.shape[:2], 3, 3), np.float32)
    for phase, (down, right) in enumerate(np.ndindex(2, 2)):
        part = slice(phase * len(weight), (phase + 1) * len(weight))
        wide[part, :, down : down + 2, right : right + 2] = folded[part]
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
    weight, bias = (factor * t.detach().float() for t in (conv.weight, conv.bias))
    return weight.numpy(), bias.numpy()


def _constant(values: NDArray[Any]) -> Any:
    import openvino.opset13 as ops

    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
