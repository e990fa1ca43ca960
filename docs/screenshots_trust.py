"""Take the documentation's screenshot of the trust page: from the program, never by hand.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_trust.py PICTURE

PICTURE is a noisy 8-bit grey picture of an SEM. A small part of it is restored by the bundled model
and mapped, which takes nine restorations. It gets a pixel size of 50 nm, whatever it had.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from screenshots import cut, open_viewer, settle, shoot, wait_until

from napari_semnet.widgets.choices import Choices
from napari_semnet.widgets.preferences import load_choices, save_choices

SHAPE = (150, 200)


def main() -> None:
    """Restore, check, map, and show all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=Path)
    parser.add_argument("--origin", type=int, nargs=2, default=(380, 470), metavar=("Y", "X"))
    options = parser.parse_args()
    before = load_choices()
    save_choices(Choices())
    viewer, widget = open_viewer(cut(options.picture, tuple(options.origin), SHAPE))
    widget.restore_button.click()
    wait_until(lambda: not widget.run.is_running and not widget.trust.task.is_running)
    widget.folded_trust.expand(animate=False)
    widget.trust.sensitivity_button.click()
    wait_until(lambda: not widget.trust.task.is_running)
    found = viewer.layers[-1]
    if "sensitivity" not in found.name:
        raise RuntimeError(widget.trust.words.text())
    widget.trust.check_button.click()
    wait_until(lambda: not widget.trust.task.is_running)
    viewer.layers.selection.active = found
    settle()
    widget.scroll.ensureWidgetVisible(widget.trust.words)
    shoot(viewer, "trust-widget")
    save_choices(before)
    viewer.close()


if __name__ == "__main__":
    main()
