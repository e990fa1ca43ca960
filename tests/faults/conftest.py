"""Real faults: a disk that is full, a home that is read-only, a process of one's own to kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_semnet.files.provenance import sidecar_path
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.model import Card, save_model
from napari_semnet.network import Architecture, SEMNet

TINY = Architecture(features=8, growth=4, blocks=1, rdb_per_block=1, conv_per_rdb=2)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    return write_tiny(path, seed=0)


def write_tiny(path: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_model(path, SEMNet(TINY), Card(name="tiny", architecture=TINY))
    return path


def write_picture(path: Path, seed: int = 1, shape: tuple[int, int] = (48, 64)) -> Path:
    """A noisy picture without the record that would lie beside it."""
    write_tiff(path, acquire(particles(shape, seed), seed=seed), pixel_size_nm=(3.0, 3.0))
    sidecar_path(path).unlink(missing_ok=True)
    return path


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    """Options that leave no choice to the machine."""
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    @property
    def room(self) -> int:
        """Bytes that are left."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def leave(self, room: int) -> None:
        """Fill the disk until so many bytes are left."""
        self._filler.unlink(missing_ok=True)
        with self._filler.open("wb") as stream:
            stream.write(bytes(max(0, self.room - room)))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def files(self) -> dict[str, bytes]:
        """Everything on it but the filler."""
        found = (p for p in sorted(self.path.rglob("*")) if p.is_file() and p != self._filler)
        return {str(p.relative_to(self.path)): p.read_bytes() for p in found}


def _mounted(path: Path, options: str) -> Iterator[Path]:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("A small disk is made with mount, which is not here.")
    if done.returncode != 0:
        pytest.skip("A small disk can be made by root only.")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 1 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    for mounted in _mounted(path, "size=1m,nr_inodes=4000"):
        yield Disk(mounted)


@pytest.fixture
def read_only_home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose home can only be read."""
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    drop = ("XDG_", "NAPARI_SEMNET_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    environment = kept | {"HOME": str(home), "USERPROFILE": str(home)}
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # whom no permission stops
        for _ in _mounted(home, "ro"):
            yield environment
    else:
        yield environment


Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def semnet() -> Program:
    """Run the command line in a process of its own, to its end."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "napari_semnet", *map(str, arguments)]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, capture_output=True, text=True, check=False, timeout=200, **options
        )

    return run


def is_one_sentence(text: str) -> bool:
    """What people are shown: words, and no traceback."""
    return bool(text.strip()) and "Traceback" not in text and text.strip().endswith((".", ")"))


def same_pixels(one: Path, other: Path) -> bool:
    from napari_semnet.files.reader import read_image

    return bool(np.array_equal(read_image(one).pixels, read_image(other).pixels))
