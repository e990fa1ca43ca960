"""A restoration as it looks while it grows: the result where there is one, elsewhere NaN."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.files.provenance import Provenance
from napari_semnet.model import Model
from napari_semnet.restoration import growing
from napari_semnet.restoration.growing import GrowingPicture
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.volumes import begin_volume
from tests.restoration.volumes import FP32, noise

pytest.importorskip("zarr")

SHAPES = [(1100, 1200), (2, 530, 520)]


def begun(model: Model, path: Path, shape: tuple[int, ...], dtype: str = "uint8") -> VolumeRun:
    return begin_volume(Restorer(model, FP32), noise(shape, dtype), path, block=256)


def work(volume: VolumeRun, picture: GrowingPicture, numbers: list[int]) -> None:
    """Work off blocks in a thread of its own, which computes alone from then on."""

    def one_by_one() -> None:
        for number in numbers:
            for _ in volume.steps(number):
                pass
            picture.note(volume.grid[number].where)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(one_by_one).result()


def seen_of(picture: GrowingPicture) -> list[np.ndarray]:
    """Read all levels, without haste."""
    for index in np.ndindex(picture.done.shape[:-2]):
        picture.catch_up(index, 60)
    return [np.array(level) for level in picture.levels]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_level_is_the_results_where_blocks_are_done_and_nan_elsewhere(
    model: Model, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    volume = begun(model, tmp_path / "v.zarr", shape)
    picture = GrowingPicture(volume.store, volume.grid)
    first = list(range(0, len(volume.grid), 2))
    work(volume, picture, first)
    seen = seen_of(picture)
    work(volume, picture, [n for n in range(len(volume.grid)) if n not in first])
    whole = seen_of(picture)
    for _ in volume.finish(Provenance()):
        pass
    assert len(seen) > (1 if len(shape) > 2 else 2)
    for number, (half, all_of_it) in enumerate(zip(seen, whole, strict=True)):
        result = np.asarray(volume.store.level(number))
        np.testing.assert_array_equal(all_of_it, result)
        there = np.zeros(result.shape, bool)
        for block in first:
            *leading, rows, columns = volume.grid[block].where
            part = [slice(s.start >> number, s.stop >> number) for s in (rows, columns)]
            there[(*leading, *part)] = True
        np.testing.assert_array_equal(half[there], result[there])
        assert np.isnan(half[~there]).all()


def test_what_was_done_before_is_seen_after_opening_again(model: Model, tmp_path: Path) -> None:
    volume = begun(model, tmp_path / "v.zarr", (1100, 1200))
    before = GrowingPicture(volume.store, volume.grid)
    work(volume, before, [0, 7])
    again = begun(model, tmp_path / "v.zarr", (1100, 1200))
    picture = GrowingPicture(again.store, again.grid)
    for one, other in zip(seen_of(before), seen_of(picture), strict=True):
        np.testing.assert_array_equal(one, other)
    assert picture.part == before.part == 2 / len(volume.grid)


KEYS = [
    (slice(None), slice(None)),
    (slice(3, 900), slice(1000, 1100)),
    (250, slice(0, 1200)),
    (5, 9),
    (slice(0, 1000, 7), slice(None)),
    (Ellipsis, slice(2, 4)),
]


@pytest.mark.parametrize("key", KEYS)
def test_parts_are_read_as_of_any_array(model: Model, tmp_path: Path, key: object) -> None:
    volume = begun(model, tmp_path / "v.zarr", (1100, 1200))
    picture = GrowingPicture(volume.store, volume.grid)
    work(volume, picture, [0, 1])
    for level, whole in zip(picture.levels, seen_of(picture), strict=True):
        np.testing.assert_array_equal(level[key], whole[key])


def test_values_are_held_exactly_whatever_the_data_type(model: Model, tmp_path: Path) -> None:
    for dtype in ("uint8", "uint16", "float32", "float64", "int32"):
        volume = begun(model, tmp_path / f"{dtype}.zarr", (40, 50), dtype)
        picture = GrowingPicture(volume.store, volume.grid)
        work(volume, picture, [0])
        result = np.asarray(volume.store.finest)
        assert result.any()
        np.testing.assert_array_equal(picture.levels[0][:].astype(dtype), result)


def test_coarse_levels_of_few_slices_are_kept(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "MOST_COARSE", 1)
    volume = begun(model, tmp_path / "v.zarr", (3, 1030, 1030))
    picture = GrowingPicture(volume.store, volume.grid)
    work(volume, picture, [0, len(volume.grid) - 1])
    coarsest = picture.levels[-1]
    for index in (0, 1, 2, 0, 1, 2):
        picture.catch_up((index,), 60)
        assert np.isfinite(coarsest[index]).any() == (index != 1)
    assert len(picture._coarse) == 1


def test_the_coarsest_level_of_a_plain_image_is_one_array_that_fills_up(
    model: Model, tmp_path: Path
) -> None:
    volume = begun(model, tmp_path / "v.zarr", (300, 600))
    picture = GrowingPicture(volume.store, volume.grid)
    overview = picture.levels[-1]
    assert isinstance(overview, np.ndarray)
    assert np.isnan(overview).all()
    work(volume, picture, list(range(len(volume.grid))))
    np.testing.assert_array_equal(overview, np.asarray(volume.store.level(len(picture.levels) - 1)))


def test_nobody_waits_long_for_coarse_levels(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(
        volume := begun(model, tmp_path / "v.zarr", (2, 1100, 1030)),
        GrowingPicture(volume.store, volume.grid),
        [0, 1, 2],
    )
    picture = GrowingPicture(volume.store, volume.grid)
    monkeypatch.setattr(growing, "PATIENCE", 0.0)
    shown = [int(np.isfinite(picture.levels[-1][0]).sum()) for _ in range(4)]
    assert 0 < shown[0] < shown[1] < shown[2] == shown[3]
