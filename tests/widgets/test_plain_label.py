"""Text from strangers is shown, never interpreted."""

from __future__ import annotations

from pathlib import Path

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
