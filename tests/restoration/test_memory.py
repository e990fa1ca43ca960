"""Memory: counted, measured, and turned into a size of tiles."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.network import Architecture
from napari_semnet.restoration import memory
from napari_semnet.restoration.backends import TorchBackend
from napari_semnet.restoration.memory import (
    CPU_CEILING,
    MemoryCost,
    budget,
    counted_cost,
    fit_cost,
    most_pixels,
    probe_cost,
)
from napari_semnet.restoration.runtime import Device, describe_device
from tests.restoration.conftest import reduced_network

COUNTED = MemoryCost(fixed=1e6, per_pixel=1000.0)


def test_float32_takes_nearly_twice_what_bfloat16_does() -> None:
    fine, fast = (counted_cost(Architecture(), p).per_pixel for p in ("fp32", "bf16"))
    assert 1.6 < fine / fast < 2


def test_a_clean_measurement_is_taken_as_it_is() -> None:
    true = MemoryCost(fixed=0.9e6, per_pixel=1200.0)
    fit = fit_cost((1000, true.of(1000)), (9000, true.of(9000)), COUNTED)
    assert fit.fixed == pytest.approx(true.fixed)
    assert fit.per_pixel == pytest.approx(true.per_pixel)


@given(small=st.floats(0, 1e12), large=st.floats(0, 1e12))
def test_a_disturbed_measurement_stays_near_what_was_counted(small, large) -> None:
    fit = fit_cost((128**2, small), (256**2, large), COUNTED)
    assert COUNTED.per_pixel / 1.5 <= fit.per_pixel <= 1.5 * COUNTED.per_pixel
    assert COUNTED.fixed / 1.5 <= fit.fixed <= 1.5 * COUNTED.fixed


@given(available=st.floats(1e8, 1e12))
def test_a_tile_of_the_given_pixels_stays_within_the_budget(available) -> None:
    assert COUNTED.of(COUNTED.pixels_within(available)) <= available


def test_there_is_always_a_tile_however_little_is_free() -> None:
    assert COUNTED.pixels_within(0) == 64**2


def test_a_probe_on_this_cpu_gives_a_cost_near_the_counted_one() -> None:
    architecture = Architecture(features=32, growth=16, blocks=1, rdb_per_block=1)
    counted = counted_cost(architecture, "fp32")
    backend = TorchBackend(reduced_network(architecture), describe_device("cpu"), "fp32")
    cost = probe_cost(backend, counted)
    assert counted.per_pixel / 1.5 <= cost.per_pixel <= counted.per_pixel * 1.5


def test_a_cuda_probe_reads_the_peak_of_its_own_device(monkeypatch) -> None:
    # No GPU here: what is tested is which questions are asked and what is made of the answers.
    true = MemoryCost(fixed=1.1e6, per_pixel=900.0)
    device = Device("Pretended GPU", torch.device("cuda", 1), "bf16")
    asked: list = []

    class Pretended:
        precision = "bf16"

        def __init__(self) -> None:
            self.device = device

        def restore_tile(self, image):
            asked.append(image.size)
            yield 0.5
            return np.zeros([2 * n for n in image.shape], np.float32)

    monkeypatch.setattr(
        torch.cuda, "memory_allocated", lambda d: 5e6 if d == device.torch_device else 0
    )
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda d: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda d: 5e6 + true.of(asked[-1]))
    cost = probe_cost(Pretended(), COUNTED)
    assert asked == ["reset", 128**2, "reset", 256**2]
    assert cost.per_pixel == pytest.approx(true.per_pixel)
    assert cost.fixed == pytest.approx(true.fixed)


def test_a_cpu_uses_half_of_what_is_free_up_to_a_ceiling(monkeypatch) -> None:
    cpu = describe_device("cpu")
    for free, expected in ((2**29, 2**28), (2**40, CPU_CEILING)):
        monkeypatch.setattr(
            psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free)
        )
        assert budget(cpu) == expected


def test_a_gpu_uses_what_is_free_and_what_pytorch_holds_without_using(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 9999))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    gpu = Device("Pretended GPU", torch.device("cuda", 0), "bf16")
    assert budget(gpu) == pytest.approx(0.85 * 1200)


def test_metal_is_asked_for_its_own_limit(monkeypatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 200)
    device = Device("Apple GPU", torch.device("mps"), "fp32")
    assert budget(device) == 400
    assert memory.probe_cost(SimpleNamespace(device=device), COUNTED) is COUNTED


def test_no_array_has_more_values_than_a_32_bit_index_counts() -> None:
    assert most_pixels(Architecture()) * 192 < 2**31
