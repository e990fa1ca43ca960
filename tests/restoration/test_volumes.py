"""From disk to disk: same pixels, bounded reads, and on again after whatever stopped it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.errors import FileFormatError, ImageError
from napari_semnet.files.ome_zarr import read_levels
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.tile_store import TileStore
from napari_semnet.imaging.geometry import whole
from napari_semnet.model import Model
from napari_semnet.restoration.blocks import Shard
from napari_semnet.restoration.events import BlockWritten, Notice, Progress, Started
from napari_semnet.restoration.growing import GrowingPicture
from napari_semnet.restoration.part import PartOf
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.volumes import begin_volume
from tests.restoration.conftest import reduced_model
from tests.restoration.volumes import BLOCK, FP32, chunk_bytes, noise, whole_volume


@pytest.mark.parametrize("shape", [(150, 201), (2, 129, 64), (31, 40)])
def test_blocks_give_what_the_whole_image_gives(
    model: Model, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    image = noise(shape)
    volume = whole_volume(model, image, tmp_path / "out.zarr")
    expected = Restorer(model, FP32).restore(image).pixels
    np.testing.assert_array_equal(volume.store.finest[:], expected)


def test_tiles_within_a_block_give_what_the_whole_image_gives(model: Model, tmp_path: Path) -> None:
    image = noise((150, 201))
    tiled = Settings(device="cpu", precision="fp32", tile=(40, 25))
    volume = whole_volume(model, image, tmp_path / "out.zarr", tiled)
    assert volume.plan.tile == (40, 25)
    expected = Restorer(model, FP32).restore(image).pixels
    np.testing.assert_array_equal(volume.store.finest[:], expected)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_wide_type_gets_one_range_for_all_blocks_and_it_is_recorded(
    model: Model, tmp_path: Path, dtype: str
) -> None:
    image = (noise((130, 140)) * np.linspace(1, 9, 140)).astype(dtype)
    volume = begin_volume(Restorer(model, FP32), image, tmp_path / "out.zarr", block=BLOCK)
    assert volume.plan.intensity.source == "measured"
    recorded = TileStore.open(tmp_path / "out.zarr").run["plan"]["intensity"]
    assert (recorded["low"], recorded["high"]) == (
        volume.plan.intensity.low,
        volume.plan.intensity.high,
    )
    for _ in volume.run():
        pass
    expected = Restorer(model, FP32).restore(image).pixels
    # Kernels are chosen by a tile's size, and each rounds float32 in its own way.
    np.testing.assert_allclose(volume.store.finest[:], expected, atol=1e-5 * np.ptp(expected))


def test_slices_with_channels_are_labelled_as_they_are_however_often_they_are_gone_on_with(
    model: Model, tmp_path: Path
) -> None:
    image, path = noise((3, 2, 70, 64)), tmp_path / "out.zarr"

    def begin(axes: str | None) -> VolumeRun:
        return begin_volume(Restorer(model, FP32), image, path, axes=axes, block=BLOCK)

    volume = begin("ZCYX")
    growing = GrowingPicture(volume.store, volume.grid)
    for event in volume.work_off([3], 0, 6):
        if isinstance(event, BlockWritten):
            growing.note(event.where)
    expected = Restorer(model, FP32).restore(image).pixels
    np.testing.assert_array_equal(growing.levels[0][1, 1], expected[1, 1])
    assert np.isnan(growing.levels[0][2, 0]).all()
    # A worker of a cluster is not told the axes.
    again = begin(None)
    assert again.remaining() == [0, 1, 2, 4, 5]
    list(again.run())
    *_, finished = again.finish(Provenance(), z_step_nm=10.0)
    np.testing.assert_array_equal(finished.restored.pixels[...], expected)
    levels = read_levels(path)
    assert (levels.axes, levels.findings.z_step_nm) == ("CZYX", 10.0)
    np.testing.assert_array_equal(np.asarray(levels.arrays[0]), np.moveaxis(expected, 0, 1))


class Watched:
    """An image that remembers how much was read of it at a time."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self.largest = 0
        self.read = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self._pixels[key]
        self.largest = max(self.largest, part.size)
        self.read += part.size
        return part


def test_no_more_than_a_block_and_its_halo_is_read_at_a_time(model: Model, tmp_path: Path) -> None:
    image = Watched(noise((3, 300, 300)))
    whole_volume(model, image, tmp_path / "out.zarr")
    halo = model.card.architecture.exact_halo
    assert image.largest <= (BLOCK + 2 * halo) ** 2


