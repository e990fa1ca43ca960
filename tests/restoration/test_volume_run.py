"""A restoration that goes to disk: what it tells, how it is cut, what takes over when needed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.errors import FileFormatError
from napari_semnet.files.provenance import Provenance
from napari_semnet.model import Model
from napari_semnet.network import SEMNet
from napari_semnet.restoration.backends import Backend, TorchBackend
from napari_semnet.restoration.events import BlockWritten, Event, Notice, Progress
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import Device, Precision, describe_device
from napari_semnet.restoration.tiles import Box, count_tiles
from napari_semnet.restoration.volumes import begin_volume
from tests.restoration.conftest import pretend_gpu
from tests.restoration.volumes import BLOCK, FP32, noise

GPU = Settings(device="cuda", precision="fp32")


class Silent(TorchBackend):
    """Does not know how far it is, and takes its time."""

    def restore_tile(
        self, image: NDArray[np.float32], narrowed: Sequence[Box] = ()
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        for _ in range(50):
            time.sleep(0.01)
            yield 0.0
        return (yield from super().restore_tile(image, narrowed))


def test_a_block_can_be_stopped_within_its_first_tile_though_nothing_is_known_of_how_far_it_is(
    model: Model, tmp_path: Path
) -> None:
    restorer = Restorer(model, FP32, Silent)
    volume = begin_volume(restorer, noise((3, 40, 40)), tmp_path / "out.zarr", at_once=1)
    run = volume.run()
    began = next(e for e in run if isinstance(e, Progress | BlockWritten))
    assert began == Progress(0.0)
    run.close()
    assert volume.store.finished() == set()


def test_an_image_can_be_stopped_within_its_first_tile_though_nothing_is_known_of_how_far_it_is(
    model: Model,
) -> None:
    out = np.zeros((80, 80), np.uint8)
    run = Restorer(model, FP32, Silent).run(noise((40, 40)), out)
    next(run)
    assert next(run) == Progress(0.0)
    run.close()
    assert not out.any()


def test_a_run_whose_result_is_moved_away_stops_with_a_sentence_and_goes_on_once_it_is_back(
    model: Model, tmp_path: Path
) -> None:
    image, path = noise((6, 40, 40)) + 1, tmp_path / "out.zarr"
    volume = begin_volume(Restorer(model, FP32), image, path, at_once=1)

    def all_moved_after_one() -> None:
        for event in volume.run():
            if isinstance(event, BlockWritten) and path.exists():
                path.rename(tmp_path / "moved.zarr")

    with pytest.raises(FileFormatError, match=r"out\.zarr is no longer where it was"):
        all_moved_after_one()
    with pytest.raises(FileFormatError, match="no longer where it was"):
        list(volume.finish(Provenance()))
    # What a block that was being written just then has made anew.
    shutil.rmtree(path, ignore_errors=True)
    (tmp_path / "moved.zarr").rename(path)
    list(volume.run())
    list(volume.finish(Provenance()))
    expected = Restorer(model, FP32).restore(image).pixels
    np.testing.assert_array_equal(volume.store.finest[:], expected)


class Counted:
    """An image that counts how often something is read of it."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self.times = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        self.times += 1
        return self._pixels[key]


@pytest.mark.parametrize(("plane", "widened"), [((60, 90), 10), ((60, 300), 0)])
def test_a_slice_of_one_block_is_cut_as_a_picture_and_one_of_several_as_if_there_were_no_border(
    model: Model, tmp_path: Path, plane: tuple[int, int], widened: int
) -> None:
    image, chosen = Counted(noise((2, *plane))), Settings(precision="fp32", tile=20)
    volume = begin_volume(
        Restorer(model, chosen), image, tmp_path / "out.zarr", block=BLOCK, at_once=1
    )
    image.times = 0
    list(volume.run())
    blocks = [volume.grid[number].core.shape for number in range(len(volume.grid))]
    assert image.times == sum(count_tiles(shape, (20, 20), widened) for shape in blocks)
    expected = Restorer(model, FP32).restore(image).pixels
    assert np.abs(volume.store.finest[:].astype(int) - expected).max() <= 1


def full_gpu(network: SEMNet, device: Device, precision: Precision) -> Backend:
    if device.kind == "cuda":
        raise torch.OutOfMemoryError("CUDA out of memory")
    return TorchBackend(network, device, precision)


def notices_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def test_a_volume_whose_network_does_not_fit_the_gpu_is_restored_by_the_cpu_also_when_gone_on_with(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, path = noise((3, 40, 40)), tmp_path / "out.zarr"
    expected = Restorer(model, FP32).restore(image).pixels
    pretend_gpu(monkeypatch)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    said = []
    for blocks in (1, 2):
        volume = begin_volume(Restorer(model, GPU, full_gpu), image, path)
        assert volume.at_once == 2, "on a CPU each core computes a block"
        assert volume.plan.device_name == describe_device("cpu").name
        events = []
        for event in (run := volume.work_off(volume.remaining()[:blocks], 3 - blocks, 3)):
            events.append(event)
        run.close()
        said.append(notices_of([*volume.opening(3, 0), *events]))
    assert said[0] == said[1]
    assert len(said[0]) == 1
    assert "too little free memory for the network" in said[0][0]
    assert volume.left == 0
    np.testing.assert_array_equal(volume.store.finest[:], expected)


def test_a_volume_that_was_begun_on_a_gpu_goes_on_on_the_cpu_when_the_gpu_is_full(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faulty: Any
) -> None:
    image, path = noise((3, 40, 40)), tmp_path / "out.zarr"
    make, _ = faulty(lambda *_: None)
    pretend_gpu(monkeypatch)
    with monkeypatch.context() as free:
        free.setattr("napari_semnet.restoration.restorer.budget", lambda device: 1e9)
        begun = begin_volume(Restorer(model, GPU, make), image, path)
    assert begun.plan.device_name == "Pretended GPU"
    volume = begin_volume(Restorer(model, GPU, full_gpu), image, path)
    events = list(volume.run())
    full, changed = notices_of(events)
    assert "too little free memory for the network" in full
    assert "begun with Pretended GPU and goes on with CPU" in changed
    assert volume.left == 0


def test_nothing_is_on_the_disk_where_the_network_fits_nowhere(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpu(monkeypatch)

    def full(network: SEMNet, device: Device, precision: Precision) -> Backend:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        begin_volume(Restorer(model, GPU, full), noise((3, 40, 40)), tmp_path / "out.zarr")
    assert list(tmp_path.iterdir()) == []
