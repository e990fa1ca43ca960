"""Draw the figure of the README and of the first page: the one that the demo writes.

python docs/screenshots_demo.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from napari_semnet.cli import main as command_line

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Run the demo without a window, and keep its figure."""
    with tempfile.TemporaryDirectory() as folder:
        if command_line(["demo", "--no-viewer", "--output", folder]):
            raise RuntimeError("The demo did not get through.")
        (figure,) = Path(folder).glob("*side-by-side.png")
        with Image.open(figure) as drawn:
            drawn.save(IMAGES / "demo.png", optimize=True)


if __name__ == "__main__":
    main()