def test_going_on_redoes_only_what_was_not_finished_and_gives_the_same_bytes(
    model: Model, tmp_path: Path
) -> None:
    image = noise((200, 260))
    whole_volume(model, image, tmp_path / "once.zarr")
    again = tmp_path / "again.zarr"
    for stop_after in (3, 5):
        run = begin_volume(Restorer(model, FP32), image, again, block=BLOCK).run()
        written = 0
        for event in run:
            written += isinstance(event, BlockWritten)
            if written == stop_after:
                run.close()
    before = TileStore.open(again).finished()
    assert 8 <= len(before) < 20
    events = list(begin_volume(Restorer(model, FP32), image, again).run())
    assert sum(isinstance(event, BlockWritten) for event in events) == 20 - len(before)
    assert f"{len(before)} of 20 blocks were finished before" in "".join(
        event.text for event in events if isinstance(event, Notice)
    )
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    whole_volume(model, image, again)
    assert chunk_bytes(again) == chunk_bytes(tmp_path / "once.zarr")


def test_bytes_do_not_depend_on_how_many_threads_and_blocks_compute_at_once(
    model: Model, tmp_path: Path
) -> None:
    image, usual = noise((2, 200, 260)), torch.get_num_threads()
    try:
        for number, threads in enumerate((1, 3)):
            torch.set_num_threads(threads)
            volume = whole_volume(model, image, tmp_path / f"{number}.zarr")
            assert volume.at_once == threads
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(usual)
    assert chunk_bytes(tmp_path / "0.zarr") == chunk_bytes(tmp_path / "1.zarr")


