"""Take the documentation's screenshots of the restore widget: from the program, never by hand.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots.py PICTURE

PICTURE is an 8-bit grey picture of an SEM; 640 x 480 pixels of it are shown. It gets a pixel size
of 50 nm, whatever it had, so that there is a scale bar to see.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imageio.v3
import napari
import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.settings import get_settings
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_semnet.widgets.choices import Choices
from napari_semnet.widgets.preferences import load_choices, save_choices

IMAGES = Path(__file__).parent / "images"
SHAPE = (480, 640)
WINDOW = (1360, 860)
PIXEL_SIZE_NM = 50
TILE = 160
"""Small, so that a picture taken during the run shows finished and unfinished tiles."""


def wait_until(done: Callable[[], bool], seconds: float = 1800) -> None:
    """Let the program run."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("The program did not get there.")
        QApplication.processEvents()
        time.sleep(0.005)


def settle(seconds: float = 0.8) -> None:
    """Let everything be drawn that is to be drawn."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def shoot(viewer: Any, name: str) -> None:
    """Save the whole window."""
    settle()
    IMAGES.mkdir(exist_ok=True)
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    # 256 colours are enough for grey pictures and a window, in a third of the size.
    reduced = Image.fromarray(pixels).convert("RGB").quantize(256)
    reduced.save(IMAGES / f"{name}.png", optimize=True)


def cut(path: Path, origin: tuple[int, int], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Read the part that is shown."""
    picture = imageio.v3.imread(path)
    grey = picture if picture.ndim == 2 else picture[..., 0]
    y, x = origin
    return np.ascontiguousarray(grey[y : y + shape[0], x : x + shape[1]])


def open_viewer(image: np.ndarray) -> tuple[Any, Any]:
    """Open a window as a user does: an image, and the widget beside it."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    scale = (PIXEL_SIZE_NM, PIXEL_SIZE_NM)
    viewer.add_image(image, name="lift-out", scale=scale, units=("nm", "nm"))
    viewer.canvas.overlays.scale_bar.visible = True
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    wait_until(lambda: widget.is_ready)
    settle()
    viewer.reset_view()
    return viewer, widget


def shoot_what_fills_up(picture: Path, model: str) -> None:
    """Show a layer on disk of which only what was looked at is there."""
    shape = imageio.v3.improps(picture).shape[:2]
    with TemporaryDirectory() as folder:
        save_choices(Choices(model=model, region="viewed", folder=folder))
        viewer, widget = open_viewer(cut(picture, (0, 0), shape))
        centre, zoom = viewer.scene.camera.center, viewer.scene.camera.zoom
        viewer.scene.camera.center = (0, shape[0] / 2 * PIXEL_SIZE_NM, 0.85 * centre[-1] * 2)
        viewer.scene.camera.zoom = 5 * zoom
        settle()
        widget.restore_button.click()
        wait_until(lambda: "1 of" in widget.status.text())
        viewer.scene.camera.center, viewer.scene.camera.zoom = centre, zoom
        for said in viewer.window._qt_window.findChildren(NapariQtNotification):
            said.close()  # It lies over the scale bar.
        shoot(viewer, "restore-on-disk")
        widget.cancel_button.click()
        wait_until(lambda: not widget.run.is_running)
        viewer.close()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=Path)
    parser.add_argument("--origin", type=int, nargs=2, default=(200, 180), metavar=("Y", "X"))
    parser.add_argument("--model", default="", help="name or path; else the bundled one")
    options = parser.parse_args()
    image = cut(options.picture, tuple(options.origin))

    before = load_choices()
    save_choices(Choices(model=options.model, tile=TILE))
    viewer, widget = open_viewer(image)
    shoot(viewer, "restore-before")

    widget.restore_button.click()
    wait_until(lambda: widget.run.is_running and 450 < widget.progress.value() < 900)
    shoot(viewer, "restore-during")
    wait_until(lambda: not widget.run.is_running)
    shoot(viewer, "restore-after")

    widget.folded.expand(animate=False)
    viewer.scene.camera.zoom *= 4
    settle()
    widget.scroll.ensureWidgetVisible(widget.advanced)
    get_settings().appearance.theme = "light"
    shoot(viewer, "restore-advanced")
    get_settings().appearance.theme = "dark"
    viewer.close()
    shoot_what_fills_up(options.picture, options.model)
    save_choices(before)


if __name__ == "__main__":
    main()
