"""One session of a user: open, restore, compare, measure, fine-tune, use the model, save.

The tests run it with a reduced network, `docs/screenshots_session.py` with the bundled one, which
takes a picture after each step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint

from tests.widgets.hand import Hand

__all__ = ["Session"]


@dataclass
class Session:
    """What the user has at hand."""

    viewer: Any
    """Shown, and large enough for all buttons."""
    hand: Hand
    picture: Path
    """A file with a pixel size."""
    pixel_size_nm: float
    good: tuple[Path, ...]
    """Files of better pictures with a pixel size, to fine-tune on."""
    training_steps: int
    """Of fine-tuning."""
    training_seconds: float | None
    """By the clock, from the first step on; then the user presses Stop. None: all steps."""
    result: Path
    """Where to save, as .ome.tif."""
    profile: tuple[float, float, float] = (0.52, 0.3, 0.6)
    """Where the line is drawn: row, first and last column, as shares of the picture."""
    zoom: float = 1.0
    """How much closer the user looks while swiping."""
    patience: float = 60
    """Seconds that restoring may take."""

    def steps(self) -> Iterator[str]:
        """Do one thing after the other, and look whether it worked.

        Yields
        ------
        str
            What was done; the window shows it.
        """
        yield from self.open()
        yield from self.restore()
        yield from self.compare()
        yield from self.fine_tune()
        yield from self.restore_again()
        yield from self.save()

    def open(self) -> Iterator[str]:
        """Ctrl+O, a file's name, and which of two readers is to open it."""
        viewer, hand = self.viewer, self.hand
        hand.click(self.canvas)
        hand.press_for_a_file("ctrl+o", self.picture, reader="SEMNet")
        hand.wait(lambda: len(viewer.layers) == 1)
        raw = viewer.layers[0]
        self.raw = raw
        np.testing.assert_allclose(raw.scale, self.pixel_size_nm, rtol=1e-3)
        assert [str(unit) for unit in raw.units] == ["nanometer", "nanometer"]
        viewer.canvas.overlays.scale_bar.visible = True
        hand.rest(0.5)
        yield "open"

    def restore(self) -> Iterator[str]:
        """The restore widget's button."""
        viewer, hand = self.viewer, self.hand
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
        hand.wait(lambda: widget.is_ready)
        hand.rest(0.5)
        viewer.reset_view()
        before = np.array(self.raw.data)
        hand.click(widget.restore_button)
        hand.wait(lambda: widget.status.text().startswith("Restored 1 layer in"), self.patience)
        self.restored = viewer.layers[-1]
        assert self.restored.name == f"{self.raw.name} [SEMNet 2x]"
        np.testing.assert_allclose(self.restored.scale, self.raw.scale / 2)
        np.testing.assert_array_equal(self.raw.data, before)
        assert len(np.unique(self.restored.data)) > 10
        yield "restore"
        viewer.window.remove_dock_widget(widget)

    def compare(self) -> Iterator[str]:
        """Grid, swipe with the mouse, a line drawn with the mouse."""
        viewer, hand = self.viewer, self.hand
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
        hand.rest(0.5)
        viewer.reset_view()
        view = widget.view
        zoom = viewer.scene.camera.zoom
        hand.click(view.grid_button)
        hand.wait(lambda: view.arrangement.is_active and not widget.task.is_running)
        assert viewer.canvas.grid.enabled
        shown = [layer for layer in viewer.layers if layer.visible]
        assert len(shown) == 4
        assert all(layer.name_overlay.visible for layer in shown)
        hand.rest(0.5)
        yield "grid"
        hand.click(view.grid_button)
        assert [layer.name for layer in viewer.layers] == [self.raw.name, self.restored.name]
        assert viewer.scene.camera.zoom == zoom
        assert not viewer.canvas.grid.enabled

        viewer.scene.camera.zoom = zoom * self.zoom
        hand.click(view.swipe_button)
        swipe = view.arrangement.swipe
        hand.rest(0.3)
        self._drag_divider(swipe, 0.35)
        assert abs(swipe.part - 0.35) < 0.03
        self._drag_divider(swipe, 0.6)
        assert abs(swipe.part - 0.6) < 0.03
        yield "swipe"
        hand.click(view.swipe_button)
        assert len(viewer.layers) == 2
        yield from self._draw_line(widget)
        viewer.window.remove_dock_widget(widget)

    def _draw_line(self, widget: Any) -> Iterator[str]:
        viewer, hand, page = self.viewer, self.hand, widget.line
        viewer.scene.camera.zoom = viewer.scene.camera.zoom / self.zoom
        hand.click_tab(widget.tabs, "Line")
        hand.click(page.draw_button)
        hand.wait(lambda: not widget.task.is_running)
        rows, columns = self.raw.data.shape[-2:]
        row, *shares = self.profile
        ends = [(row * rows, share * columns) for share in shares]
        hand.drag(*(self._on_screen(self.raw, *end) for end in ends))
        hand.wait(lambda: len(page.plot.curves) == 3)
        length = (shares[1] - shares[0]) * columns * self.pixel_size_nm
        assert all(abs(curve.x[-1] / length - 1) < 0.03 for curve in page.plot.curves)
        assert page.plot.x_label == "Distance (nm)"
        yield "line"
        viewer.layers.remove(page.drawing.layer)

    def fine_tune(self) -> Iterator[str]:
        """Three layers, a name, a number of steps; then the new model is used."""
        viewer, hand = self.viewer, self.hand
        names = [layer.name for layer in viewer.open(list(self.good), plugin="napari-semnet")]
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Fine-tune")
        hand.wait(lambda: widget.is_ready)
        hand.rest(0.5)
        hand.click_rows(widget.images.first.layers, names)
        hand.click(widget.images.look_button)
        hand.wait(lambda: widget.images.table.rowCount() == 3 and not widget.task.is_running)
        assert widget.images.summary.text().startswith("2 pictures of")
        viewer.reset_view()
        yield "images"
        hand.click_tab(widget.tabs, "Train")
        hand.fill(widget.training.setup.name, "our-SEM")
        hand.fill(widget.training.setup.steps, str(self.training_steps))
        hand.click(widget.training.start_button)
        hand.wait(lambda: widget.run.folder is not None)
        if self.training_seconds is None:
            hand.wait(lambda: not widget.run.is_running, self.patience)
            assert widget.run.story.phase == "finished", widget.run.story.detail
            assert widget.run.story.step == self.training_steps
        else:
            yield from self._train_by_the_clock(widget, self.training_seconds)
        hand.click_tab(widget.tabs, "Result")
        hand.wait(lambda: widget.result.judgement is not None, self.patience)
        assert widget.result.judgement.tuned == "our-SEM"
        assert widget.result.table.rowCount() == 1 + len(widget.result.judgement.fields)
        hand.rest(0.5)
        yield "result"
        hand.click(widget.result.use_button)
        hand.wait(lambda: "Restore (napari-semnet)" in viewer.window.dock_widgets)
        assert widget.status.text().startswith("Kept as 'our-SEM'")
        viewer.window.remove_dock_widget(widget)
        for layer in list(viewer.layers):
            if layer not in (self.raw, self.restored):
                viewer.layers.remove(layer)

    def _train_by_the_clock(self, widget: Any, seconds: float) -> Iterator[str]:
        hand, run = self.hand, widget.run
        hand.wait(lambda: run.story.phase != "preparing" and run.story.step > 0, self.patience)
        begin = time.monotonic()
        hand.wait(lambda: time.monotonic() > begin + 0.8 * seconds, self.patience)
        hand.click_tab(widget.training.progress.tabs, "Loss")
        yield "training"
        hand.wait(lambda: time.monotonic() > begin + seconds, self.patience)
        hand.click(widget.training.stop_button)
        hand.wait(lambda: not run.is_running, self.patience)
        assert run.story.phase == "stopped", run.story.detail
        assert run.story.step > 1

    def restore_again(self) -> Iterator[str]:
        """The first picture with the new model."""
        viewer, hand = self.viewer, self.hand
        widget = viewer.window.dock_widgets["Restore (napari-semnet)"]
        hand.wait(lambda: widget.is_ready)
        assert widget.model.key == "our-SEM"
        hand.rest(0.5)
        viewer.reset_view()
        before = list(viewer.layers)
        hand.click_rows(widget.layers, [self.raw.name])
        hand.click(widget.restore_button)
        hand.wait(lambda: widget.status.text().startswith("Restored 1 layer in"), self.patience)
        (self.restored,) = [layer for layer in viewer.layers if layer not in before]
        record = self.restored.metadata["semnet"]
        assert record["model"] == "our-SEM"
        assert record["source"] == self.raw.name
        yield "again"

    def save(self) -> Iterator[str]:
        """The restore widget's button, and a file's name.

        napari's own dialog would take its own writer, unless another file type is chosen there.
        """
        from napari_semnet.files.reader import read_image

        viewer, hand = self.viewer, self.hand
        widget = viewer.window.dock_widgets["Restore (napari-semnet)"]
        button = widget.results.save_button
        hand.name_a_file(lambda: hand.click(button), self.result)
        hand.wait(lambda: widget.status.text() == f"Saved {self.result}")
        saved = read_image(self.result)
        np.testing.assert_array_equal(saved.pixels, self.restored.data)
        np.testing.assert_allclose(saved.pixel_size.yx, self.pixel_size_nm / 2, rtol=1e-6)
        assert saved.provenance is not None
        assert saved.provenance.model == "our-SEM"
        yield "save"
        viewer.window.remove_dock_widget(widget)

    @property
    def canvas(self) -> Any:
        """The widget that shows the layers."""
        from qtpy.QtWidgets import QApplication

        return max(
            (w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop"),
            key=lambda w: w.isVisible(),
        )

    def _drag_divider(self, swipe: Any, part: float) -> None:
        row = self.raw.data.shape[-2] / 2
        columns = self.raw.data.shape[-1]
        start, stop = (
            self._on_screen(self.raw, row, share * columns - 0.5) for share in (swipe.part, part)
        )
        self.hand.drag(start, stop)
        self.hand.rest(0.3)

    def _on_screen(self, layer: Any, row: float, column: float) -> QPoint:
        """Place of a layer's pixel on the screen; the camera looks along the last two axes."""
        world = np.array(layer.data_to_world((row, column))[-2:])
        camera = self.viewer.scene.camera
        offset = (world - np.array(camera.center[-2:])) * camera.zoom
        canvas = self.canvas
        middle = np.array([canvas.height(), canvas.width()]) / 2
        y, x = np.rint(middle + offset).astype(int)
        return canvas.mapToGlobal(QPoint(int(x), int(y)))
