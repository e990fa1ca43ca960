"""Options change when they are meant, and take numbers as people write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_semnet.errors import ImageError
from napari_semnet.widgets.advanced import select

pytestmark = pytest.mark.gui

Open = Callable[..., Any]


def turn_wheel(box: Any) -> None:
    """Turn the mouse wheel by one notch over a box."""
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    place = box.rect().center()
    wheel = QWheelEvent(
        QPointF(place),
        QPointF(box.mapToGlobal(place)),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, wheel)


def test_the_wheel_changes_an_option_only_once_it_was_clicked(
    viewer: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtCore import Qt

    asked: list[Any] = []
    monkeypatch.setattr("napari_semnet.widgets.model_choice.ask_for_model", asked.append)
    viewer.add_image(np.zeros((32, 32), np.uint8), name="a")
    widget = open_widget()
    boxes = {
        widget.region: widget.region.currentIndex,
        widget.model.combo: widget.model.combo.currentIndex,
        widget.advanced.precision: widget.advanced.precision.currentIndex,
        widget.advanced.halo: widget.advanced.halo.currentIndex,
        widget.advanced.tile: widget.advanced.tile.value,
    }
    for box, value in boxes.items():
        before = value()
        turn_wheel(box)
        assert value() == before
        assert box.focusPolicy() == Qt.FocusPolicy.StrongFocus
    assert not asked
    monkeypatch.setattr(widget.region, "hasFocus", lambda: True)
    turn_wheel(widget.region)
    assert widget.region.currentIndex() == 1


def test_an_intensity_range_is_read_with_a_comma_as_with_a_point(
    viewer: Any, open_widget: Open
) -> None:
    viewer.add_image(np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32), name="a")
    widget = open_widget()
    select(widget.advanced.intensity, "given")
    widget.advanced.low.setText("0,1")
    widget.advanced.high.setText("0.9")
    assert widget.choices().intensity == (0.1, 0.9)
    widget.advanced.high.setText("white")
    with pytest.raises(ImageError, match="two numbers"):
        widget.choices()
