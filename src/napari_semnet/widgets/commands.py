"""Commands in napari's menus that are no widgets."""

from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer

from napari_semnet.widgets.preferences import PLUGIN, load_choices, save_choices

__all__ = ["open_dock", "restore_active_layer", "restore_with"]


def open_dock(viewer: Any, name: str) -> Any:
    """Open one of our widgets, or bring it to the front, and give it.

    Parameters
    ----------
    viewer : Viewer
    name : str
        As napari's menu has it.
    """
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return widget


def restore_active_layer(viewer: napari.viewer.Viewer, layer: napari.layers.Image) -> None:
    """Open the restore widget and restore the active layer with the choices made last.

    Parameters
    ----------
    viewer : Viewer
        Passed in by napari.
    layer : Image
        The active layer, passed in by napari.
    """
    open_dock(viewer, "Restore").restore_layer(layer)


def restore_with(viewer: napari.viewer.Viewer, model: str) -> None:
    """Open the restore widget, if it is not open, with a model chosen.

    Parameters
    ----------
    viewer : Viewer
    model : str
        Name of one of the user's own models.
    """
    save_choices(replace(load_choices(), model=model))
    open_dock(viewer, "Restore").use_model(model)
