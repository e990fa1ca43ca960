from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_semnet import restore
from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import Region, whole
from napari_semnet.restoration.events import Finished, Progress, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.widgets.jobs import Failed, Happened, Job, Opened, allocate, run_jobs


@pytest.fixture
def restorer(reduced_model: Path) -> Restorer:
    return Restorer(reduced_model, Settings(device="cpu", precision="fp32", tile=16))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_a_job_fills_the_array_that_it_opened(restorer: Restorer, reduced_model: Path) -> None:
    image = noise(40, 50)
    job = Job("a", image, whole(image.shape))
    events = list(run_jobs([job], lambda: restorer, threading.Event()))
    opened = events[0]
    assert isinstance(opened, Opened)
    expected = restore(image, reduced_model, device="cpu", precision="fp32", tile=16)
    np.testing.assert_array_equal(opened.out, expected)
    assert isinstance(events[-1], Happened)
    assert isinstance(events[-1].event, Finished)


def test_only_the_region_is_restored(restorer: Restorer, reduced_model: Path) -> None:
    stack = noise(3, 40, 50)
    job = Job("a", stack, Region((1, 5, 0), (2, 37, 44)))
    opened = next(iter(run_jobs([job], lambda: restorer, threading.Event())))
    assert isinstance(opened, Opened)
    assert opened.out.shape == (1, 64, 88)


def test_grey_stored_as_colour_is_restored_as_grey(restorer: Restorer) -> None:
    grey = noise(20, 24)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    results = []
    for pixels, channels in ((grey, False), (colour, True)):
        job = Job("a", pixels, Region((0, 0), (18, 20)), has_channels=channels)
        events = list(run_jobs([job], lambda: restorer, threading.Event()))
        assert isinstance(events[0], Opened)
        results.append(events[0].out)
    np.testing.assert_array_equal(*results)


def test_a_single_picture_shows_its_source_until_its_tiles_come(restorer: Restorer) -> None:
    image = noise(40, 50)
    job = Job("a", image, whole(image.shape))
    opened = next(iter(run_jobs([job], lambda: restorer, threading.Event())))
    assert isinstance(opened, Opened)
    np.testing.assert_array_equal(opened.out, image.repeat(2, axis=0).repeat(2, axis=1))


def test_stopping_ends_the_run_at_the_next_tile(restorer: Restorer) -> None:
    stop = threading.Event()
    tiles = 0
    for news in run_jobs([Job("a", noise(64, 64), whole((64, 64)))], lambda: restorer, stop):
        if isinstance(news, Happened) and isinstance(news.event, TileDone):
            tiles += 1
            stop.set()
    assert tiles == 1


def test_a_run_can_be_stopped_within_a_tile(reduced_model: Path) -> None:
    whole_image = Restorer(reduced_model, Settings(device="cpu", precision="fp32"))
    stop = threading.Event()
    events = []
    for news in run_jobs([Job("a", noise(64, 64), whole((64, 64)))], lambda: whole_image, stop):
        events.append(news.event if isinstance(news, Happened) else news)
        if isinstance(events[-1], Progress):
            stop.set()
    assert isinstance(events[-1], Progress)
    assert not any(isinstance(event, TileDone) for event in events)


def test_a_withdrawn_job_makes_room_for_the_next(restorer: Restorer) -> None:
    jobs = [Job(name, noise(40, 40), whole((40, 40))) for name in "ab"]
    finished = []
    for news in run_jobs(jobs, lambda: restorer, threading.Event()):
        jobs[0].withdrawn.set()
        if isinstance(news, Happened) and isinstance(news.event, Finished):
            finished.append(news.job)
    assert finished == [jobs[1]]


def test_a_failed_job_does_not_stop_the_next(restorer: Restorer) -> None:
    bad = Job("colour", noise(20, 20, 3), whole((20, 20)), has_channels=True)
    good = Job("grey", noise(20, 20), whole((20, 20)))
    events = list(run_jobs([bad, good], lambda: restorer, threading.Event()))
    assert isinstance(events[0], Failed)
    assert isinstance(events[0].error, ImageError)
    assert isinstance(events[-1], Happened)
    assert events[-1].job is good


def test_errors_that_threads_would_swallow_are_passed_on() -> None:
    def prepare() -> Any:
        raise RuntimeError("as PyTorch raises them")

    events = list(run_jobs([], prepare, threading.Event()))
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert isinstance(events[0].error, RuntimeError)


def test_a_result_larger_than_the_memory_is_refused_with_a_way_out() -> None:
    with pytest.raises(ImageError, match="does not fit the free memory"):
        allocate((2**20, 2**20, 8), np.dtype(np.uint8))


class Lazy:
    """An array that says how much of it was read at a time."""

    def __init__(self, pixels: np.ndarray, then: Any = None) -> None:
        self._pixels = pixels
        self._then = then
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self.largest = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        if self._then is not None:
            self._then()
        part = self._pixels[key]
        self.largest = max(self.largest, part.size)
        return part


def test_a_region_of_a_lazy_stack_is_read_tile_by_tile(restorer: Restorer) -> None:
    pixels = noise(3, 200, 220)
    region = Region((0, 5, 0), (3, 187, 204))
    lazy = Lazy(pixels)
    results = []
    for source in (lazy, pixels):
        opened, *_ = run_jobs([Job("a", source, region)], lambda: restorer, threading.Event())
        assert isinstance(opened, Opened)
        results.append(opened.out)
    np.testing.assert_array_equal(*results)
    halo = restorer.model.card.architecture.exact_halo
    assert lazy.largest <= (16 + 2 * halo) ** 2


def test_a_result_in_memory_of_a_file_that_is_deleted_meanwhile_is_none(
    restorer: Restorer, tmp_path: Path
) -> None:
    file = tmp_path / "a.zarr"
    file.touch()
    reads = iter(range(3))

    def delete() -> None:
        if next(reads, None) is None:
            file.unlink(missing_ok=True)

    job = Job("a", Lazy(noise(2, 60, 60), delete), whole((2, 60, 60)), path=str(file))
    *_, last = run_jobs([job], lambda: restorer, threading.Event())
    assert isinstance(last, Failed)
    assert "a.zarr is no longer where it was" in str(last.error)


def test_missing_pixels_of_a_lazy_layer_are_said_before_anything_is_shown(
    restorer: Restorer,
) -> None:
    pixels = noise(2, 60, 60).astype(np.float32)
    pixels[1, 59, 59] = np.nan
    (only,) = run_jobs(
        [Job("a", Lazy(pixels), whole(pixels.shape))], lambda: restorer, threading.Event()
    )
    assert isinstance(only, Failed)
    assert "NaN or infinite" in str(only.error)
