from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.gui


def test_a_page_is_never_cut_off_at_its_sides(qtbot: Any) -> None:
    from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

    from napari_semnet.widgets.scrolled import Scrolled

    page, window = QWidget(), QWidget()
    lines = QVBoxLayout(page)
    lines.addWidget(QCheckBox("A line of some length"))
    scroll = Scrolled(page)
    QVBoxLayout(window).addWidget(scroll)
    qtbot.addWidget(window)
    window.show()
    window.resize(20, 300)
    for longer in (1, 4):
        lines.addWidget(QCheckBox(longer * "Another line that is longer "))
        least = 100 * longer
        qtbot.waitUntil(lambda least=least: page.minimumSizeHint().width() > least, timeout=30_000)
        qtbot.waitUntil(
            lambda: scroll.viewport().width() >= page.minimumSizeHint().width(), timeout=30_000
        )
        assert page.width() <= scroll.viewport().width()


def test_what_is_folded_away_is_shown_by_a_click(qtbot: Any) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QLabel

    from napari_semnet.widgets.folded import Folded

    folded = Folded("More", QLabel("here"))
    qtbot.addWidget(folded)
    assert folded.text() == "▸ More"
    for text in ("▾ More", "▸ More"):
        qtbot.mouseClick(folded.toggleButton(), Qt.MouseButton.LeftButton)
        assert folded.text() == text
        assert (folded.content().maximumHeight() > 0) == folded.isExpanded()
