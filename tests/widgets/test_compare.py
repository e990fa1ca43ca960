"""The compare widget in a real viewer: arrange, measure, print, and leave no trace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet.imaging.comparison import classical
from napari_semnet.imaging.geometry import whole
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import block_mean
from napari_semnet.widgets.layers import METADATA_KEY, add_restored_layer
from napari_semnet.widgets.lineage import MADE_BY_COMPARISON
from napari_semnet.widgets.preview_layers import show_row
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

NM = ("nanometer", "nanometer")
SPECIMEN = particles((48, 64), 2)
RAW = acquire(SPECIMEN)
TRUTH = np.rint(255 * SPECIMEN.truth).astype(np.uint8)


@pytest.fixture
def layers(viewer: Any) -> tuple[Any, Any]:
    """A raw layer and a restored one, as the restore widget leaves them behind."""
    raw = viewer.add_image(RAW.copy(), name="raw", scale=(2, 2), units=NM, contrast_limits=(9, 240))
    restored = add_restored_layer(viewer, raw, TRUTH.copy(), whole(RAW.shape), {"source": "raw"})
    return raw, restored


@pytest.fixture
def widget(viewer: Any, layers: tuple[Any, Any], qtbot: Any) -> Any:
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    return widget


@pytest.fixture
def click() -> Callable[[Any], None]:
    """Press a button; in a window that is not shown it has no place for the mouse."""

    def press(button: Any) -> None:
        assert button.isEnabled()
        button.click()

    return press


@pytest.fixture
def ready(widget: Any, qtbot: Any) -> Callable[[], None]:
    """Wait until the work at hand, and what follows from it, is done."""

    def wait() -> None:
        qtbot.waitUntil(lambda: not widget.task.is_running, timeout=20_000)

    return wait


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """Faults in a worker go to napari's notifications, past pytest."""
    from napari.utils.notifications import NotificationSeverity, notification_manager

    notification_manager.records.clear()
    yield
    found = [
        r.message for r in notification_manager.records if r.severity > NotificationSeverity.INFO
    ]
    notification_manager.records.clear()
    assert found == []


def digest(layer: Any) -> tuple[Any, ...]:
    return (
        hashlib.sha256(np.asarray(layer.data).tobytes()).hexdigest(),
        tuple(layer.scale),
        tuple(layer.translate),
        tuple(layer.contrast_limits),
        layer.name,
        layer.visible,
        repr(layer.metadata),
    )


def looks(viewer: Any) -> tuple[Any, ...]:
    grid, bar = viewer.canvas.grid, viewer.canvas.overlays.scale_bar
    return (
        [layer.name for layer in viewer.layers],
        [layer.name_overlay.visible for layer in viewer.layers],
        (grid.enabled, grid.stride, grid.shape, grid.spacing),
        (bar.visible, bar.gridded),
        {layer.name for layer in viewer.layers.selection},
    )


def test_a_restoration_and_its_source_are_chosen_at_once(widget: Any, layers: Any) -> None:
    assert (widget.subject.raw(), widget.subject.restored()) == layers
    assert widget.subject.other() is None


def test_the_grid_shows_four_named_pictures_and_leaves_the_viewer_as_it_was(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any
) -> None:
    raw, restored = layers
    before, sources = looks(viewer), [digest(layer) for layer in layers]
    click(widget.view.grid_button)
    ready()
    shown = [layer for layer in viewer.layers if layer.visible]
    assert [layer.name.split(" ±")[0] for layer in shown] == [
        "raw",
        "classical",
        restored.name,
        "restored − raw",
    ]
    assert all(layer.name_overlay.visible for layer in shown)
    assert all(layer.units == raw.units for layer in shown)
    assert viewer.layers.extent.units is not None
    grid, bar = viewer.canvas.grid, viewer.canvas.overlays.scale_bar
    assert grid.enabled
    assert np.prod(grid.shape) == 4
    assert bar.visible
    assert bar.gridded

    _, by_hand, _, difference = shown
    np.testing.assert_array_equal(by_hand.data, np.rint(classical(RAW, 1.0)).astype(np.uint8))
    assert by_hand.data_to_world((0, 0)) == pytest.approx(raw.data_to_world((-0.25, -0.25)))
    np.testing.assert_allclose(difference.data, block_mean(TRUTH) - RAW, atol=1e-3)
    np.testing.assert_allclose(difference.scale, raw.scale)
    low, high = difference.contrast_limits
    assert low == -high
    restored.contrast_limits = (20, 100)
    assert list(raw.contrast_limits) == list(by_hand.contrast_limits) == [20, 100]
    assert tuple(difference.contrast_limits) == (low, high)

    click(widget.view.grid_button)
    assert looks(viewer) == before
    assert [digest(layer) for layer in layers] == sources


