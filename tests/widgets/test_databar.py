"""The databar: what is believed of it is shown, can be dragged, and is asked for where unsure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_semnet.widgets import databar as panel
from napari_semnet.widgets.specimen import Specimen, rows_beside, searched_specimen
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

Open = Callable[..., Any]
Finish = Callable[[Any], None]
HEIGHT, WIDTH, FIRST = 120, 160, 96
NOT_SURE = Specimen(None, "pixels", False, FIRST)


def picture(with_bar: bool = False) -> np.ndarray:
    """Noise, above a drawn databar with some text in it."""
    image = np.random.default_rng(3).integers(40, 216, (HEIGHT, WIDTH), dtype=np.uint8)
    if with_bar:
        image[FIRST:] = 10
        image[FIRST + 8 : FIRST + 16, 20:60:3] = 250
    return image


def told(rows: list[int] | None, origin: str) -> dict[str, Any]:
    return {"semnet_file": {"specimen_rows": rows, "specimen_rows_from": origin}}


def drag(widget: Any, top: float, bottom: float, qtbot: Any) -> None:
    """Pull the rectangle's edges."""
    shapes = widget.databar.drawing.layer
    corners = np.array([(top, 0), (top, WIDTH), (bottom, WIDTH), (bottom, 0)]) - 0.5
    shapes.data = [corners]
    qtbot.wait(150)


def test_what_the_file_says_is_shown_as_a_rectangle_over_the_databar(
    viewer: Any, open_widget: Open
) -> None:
    source = viewer.add_image(
        picture(), name="s", scale=(3, 3), rotate=20, metadata=told([0, 100], "header")
    )
    widget = open_widget()
    assert "rows 0 to 99 show the specimen (says the file's header)" in widget.databar.text.text()
    widget.databar.edit_button.click()
    shapes = viewer.layers["s [databar]"]
    (corners,) = shapes.data
    assert corners[:, 0].min() == 99.5
    assert corners[:, 0].max() == HEIGHT - 0.5
    for corner in corners:
        np.testing.assert_allclose(shapes.data_to_world(corner), source.data_to_world(corner))


def test_dragging_the_rectangle_changes_what_is_restored(
    viewer: Any, open_widget: Open, finish: Finish, qtbot: Any
) -> None:
    source = viewer.add_image(picture(), name="s", metadata=told([0, 100], "header"))
    widget = open_widget()
    widget.databar.edit_button.click()
    drag(widget, 80, HEIGHT, qtbot)
    assert "rows 0 to 79 would be restored" in widget.databar.text.text()
    widget.databar.edit_button.click()
    assert "s [databar]" not in viewer.layers
    assert "rows 0 to 79 show the specimen (set by you)" in widget.databar.text.text()
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    assert result.data.shape == (160, 2 * WIDTH)
    assert result.metadata["semnet"]["specimen_rows"] == [0, 80]
    np.testing.assert_allclose(
        result.data_to_world((159.5, -0.5)), source.data_to_world((79.5, -0.5)), atol=1e-9
    )


def test_a_databar_at_the_top_moves_the_result_down(
    viewer: Any, open_widget: Open, finish: Finish, qtbot: Any
) -> None:
    source = viewer.add_image(picture(), name="s", metadata=told(None, ""))
    widget = open_widget()
    assert "no databar" in widget.databar.text.text()
    widget.databar.edit_button.click()
    drag(widget, 0, 30, qtbot)
    widget.start()
    finish(widget)
    result = viewer.layers["s [SEMNet 2x]"]
    assert result.data.shape == (180, 2 * WIDTH)
    np.testing.assert_allclose(
        result.data_to_world((-0.5, -0.5)), source.data_to_world((29.5, -0.5)), atol=1e-9
    )


def test_there_is_none_restores_all_rows(viewer: Any, open_widget: Open, finish: Finish) -> None:
    viewer.add_image(picture(), name="s", metadata=told([0, 100], "pixels"))
    widget = open_widget()
    assert "found in the pixels" in widget.databar.text.text()
    widget.databar.none_button.click()
    assert "no databar (set by you), all rows are restored" in widget.databar.text.text()
    widget.start()
    finish(widget)
    assert viewer.layers["s [SEMNet 2x]"].data.shape == (2 * HEIGHT, 2 * WIDTH)


