"""Check that a wheel holds what users need and nothing that they do not.

Run it as ``python .ci/check_wheel.py dist``.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

NEEDED = ("napari_semnet/napari.yaml", "napari_semnet/py.typed", "napari_semnet/cli.py")
UNWANTED = ("tests/", "docs/", "benchmarks/", ".ci/")
LARGEST = 40 * 2**20


def complaints(wheel: Path) -> list[str]:
    """Say what is wrong with a wheel, one sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next((n for n in names if n.endswith("/entry_points.txt")), None)
        text = archive.read(entry_points).decode() if entry_points else ""
    found = [f"{name} is missing." for name in NEEDED if name not in names]
    if not any(
        n.startswith("napari_semnet/weights/") and n.endswith(".safetensors") for n in names
    ):
        found.append("There is no model in it.")
    found += [f"{name} does not belong in it." for name in names if name.startswith(UNWANTED)]
    found += [f"{name} is bytecode." for name in names if name.endswith(".pyc")]
    found += [
        f"The entry point {name} is missing."
        for name in ("napari.manifest", "console_scripts")
        if f"[{name}]" not in text
    ]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        found.append("The licence is missing.")
    if wheel.stat().st_size > LARGEST:
        found.append(
            f"It has {wheel.stat().st_size / 2**20:.0f} MiB, more than {LARGEST / 2**20:.0f}."
        )
    return found


def main(folder: str) -> int:
    """Check the wheels in a folder; 0 when there is exactly one and nothing is wrong with it."""
    wheels = sorted(Path(folder).glob("*.whl"))
    if len(wheels) != 1:
        print(f"Expected one wheel in {folder}, found {len(wheels)}.")
        return 1
    found = complaints(wheels[0])
    for sentence in found:
        print(f"{wheels[0].name}: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
