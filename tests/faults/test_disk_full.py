"""A disk that is full, really: what was there stays, nothing half-written is left, and it is said.

Each writer meets the end of the disk at once, after the first page and near its own end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_semnet.cli import main
from napari_semnet.errors import FileFormatError, ModelFileError, TrainingError
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.model import Card, load_model, rewrite_card, save_model
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.checkpoint import Progress, save_checkpoint
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.training.trainer import train
from tests.faults.conftest import Disk, is_one_sentence, same_pixels, write_picture
from tests.training.runs import small_config

ROOMS = [0, 4096, 40_960]
LARGE = Architecture(features=32, growth=16, blocks=1, rdb_per_block=1, conv_per_rdb=2)
NOISE = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
"""Does not become smaller by compression."""


def model(path: Path) -> None:
    save_model(path, SEMNet(LARGE), Card(name="a", architecture=LARGE), torch.float32)


def other_card(path: Path) -> None:
    rewrite_card(path, Card(name="b", architecture=LARGE), path)


def checkpoint(path: Path) -> None:
    network = SEMNet(LARGE)
    optimiser = torch.optim.Adam(network.parameters())
    save_checkpoint(path, network, SEMNet(LARGE), optimiser, Progress())


def picture(path: Path) -> None:
    write_tiff(path, NOISE, pixel_size_nm=(1, 1), provenance=Provenance(model="m"))


def lazy_stack(path: Path) -> None:
    class Lazy:
        shape, dtype = (2, 300, 300), NOISE.dtype

        def __getitem__(self, index: tuple) -> np.ndarray:
            return NOISE[index[1:]]

    write_tiff(path, Lazy(), pixel_size_nm=None, provenance=Provenance(model="m"))


def zarr(path: Path) -> None:
    pytest.importorskip("zarr")
    write_ome_zarr(path, NOISE, pixel_size_nm=(1, 1), provenance=Provenance(model="m"))


WRITERS = [
    (model, "a.safetensors", ModelFileError),
    (other_card, "a.safetensors", ModelFileError),
    (checkpoint, "a.safetensors", TrainingError),
    (picture, "a.ome.tif", FileFormatError),
    (lazy_stack, "a.tif", FileFormatError),
    (zarr, "a.ome.zarr", FileFormatError),
]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize(("write", "name", "error"), WRITERS)
def test_an_older_file_survives_and_nothing_else_is_left(
    disk: Disk, write: Callable[[Path], None], name: str, error: type[Exception], room: int
) -> None:
    path = disk.path / name
    (model if write is other_card else write)(path)
    before = disk.files()
    disk.leave(room)
    with pytest.raises(error) as said:
        write(path)
    assert is_one_sentence(str(said.value))
    assert "No space left" in str(said.value)
    assert disk.files() == before
    disk.free()
    write(path)


def test_a_record_is_not_written_without_its_picture(disk: Disk) -> None:
    disk.leave(8192)  # enough for the record alone
    with pytest.raises(FileFormatError):
        picture(disk.path / "a.tif")
    assert disk.files() == {}


def test_a_batch_goes_on_and_can_be_completed_when_there_is_room(
    disk: Disk, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [write_picture(tmp_path / "in" / f"{n}.tif", n, (90, 90)) for n in range(3)]
    (tmp_path / "reference").mkdir()
    command = ["restore", str(tmp_path / "in"), "--quiet", *engine, "-o"]
    assert main([*command, str(tmp_path / "reference")]) == 0
    disk.leave(5 * 4096)  # each result takes three pages: two for the picture, one for the record
    assert main([*command, str(disk.path)]) == 1
    said = capsys.readouterr().err.splitlines()
    written = [name for name in disk.files() if name.endswith(".tif")]
    assert len(written) + len(said) == len(sources)
    assert 1 <= len(written) < len(sources)
    assert all("No space left" in line and is_one_sentence(line) for line in said)
    disk.free()
    assert main([*command, str(disk.path)]) == 0
    for path in (tmp_path / "reference").glob("*.tif"):
        assert same_pixels(path, disk.path / path.name)
        assert read_image(disk.path / path.name).provenance is not None


@pytest.mark.parametrize("room", [0, 4096, 12_288])
def test_a_volume_goes_on_where_it_stopped_when_there_is_room(
    disk: Disk, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str], room: int
) -> None:
    pytest.importorskip("zarr")
    stack = np.random.default_rng(1).integers(0, 256, (3, 64, 64), np.uint8)
    write_ome_zarr(tmp_path / "stack.zarr", stack, pixel_size_nm=(4, 4), z_step_nm=8)
    command = ["restore", str(tmp_path / "stack.zarr"), "--quiet", *engine, "-o"]
    assert main([*command, str(tmp_path / "whole.zarr")]) == 0
    disk.leave(room)
    assert main([*command, str(disk.path / "whole.zarr")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert is_one_sentence(said[0])
    disk.free()
    if (disk.path / "whole.zarr").exists():
        with pytest.raises(FileFormatError, match="not finished"):
            read_image(disk.path / "whole.zarr")
    assert main([*command, str(disk.path / "whole.zarr")]) == 0
    one, other = (read_image(each / "whole.zarr") for each in (tmp_path, disk.path))
    np.testing.assert_array_equal(np.asarray(one.pixels), np.asarray(other.pixels))


@pytest.mark.parametrize("room", [0, 20_000, 60_000])
def test_a_training_run_ends_in_a_sentence_and_goes_on_when_there_is_room(
    disk: Disk, tmp_path: Path, room: int
) -> None:
    config = small_config(tmp_path)
    train(config, tmp_path / "whole")
    run = disk.path / "run"
    disk.leave(room)
    with pytest.raises(TrainingError) as said:
        train(config, run)
    assert is_one_sentence(str(said.value))
    assert not [name for name in disk.files() if ".writing-" in name]
    for name in disk.files():
        if name.endswith("last.safetensors"):
            load_file(disk.path / name)
        elif name.endswith(".safetensors"):
            load_model(disk.path / name)
    disk.free()
    train(config, run, resume=RunFolder(run).last.exists())
    one, other = (load_file(RunFolder(path).last) for path in (tmp_path / "whole", run))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_decoded_pictures_that_do_not_fit_are_a_sentence_and_leave_no_store(
    disk: Disk, tmp_path: Path
) -> None:
    config = small_config(tmp_path, store=str(disk.path / "store"))
    disk.leave(12_000)
    with pytest.raises(TrainingError, match='name another folder as "store"'):
        train(config, tmp_path / "run")
    assert disk.files() == {}
    disk.free()
    train(config, tmp_path / "run")
