"""Words and bar change without the window being laid out or painted more often than needed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.gui

LONG = "The picture has no pixel size. Type it above, or draw a line over the scale bar. " * 4


class Seen:
    """Counts events of one kind that reach a widget."""

    def __init__(self, widget: Any, kind: str) -> None:
        from qtpy.QtCore import QEvent, QObject

        wanted, seen = QEvent.Type[kind], []

        class Filter(QObject):  # type: ignore[misc]
            def eventFilter(self, watched: Any, event: Any) -> bool:
                if event.type() == wanted:
                    seen.append(event.type())
                return False

        self._filter, self._seen = Filter(widget), seen
        widget.installEventFilter(self._filter)

    def __len__(self) -> int:
        return len(self._seen)


@pytest.fixture
def window(qtbot: Any) -> Any:
    """A window with a bar and words, laid out and painted."""
    from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

    from napari_semnet.widgets.status_text import StatusText

    window = QWidget()
    qtbot.addWidget(window)
    window.bar, window.status = QProgressBar(window), StatusText(window)
    window.bar.setRange(0, 1000)
    layout = QVBoxLayout(window)
    layout.addStretch()
    layout.addWidget(window.bar)
    layout.addWidget(window.status)
    window.resize(300, 300)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    return window


def test_words_that_fit_leave_the_layout_alone(window: Any, qtbot: Any) -> None:
    asked = Seen(window, "LayoutRequest")
    for done in range(5):
        window.status.setText(f"{done} of 5 tiles, 20 s left")
        qtbot.wait(5)
    assert window.status.text() == "4 of 5 tiles, 20 s left"
    assert len(asked) == 0


def test_words_that_need_more_lines_get_the_room(window: Any, qtbot: Any) -> None:
    least = window.status.height()
    window.status.setText(LONG)
    qtbot.waitUntil(lambda: window.status.height() > least, timeout=30_000)
    lines = window.fontMetrics().boundingRect(
        0,
        0,
        window.status.width(),
        10_000,
        0x1000,
        LONG,  # Qt.TextFlag.TextWordWrap
    )
    assert window.status.height() >= lines.height()
    assert window.bar.geometry().bottom() < window.status.geometry().top()
    narrow = window.status.height()
    window.resize(900, 300)
    qtbot.waitUntil(lambda: window.status.height() < narrow, timeout=30_000)
    window.status.setText("")
    qtbot.waitUntil(lambda: window.status.height() == least, timeout=30_000)


def test_a_long_name_without_spaces_is_not_cut_off(window: Any, qtbot: Any) -> None:
    least = window.status.height()
    name = "sampleA_very_long_name_without_any_space_" * 4
    window.status.setText(f"Saving {name}")
    qtbot.waitUntil(lambda: window.status.height() > least, timeout=30_000)
    assert window.status.text() == f"Saving {name}"


def test_a_bar_is_painted_with_what_else_changes_not_at_once(window: Any, qtbot: Any) -> None:
    from napari_semnet.widgets.status_text import show_progress

    painted = Seen(window.bar, "Paint")
    window.bar.setValue(100)
    assert len(painted) == 1  # what this is about
    show_progress(window.bar, 500)
    assert window.bar.value() == 500
    assert len(painted) == 1
    qtbot.waitUntil(lambda: len(painted) == 2, timeout=30_000)
