"""Write the natural pictures that `semnet-x2-poster.toml` trains on beside SEM images.

    python recipes/natural_pictures.py FOLDER

The poster takes Flickr2K, 2,650 photographs that may be used for research only. These are the
photographs that scikit-image brings, all in the public domain (CC0, or by NASA): few, but free.
"""

from __future__ import annotations

import sys
from pathlib import Path

from skimage import data
from skimage.io import imsave

NAMES = ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel", "rocket")


def main(folder: Path) -> None:
    """Write one PNG for each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        imsave(folder / f"{name}.png", getattr(data, name)(), check_contrast=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
