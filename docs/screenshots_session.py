"""Take the pictures of a whole session: a person's mouse and keys, from opening to saving.

    xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots_session.py PICTURE GOOD...

PICTURE is a noisy 8-bit grey picture, of which 256 x 192 pixels are restored; three GOOD ones are
better pictures, to fine-tune on. All get pixel sizes that are made up, so that there is a scale bar
to see. The steps and what is asserted after each are those of `tests/widgets/test_session.py`.
Needs xdotool.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import napari
import numpy as np
import tifffile
from napari.settings import get_settings
from PIL import Image
from screenshots import shoot

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.widgets.hand import Hand
from tests.widgets.session import Session

SHAPE = (192, 256)
WINDOW = (1400, 1000)
SIZE_NM = 50.0


def calibrated(path: Path, folder: Path, name: str, part: tuple[slice, slice]) -> Path:
    """Write a part of a picture as a TIFF with a pixel size."""
    pixels = np.asarray(Image.open(path).convert("L"))[part]
    size = {"PhysicalSizeY": SIZE_NM, "PhysicalSizeX": SIZE_NM}
    units = {"PhysicalSizeYUnit": "nm", "PhysicalSizeXUnit": "nm"}
    target = folder / f"{name}.ome.tif"
    tifffile.imwrite(target, pixels, ome=True, metadata={"axes": "YX", **size, **units})
    return target


def main() -> None:
    """Go through the session, and take a picture after each step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=Path)
    parser.add_argument("good", type=Path, nargs=3)
    parser.add_argument("--origin", type=int, nargs=2, default=(360, 450), metavar=("Y", "X"))
    parser.add_argument("--steps", type=int, default=60, help="of fine-tuning, at most")
    parser.add_argument("--seconds", type=float, default=120, help="of fine-tuning, by the clock")
    options = parser.parse_args()
    y, x = options.origin
    get_settings().application.confirm_close_window = False
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        part = (slice(y, y + SHAPE[0]), slice(x, x + SHAPE[1]))
        whole = (slice(0, 768), slice(0, 768))
        viewer = napari.Viewer()
        viewer.window.resize(*WINDOW)
        session = Session(
            viewer,
            Hand(),
            calibrated(options.picture, folder, "lift-out", part),
            pixel_size_nm=SIZE_NM,
            good=tuple(
                calibrated(path, folder, f"slow scan {number}", whole)
                for number, path in enumerate(options.good, 1)
            ),
            training_steps=options.steps,
            training_seconds=options.seconds,
            result=folder / "lift-out restored.ome.tif",
            profile=(0.5, 0.74, 0.98),
            patience=1800,
        )
        for step in session.steps():
            print(step, flush=True)
            shoot(viewer, f"session-{step}")
        viewer.close()


if __name__ == "__main__":
    main()
