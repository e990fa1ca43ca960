"""SEMNet as an ONNX graph.

The graph is written node by node rather than traced: SEMNet has six kinds of operators, the nodes
get the names that the weights have, any number of rows and columns is allowed by construction,
and nothing of the machine that writes it (paths, stack traces) gets into the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semnet.network import Architecture, SEMNet

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["INPUT", "OPSET", "OUTPUT", "onnx_model"]

INPUT, OUTPUT = "image", "restored"
"""Names of the graph's input and output."""
OPSET = 13
"""Version of the ONNX operators; old enough for every runtime in use."""
_IR_VERSION = 8


def onnx_model(network: SEMNet, metadata: Mapping[str, str]) -> ModelProto:
    """Write a network as an ONNX model.

    Parameters
    ----------
    network : SEMNet
        In float32 on the CPU.
    metadata : mapping of str to str
        Goes into the model's ``metadata_props``.

    Returns
    -------
    ModelProto
        Input ``image``, float32 ``(N, C, Y, X)`` in [0, 1]; output ``restored``, float32
        ``(N, C, 2Y, 2X)``. N, Y and X are free. It passed ONNX's own checker.
    """
    import onnx
    from onnx import TensorProto, helper

    channels = network.architecture.in_channels
    graph = _Graph(network.architecture)
    graph.write(INPUT, OUTPUT)
    weights = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(tensor.numpy()), name)
        for name, tensor in network.state_dict().items()
    ]
    weights += [
        onnx.numpy_helper.from_array(np.array(value, dtype=np.float32), name)
        for name, value in graph.constants.items()
    ]
    shapes = {INPUT: ("N", channels, "Y", "X"), OUTPUT: ("N", channels, "2Y", "2X")}
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "SEMNet", [first], [last], weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="napari-semnet",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes in the order in which they are computed; `network.SEMNet.forward` is the original."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Any] = {}

    def write(self, image: str, restored: str) -> None:
        shallow = self._conv("first", image)
        deep = shallow
        for block in range(self.architecture.blocks):
            deep = self._rrdb(f"body.{block}", deep)
        deep = self._node("Add", "skip", shallow, self._conv("trunk", deep))
        enlarged = self._enlarge("enlarge", deep)
        up = self._activate("up.activation", self._conv("up", enlarged))
        self._conv("last", up, result=restored)

    def _rrdb(self, name: str, x: str) -> str:
        change = x
        for number in range(self.architecture.rdb_per_block):
            change = self._rdb(f"{name}.rdb.{number}", change)
        return self._residual(name, x, change)

    def _rdb(self, name: str, x: str) -> str:
        seen = [x]
        last = self.architecture.conv_per_rdb - 1
        for number in range(last):
            conv = self._conv(f"{name}.conv.{number}", self._join(name, number, seen))
            seen.append(self._activate(f"{name}.activation.{number}", conv))
        change = self._conv(f"{name}.conv.{last}", self._join(name, last, seen))
        return self._residual(name, x, change)

    def _residual(self, name: str, x: str, change: str) -> str:
        factor = self._constant("residual_scaling", self.architecture.residual_scaling)
        return self._node(
            "Add", f"{name}.sum", x, self._node("Mul", f"{name}.part", change, factor)
        )

    def _join(self, name: str, number: int, seen: list[str]) -> str:
        return (
            seen[0] if number == 0 else self._node("Concat", f"{name}.seen.{number}", *seen, axis=1)
        )

    def _conv(self, name: str, x: str, result: str = "") -> str:
        return self._node(
            "Conv",
            result or f"{name}.out",
            *(x, f"{name}.weight", f"{name}.bias"),
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
        )

    def _activate(self, name: str, x: str) -> str:
        return self._node("LeakyRelu", name, x, alpha=self.architecture.negative_slope)

    def _enlarge(self, name: str, x: str) -> str:
        scale = self.architecture.scale
        # Each pixel is copied: "floor" under "asymmetric" is PyTorch's nearest.
        return self._node(
            "Resize",
            name,
            *(x, "", self._constant("scales", [1, 1, scale, scale])),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def _constant(self, name: str, value: Any) -> str:
        self.constants[name] = value
        return name

    def _node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name
