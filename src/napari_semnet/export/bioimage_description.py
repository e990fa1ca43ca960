"""What a bioimage.io package says of its model: axes, grey levels, weights, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_semnet import __version__
from napari_semnet.card import Card
from napari_semnet.export.bioimage_text import HOW_TO_VALIDATE, LIMITS
from napari_semnet.export.onnx_file import LARGEST_DIFFERENCE
from napari_semnet.export.onnx_graph import INPUT, OPSET, OUTPUT
from napari_semnet.model import Model

__all__ = ["WHITE", "describe", "smallest_side"]

WHITE = 255.0
"""Grey level of white in the package's pictures; black is 0."""
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+- ()")
_CITED = {
    "text": "X. Wang et al., ESRGAN: Enhanced super-resolution generative adversarial networks, "
    "ECCV Workshops 2018 (the family of networks that SEMNet belongs to)",
    "doi": "10.1007/978-3-030-11021-5_5",
}


def describe(model: Model, authors: Sequence[str], licence: Any) -> dict[str, Any]:
    """Say everything that ``rdf.yaml`` says.

    Parameters
    ----------
    model : Model
    authors : sequence of str
        Who made it.
    licence : str, dict or None
        SPDX name of the licence, or the file that holds it.

    Returns
    -------
    dict
        As the format 0.5 has it, with files named that lie beside it.
    """
    card = model.card
    channels = [f"grey{number}" for number in range(card.architecture.in_channels)]
    scale = card.architecture.scale
    data = {"type": "float32", "range": [0, WHITE]}
    batch = {"type": "batch"}
    channel = {"type": "channel", "channel_names": channels}
    smallest = smallest_side(card)
    return {
        "type": "model",
        "format_version": "0.5.4",
        "name": _name(card.name),
        "description": (card.description or "SEMNet, which denoises SEM pictures")[:512],
        "authors": [{"name": name} for name in authors],
        "license": licence,
        "cite": [_CITED],
        "documentation": "README.md",
        "attachments": [{"source": "card.json"}],
        "tags": ["electron-microscopy", "SEM", "denoising", "super-resolution", "2d", "semnet"],
        "inputs": [
            {
                "id": INPUT,
                "description": "Grey levels, 0 is black and 255 is white",
                "axes": [
                    batch,
                    channel,
                    *(
                        {"type": "space", "id": axis, "size": {"min": smallest, "step": 1}}
                        for axis in "yx"
                    ),
                ],
                "data": data,
                "test_tensor": {"source": "test_input.npy"},
                "preprocessing": [_scaled(1 / WHITE)],
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "Restored picture of twice the pixels each way, same grey levels",
                "axes": [
                    batch,
                    channel,
                    *(
                        {
                            "type": "space",
                            "id": axis,
                            "size": {"tensor_id": INPUT, "axis_id": axis},
                            "scale": 1 / scale,
                            "halo": max(1, scale * _halo(card)),
                        }
                        for axis in "yx"
                    ),
                ],
                "data": data,
                "test_tensor": {"source": "test_output.npy"},
                "postprocessing": [
                    {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
                    _scaled(WHITE),
                ],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": OPSET}},
        "config": {"bioimageio": _details(model)},
    }


def _details(model: Model) -> dict[str, Any]:
    card = model.card
    tolerance = {
        "absolute_tolerance": LARGEST_DIFFERENCE,
        "relative_tolerance": LARGEST_DIFFERENCE,
        "mismatched_elements_per_million": 0,
    }
    return {
        "reproducibility_tolerance": [tolerance],
        "architecture_type": "SEMNet (RRDBNet)",
        "modality": "scanning electron microscopy",
        "task": "denoising",
        "out_of_scope_use": card.limits or None,
        "bias_risks_limitations": {
            "known_biases": "; ".join(card.training.data) or "The training pictures are unknown.",
            "risks": LIMITS,
            "recommendations": HOW_TO_VALIDATE,
        },
        "model_parameter_count": sum(p.numel() for p in model.network.parameters()),
        "training": {"training_duration": card.training.hours},
        "napari_semnet": {"version": __version__, "model_sha256": model.sha256},
    }


def _scaled(gain: float) -> dict[str, Any]:
    return {"id": "scale_linear", "kwargs": {"gain": gain, "offset": 0.0}}


def _name(name: str) -> str:
    """Make a name that bioimage.io allows: 5 to 64 of its letters."""
    allowed = "".join(letter if letter in _LETTERS else "-" for letter in name)
    return (allowed if len(allowed) >= 5 else f"SEMNet {allowed}")[:64]


def smallest_side(card: Card) -> int:
    """Fewest rows and columns of a picture that leave something within the halo."""
    return 2 * _halo(card) + 8


def _halo(card: Card) -> int:
    """Input pixels at each border that depend on what lies outside."""
    return card.halo.pixels if card.halo is not None else card.architecture.exact_halo
