"""What runs where PyTorch is installed and nothing else: a machine lent for measuring."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

RUN = """
import runpy, sys
sys.modules.update(dict.fromkeys({hidden!r}))  # None there is what is not installed
sys.argv = {command!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def plain(name: str) -> str:
    """Write the name of a distribution in the one way by which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


INSTALLED = {plain(name) for names in packages_distributions().values() for name in names}


def needed_by(distribution: str) -> set[str]:
    """Give a distribution and all that it needs, by their plain names."""
    found, new = set(), {distribution}
    while new:
        found |= new
        texts = [text for name in new for text in requires(name) or () if "extra ==" not in text]
        new = {plain(re.split(r"[^\w.-]", text)[0]) for text in texts} & INSTALLED - found
    return found


def beside(distribution: str) -> list[str]:
    """Give the packages that are installed and that a distribution does not need."""
    kept = needed_by(distribution) | {"numpy", "napari-semnet"}
    return sorted(
        package
        for package, names in packages_distributions().items()
        if not kept & {plain(name) for name in names}
    )


def test_the_gpu_benchmark_needs_nothing_but_pytorch_and_this_source_tree() -> None:
    hidden = beside("torch")
    assert {"pydantic", "safetensors", "scipy"} <= set(hidden)
    size = ["--device", "cpu", "--size", "24x24", "--frames", "1", "--runs", "1"]
    command = [str(BENCHMARKS / "gpu_speed.py"), *size]
    ran = subprocess.run(
        [sys.executable, "-c", RUN.format(hidden=hidden, command=command)],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["size"] == [24, 24]
