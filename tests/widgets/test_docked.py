"""Docks of one plugin in one place, whichever menu opens them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.widgets.patience import until

pytestmark = pytest.mark.gui

PLUGIN = "napari-semnet"


def dock_of(viewer: Any, name: str) -> Any:
    """Open a widget as napari's menu does, and give its dock."""
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    return dock


@pytest.fixture
def first(viewer: Any, open_widget: Any) -> Any:
    """The dock that is there already."""
    open_widget()
    return viewer.window._wrapped_dock_widgets["Restore (napari-semnet)"]


def test_docks_from_the_menu_become_tabs_of_one_place_and_the_last_is_in_front(
    viewer: Any, first: Any, qtbot: Any
) -> None:
    from qtpy.QtWidgets import QLabel

    window = viewer.window._qt_window
    viewer.window.show()
    foreign = viewer.window.add_dock_widget(QLabel("of another plugin"), area="right")
    for name in ("Models", "Restore folder"):
        dock = dock_of(viewer, name)
        until(qtbot, lambda dock=dock: dock in window.tabifiedDockWidgets(first))
        until(qtbot, lambda dock=dock: not dock.visibleRegion().isEmpty())
    assert foreign not in window.tabifiedDockWidgets(first)
    assert window.minimumSizeHint().height() < 720


def test_a_dock_that_floats_or_lies_elsewhere_keeps_its_place(
    viewer: Any, first: Any, qtbot: Any
) -> None:
    from qtpy.QtCore import Qt

    window = viewer.window._qt_window
    first.setFloating(True)
    models = dock_of(viewer, "Models")
    qtbot.wait(50)
    assert first.isFloating()
    assert window.tabifiedDockWidgets(models) == []
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, models)
    batch = dock_of(viewer, "Restore folder")
    qtbot.wait(50)
    assert window.tabifiedDockWidgets(batch) == []
