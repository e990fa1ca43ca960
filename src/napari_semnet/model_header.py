"""The header of a model file: what it claims, checked before memory is taken for it.

A header is a few kilobytes of JSON, and may describe any amount of weights. It is compared with
the network that the card names, whose shapes cost nothing to work out, and with the size of the
file; only what agrees with both is read.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from napari_semnet.errors import ModelFileError
from napari_semnet.network import Architecture, SEMNet

__all__ = ["check_architecture", "check_tensors", "parse_header"]

METADATA = "__metadata__"
"""Key of the header that holds text in the place of a tensor."""
_WIDTHS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
"""Bytes of a number, by the types that weights may have."""
_OUTSIDE_BLOCKS = 4
"""Convolutions of `SEMNet` that lie in no dense block."""


def parse_header(text: bytes) -> dict[str, Any]:
    """Read the JSON of a header.

    Raises
    ------
    ValueError
        It is no JSON object, or names something twice: which of the two counts is then left to
        each reader, and a check would look at one and the loading at the other.
    RecursionError
        It is nested too deeply.
    """
    header = json.loads(text, object_pairs_hook=_without_repetition)
    if not isinstance(header, dict):
        raise ValueError("The header is not an object.")
    return header


def check_architecture(architecture: Architecture, path_name: str) -> None:
    """Refuse a network that this package has no use for.

    Raises
    ------
    ModelFileError
        It is neither for grey images nor for colour ones, whose three channels are folded to one
        before restoring.
    """
    if architecture.in_channels not in (1, 3):
        raise ModelFileError(
            f"The card of {path_name} describes a network that cannot restore grey images."
        )


def check_tensors(
    header: dict[str, Any], weights_size: int, architecture: Architecture, path_name: str
) -> None:
    """Compare the tensors that a header lists with those of a network, and with the file's size.

    Parameters
    ----------
    header : dict
        What `parse_header` gave.
    weights_size : int
        Bytes in the file after the header.
    architecture : Architecture
        Of the network that they must fit.
    path_name : str
        What to call the file in an error.

    Raises
    ------
    ModelFileError
        Tensors are missing, unknown, of another shape or type, or the file is not as long as they
        are together.
    """
    listed = {key: value for key, value in header.items() if key != METADATA}
    a = architecture
    count = a.blocks * a.rdb_per_block * a.conv_per_rdb + _OUTSIDE_BLOCKS
    # The number alone first: even without memory, a million convolutions take a while to build.
    if len(listed) != 2 * count:
        raise ModelFileError(
            f"{path_name} holds weights of another architecture: {len(listed)} tensors, where the "
            f"network on its card has {2 * count}."
        )
    # And what cannot be in the file need not be worked out; it could pass 64 bits.
    if 2 * 9 * a.features * max(a.features, a.growth) > weights_size:
        raise ModelFileError(
            f"The card of {path_name} describes a larger network than the file can hold."
        )
    expected = _shapes(architecture)
    missing, foreign = expected.keys() - listed.keys(), listed.keys() - expected.keys()
    other_shape = {
        key for key in expected.keys() & listed.keys() if expected[key] != _shape(listed[key])
    }
    if missing or foreign or other_shape:
        example = sorted(missing | foreign | other_shape)[0]
        raise ModelFileError(
            f"{path_name} holds weights of another architecture: {len(missing)} are missing, "
            f"{len(foreign)} unknown and {len(other_shape)} of another shape (such as '{example}')."
        )
    size = 0
    for key, shape in expected.items():
        width = _WIDTHS.get(str(listed[key].get("dtype")))
        if width is None:
            raise ModelFileError(
                f"{path_name} holds weights that are not floating-point numbers of 16 to 64 bits "
                f"(such as '{key}')."
            )
        size += width * torch.Size(shape).numel()
    if size != weights_size:
        raise ModelFileError(
            f"{path_name} is damaged or cut off: its weights take {size:,} bytes, and there are "
            f"{weights_size:,}. Copy or download it again."
        )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("The header names something twice.")
    return values


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's weights by name, worked out without memory for them."""
    with torch.device("meta"):
        return {key: tuple(v.shape) for key, v in SEMNet(architecture).state_dict().items()}


def _shape(entry: Any) -> tuple[int, ...] | None:
    """Shape that a header gives a tensor; None where it gives none."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    return tuple(shape) if isinstance(shape, list) else None
