"""Take the documentation's screenshot of the models widget: from the program, never by hand.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_models.py

The own model in it is a copy of the bundled one under another name.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import napari
from napari.settings import get_settings
from screenshots import IMAGES, settle, wait_until

from napari_semnet.card import Training
from napari_semnet.model import DEFAULT_MODEL, load_model, rewrite_card

NAME = "our-FIB-2 kV"


def add_own_model() -> None:
    """Put a model among the user's own."""
    from napari_semnet.library import import_model

    base = load_model(DEFAULT_MODEL)
    card = base.card.model_copy(
        update={
            "name": NAME,
            "description": "Fine-tuned on slow scans of our own microscope.",
            "status": "",
            "training": Training(
                data=("12 slow scans, our own",), started_from=f"{base.name} {base.sha256[:12]}"
            ),
            "metrics": (),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.safetensors"
        rewrite_card(DEFAULT_MODEL, card, path)
        import_model(path)


def main() -> None:
    """Show the widget with an own model chosen."""
    get_settings().application.confirm_close_window = False
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_DATA_HOME"] = f"{home}/.local/share"
        add_own_model()
        viewer = napari.Viewer()
        viewer.window.resize(1280, 860)
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Models")
        wait_until(lambda: widget.chosen is not None)
        # The path on the card then begins with ~, whoever takes the picture.
        before, os.environ["HOME"] = os.environ["HOME"], home
        widget.choose(NAME)
        os.environ["HOME"] = before
        settle()
        widget.grab().save(str(IMAGES / "models-widget.png"))
        viewer.close()


if __name__ == "__main__":
    main()