@pytest.mark.parametrize("look", ["grid", "swipe", "blink"])
def test_a_further_picture_ends_the_look_that_it_would_lie_in(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any, look: str
) -> None:
    raw, restored = layers
    before, button = looks(viewer), getattr(widget.view, f"{look}_button")
    click(button)
    ready()
    again = add_restored_layer(viewer, raw, TRUTH.copy(), whole(RAW.shape), {"source": "raw"})
    assert not button.isChecked()
    assert list(viewer.layers) == [raw, restored, again]
    assert all(layer.visible for layer in viewer.layers)
    viewer.layers.remove(again)
    assert looks(viewer)[:-1] == before[:-1]


def test_a_difference_that_is_asked_for_in_the_grid_is_seen_alone(
    viewer: Any, widget: Any, click: Any, ready: Any
) -> None:
    click(widget.view.grid_button)
    ready()
    click(widget.view.difference_button)
    ready()
    assert not viewer.canvas.grid.enabled
    assert viewer.layers[-1].metadata[MADE_BY_COMPARISON] == "difference"
    assert len(viewer.layers) == 3


def test_previews_of_a_fine_tuning_and_drawings_leave_the_grid_alone(
    viewer: Any, widget: Any, click: Any, ready: Any
) -> None:
    click(widget.view.grid_button)
    ready()
    show_row(viewer, "fine-tune", {"input": np.zeros((8, 8), np.uint8)})
    viewer.add_shapes(ndim=2, units=NM)
    assert viewer.canvas.grid.enabled
    assert widget.view.grid_button.isChecked()


def test_the_difference_on_the_restored_grid_stays_when_it_is_asked_for(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any
) -> None:
    widget.view.on.setCurrentIndex(1)
    click(widget.view.difference_button)
    ready()
    added = viewer.layers[-1]
    expected = TRUTH - classical(RAW, 0.0)
    np.testing.assert_allclose(added.data, expected, atol=1e-3)
    assert added.data_to_world((0, 0)) == pytest.approx(layers[1].data_to_world((0, 0)))
    assert added.units == layers[0].units
    assert f"{expected.std():.2f} grey levels" in widget.view.figures.text()
    click(widget.view.swipe_button)
    click(widget.view.swipe_button)
    assert added in viewer.layers


def test_swipe_and_blink_follow_one_another_and_leave_nothing_behind(
    viewer: Any, widget: Any, layers: Any, click: Any, qtbot: Any
) -> None:
    before, sources = looks(viewer), [digest(layer) for layer in layers]
    click(widget.view.swipe_button)
    swipe = widget.view.arrangement.swipe
    widget.view.divider.setValue(250)
    assert swipe.part == pytest.approx(0.25, abs=0.01)
    swipe.move_to(0.75)
    assert widget.view.divider.value() == 750
    click(widget.view.blink_button)
    assert not widget.view.swipe_button.isChecked()
    assert [layer.visible for layer in layers] == [True, False]
    widget.view.rate.setValue(3.0)
    qtbot.waitUntil(lambda: layers[1].visible and not layers[0].visible, timeout=30_000)
    click(widget.view.blink_button)
    assert looks(viewer) == before
    assert [digest(layer) for layer in layers] == sources


