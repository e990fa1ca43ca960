"""Take the documentation's screenshots of the fine-tune dialog: from the program, never by hand.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_finetune.py FAST GOOD GOOD GOOD

FAST is a picture as the microscope takes it in a hurry, the others are as good as it can. They get
a pixel size of 20 nm, whatever they had, so that there is one to see. The run is a real one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3
import napari
import numpy as np
from napari.settings import get_settings
from screenshots import IMAGES, settle, wait_until

from napari_semnet.widgets.finetune import FinetuneWidget
from napari_semnet.widgets.finetune_choices import (
    FinetuneChoices,
    load_finetune_choices,
    save_finetune_choices,
)

WINDOW = (1280, 860)
SCALE = {"scale": (20, 20), "units": ("nm", "nm")}


def shoot(viewer: Any, name: str) -> None:
    """Save the whole window; curves are told apart by colours that a palette would merge."""
    settle(2)
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


def read(path: Path) -> np.ndarray:
    """Read a grey picture."""
    picture = imageio.v3.imread(path)
    return np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., 0])


def open_viewer(fast: Path, good: list[Path]) -> tuple[Any, FinetuneWidget]:
    """Open a window as a user does: images, and the dialog beside them."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    viewer.add_image(read(fast), name="fast scan", visible=False, **SCALE)
    for number, path in enumerate(good, 1):
        last = number == len(good)
        viewer.add_image(read(path), name=f"slow scan {number}", visible=last, **SCALE)
    viewer.canvas.overlays.scale_bar.visible = True
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Fine-tune")
    wait_until(lambda: widget.is_ready)
    settle()
    viewer.reset_view()
    return viewer, widget


def done(widget: FinetuneWidget, what: Callable[[], Any]) -> None:
    """Wait for the work at hand and for what it shows."""
    wait_until(lambda: not widget.task.is_running and (what() or widget.status.text()))
    if widget.status.text():
        raise RuntimeError(widget.status.text())


def prepare(viewer: Any, widget: FinetuneWidget) -> None:
    """Pick images, measure the noise, estimate what it costs."""
    slow = [layer for layer in viewer.layers if layer.name.startswith("slow")]
    widget.images.first.layers.choose(slow)
    widget.images.look_button.click()
    done(widget, lambda: widget.images.table.rowCount())
    widget.tabs.setCurrentIndex(0)
    shoot(viewer, "finetune-images")
    widget.tabs.setCurrentIndex(1)
    widget.noise.noisy.choose(viewer.layers["fast scan"])
    widget.noise.measure_button.click()
    wait_until(lambda: not widget.noise.measuring.is_running)
    settle(2)
    shoot(viewer, "finetune-noise")
    widget.tabs.setCurrentIndex(2)
    widget.training.setup.estimate_button.click()
    done(widget, lambda: "About" in widget.training.setup.cost.text())
    shoot(viewer, "finetune-setup")


def train(viewer: Any, widget: FinetuneWidget, run: Path | None) -> None:
    """Train, or open a run that was made before, and look at what came of it."""
    if run is None:
        widget.training.start_button.click()
    else:
        widget.training.open_run(run)
    done(widget, lambda: len(widget.run.story.evaluations) > 4)
    viewer.reset_view()
    shoot(viewer, "finetune-run")
    widget.training.progress.tabs.setCurrentIndex(2)
    get_settings().appearance.theme = "light"
    shoot(viewer, "finetune-preview")
    wait_until(lambda: widget.result.judgement is not None)
    if widget.run.is_running:
        widget.training.stop_button.click()
    wait_until(lambda: not widget.run.is_running)
    widget.tabs.setCurrentIndex(3)
    widget.result.layers_button.click()
    viewer.reset_view()
    shoot(viewer, "finetune-result")
    get_settings().appearance.theme = "dark"


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fast", type=Path)
    parser.add_argument("good", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--run", type=Path, help="folder of a run to show; else one is made")
    parser.add_argument("--model", default="", help="name or path; else the bundled one")
    options = parser.parse_args()
    get_settings().application.confirm_close_window = False
    before = load_finetune_choices()
    with tempfile.TemporaryDirectory(prefix="semnet-runs-") as runs:
        wanted = FinetuneChoices(steps=options.steps, start_from=options.model, runs_folder=runs)
        save_finetune_choices(wanted)
        viewer, widget = open_viewer(options.fast, options.good)
        try:
            prepare(viewer, widget)
            train(viewer, widget, options.run)
        finally:
            widget.run.let_go()
            viewer.close()
            save_finetune_choices(replace(before, last_run=""))


if __name__ == "__main__":
    main()
