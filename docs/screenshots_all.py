"""Take all of the documentation's screenshots: one script after the other, as a new user each.

    python docs/screenshots_all.py PICTURES [NAME ...]

PICTURES is a folder of 8-bit grey pictures of microscopes: noisy ones in `noisy`, better ones in
`val`. NAME chooses scripts by what comes after `screenshots_`, and `restore`; else all of them run.
Needs xvfb-run and xdotool; on a CPU it takes a while, as the bundled model restores all of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1600x1200x24")


def commands(pictures: Path) -> dict[str, list[str]]:
    """Scripts with their arguments."""
    noisy = str(sorted((pictures / "noisy").glob("*.png"))[1])
    good = [str(path) for path in sorted((pictures / "val").glob("*.png"))]
    return {
        "demo": ["screenshots_demo.py"],
        "restore": ["screenshots.py", noisy],
        "trust": ["screenshots_trust.py", noisy],
        "files": ["screenshots_files.py"],
        "models": ["screenshots_models.py"],
        "compare": ["screenshots_compare.py"],
        "finetune": ["screenshots_finetune.py", noisy, *good[:3], "--steps", "60"],
        "session": ["screenshots_session.py", noisy, *good[:3]],
    }


def main() -> None:
    """Run the scripts that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = commands(options.pictures)
    for name in options.names or known:
        script, *arguments = known[name]
        print(f"{name}: {script}", flush=True)
        with tempfile.TemporaryDirectory() as home:
            # Settings and folders of a user who was never here before.
            fresh = {"NAPARI_CONFIG": f"{home}/settings.yaml", "XDG_DATA_HOME": f"{home}/data"}
            command = [*DISPLAY, sys.executable, str(HERE / script), *arguments]
            subprocess.run(command, check=True, env={**os.environ, **fresh})


if __name__ == "__main__":
    main()
