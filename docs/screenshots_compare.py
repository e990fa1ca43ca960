"""Take the documentation's screenshots of the compare widget: from the program, never by hand.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_compare.py

They show a synthetic specimen, whose truth stands for a slow scan, restored by the bundled model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.settings import get_settings
from screenshots import IMAGES, settle, shoot, wait_until

from napari_semnet import restore
from napari_semnet.imaging.geometry import whole
from napari_semnet.imaging.phantom import Specimen, acquire, particles
from napari_semnet.widgets.compare import CompareWidget, open_comparison
from napari_semnet.widgets.layers import add_restored_layer

SHAPE = (240, 320)
WINDOW = (1280, 800)
NM = ("nm", "nm")


def open_viewer(specimen: Specimen, theme: str) -> tuple[Any, CompareWidget]:
    """Open a window as a user does: images, a restoration, and the compare widget beside them."""
    image = acquire(specimen)
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*WINDOW)
    size = specimen.pixel_size_nm
    truth = np.rint(255 * specimen.truth).astype(np.uint8)
    corner = (-size / 2, -size / 2)
    viewer.add_image(truth, name="slow scan", scale=(size, size), translate=corner, units=NM)
    second = acquire(specimen, seed=1)
    viewer.add_image(second, name="second scan", scale=(2 * size, 2 * size), units=NM)
    raw = viewer.add_image(image, name="gold", scale=(2 * size, 2 * size), units=NM)
    record = {"source": raw.name}
    restored = add_restored_layer(viewer, raw, restore(image), whole(image.shape), record)
    viewer.canvas.overlays.scale_bar.visible = True
    settle()
    viewer.reset_view()
    widget = open_comparison(viewer, restored)
    if widget is None:
        raise RuntimeError("The source of the restoration is gone.")
    wait_until(lambda: widget.view.arrangement.is_active)
    return viewer, widget


def finished(widget: CompareWidget, done: Callable[[], bool]) -> None:
    """Wait for the work at hand and for what it shows."""
    wait_until(lambda: not widget.task.is_running and done())


def shoot_views(viewer: Any, widget: CompareWidget) -> None:
    """Show the grid and the swipe."""
    shoot(viewer, "compare-grid")
    widget.view.swipe_button.click()
    settle()
    viewer.reset_view()
    shoot(viewer, "compare-swipe")
    widget.view.leave()


def shoot_widget(widget: CompareWidget, name: str) -> None:
    """Save the compare widget alone."""
    settle()
    widget.grab().save(str(IMAGES / f"{name}.png"))


def shoot_measures(viewer: Any, widget: CompareWidget) -> None:
    """Show the line, the frequencies and the numbers."""
    viewer.reset_view()
    widget.tabs.setCurrentWidget(widget.line)
    widget.line.draw()
    layer = widget.line.drawing.layer
    if layer is None:
        raise RuntimeError("There is nothing to draw on.")
    layer.add(np.array([[118.0, 156.0], [118.0, 181.0]]), shape_type="line")
    finished(widget, lambda: len(widget.line.plot.curves) == 3)
    settle()
    # Curves are told apart by colours that a smaller palette would merge.
    viewer.screenshot(str(IMAGES / "compare-line.png"), canvas_only=False, flash=False)

    widget.tabs.setCurrentWidget(widget.frequencies)
    widget.subject.other_list.choose(viewer.layers["second scan"])
    finished(widget, lambda: True)
    widget.frequencies.rings_button.click()
    finished(widget, lambda: "ring" in widget.frequencies.plot.y_label)
    shoot_widget(widget, "compare-rings")

    widget.tabs.setCurrentWidget(widget.numbers)
    widget.subject.other_list.choose(viewer.layers["slow scan"])
    finished(widget, lambda: True)
    widget.numbers.reference_button.click()
    finished(widget, lambda: widget.numbers.table.rowCount() == 6)
    shoot_widget(widget, "compare-numbers")


def save_figure(widget: CompareWidget) -> None:
    """Save the figure that the last page offers."""
    widget.subject.other_list.choose(None)
    widget.figure.part.setCurrentIndex(1)
    path = IMAGES / "compare-figure.png"
    widget.figure.save(path)
    finished(widget, lambda: widget.status.text() == f"Saved {path}")


def main() -> None:
    """Take all of them."""
    get_settings().application.confirm_close_window = False
    specimen = particles(SHAPE, 1)
    viewer, widget = open_viewer(specimen, "dark")
    shoot_views(viewer, widget)
    viewer.theme = "light"
    shoot_measures(viewer, widget)
    save_figure(widget)
    viewer.close()
    print(*sorted(Path(IMAGES).glob("compare-*.png")), sep="\n")


if __name__ == "__main__":
    main()
