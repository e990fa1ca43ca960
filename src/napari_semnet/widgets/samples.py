"""Sample specimens for napari's File > Open Sample: made on the spot, nothing is downloaded."""

from __future__ import annotations

from typing import Any, TypeAlias

from napari_semnet.imaging.geometry import Placement, restored_placement
from napari_semnet.imaging.phantom import SPECIMENS, acquire

__all__ = ["LayerData", "fibres", "grating", "particles", "sample_layers", "step_edge"]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""Pixels, keyword arguments and type of a layer, as napari takes them from plugins."""

SHAPE = (480, 640)
SEED = 0


def particles() -> list[LayerData]:
    """Bright particles on a dark film."""
    return sample_layers("particles")


def fibres() -> list[LayerData]:
    """Fibres that lie over one another."""
    return sample_layers("fibres")


def grating() -> list[LayerData]:
    """Lines of known pitch."""
    return sample_layers("grating")


def step_edge() -> list[LayerData]:
    """One straight edge."""
    return sample_layers("step_edge")


def sample_layers(name: str, shape: tuple[int, int] = SHAPE, seed: int = SEED) -> list[LayerData]:
    """Make a noisy acquisition of a specimen, and its truth to compare with.

    Parameters
    ----------
    name : str
        A key of `napari_semnet.imaging.phantom.SPECIMENS`.
    shape : tuple of int
        Pixels of the acquisition, (Y, X).
    seed : int
        Chooses the specimen and its noise.

    Returns
    -------
    list of LayerData
        The truth, hidden and with twice the pixels, then the acquisition above it. Both are
        calibrated in nanometres.
    """
    specimen = SPECIMENS[name](shape, seed)
    noisy = acquire(specimen, seed=seed)
    size = 2 * specimen.pixel_size_nm
    place = Placement.plain((size, size), ("nanometer", "nanometer"), ("y", "x"))
    known = {"specimen": name, "seed": seed, **specimen.known}
    truth = {
        "name": f"{name} (truth)",
        "visible": False,
        "contrast_limits": (0.0, 1.0),
        "metadata": known,
        **restored_placement(place).as_layer_kwargs(),
    }
    acquired = {
        "name": f"{name} (noisy)",
        "contrast_limits": (0, 255),
        "metadata": known,
        **place.as_layer_kwargs(),
    }
    return [(specimen.truth, truth, "image"), (noisy, acquired, "image")]
