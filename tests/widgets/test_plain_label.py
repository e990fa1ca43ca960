"""Text from strangers is shown, never interpreted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gui


def test_a_tag_in_a_text_is_shown_and_opens_no_file(qtbot: object, tmp_path: Path) -> None:
    from qtpy.QtCore import Qt

    from napari_semnet.widgets.plain_label import PlainLabel

    text = f"<img src='{tmp_path / 'never-ending'}'> <b>bold</b>"
    label = PlainLabel(text)
    qtbot.addWidget(label)  # type: ignore[attr-defined]
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert label.text() == text
    label.setText("short")
    narrow = label.sizeHint().width()
    label.setText("<b>short</b>")
    assert label.sizeHint().width() > narrow  # the tags take room, so they are seen


def test_a_tag_in_a_tooltip_is_shown(qtbot: object, tmp_path: Path) -> None:
    from qtpy.QtGui import QTextDocument

    from napari_semnet.widgets.plain_label import plain_tooltip

    text = f"<img src='{tmp_path / 'never-ending'}'> <b>bold</b> & so on"
    document = QTextDocument()
    document.setHtml(plain_tooltip(text))
    assert document.toPlainText() == text
    assert plain_tooltip("") == ""


def test_a_long_name_without_spaces_does_not_widen_its_label(qtbot: object) -> None:
    from napari_semnet.widgets.plain_label import WrappedLabel

    label = WrappedLabel()
    qtbot.addWidget(label)  # type: ignore[attr-defined]
    label.setText("a short sentence of ordinary words")
    width = label.minimumSizeHint().width()
    name = "2026_sampleA_very_long_name_without_any_space_5kV_10us_dwell_0001_" * 3
    label.setText(f"{name}: 5 nm")
    assert label.minimumSizeHint().width() < 3 * width
    assert label.heightForWidth(2 * width) > 3 * label.fontMetrics().height()
    assert label.text() == f"{name}: 5 nm"


NAME = "2026_sampleA_very_long_name_without_any_space_5kV_10us_dwell_0001.tif"


@pytest.fixture
def label(qtbot: Any) -> Any:
    from qtpy.QtWidgets import QApplication

    from napari_semnet.widgets.plain_label import WrappedLabel

    label = WrappedLabel()
    qtbot.addWidget(label)
    label.setText(f"{NAME} could not be read")
    label.show()
    QApplication.clipboard().clear()
    return label


def test_what_is_copied_of_a_long_name_is_the_name(label: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    from napari_semnet.widgets.plain_label import breakable

    def copied() -> str:
        qtbot.keyClick(label, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
        return str(QApplication.clipboard().text())

    assert copied() == ""  # nothing is selected
    label.setSelection(0, len(breakable(NAME)))
    assert copied() == NAME


def test_a_menu_copies_what_is_selected_or_all(label: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint, QTimer
    from qtpy.QtGui import QContextMenuEvent
    from qtpy.QtWidgets import QApplication

    from napari_semnet.widgets.plain_label import breakable

    def copied() -> str:
        def choose() -> None:
            menu = QApplication.activePopupWidget()
            menu.actions()[0].trigger()
            menu.close()

        QTimer.singleShot(0, choose)
        at = QPoint(3, 3)
        asked = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, label.mapToGlobal(at))
        QApplication.sendEvent(label, asked)
        return str(QApplication.clipboard().text())

    assert copied() == f"{NAME} could not be read"
    label.setSelection(0, len(breakable(NAME)))
    assert copied() == NAME
