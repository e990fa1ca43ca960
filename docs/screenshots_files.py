"""Take the documentation's screenshots of what the restore widget asks of a picture.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_files.py

The picture is a synthetic specimen with a made-up databar drawn below it, as an exported PNG has
it: no header, no pixel size.
"""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from napari.settings import get_settings
from PIL import Image, ImageDraw, ImageFont
from screenshots import WINDOW, settle, shoot, wait_until

from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.widgets.choices import Choices
from napari_semnet.widgets.preferences import load_choices, save_choices

SHAPE = (420, 640)
STRIP = 40
BAR = (470, 590)
"""Columns of the drawn scale bar."""


def exported_picture() -> np.ndarray:
    """Draw a specimen with a databar below it."""
    strip = Image.new("L", (SHAPE[1], STRIP), 0)
    draw = ImageDraw.Draw(strip)
    draw.text((12, 10), "5.00 kV   WD 4.1 mm   SE2   12:04", 255, ImageFont.load_default(15))
    draw.text((BAR[0] - 58, 10), "500 nm", 255, ImageFont.load_default(15))
    draw.rectangle((BAR[0], 18, BAR[1] - 1, 22), 255)
    return np.vstack([acquire(particles(SHAPE, 0)), np.asarray(strip)])


def main() -> None:
    """Take all pictures."""
    before = load_choices()
    save_choices(Choices())
    theme = get_settings().appearance.theme
    get_settings().appearance.theme = "dark"
    viewer: Any = napari.Viewer()
    viewer.window.resize(*WINDOW)
    viewer.add_image(exported_picture(), name="exported")
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    wait_until(lambda: widget.is_ready)
    settle(3)
    viewer.reset_view()

    row = SHAPE[0] + 20
    widget.pixel_size.draw_button.click()
    widget.pixel_size.drawing.layer.add_lines(np.array([(row, BAR[0] - 0.5), (row, BAR[1] - 0.5)]))
    widget.pixel_size.value.setText("500")
    shoot(viewer, "restore-scale-bar")
    widget.pixel_size.set_button.click()
    viewer.canvas.overlays.scale_bar.visible = True

    get_settings().appearance.theme = "light"
    widget.databar.edit_button.click()
    settle()
    shoot(viewer, "restore-databar")
    get_settings().appearance.theme = theme
    widget.databar.edit_button.click()
    save_choices(before)
    viewer.close()


if __name__ == "__main__":
    main()
