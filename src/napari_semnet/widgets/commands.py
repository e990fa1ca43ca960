"""Commands in napari's menus that are no widgets."""

import napari.layers
import napari.viewer

from napari_semnet.widgets.preferences import PLUGIN

__all__ = ["restore_active_layer"]


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
