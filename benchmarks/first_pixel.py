"""Measure how long it takes from starting a process to the first restored pixels.

The same frame is restored by fresh processes, with an empty cache folder (the machine has to be
measured first) and then with what the first one left there.

    python benchmarks/first_pixel.py [--size 480x640] [--runs 3] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """
import sys, time
import numpy as np
from napari_semnet.restoration.events import Finished, TileDone
from napari_semnet.restoration.restorer import Restorer
size = [int(n) for n in sys.argv[1].split("x")]
image = np.random.default_rng(0).integers(0, 256, size, np.uint8)
first = 0.0
for event in Restorer().run(image):
    if isinstance(event, TileDone):
        first = first or time.time()
    if isinstance(event, Finished):
        print(first, time.time(), event.restored.plan.backend)
"""


def launched(size: str, cache: str) -> dict[str, object]:
    """Seconds to the first tile and to the last one, from the moment the process is started."""
    start = time.time()
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, size],
        env=os.environ | {"XDG_CACHE_HOME": cache},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    first, last = (round(float(moment) - start, 2) for moment in told[:2])
    return {"first_tile_seconds": first, "finished_seconds": last, "backend": told[2]}


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="480x640", help="rows x columns of the frame")
    parser.add_argument("--runs", type=int, default=3, help="processes after the first")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        rows = []
        for number in range(arguments.runs + 1):
            rows.append({"cache": "filled" if number else "empty"})
            rows[-1] |= launched(arguments.size, cache)
            print(json.dumps(rows[-1]), flush=True)
    found = {"size": arguments.size, "rows": rows}
    (arguments.out / "first_pixel.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
