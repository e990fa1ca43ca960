"""Put genuine databars under pictures that have none, and look whether they are found again.

    python benchmarks/databars.py PICTURES VENDOR_FILES

PICTURES is a folder of pictures without a databar, VENDOR_FILES one of microscope files whose
header or pixels tell where theirs begins. Each databar is put below each picture, as it is and with
two further rows of a frame; no header helps. A row that is found but is not the databar's first
would cut specimen away, or restore a part of the databar: that must never happen. Prints a table.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import FileFormatError
from napari_semnet.files.databar import find_databar
from napari_semnet.files.reader import SemImage, read_image

OUTCOMES = ("found", "asked", "overlooked", "wrong")
Grey = NDArray[np.uint8]


def images(folder: Path) -> Iterator[SemImage]:
    """All pictures in a folder and those below it."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
            try:
                image = read_image(path)
            except FileFormatError as error:
                print(error)
                continue
            if image.axes == "YX":
                yield image


def grey(pixels: NDArray[np.generic]) -> Grey:
    """Eight bits of a picture."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    return np.rint((pixels - low) * (255 / max(high - low, 1))).astype(np.uint8)


def below(picture: Grey, bar: Grey, frame: int) -> Grey:
    """Put a databar under a picture, repeated or cut to its width."""
    width = picture.shape[1]
    rows = np.random.default_rng(0).integers(30, 80, (frame, width)).astype(np.uint8)
    return np.vstack([picture, bar[:, np.arange(width) % bar.shape[1]], rows])


def outcome(picture: Grey, bar: Grey, frame: int) -> str:
    """Say what becomes of one picture."""
    found = find_databar(below(picture, bar, frame))
    if found.first is not None:
        return "found" if found.first == len(picture) else "wrong"
    return "asked" if found.warning else "overlooked"


def main() -> int:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("vendor_files", type=Path)
    arguments = parser.parse_args()
    bars = {
        image.path.name: grey(np.asarray(image.pixels))[image.specimen_rows[1] :]
        for image in images(arguments.vendor_files)
        if image.path and image.specimen_rows and image.specimen_rows[1] < image.pixels.shape[0]
    }
    bare = [grey(np.asarray(image.pixels)) for image in images(arguments.pictures)]
    print(f"| Databar of | {' | '.join(OUTCOMES)} |\n" + "|---" * (1 + len(OUTCOMES)) + "|")
    is_wrong = False
    for name, bar in bars.items():
        counts = Counter(outcome(picture, bar, frame) for picture in bare for frame in (0, 2))
        print(f"| {name} | {' | '.join(str(counts[each]) for each in OUTCOMES)} |", flush=True)
        is_wrong |= bool(counts["wrong"])
    alone = Counter(
        "asked" if found.warning else "wrong" if found.first is not None else "found"
        for found in map(find_databar, bare)
    )
    print(f"| none | {' | '.join(str(alone[each]) for each in OUTCOMES)} |")
    return int(is_wrong or alone["wrong"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