def test_a_plan_that_was_begun_holds_where_other_memory_would_choose_other_tiles(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise((160, 160))
    first = begin_volume(Restorer(model, FP32), image, tmp_path / "out.zarr", block=BLOCK)
    monkeypatch.setattr("napari_semnet.restoration.restorer.budget", lambda device: 1.0)
    second = begin_volume(Restorer(model, FP32), image, tmp_path / "out.zarr")
    assert second.plan == first.plan


def test_parts_in_any_order_give_the_same_bytes_as_one_process(
    model: Model, tmp_path: Path
) -> None:
    image = noise((2, 150, 150))
    whole_volume(model, image, tmp_path / "one.zarr")
    path = tmp_path / "parts.zarr"
    for number in (2, 3, 1):
        volume = begin_volume(Restorer(model, FP32), image, path, block=BLOCK)
        events = list(volume.run(Shard(number, 3)))
        started = next(event for event in events if isinstance(event, Started))
        assert started.total_tiles == 6
    assert volume.left == 0
    for _ in volume.finish(Provenance()):
        pass
    assert chunk_bytes(path) == chunk_bytes(tmp_path / "one.zarr")


def test_two_that_begin_at_once_share_one_result(model: Model, tmp_path: Path) -> None:
    image, path = noise((160, 160)), tmp_path / "out.zarr"
    one = begin_volume(Restorer(model, FP32), image, path, block=BLOCK)
    other = begin_volume(Restorer(model, FP32), image, path, block=BLOCK)
    list(one.run(Shard(1, 2)))
    assert one.left == 5
    list(other.run(Shard(2, 2)))
    assert one.left == other.left == 0
    list(one.finish(Provenance()))
    # The other has also seen that all is done, a moment later.
    list(other.finish(Provenance()))
    assert other.left == 0
    assert read_levels(path).arrays[0].shape == (320, 320)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image": noise((160, 162))}, "160 x 162"),
        ({"image": noise((160, 160)) + 1}, "another image of the same size"),
        ({"model": reduced_model(seed=5)}, "other"),
        ({"settings": Settings(device="cpu", precision="fp32", halo=3)}, "halo auto, now 3"),
    ],
)
def test_another_job_is_refused_with_what_differs(
    model: Model, tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    path = tmp_path / "out.zarr"
    begin_volume(Restorer(model, FP32), noise((160, 160)), path, block=BLOCK)
    before = chunk_bytes(path)
    job = {"image": noise((160, 160)), "model": model, "settings": FP32} | change
    if "model" in change:
        import dataclasses

        job["model"] = dataclasses.replace(job["model"], sha256="1" * 64)
    with pytest.raises(ImageError, match=complaint):
        begin_volume(Restorer(job["model"], job["settings"]), job["image"], path)
    assert chunk_bytes(path) == before


def test_an_unfinished_result_is_no_picture_and_says_so(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    volume = begin_volume(Restorer(model, FP32), noise((160, 160)), path, block=BLOCK)
    with pytest.raises(FileFormatError, match="not finished"):
        read_levels(path)
    with pytest.raises(FileFormatError, match="lacks 9 of 9"):
        list(volume.finish(Provenance()))


def test_what_is_no_unfinished_result_is_left_alone(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    path.mkdir()
    (path / "precious.txt").write_text("mine")
    with pytest.raises(FileFormatError, match="no unfinished restoration"):
        begin_volume(Restorer(model, FP32), noise((64, 64)), path)
    assert (path / "precious.txt").read_text() == "mine"


def test_a_block_that_cannot_be_read_stops_the_run_and_keeps_the_others(
    model: Model, tmp_path: Path
) -> None:
    class Torn(Watched):
        def __getitem__(self, key: Any) -> np.ndarray:
            if getattr(self, "torn", False) and key[-2].stop > 130:
                raise OSError(5, "Input/output error")
            return super().__getitem__(key)

    image, path = Torn(noise((200, 64))), tmp_path / "out.zarr"
    volume = begin_volume(Restorer(model, FP32), image, path, block=BLOCK)
    image.torn = True
    with pytest.raises(OSError, match="Input/output"):
        list(volume.run())
    assert volume.store.finished() == {0}
    image.torn = False
    whole_volume(model, image, path)
    expected = Restorer(model, FP32).restore(noise((200, 64))).pixels
    np.testing.assert_array_equal(volume.store.finest[:], expected)


def test_missing_pixels_stay_missing(model: Model, tmp_path: Path) -> None:
    image = noise((130, 130), "float32")
    image[60:70, 60:70] = np.nan
    masked = Settings(device="cpu", precision="fp32", non_finite="mask")
    volume = whole_volume(model, image, tmp_path / "out.zarr", masked)
    expected = Restorer(model, masked).restore(image).pixels
    assert np.isnan(expected).sum() == 400
    np.testing.assert_allclose(volume.store.finest[:], expected, atol=1e-3)
    with pytest.raises(ImageError, match="NaN or infinite"):
        begin_volume(Restorer(model, FP32), image, tmp_path / "refused.zarr")
    assert not (tmp_path / "refused.zarr").exists()


def test_a_missing_pixel_of_a_lazy_image_stops_the_run_there_and_masking_goes_on(
    model: Model, tmp_path: Path
) -> None:
    pixels = noise((250, 64), "float32")
    pixels[249, 30] = np.nan
    image = Watched(pixels)
    volume = begin_volume(Restorer(model, FP32), image, tmp_path / "out.zarr", block=BLOCK)
    with pytest.raises(ImageError, match="NaN or infinite"):
        list(volume.run())
    assert volume.store.finished() == {0, 1, 2}
    masked = Settings(device="cpu", precision="fp32", non_finite="mask")
    again = begin_volume(Restorer(model, masked), image, tmp_path / "out.zarr", block=BLOCK)
    assert again.remaining() == [3]
    whole_volume(model, image, tmp_path / "out.zarr", masked)
    whole_volume(model, image, tmp_path / "once.zarr", masked)
    assert chunk_bytes(tmp_path / "out.zarr") == chunk_bytes(tmp_path / "once.zarr")


def zarr_of(path: Path, pixels: np.ndarray) -> PartOf:
    import zarr

    source = zarr.create_array(path, data=pixels, chunks=(BLOCK, BLOCK))
    return PartOf(source, whole(pixels.shape), path)


def test_nothing_is_made_of_a_zarr_that_is_deleted_meanwhile(model: Model, tmp_path: Path) -> None:
    """Zarr gives zeros for what is not there."""
    pixels, source, path = noise((250, 64)), tmp_path / "in.zarr", tmp_path / "out.zarr"
    volume = begin_volume(Restorer(model, FP32), zarr_of(source, pixels), path, block=BLOCK)
    list(volume.work_off([0], 0, 4))
    shutil.rmtree(source)
    with pytest.raises(ImageError, match=r"in\.zarr is no longer where it was"):
        list(volume.run())
    assert volume.store.finished() == {0}
    expected = Restorer(model, FP32).restore(pixels).pixels
    where = volume.grid[0].where
    np.testing.assert_array_equal(volume.store.finest[where], expected[where])


def test_a_block_read_while_its_source_was_being_deleted_is_not_written(
    model: Model, tmp_path: Path
) -> None:
    source = tmp_path / "in.zarr"
    image = zarr_of(source, noise((250, 64)))
    volume = begin_volume(Restorer(model, FP32), image, tmp_path / "out.zarr", block=BLOCK)
    steps = volume.steps(0)
    next(steps)
    shutil.rmtree(source)
    with pytest.raises(ImageError, match="no longer where it was"):
        list(steps)
    assert volume.store.finished() == set()
