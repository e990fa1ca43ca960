"""Training in processes of its own, as people start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_semnet.training.config import TrainingConfig, write_config


def write(config: TrainingConfig, path: Path) -> Path:
    path.write_text(write_config(config), encoding="utf-8")
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "napari_semnet", "train", *map(str, arguments)]


def environment() -> dict[str, str]:
    """What a child inherits, less what a launcher of several processes would listen to."""
    launcher = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_", "SLURM_", "TORCHELASTIC")
    return {key: value for key, value in os.environ.items() if not key.startswith(launcher)}


def run_to_end(*arguments: str | Path, timeout: float = 240) -> list[dict[str, Any]]:
    """Train in a child process; give its events."""
    done = subprocess.run(
        command(*arguments, "--json"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@contextmanager
def started(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], Iterator[Any]]]:
    """Start training in a child process, and follow its events while it runs."""
    child = subprocess.Popen(
        command(*arguments, "--json"), env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        yield child, (json.loads(line) for line in child.stdout if line.startswith("{"))
    finally:
        child.kill()
        child.wait(60)
        child.stdout.close()
