"""What goes wrong with one tile is dealt with there, said, and costs nothing that is finished."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_semnet.errors import DeviceError, ImageError
from napari_semnet.restoration.backends import is_out_of_memory
from napari_semnet.restoration.events import Finished, Notice, Started, TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import describe_device
from tests.restoration.conftest import pretend_gpu

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
TILED = {"tile": 32, "halo": "exact"}


def told(restorer: Restorer, image: NDArray = IMAGE) -> tuple[list[str], NDArray, list[TileDone]]:
    events = list(restorer.run(image))
    notices = [event.text for event in events if isinstance(event, Notice)]
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    return notices, events[-1].restored.pixels, tiles


def expected(model, precision: str = "fp32") -> NDArray:
    return Restorer(model, Settings(precision=precision, **TILED)).restore(IMAGE).pixels


def too_large(error: Exception, pixels: int, kind: str = "cpu"):
    def fault(image, device, precision):
        if device.kind == kind and image.size > pixels:
            raise error

    return fault


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    RuntimeError("could not create a primitive"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "cpu", "mps", "onednn", "python"])
def test_a_tile_that_does_not_fit_is_computed_in_parts(model, faulty, error) -> None:
    make, computed = faulty(too_large(error, 1600))
    notices, pixels, tiles = told(Restorer(model, Settings(precision="fp32", **TILED), make))
    assert len(notices) == 1
    assert "memory" in notices[0]
    assert len(tiles) == 4
    assert np.abs(pixels.astype(int) - expected(model)).max() <= 1
    assert "released" in computed


def test_only_the_failed_tile_is_computed_again(model, faulty) -> None:
    failed = []

    def fault(image, device, precision):
        if len(done) == 2 and not failed:
            failed.append(image.shape)
            raise torch.OutOfMemoryError("out of memory")

    make, computed = faulty(fault)
    done = []
    for event in Restorer(model, Settings(precision="fp32", **TILED), make).run(IMAGE):
        if isinstance(event, TileDone):
            done.append(event)
    shapes = [call[2] for call in computed if call != "released"]
    assert shapes[:3] == [(42, 42)] * 3
    # The third tile in two halves, and the fourth, as large as what failed, in halves at once.
    assert [shape[0] for shape in shapes[3:]] == [36, 26, 36, 26]
    pixels = np.vstack([np.hstack([t.pixels for t in done[i : i + 2]]) for i in (0, 2)])
    assert np.abs(pixels.astype(int) - expected(model)).max() <= 1


def test_the_next_run_tries_whole_tiles_again(model, faulty) -> None:
    struck = []

    def once(image, device, precision):
        if not struck:
            struck.append(1)
            raise torch.OutOfMemoryError("out of memory")

    make, computed = faulty(once)
    restorer = Restorer(model, Settings(precision="fp32", **TILED), make)
    restorer.restore(IMAGE)
    computed.clear()
    notices, _, _ = told(restorer)
    assert notices == []
    assert computed == [("cpu", "fp32", (42, 42))] * 4


def test_a_gpu_too_small_for_any_tile_hands_over_to_the_cpu(model, faulty, monkeypatch) -> None:
    right = expected(model)
    pretend_gpu(monkeypatch)
    make, computed = faulty(too_large(torch.OutOfMemoryError("out of memory"), 0, "cuda"))
    restorer = Restorer(model, Settings(device="cuda", precision="fp32", **TILED), make)
    notices, pixels, _ = told(restorer)
    assert ["parts" in notices[0], "CPU" in notices[1], len(notices)] == [True, True, 2]
    assert {call[0] for call in computed if call != "released"} == {"cuda", "cpu"}
    assert np.abs(pixels.astype(int) - right).max() <= 1


def test_a_gpu_that_cannot_hold_the_network_hands_the_whole_image_over(
    model, faulty, monkeypatch
) -> None:
    right = expected(model)
    pretend_gpu(monkeypatch)
    make, _ = faulty(lambda *_: None)

    def full(network, device, precision):
        if device.kind == "cuda":
            raise torch.OutOfMemoryError("out of memory")
        return make(network, device, precision)

    restorer = Restorer(model, Settings(device="cuda", precision="fp32", **TILED), full)
    notices, pixels, _ = told(restorer)
    assert len(notices) == 1
    assert "too little free memory for the network" in notices[0]
    assert restorer.restore(IMAGE).plan.device_name == describe_device("cpu").name
    np.testing.assert_array_equal(pixels, right)


def test_a_machine_without_memory_for_any_tile_says_so_and_keeps_what_is_done(
    model, faulty
) -> None:
    out = np.zeros((128, 128), np.uint8)

    def fault(image, device, precision):
        if out.any():
            raise MemoryError

    make, _ = faulty(fault)
    with pytest.raises(DeviceError, match="not enough memory"):
        Restorer(model, Settings(precision="fp32", **TILED), make).restore(IMAGE, out)
    np.testing.assert_array_equal(out[:64, :64], expected(model)[:64, :64])
    assert not out[64:].any()


def test_any_other_failure_is_not_swallowed(model, faulty) -> None:
    make, _ = faulty(too_large(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 0))
    with pytest.raises(RuntimeError, match="mat1"):
        Restorer(model, Settings(precision="fp32"), make).restore(IMAGE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tile_that_bfloat16_breaks_is_computed_in_float32(model, faulty, value) -> None:
    def fault(tile, device, precision):
        if precision == "bf16" and tile.shape == (42, 42) and len(done) == 2:
            wrong = np.zeros((84, 84), np.float32)
            wrong[40, 40] = value
            return wrong
        return None

    make, computed = faulty(fault)
    done, notices = [], []
    for event in Restorer(model, Settings(precision="bf16", **TILED), make).run(IMAGE):
        if isinstance(event, TileDone):
            done.append(event)
        if isinstance(event, Notice):
            notices.append(event.text)
    assert len(notices) == 1
    assert "fp32" in notices[0]
    tiles = [call[1] for call in computed[2:]]  # after the check of the precision
    assert tiles == ["bf16", "bf16", "bf16", "fp32", "bf16"]
    right = Restorer(model, Settings(precision="fp32", **TILED)).restore(IMAGE).pixels
    np.testing.assert_array_equal(done[2].pixels, right[64:, :64])


def test_values_that_float32_breaks_as_well_are_an_error(model, faulty) -> None:
    def fault(tile, device, precision):
        return np.full([2 * n for n in tile.shape], np.nan, np.float32)

    make, _ = faulty(fault)
    with pytest.raises(ImageError, match="not finite, even in fp32"):
        Restorer(model, Settings(precision="fp32"), make).restore(IMAGE)


def off_by(amount: float):
    def fault(tile, device, precision):
        if precision == "bf16":
            checker = np.indices([2 * n for n in tile.shape]).sum(0) % 2
            return (amount * checker).astype(np.float32)
        return np.zeros([2 * n for n in tile.shape], np.float32)

    return fault


@pytest.mark.parametrize(
    ("amount", "precision"), [(0.0013, "bf16"), (0.0016, "fp32"), (np.nan, "fp32")]
)
def test_a_precision_short_of_60_decibels_falls_back_and_says_so(
    model, faulty, amount, precision
) -> None:
    # On half of the pixels, 60 dB is a difference of 0.001 * sqrt(2).
    make, computed = faulty(off_by(amount))
    restorer = Restorer(model, Settings(precision="bf16", intensity=(0, 255)), make)
    events = list(restorer.run(IMAGE))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert events[0].plan.precision == precision
    assert len(notices) == (precision == "fp32")
    assert computed[-1][1] == precision
    computed.clear()
    assert not [e for e in restorer.run(IMAGE) if isinstance(e, Notice)]  # settled, and said
    assert [call[1] for call in computed] == [precision]


def test_running_out_of_memory_is_told_from_other_failures() -> None:
    assert all(is_out_of_memory(error) for error in ERRORS)
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_out_of_memory(ValueError("out of memory"))
    descriptor = "could not create a primitive descriptor for a convolution"
    assert not is_out_of_memory(RuntimeError(descriptor))
