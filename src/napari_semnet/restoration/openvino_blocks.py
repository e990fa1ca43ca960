"""The dense blocks, computed by OpenVINO, where it is installed.

The graph is built from the weights in memory, without a detour over files. Only the dense blocks
are given to it: the first convolution and the tail stay with PyTorch in float32, and OpenVINO keeps
the sums between dense blocks in float32 as well.

It is compiled for each shape of tile when that first comes: a graph for any shape takes a fifth
longer for every tile. What is compiled is not kept on disk: loading it takes as long as compiling.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import ArrangementError, convolutions_of, dense_blocks_of

__all__ = ["OpenVINOBlocks", "openvino_version"]

_POLL_MILLISECONDS = 20
"""How often a run looks whether it is still wanted."""

_KEPT_SHAPES = 4
"""Shapes of tiles that stay compiled: the tiles of one picture have at most so many."""


def openvino_version() -> str:
    """Version of OpenVINO, or nothing where it is not installed or does not load."""
    try:
        import openvino
    except (ImportError, OSError):
        return ""
    return str(openvino.__version__)


class OpenVINOBlocks:
    """Dense blocks run by OpenVINO on the CPU.

    Parameters
    ----------
    network, device, dtype
        See `napari_semnet.restoration.dense.Concatenated`.

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
        self._features = network.architecture.features
        self._compiled: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, maps: Tensor) -> Generator[float, None, None]:
        """See `DenseBlocks.run`. It can be stopped at any time, but tells no progress."""
        height, width = maps.shape[-2:]
        given = maps.permute(0, 2, 3, 1).contiguous()
        try:
            # A request of its own for each run: several may go on at a time.
            request = self._compiled_for(height, width).create_infer_request()
            request.start_async({0: given.numpy()}, share_inputs=True)
            try:
                while not request.wait_for(_POLL_MILLISECONDS):
                    yield 0.0
            except GeneratorExit:
                request.cancel()
                with suppress(RuntimeError):  # It says that it was cancelled.
                    request.wait()
                raise
            result = torch.from_numpy(request.get_output_tensor(0).data)
        except RuntimeError as error:
            raise ArrangementError(f"OpenVINO failed: {_first_line(error)}") from error
        maps.copy_(result.permute(0, 3, 1, 2))
        yield 1.0

    def _compiled_for(self, height: int, width: int) -> Any:
        with self._lock:
            if (height, width) in self._compiled:
                self._compiled.move_to_end((height, width))
                return self._compiled[height, width]
            if len(self._compiled) == _KEPT_SHAPES:
                self._compiled.popitem(last=False)
            self._graph.reshape([1, height, width, self._features])
            settings = {
                "INFERENCE_PRECISION_HINT": self._precision,
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            }
            self._compiled[height, width] = self._core.compile_model(self._graph, "CPU", settings)
            return self._compiled[height, width]


def _graph(network: SEMNet) -> Any:
    """Build the RRDBs for maps (1, Y, X, features) of any size."""
    import openvino
    import openvino.opset13 as ops

    architecture = network.architecture

    def constant(values: Any, dtype: Any = np.float32) -> Any:
        return ops.constant(np.ascontiguousarray(values, dtype=dtype))

    slope = constant([architecture.negative_slope])

    def convolved(maps: Any, conv: nn.Conv2d, factor: float = 1.0) -> Any:
        assert conv.bias is not None
        weight = factor * conv.weight.detach().float().numpy()
        bias = factor * conv.bias.detach().float().numpy()
        around = [1, 1]
        result = ops.convolution(maps, constant(weight), around, around, around, around)
        return ops.add(result, constant(bias.reshape(1, -1, 1, 1)))

    given = ops.parameter([1, -1, -1, architecture.features], np.float32)
    maps = ops.transpose(given, constant([0, 3, 1, 2], np.int64))
    for rrdb in network.body:
        deep = maps
        for rdb in dense_blocks_of(rrdb):
            *growing, last = convolutions_of(rdb)
            seen = [deep]
            together = deep
            for conv in growing:
                seen.append(ops.prelu(convolved(together, conv), slope))
                together = ops.concat(seen, 1)
            deep = ops.add(deep, convolved(together, last, architecture.residual_scaling))
        maps = ops.add(maps, ops.multiply(deep, constant(architecture.residual_scaling)))
    result = ops.transpose(maps, constant([0, 2, 3, 1], np.int64))
    return openvino.Model([result], [given], "semnet-dense-blocks")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
