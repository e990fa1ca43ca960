"""A user's session with the mouse and the keys of the X server, on a window that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from npe2 import PluginManifest
from PIL import Image

from napari_semnet.model import Card, Halo, save_model
from napari_semnet.network import SEMNet
from tests.widgets.conftest import REDUCED
from tests.widgets.hand import APT, Hand, is_there
from tests.widgets.session import Session

pytestmark = pytest.mark.gui


@pytest.fixture
def shown_viewer(plugin_settings: None, npe2pm: Any, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer that is seen, and must leave no widget behind."""
    if not is_there():
        pytest.skip(f"The mouse of the X server cannot be moved without xdotool: {APT}")
    # As in napari itself: its own readers and writers are there too, and come first.
    for name in ("napari", "napari-semnet"):
        npe2pm.register(PluginManifest.from_distribution(name))
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    viewer.window.resize(1400, 1050)
    return viewer


@pytest.fixture
def picture(shared: Path) -> Path:
    """A picture of a Zeiss microscope, as it was saved there."""
    return shared / "vendor-samples" / "test_tiff_Zeiss_SEM_512pix.tif"


@pytest.fixture
def better(shared: Path, tmp_path: Path) -> tuple[Path, ...]:
    """Parts of three good pictures, with a pixel size."""
    found = sorted((shared / "sem-images" / "val").glob("*.png"))[:3]
    paths = []
    for number, path in enumerate(found):
        picture = np.asarray(Image.open(path).convert("L"))[:240, :240]
        paths.append(tmp_path / f"good {number}.ome.tif")
        size = {"PhysicalSizeY": 5.0, "PhysicalSizeX": 5.0}
        units = {"PhysicalSizeYUnit": "nm", "PhysicalSizeXUnit": "nm"}
        tifffile.imwrite(paths[-1], picture, ome=True, metadata={"axes": "YX", **size, **units})
    return tuple(paths)


@pytest.fixture
def copying_model(tmp_path: Path) -> Path:
    """A model that copies each pixel four times: fast, and its result is a picture."""
    import torch

    network = SEMNet(REDUCED)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        for convolution in (network.first, network.up, network.last):
            convolution.weight[0, 0, 1, 1] = 1
    path = tmp_path / "copying.safetensors"
    card = Card(name="copying", architecture=REDUCED, halo=Halo(pixels=8, bound=0.05))
    save_model(path, network, card)
    return path


def test_a_real_picture_is_opened_restored_compared_learnt_from_and_saved_by_hand(
    shown_viewer: Any,
    picture: Path,
    better: tuple[Path, ...],
    copying_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_semnet.widgets.choices import Choices
    from napari_semnet.widgets.finetune_choices import (
        load_finetune_choices,
        save_finetune_choices,
    )
    from napari_semnet.widgets.preferences import save_choices

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    save_choices(replace(Choices(), model=str(copying_model), precision="fp32"))
    wanted = {"start_from": str(copying_model), "device": "cpu"}
    save_finetune_choices(replace(load_finetune_choices(), **wanted))
    session = Session(
        shown_viewer,
        Hand(),
        picture,
        pixel_size_nm=11.649976,
        good=better,
        training_steps=12,
        training_seconds=None,
        result=tmp_path / "result.ome.tif",
    )
    done = []
    for step in session.steps():
        done.append(step)
        if step == "restore":
            raw = np.asarray(session.raw.data)[:350]  # the databar is below
            np.testing.assert_array_equal(session.restored.data, raw.repeat(2, 0).repeat(2, 1))
    measured = ["grid", "swipe", "line"]
    assert done == ["open", "restore", *measured, "images", "result", "again", "save"]