def test_a_line_measures_all_pictures_in_nanometres(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    page = widget.line
    click(page.draw_button)
    ready()
    assert viewer.layers.extent.units is not None
    assert page.drawing.layer.mode == "add_line"
    page.drawing.layer.add(np.array([[10, 5], [30, 50]]), shape_type="line")
    qtbot.waitUntil(lambda: len(page.plot.curves) == 3, timeout=30_000)
    assert [curve.name for curve in page.plot.curves] == ["raw", "classical", "raw [SEMNet 2x]"]
    length = 2 * np.hypot(20, 45)
    assert all(curve.x[-1] == pytest.approx(length) for curve in page.plot.curves)
    assert page.plot.x_label == "Distance (nm)"
    assert "nm" in page.edges.text() or "no single edge" in page.edges.text()
    viewer.layers.remove(page.drawing.layer)
    qtbot.waitUntil(lambda: not page.plot.curves, timeout=30_000)


def test_spectra_and_rings_are_plotted_and_one_acquisition_is_refused(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    page = widget.frequencies
    click(page.spectrum_button)
    qtbot.waitUntil(lambda: len(page.plot.curves) == 3, timeout=30_000)
    assert "1/nm" in page.plot.x_label
    assert page.plot.curves[0].x[-1] == pytest.approx(0.25, rel=0.05)
    assert page.plot.curves[2].x[-1] == pytest.approx(0.5, rel=0.05)

    click(page.rings_button)
    assert "two separate acquisitions" in widget.status.text()
    assert not page.plot.curves
    second = viewer.add_image(acquire(SPECIMEN, seed=5), name="second", scale=(2, 2), units=NM)
    widget.subject.other_list.choose(second)
    click(page.rings_button)
    qtbot.waitUntil(lambda: len(page.plot.curves) == 4, timeout=30_000)
    assert "raw and second: agree" in page.figures.text()


def rows(table: Any) -> list[list[str]]:
    return [
        [table.item(row, column).text() for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


def test_regions_and_a_reference_give_numbers_with_units(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    page = widget.numbers
    click(page.draw_button)
    ready()
    boxes = [
        np.array([(t, s), (t, s + 10), (t + 10, s + 10), (t + 10, s)])
        for t, s in ((5, 5), (30, 40))
    ]
    page.drawing.layer.add(boxes, shape_type="rectangle")
    qtbot.waitUntil(lambda: page.table.rowCount() == 3 * 3, timeout=30_000)
    inside = RAW[5:16, 5:16]
    assert rows(page.table)[0][1:3] == ["raw", f"{inside.mean():.2f}"]
    assert rows(page.table)[-1][2].startswith("CNR")
    assert page.drawing.layer.features["number"].tolist() == [1, 2]

    click(page.reference_button)
    assert "reference" in widget.status.text()
    reference = viewer.add_image(
        TRUTH, name="slow scan", scale=(1, 1), translate=(-0.5, -0.5), units=NM
    )
    widget.subject.other_list.choose(reference)
    ready()
    click(page.reference_button)
    qtbot.waitUntil(
        lambda: page.table.columnCount() == 4 and page.table.rowCount() == 6, timeout=30_000
    )
    table = rows(page.table)
    assert [row[0] for row in table[::2]] == ["raw", "classical", "raw [SEMNet 2x]"]
    figures = [float(row[2]) for row in table[::2]]
    assert figures[2] > max(figures[:2]) + 5
    assert page.table.horizontalHeaderItem(2).text() == "PSNR (dB)"
    assert "raw 0." in page.note.text()
    page.copy()
    from qtpy.QtGui import QGuiApplication

    assert QGuiApplication.clipboard().text().startswith("Picture\tContrast\tPSNR (dB)")


def test_a_figure_is_saved(viewer: Any, widget: Any, tmp_path: Path, qtbot: Any) -> None:
    widget.figure.part.setCurrentIndex(1)
    for path in (tmp_path / "figure.png", tmp_path / "figure.pdf"):
        widget.figure.save(path)
        qtbot.waitUntil(lambda path=path: str(path) in widget.status.text(), timeout=30_000)
        assert path.stat().st_size > 5000
    widget.figure.save(tmp_path / "figure.txt")
    qtbot.waitUntil(lambda: ".png or .pdf" in widget.status.text(), timeout=30_000)


def test_what_is_not_chosen_is_asked_for(viewer: Any, widget: Any, click: Any) -> None:
    widget.subject.restored_list.choose(None)
    for button in (widget.view.grid_button, widget.view.swipe_button, widget.view.blink_button):
        click(button)
        assert "No restoration is chosen" in widget.status.text()
        assert not button.isChecked()
    assert not widget.view.arrangement.is_active


def test_a_layer_that_goes_ends_the_comparison(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any
) -> None:
    raw, restored = layers
    for show in ("grid", "swipe"):
        click(getattr(widget.view, f"{show}_button"))
        ready()
        assert widget.view.arrangement.is_active
        viewer.layers.remove(restored)
        assert not widget.view.arrangement.is_active
        assert [layer.name for layer in viewer.layers] == ["raw"]
        assert raw.visible
        viewer.add_layer(restored)
        widget.subject.guess(restored)


def test_removing_the_swipe_layer_by_hand_ends_the_swipe(
    viewer: Any, widget: Any, layers: Any, click: Any
) -> None:
    before = looks(viewer)
    click(widget.view.swipe_button)
    viewer.layers.remove(widget.view.arrangement.swipe.layer)
    assert not widget.view.arrangement.is_active
    assert not widget.view.swipe_button.isChecked()
    assert looks(viewer) == before


def test_a_tag_in_the_name_of_a_layer_is_shown_as_it_is(
    viewer: Any, widget: Any, layers: Any, click: Any, qtbot: Any
) -> None:
    from qtpy.QtCore import Qt

    layers[0].name = "<b>raw</b>"
    click(widget.frequencies.spectrum_button)
    until(qtbot, lambda: "<b>raw</b>" in widget.frequencies.figures.text())
    draw_a_region(widget, click)
    until(qtbot, lambda: widget.numbers.table.rowCount() == 3)
    for label in (widget.frequencies.figures, widget.line.edges):
        assert label.textFormat() == Qt.TextFormat.PlainText
    assert "&lt;b&gt;raw" in widget.numbers.table.item(0, 1).toolTip()


def test_a_comparison_can_be_cancelled_while_it_is_computed(
    viewer: Any, widget: Any, click: Any, ready: Any
) -> None:
    big = np.zeros((1500, 2000), np.uint8)
    raw = viewer.add_image(big, name="big", units=NM)
    restored = add_restored_layer(
        viewer, raw, np.zeros((3000, 4000), np.uint8), whole(big.shape), {"source": "big"}
    )
    widget.subject.guess(restored)
    click(widget.view.grid_button)
    assert widget.task.is_running
    click(widget.cancel_button)
    assert not widget.task.is_running
    assert not widget.view.grid_button.isChecked()
    assert len(viewer.layers) == 4
    assert widget.status.text() == "Cancelled"


def test_closing_the_dock_puts_the_viewer_back(
    viewer: Any, layers: Any, click: Any, qtbot: Any
) -> None:
    before = looks(viewer)
    for show in ("swipe", "blink"):
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
        task = widget.task
        click(getattr(widget.view, f"{show}_button"))
        qtbot.waitUntil(lambda task=task: not task.is_running, timeout=30_000)
        assert widget.view.arrangement.is_active
        viewer.window.remove_dock_widget(widget)
        assert looks(viewer) == before
    qtbot.wait(10)


@pytest.mark.parametrize("what", ["dock", "raw layer", "restored layer"])
def test_closing_what_is_computed_leaves_nothing(
    viewer: Any, click: Any, qtbot: Any, what: str
) -> None:
    from napari.qt.threading import WorkerBase

    big = np.zeros((1500, 2000), np.uint8)
    raw = viewer.add_image(big, name="big", units=NM)
    restored = add_restored_layer(
        viewer, raw, np.zeros((3000, 4000), np.uint8), whole(big.shape), {"source": "big"}
    )
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    widget.subject.guess(restored)
    click(widget.view.grid_button)
    assert widget.task.is_running
    if what == "dock":
        viewer.window.remove_dock_widget(widget)
        assert [layer.name for layer in viewer.layers] == ["big", "big [SEMNet 2x]"]
    else:
        viewer.layers.remove(raw if what == "raw layer" else restored)
        qtbot.waitUntil(lambda: not widget.task.is_running, timeout=30_000)
        assert len(viewer.layers) == 1
        assert not widget.view.arrangement.is_active
        assert not viewer.canvas.grid.enabled
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=30_000)


@pytest.mark.parametrize("show", ["grid", "blink"])
def test_the_viewer_can_be_closed_in_the_midst_of_it(widget: Any, click: Any, show: str) -> None:
    # The grid is still being computed when the viewer goes.
    click(getattr(widget.view, f"{show}_button"))


def test_one_click_compares_a_restored_layer(viewer: Any, layers: Any, qtbot: Any) -> None:
    from napari_semnet.widgets.compare import open_comparison

    widget = open_comparison(viewer, layers[1])
    qtbot.waitUntil(lambda: widget.view.arrangement.is_active, timeout=30_000)
    assert viewer.canvas.grid.enabled
    assert layers[1].metadata[METADATA_KEY]["source"] == "raw"


def test_a_slice_of_a_stack_is_compared_in_its_place(viewer: Any, qtbot: Any) -> None:
    raw = viewer.add_image(
        np.stack([RAW, 255 - RAW, RAW]), name="stack", scale=(5, 2, 2), units=("micrometer", *NM)
    )
    fine = np.stack([TRUTH, 255 - TRUTH, TRUTH])
    restored = add_restored_layer(viewer, raw, fine, whole(raw.data.shape), {"source": "stack"})
    viewer.dims.current_step = (1, 0, 0)
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    widget.view.show_grid()
    qtbot.waitUntil(lambda: widget.view.arrangement.is_active, timeout=30_000)
    difference = next(layer for layer in viewer.layers if layer.name.startswith("restored −"))
    expected = block_mean(255 - TRUTH) - (255.0 - RAW)
    np.testing.assert_allclose(difference.data[0], expected, atol=1e-3)
    assert difference.data_to_world((0, 0, 0))[0] == pytest.approx(5)
    assert restored in viewer.layers


def test_a_long_name_of_a_file_does_not_widen_the_dock(
    widget: Any, layers: Any, click: Any, qtbot: Any
) -> None:
    width = widget.minimumSizeHint().width()
    layers[0].name = "sampleA_very_long_name_without_any_space_" * 4
    click(widget.frequencies.spectrum_button)
    until(qtbot, lambda: layers[0].name in widget.frequencies.figures.text())
    widget.status.setText(layers[0].name)
    qtbot.wait(100)
    assert widget.frequencies.minimumSizeHint().width() <= width
    assert widget.minimumSizeHint().width() <= width


def test_themes_colour_the_plots(viewer: Any, widget: Any) -> None:
    viewer.theme = "light"
    light = widget.line.plot._ground.lightness()
    viewer.theme = "dark"
    assert widget.line.plot._ground.lightness() < light


@pytest.fixture
def stacks(viewer: Any) -> tuple[Any, Any]:
    """Six slices and their restoration, every second one turned over."""
    raw = viewer.add_image(
        np.stack([RAW, RAW[::-1]] * 3), name="stack", scale=(5, 2, 2), units=("nanometer", *NM)
    )
    fine = np.stack([TRUTH, TRUTH[::-1]] * 3)
    return raw, add_restored_layer(viewer, raw, fine, whole(raw.data.shape), {"source": "stack"})


def of_comparison(viewer: Any, kind: str) -> Any:
    """The layer of this kind that the grid added."""
    return next(layer for layer in viewer.layers if layer.metadata.get(MADE_BY_COMPARISON) == kind)


def test_another_blur_reaches_the_grid_the_line_and_the_regions(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    def curve() -> Any:
        return next(c.y for c in widget.line.plot.curves if c.name == "classical")

    click(widget.view.grid_button)
    ready()
    click(widget.line.draw_button)
    widget.line.drawing.layer.add(np.array([[10, 5], [30, 50]]), shape_type="line")
    click(widget.numbers.draw_button)
    box = np.array([(5, 5), (5, 15), (15, 15), (15, 5)])
    widget.numbers.drawing.layer.add(box, shape_type="rectangle")
    until(qtbot, lambda: widget.line.plot.curves and widget.numbers.table.rowCount() == 3)
    before, old_rows = curve(), rows(widget.numbers.table)

    widget.subject.sigma.setValue(5.0)
    ready()
    until(qtbot, lambda: widget.view.grid_button.isChecked() and not widget.task.is_running)
    np.testing.assert_array_equal(
        of_comparison(viewer, "classical").data, np.rint(classical(RAW, 5.0)).astype(np.uint8)
    )
    assert not np.array_equal(curve(), before)
    changed = rows(widget.numbers.table)
    assert changed[0] == old_rows[0]
    assert changed[1] != old_rows[1]


def draw_a_region(widget: Any, click: Any) -> None:
    click(widget.numbers.draw_button)
    box = np.array([(5, 5), (5, 15), (15, 15), (15, 5)])
    widget.numbers.drawing.layer.add(box, shape_type="rectangle")


def test_another_strength_reaches_the_grid_and_the_regions(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    click(widget.view.grid_button)
    ready()
    draw_a_region(widget, click)
    until(qtbot, lambda: widget.numbers.table.rowCount() == 3)
    before, said = rows(widget.numbers.table), widget.view.figures.text()
    widget.trust.strength.slider.setValue(30)
    until(qtbot, lambda: rows(widget.numbers.table)[2:] != before[2:])
    assert rows(widget.numbers.table)[0] == before[0]
    until(qtbot, lambda: widget.view.figures.text() != said and not widget.task.is_running)
    np.testing.assert_allclose(
        of_comparison(viewer, "difference").data, block_mean(layers[1].data) - RAW, atol=1e-3
    )


def test_other_pixels_of_a_layer_are_measured_when_they_come(
    widget: Any, layers: Any, click: Any, qtbot: Any
) -> None:
    draw_a_region(widget, click)
    until(qtbot, lambda: widget.numbers.table.rowCount() == 3)
    layers[0].data = 255 - RAW
    mean = f"{(255 - RAW)[5:16, 5:16].mean():.2f}"
    until(qtbot, lambda: any(mean in row for row in rows(widget.numbers.table)))


def test_a_new_pixel_size_reaches_line_regions_and_classical_picture(
    viewer: Any, open_widget: Any, click: Any, qtbot: Any
) -> None:
    raw = viewer.add_image(RAW.copy(), name="raw")
    add_restored_layer(viewer, raw, TRUTH.copy(), whole(RAW.shape), {"source": "raw"})
    restore = open_widget()
    restore.layers.choose([raw])
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    draw_a_region(widget, click)
    until(qtbot, lambda: widget.numbers.table.rowCount() == 3)
    click(widget.line.draw_button)
    widget.line.drawing.layer.add(np.array([[10, 5], [10, 55]]), shape_type="line")
    page = widget.line
    until(qtbot, lambda: len(page.plot.curves) == 3 and widget.numbers.table.rowCount() == 3)
    before = rows(widget.numbers.table)
    restore.pixel_size.value.setText("4")
    restore.pixel_size.set_button.click()
    until(qtbot, lambda: page.plot.x_label == "Distance (nm)" and len(page.plot.curves) == 3)
    assert [curve.x[-1] for curve in page.plot.curves] == pytest.approx([200] * 3)
    assert all(np.isfinite(curve.y).all() for curve in page.plot.curves)
    assert rows(widget.numbers.table) == before
    assert widget.subject.classical().grid.pixel_size == pytest.approx((2, 2))
    restore.pixel_size.undo_button.click()
    until(qtbot, lambda: page.plot.x_label == "Distance (px)" and len(page.plot.curves) == 3)
    assert [curve.x[-1] for curve in page.plot.curves] == pytest.approx([50] * 3)
    assert rows(widget.numbers.table) == before


@pytest.mark.parametrize("show", ["grid", "swipe"])
def test_an_arrangement_is_left_before_its_layers_get_another_place(
    viewer: Any, widget: Any, layers: Any, click: Any, ready: Any, show: str
) -> None:
    from napari_semnet.widgets.calibrating import calibrate

    before, zoom = looks(viewer), viewer.scene.camera.zoom
    click(getattr(widget.view, f"{show}_button"))
    ready()
    viewer.scene.camera.zoom = 3 * zoom
    calibrate(viewer, layers[0], 4.0, "typed by the user")
    assert not widget.view.arrangement.is_active
    assert not getattr(widget.view, f"{show}_button").isChecked()
    assert looks(viewer) == before
    assert viewer.scene.camera.zoom == pytest.approx(zoom / 2)


def test_pictures_of_which_only_some_have_a_pixel_size_are_not_measured_together(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    from napari.utils.notifications import notification_manager

    widget.subject.other_list.choose(viewer.add_image(TRUTH, name="without a size"))
    draw_a_region(widget, click)
    click(widget.line.draw_button)
    widget.line.drawing.layer.add(np.array([[10, 5], [10, 55]]), shape_type="line")
    refused = "One picture has a pixel size in nm and the other one has none."
    until(qtbot, lambda: refused in widget.status.text())
    until(qtbot, lambda: refused in widget.line.plot.message)
    assert widget.numbers.table.rowCount() == 0
    assert not widget.line.plot.curves
    click(widget.frequencies.spectrum_button)
    until(qtbot, lambda: refused in widget.frequencies.plot.message)
    assert not widget.frequencies.plot.curves
    # napari says of its own that such layers have different units.
    notification_manager.records.clear()


def test_a_reference_without_anything_to_compare_with_it_is_refused(
    viewer: Any, widget: Any, layers: Any, click: Any
) -> None:
    widget.subject.other_list.choose(layers[1])
    widget.subject.restored_list.choose(None)
    widget.subject.raw_list.choose(None)
    click(widget.numbers.reference_button)
    assert "There is nothing to compare with “raw [SEMNet 2x]”" in widget.status.text()
    assert widget.numbers.note.text() == ""


def test_a_restoration_is_measured_only_when_it_is_finished(
    viewer: Any, open_widget: Any, finish: Any, tiles: Any, click: Any, qtbot: Any
) -> None:
    viewer.add_image(RAW, name="gold", scale=(2, 2), units=NM)
    restore = open_widget(tile=32)
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    tiles.most = 1
    restore.start()
    until(qtbot, lambda: "gold [SEMNet 2x]" in viewer.layers and tiles.given == 1)
    result = viewer.layers["gold [SEMNet 2x]"]
    assert widget.subject.restored_list.layer() is result
    draw_a_region(widget, click)
    refusal = "“gold [SEMNet 2x]” is not finished"
    until(qtbot, lambda: refusal in widget.status.text() and not widget.task.is_running)
    assert widget.numbers.table.rowCount() == 0
    for button in (widget.view.grid_button, widget.frequencies.spectrum_button):
        click(button)
        assert "is not finished" in widget.status.text()
    tiles.let_all()
    finish(restore)
    until(qtbot, lambda: widget.numbers.table.rowCount() == 3)
    inside = result.data[10:31, 10:31]
    assert float(rows(widget.numbers.table)[2][2]) == pytest.approx(inside.mean(), abs=5)


def test_a_grid_that_is_still_computed_begins_anew_with_another_blur(
    viewer: Any, widget: Any, click: Any, ready: Any
) -> None:
    click(widget.view.grid_button)
    widget.subject.sigma.setValue(5.0)
    ready()
    np.testing.assert_array_equal(
        of_comparison(viewer, "classical").data, np.rint(classical(RAW, 5.0)).astype(np.uint8)
    )


def test_spectra_and_figures_go_with_the_pictures_that_they_speak_of(
    viewer: Any, stacks: Any, click: Any, qtbot: Any
) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    other = viewer.add_image(stacks[0].data, name="b", scale=(5, 2, 2), units=("nanometer", *NM))
    widget.subject.other_list.choose(other)
    for change in (
        lambda: viewer.dims.set_current_step(0, 3),
        lambda: widget.subject.other_list.choose(None),
    ):
        click(widget.frequencies.spectrum_button)
        until(qtbot, lambda: widget.frequencies.plot.curves)
        click(widget.numbers.reference_button)
        until(qtbot, lambda: widget.numbers.table.rowCount())
        change()
        assert not widget.frequencies.plot.curves
        assert widget.frequencies.figures.text() == ""
        assert widget.numbers.table.rowCount() == 0
        assert widget.numbers.note.text() == ""
    click(widget.frequencies.spectrum_button)
    viewer.dims.set_current_step(0, 1)
    assert not widget.task.is_running
    assert "other pictures" in widget.status.text()


def test_figures_of_regions_go_with_the_regions(
    viewer: Any, widget: Any, click: Any, ready: Any, qtbot: Any
) -> None:
    page = widget.numbers
    click(page.draw_button)
    ready()
    page.drawing.layer.add(np.array([(5, 5), (5, 15), (15, 15), (15, 5)]), shape_type="rectangle")
    until(qtbot, lambda: page.table.rowCount() == 3)
    page.drawing.layer.selected_data = {0}
    page.drawing.layer.remove_selected()
    until(qtbot, lambda: page.table.rowCount() == 0)
    assert page.note.text() == ""


def test_another_slice_is_looked_at_from_the_same_place(
    viewer: Any, stacks: Any, click: Any, qtbot: Any
) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Compare")
    camera = viewer.scene.camera

    def look_closer() -> None:
        camera.center, camera.zoom = (0, 20, 30), 9.0

    def assert_same() -> None:
        assert camera.zoom == pytest.approx(9.0)
        assert camera.center == pytest.approx((0, 20, 30))

    click(widget.view.swipe_button)
    widget.view.divider.setValue(200)
    look_closer()
    viewer.dims.set_current_step(0, 4)
    widget.subject.sigma.setValue(2.0)
    assert_same()
    assert widget.view.divider.value() == pytest.approx(200, abs=10)

    click(widget.view.blink_button)
    widget.view.rate.setValue(0.0)
    widget.view.arrangement.blink.flip()
    look_closer()
    viewer.dims.set_current_step(0, 3)
    assert_same()
    assert widget.view.arrangement.blink.current is stacks[1]

    click(widget.view.grid_button)
    until(qtbot, lambda: not widget.task.is_running)
    look_closer()
    viewer.dims.set_current_step(0, 2)
    until(qtbot, lambda: not widget.task.is_running)
    assert of_comparison(viewer, "difference").data_to_world((0, 0, 0))[0] == pytest.approx(10)
    assert_same()


def test_the_docks_share_one_place_and_fit_a_small_screen(
    viewer: Any, layers: Any, open_widget: Any
) -> None:
    from napari_semnet.widgets.compare import open_comparison

    open_widget()
    compare = open_comparison(viewer, layers[1])
    docks = {name: dock.parent() for name, dock in viewer.window.dock_widgets.items()}
    restore_dock = docks["Restore (napari-semnet)"]
    window = viewer.window._qt_window
    assert docks["Compare (napari-semnet)"] in window.tabifiedDockWidgets(restore_dock)
    assert window.minimumSizeHint().height() < 700
    assert compare.minimumSizeHint().height() < 420
