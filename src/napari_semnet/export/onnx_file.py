"""A model as an ONNX file, compared with the network that it was written from."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_semnet.errors import ModelFileError
from napari_semnet.export.onnx_graph import INPUT, onnx_model
from napari_semnet.export.packages import needing
from napari_semnet.files.atomic import replacing
from napari_semnet.model import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LARGEST_DIFFERENCE", "compare_with_network", "onnx_bytes", "write_onnx"]

LARGEST_DIFFERENCE = 1e-3
"""By how much an exported model may differ from the network, where black is 0 and white is 1."""

_SHAPES = ((1, 40, 56), (2, 33, 47), (1, 5, 1))
"""Pictures, rows and columns that are compared: odd and even, one and several, tiny."""


def onnx_bytes(model: Model) -> bytes:
    """Write a model as ONNX, in memory.

    The card travels in ``metadata_props`` under ``card``, as in the model file; beside it stand
    the model's SHA-256 and what the input and the output are.

    Raises
    ------
    ModelFileError
        The package onnx is missing.
    """
    with needing("onnx"):
        proto = onnx_model(
            model.network,
            {
                "card": model.card.model_dump_json(),
                "semnet_sha256": model.sha256,
                "input": "float32 (N, 1, Y, X), grey levels with black at 0 and white at 1",
                "output": "float32 (N, 1, 2Y, 2X), same range, not clipped",
            },
        )
    content: bytes = proto.SerializeToString()
    return content


def compare_with_network(content: bytes, model: Model) -> float:
    """Run an exported model and its network on the same noise.

    Parameters
    ----------
    content : bytes
        From `onnx_bytes`.
    model : Model
        What it was written from.

    Returns
    -------
    float
        Largest difference, where black is 0 and white is 1.

    Raises
    ------
    ModelFileError
        The package onnxruntime is missing, or the two differ by more than `LARGEST_DIFFERENCE`.
    """
    channels = model.card.architecture.in_channels
    random = np.random.default_rng(0)
    largest = 0.0
    for count, rows, columns in _SHAPES:
        image = random.random((count, channels, rows, columns), dtype=np.float32)
        found = _run(content, image)
        with torch.inference_mode():
            expected = model.network(torch.from_numpy(image)).numpy()
        if found.shape != expected.shape:
            raise ModelFileError(
                f"The exported model makes {found.shape} of {image.shape}, not {expected.shape}; "
                "nothing was written. Report this with the versions of onnx and onnxruntime."
            )
        largest = max(largest, float(np.abs(found - expected).max()))
    if not largest <= LARGEST_DIFFERENCE:
        raise ModelFileError(
            f"The exported model differs from the network by {largest:.2g} where black is 0 and "
            "white is 1; nothing was written. Report this with the versions of onnx and "
            "onnxruntime."
        )
    return largest


def write_onnx(model: Model, path: Path) -> Generator[str, None, float]:
    """Write a model as an ONNX file, after comparing it with the network.

    Parameters
    ----------
    model : Model
    path : Path
        File to write or replace.

    Yields
    ------
    str
        What comes next; the largest difference to the network is returned, where black is 0 and
        white is 1.

    Raises
    ------
    ModelFileError
        See `onnx_bytes` and `compare_with_network`.
    OSError
        The file cannot be written.
    """
    yield "Writing the ONNX graph"
    content = onnx_bytes(model)
    yield "Comparing it with the network"
    difference = compare_with_network(content, model)
    yield "Writing the file"
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return difference


def _run(content: bytes, image: NDArray[np.float32]) -> NDArray[np.float32]:
    with needing("onnxruntime"):
        import onnxruntime
    # Its builds for Windows hand usage events to the system, which may pass them on.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of machines it finds no GPU on
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {INPUT: image})[0]
    return result
