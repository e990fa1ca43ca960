"""Runs that sweep: through the engine's front, with whatever goes wrong on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_semnet.restoration import restorer as restorer_module
from napari_semnet.restoration.backends import Backend, TorchBackend
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.events import Finished, Notice, Started, TileDone
from napari_semnet.restoration.memory import counted_cost
from napari_semnet.restoration.openvino_network import OpenVINONetwork
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.sweep import SweptTile, handed_on_bytes
from napari_semnet.restoration.tile_size import WidthCost
from napari_semnet.restoration.volumes import begin_volume
from tests.restoration.conftest import REDUCED, reduced_model

pytestmark = pytest.mark.skipif(
    not openvino_version(), reason="OpenVINO is not installed: pip install openvino"
)

COST = WidthCost((96, 128, 129, 384), (1.0, 1.0, 2.0, 2.0))
IMAGE = np.random.default_rng(0).integers(0, 256, (700, 620), np.uint8)
WHOLE = Settings(tile=2000, halo="exact", precision="fp32", backend="openvino")
SWEPT = Settings(halo=60, precision="fp32", backend="openvino")
"""Tiles would read so much around them that a sweep is faster."""


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Pieces have as many rows on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Sweeper(TorchBackend):
    """OpenVINO, which fails on purpose at some pieces."""

    failing: Callable[[int], None] = staticmethod(lambda number: None)

    def __init__(self, network, device, precision) -> None:
        super().__init__(network, device, precision, OpenVINONetwork, "openvino", COST)
        self.pieces: list[int] = []
        self.alone = 0

    def restore_tile(self, image, narrowed=()):
        self.alone += 1
        return (yield from super().restore_tile(image, narrowed))

    def restore_piece(self, image, piece, handed_on):
        self.pieces.append(piece.number)
        self.failing(piece.number)
        return (yield from super().restore_piece(image, piece, handed_on))


def restorer_with(
    failing: Callable[[int], object] = lambda number: None, settings: Settings = SWEPT
) -> tuple[Restorer, list[Sweeper]]:
    made: list[Sweeper] = []

    def make(network, device, precision) -> Backend:
        backend = Sweeper(network, device, precision)
        backend.failing = failing
        made.append(backend)
        return backend

    return Restorer(reduced_model(), settings, make), made


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return Restorer(reduced_model(), WHOLE).restore(IMAGE).pixels


def test_a_large_image_is_swept_and_is_what_the_whole_would_be(whole) -> None:
    restorer, (made) = restorer_with()
    events = list(restorer.run(IMAGE))
    (started,) = [event for event in events if isinstance(event, Started)]
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert started.plan.swept
    assert len(tiles) == started.total_tiles >= 12
    np.testing.assert_array_equal(events[-1].restored.pixels, whole)
    assert made[0].pieces == list(range(len(tiles)))
    assert made[0].alone == 0


def test_a_small_image_and_tiles_that_were_asked_for_are_not_swept() -> None:
    restorer, _ = restorer_with()
    assert not restorer.begin(IMAGE[:120, :120]).plan.swept
    restorer, _ = restorer_with(settings=replace(SWEPT, tile=128))
    assert not restorer.begin(IMAGE).plan.swept


def test_each_slice_of_a_stack_is_swept_by_itself(whole) -> None:
    restorer, made = restorer_with()
    stack = np.stack([IMAGE, IMAGE[::-1], IMAGE])
    restored = restorer.restore(stack).pixels
    np.testing.assert_array_equal(restored[0], whole)
    np.testing.assert_array_equal(restored[2], whole)
    assert made[0].pieces == 3 * list(range(len(made[0].pieces) // 3))


@pytest.mark.parametrize("error", [ArrangementError("no"), MemoryError()])
def test_what_comes_after_a_piece_that_fails_is_computed_tile_by_tile(error, whole) -> None:
    def failing(number: int) -> None:
        if number == 4:
            raise error

    restorer, made = restorer_with(failing)
    restored = restorer.restore(IMAGE).pixels
    assert made[0].pieces == [0, 1, 2, 3, 4]
    assert made[0].alone == len(restorer.begin(IMAGE)) - 4
    difference = np.abs(restored.astype(int) - whole)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_the_next_slice_is_swept_again_after_a_piece_has_failed() -> None:
    failures = iter([MemoryError()])

    def failing(number: int) -> None:
        if number == 2 and (error := next(failures, None)):
            raise error

    restorer, made = restorer_with(failing)
    restorer.restore(np.stack([IMAGE, IMAGE]))
    count = len(restorer.begin(IMAGE))
    assert made[0].pieces == [0, 1, 2, *range(count)]


def test_any_other_failure_of_a_piece_is_passed_on() -> None:
    def failing(number: int) -> None:
        raise RuntimeError("something else")

    restorer, _ = restorer_with(failing)
    with pytest.raises(RuntimeError, match="something else"):
        restorer.restore(IMAGE)


def test_a_tile_out_of_turn_is_computed_alone_and_right(whole) -> None:
    restorer, made = restorer_with()
    work = restorer.begin(IMAGE)
    tile = list(work.tiles())[5]
    assert isinstance(tile, SweptTile)
    steps = work.restore(work.read(tile))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            pixels = stop.value
            break
    assert made[0].pieces == []
    assert made[0].alone == 1
    assert np.abs(pixels.astype(int) - whole[tile.where]).max() <= 1


def test_a_run_that_is_stopped_within_a_sweep_can_be_begun_again(whole) -> None:
    restorer, _ = restorer_with()
    steps = restorer.run(IMAGE)
    for event in steps:
        if isinstance(event, TileDone) and event.done == 3:
            break
    steps.close()
    np.testing.assert_array_equal(restorer.restore(IMAGE).pixels, whole)


def test_values_that_are_not_finite_are_computed_again_in_float32(whole) -> None:
    class Half(Sweeper):
        def restore_piece(self, image, piece, handed_on):
            pixels = yield from super().restore_piece(image, piece, handed_on)
            return np.full_like(pixels, np.nan) if piece.number == 5 else pixels

    def make(network, device, precision) -> Backend:
        # It says bf16 and computes fp32, so that what is computed again can be told.
        backend = (Half if precision == "bf16" else Sweeper)(network, device, "fp32")
        backend.precision = precision
        return backend

    restorer = Restorer(reduced_model(), replace(SWEPT, precision="bf16"), make)
    events = list(restorer.run(IMAGE))
    assert any("again in fp32" in e.text for e in events if isinstance(e, Notice))
    finished = [event for event in events if isinstance(event, Finished)]
    assert np.abs(finished[0].restored.pixels.astype(int) - whole).max() <= 1


def test_strength_missing_pixels_and_saturation_are_those_of_the_whole() -> None:
    image = IMAGE.astype(np.float32) / 255
    image[200:215, 300:312] = 1
    image[400, 100] = image[0, 0] = np.nan
    settings = replace(SWEPT, strength=0.6, non_finite="mask", intensity=(0.0, 1.0))
    restorer, made = restorer_with(settings=settings)
    found = restorer.restore(image).pixels
    asked = replace(WHOLE, strength=0.6, non_finite="mask", intensity=(0.0, 1.0))
    expected = Restorer(reduced_model(), asked).restore(image).pixels
    assert made[0].pieces
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_blocks_of_a_volume_are_swept_and_give_the_same_bytes_however_many_at_once(
    tmp_path,
) -> None:
    stack = np.stack([IMAGE, IMAGE[::-1]])
    pixels = []
    for at_once in (1, 2):
        restorer, made = restorer_with()
        run = begin_volume(restorer, stack, tmp_path / f"{at_once}.zarr", at_once=at_once)
        assert run.plan.swept
        for _ in run.run():
            pass
        pixels.append(np.asarray(run.store.finest))
        assert sum(len(backend.pieces) for backend in made) == 2 * len(restorer.begin(IMAGE))
    np.testing.assert_array_equal(*pixels)


def test_a_plan_that_sweeps_can_be_followed_by_what_cannot(whole) -> None:
    swept, _ = restorer_with()
    plan = swept.begin(IMAGE).plan
    plain = Restorer(reduced_model(), SWEPT, TorchBackend)
    work = plain.begin(IMAGE, plan)
    result = np.empty_like(whole)
    for tile in work.tiles():
        steps = work.restore(work.read(tile))
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result[tile.where] = stop.value
                break
    assert np.abs(result.astype(int) - whole).max() <= 1


def test_nothing_is_swept_where_memory_does_not_hold_what_is_handed_down(monkeypatch) -> None:
    restorer, _ = restorer_with()
    plan = restorer.begin(IMAGE).plan
    assert plan.swept
    enough_for_a_piece = counted_cost(REDUCED, "fp32").of(math.prod(plan.tile)) + 1
    handed_down = handed_on_bytes(REDUCED, "fp32", IMAGE.shape[1])
    for more, swept in ((0, False), (handed_down, True)):
        available = enough_for_a_piece + more
        monkeypatch.setattr(restorer_module, "budget", lambda device, n=available: n)
        assert restorer.begin(IMAGE).plan.swept is swept
