"""Commands in napari's menus that are no widgets."""

from dataclasses import replace

import napari.layers
import napari.viewer

from napari_semnet.widgets.preferences import PLUGIN, load_choices, save_choices

__all__ = ["restore_active_layer", "restore_with"]


def restore_active_layer(viewer: napari.viewer.Viewer, layer: napari.layers.Image) -> None:
    """Open the restore widget and restore the active layer with the choices made last.

    Parameters
    ----------
    viewer : Viewer
        Passed in by napari.
    layer : Image
        The active layer, passed in by napari.
    """
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore")
    widget.restore_layer(layer)


def restore_with(viewer: napari.viewer.Viewer, model: str) -> None:
    """Open the restore widget, if it is not open, with a model chosen.

    Parameters
    ----------
    viewer : Viewer
    model : str
        Name of one of the user's own models.
    """
    save_choices(replace(load_choices(), model=model))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore")
    widget.use_model(model)