def test_where_unsure_nothing_is_restored_before_the_user_answers(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    viewer.add_image(picture(), name="s", metadata=told(None, "uncertain"))
    widget = open_widget()
    assert "is there a databar? It is not certain." in widget.databar.text.text()
    widget.restore_button.click()
    assert not widget.run.is_running
    assert "Say above where the databar of 's' is" in widget.status.text()
    widget.databar.none_button.click()
    widget.restore_button.click()
    finish(widget)
    assert "s [SEMNet 2x]" in viewer.layers


def test_a_picture_of_another_reader_is_searched_and_asked_about(
    viewer: Any, open_widget: Open, finish: Finish
) -> None:
    source = viewer.add_image(picture(with_bar=True), name="s")
    widget = open_widget()
    assert f"from row {FIRST} on" in widget.databar.text.text()
    assert "semnet_file" not in source.metadata
    widget.restore_button.click()
    assert not widget.run.is_running
    widget.databar.edit_button.click()
    widget.restore_button.click()
    finish(widget)
    assert viewer.layers["s [SEMNet 2x]"].data.shape == (2 * FIRST, 2 * WIDTH)


def test_a_large_picture_is_searched_beside_the_window(
    viewer: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr(panel, "AT_ONCE", 100)
    searched_in = []

    def searched(layer: Any) -> Any:
        searched_in.append(threading.current_thread())
        return searched_specimen(layer)

    monkeypatch.setattr(panel, "searched_specimen", searched)
    for name in ("s", "t"):
        viewer.add_image(picture(with_bar=True), name=name)
    widget = open_widget()
    widget.layers.choose(list(viewer.layers))
    until(qtbot, lambda: not widget.databar.task.is_running)
    assert f"from row {FIRST} on" in widget.databar.text.text()
    assert len(searched_in) == 2
    assert threading.main_thread() not in searched_in

    held = threading.Event()
    monkeypatch.setattr(panel, "searched_specimen", lambda _layer: held.wait() and NOT_SURE)
    viewer.layers.clear()
    widget.layers.choose([viewer.add_image(picture(), name="u")])
    assert widget.databar.text.text() == "'u': looking for a databar"
    held.set()
    # Who presses the button meanwhile gets the answer first.
    assert "'u'" in widget.databar.question()
    until(qtbot, lambda: "It is not certain" in widget.databar.text.text())


def test_removing_the_rectangle_layer_leaves_what_was_believed(
    viewer: Any, open_widget: Open, qtbot: Any
) -> None:
    viewer.add_image(picture(), name="s", metadata=told([0, 100], "header"))
    widget = open_widget()
    widget.databar.edit_button.click()
    drag(widget, 50, HEIGHT, qtbot)
    viewer.layers.remove("s [databar]")
    assert "rows 0 to 99 show" in widget.databar.text.text()
    assert widget.databar.edit_button.text() == "Edit the databar"


def test_closing_the_dock_takes_the_rectangle_away(viewer: Any, open_widget: Open) -> None:
    viewer.add_image(picture(), name="s", metadata=told([0, 100], "header"))
    widget = open_widget()
    widget.databar.edit_button.click()
    viewer.window.remove_dock_widget(widget)
    assert [layer.name for layer in viewer.layers] == ["s"]


@pytest.mark.parametrize(
    ("top", "bottom", "rows"),
    [
        (99.5, 119.5, (0, 100)),
        (99.2, 130, (0, 100)),
        (-3, 19.4, (20, 120)),
        (50, 60, (61, 120)),
        (-1, 121, None),
    ],
)
def test_the_larger_part_beside_the_rectangle_is_specimen(
    top: float, bottom: float, rows: tuple[int, int] | None
) -> None:
    assert rows_beside(top, bottom, 120) == rows
