"""A real viewer under a real (or virtual) display, a reduced network, and settings of its own."""

from __future__ import annotations

import ctypes.util
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_semnet.model import Card, save_model
from napari_semnet.model import Halo as MeasuredHalo
from napari_semnet.network import Architecture, SEMNet
from tests.widgets.patience import until

REQUIRE = "NAPARI_SEMNET_REQUIRE_GUI"
APT = (
    "apt-get install -y --no-install-recommends xvfb xauth libegl1 libgl1 libgl1-mesa-dri "
    "libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 "
    "libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1"
)
LIBRARIES = ("xcb-cursor", "xcb-icccm", "xcb-keysyms", "xkbcommon-x11", "EGL", "GL")

REDUCED = Architecture(features=8, growth=4, blocks=1, rdb_per_block=1, conv_per_rdb=2)

if sys.platform.startswith("linux"):
    # Off-screen Qt has no OpenGL: layers cannot be drawn. Must be set before Qt starts.
    os.environ["QT_QPA_PLATFORM"] = "xcb"


def missing_for_a_window() -> str:
    """Say what a window lacks on this machine; empty when nothing does."""
    if not sys.platform.startswith("linux"):
        return ""
    libraries = [name for name in LIBRARIES if ctypes.util.find_library(name) is None]
    if libraries:
        return f"Qt needs the libraries {', '.join(libraries)}"
    return "" if os.environ.get("DISPLAY") else "there is neither a display nor Xvfb"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a window where there is none; with NAPARI_SEMNET_REQUIRE_GUI=1, fail.

    Not a fixture: Qt's application, which ends the process without a display, would come first.
    """
    if item.get_closest_marker("gui") is None:
        return
    missing = missing_for_a_window()
    if missing:
        advice = f"{missing}; on Debian and Ubuntu this brings it: {APT}"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(advice, pytrace=False)
        pytest.skip(advice)


@pytest.fixture(scope="session")
def reduced_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with a network that takes no time."""
    import torch

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "reduced.safetensors"
    card = Card(
        name="reduced",
        architecture=REDUCED,
        noise_range=(2, 25),
        limits="For tests only.",
        halo=MeasuredHalo(pixels=8, bound=0.05),
    )
    save_model(path, SEMNet(REDUCED), card)
    return path


@pytest.fixture
def plugin(plugin_settings: None, npe2pm: Any) -> Any:
    """The plugin as napari sees it, with settings that only this test has."""
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_distribution("napari-semnet"))
    return npe2pm


@pytest.fixture
def viewer(plugin: Any, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer that must leave no widget behind."""
    return make_napari_viewer(strict_qt="raise")


@pytest.fixture
def open_widget(viewer: Any, reduced_model: Path, qtbot: Any) -> Callable[..., Any]:
    """Open the restore widget from the menu's command, with the reduced model chosen."""

    def open_it(**choices: Any) -> Any:
        from dataclasses import replace

        from napari_semnet.widgets.choices import Choices
        from napari_semnet.widgets.preferences import save_choices

        save_choices(replace(Choices(model=str(reduced_model), precision="fp32"), **choices))
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
        until(qtbot, lambda: widget.is_ready)
        return widget

    return open_it


@pytest.fixture
def finish(qtbot: Any) -> Callable[[Any], None]:
    """Wait until a widget's run is over."""

    def wait(widget: Any) -> None:
        until(qtbot, lambda: not widget.run.is_running)

    return wait


class Tiles:
    """How many tiles restorations get before the others are let go on.

    The thread that computes does not wait for the window. So what a test does in the middle of a
    restoration would come too late at times, did the tiles not wait for it.
    """

    def __init__(self) -> None:
        self.given = 0
        self.most: float = math.inf

    def let_all(self) -> None:
        self.most = math.inf


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiles]:
    from napari_semnet.restoration.planned import PlannedRun

    tiles, all_of = Tiles(), PlannedRun.tiles

    def held(run: PlannedRun) -> Iterator[Any]:
        for tile in all_of(run):
            while tiles.given >= tiles.most:
                time.sleep(0.005)
            tiles.given += 1
            yield tile

    monkeypatch.setattr(PlannedRun, "tiles", held)
    yield tiles
    tiles.let_all()
