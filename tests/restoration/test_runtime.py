"""Devices: named as people know them, found by name, with the precision their hardware has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from napari_semnet.errors import DeviceError
from napari_semnet.restoration import runtime
from napari_semnet.restoration.runtime import available_devices, describe_device, device_in_turn


def with_capabilities(monkeypatch, **has: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)


@pytest.mark.parametrize(
    ("has", "name", "precision"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "avx2": True}, "CPU (AMX bf16)", "bf16"),
        ({"avx512_bf16": True, "avx512_f": True}, "CPU (AVX-512 bf16)", "bf16"),
        ({"avx512_f": True, "avx2": True}, "CPU (AVX-512)", "fp32"),
        ({"avx2": True}, "CPU (AVX2)", "fp32"),
        ({"neon": True}, "CPU (NEON)", "fp32"),
        ({}, "CPU", "fp32"),
    ],
)
def test_the_cpu_is_named_after_what_it_can_do(monkeypatch, has, name, precision) -> None:
    with_capabilities(monkeypatch, **has)
    device = describe_device("cpu")
    assert (device.name, device.precision, device.kind) == (name, precision, "cpu")


def test_older_releases_of_pytorch_are_asked_question_by_question(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for question, answer in {
        "_is_amx_tile_supported": False,
        "_is_avx512_bf16_supported": True,
        "_is_avx512_supported": True,
        "_is_avx2_supported": True,
    }.items():
        monkeypatch.setattr(torch.cpu, question, lambda answer=answer: answer, raising=False)
    assert describe_device("cpu").name == "CPU (AVX-512 bf16)"
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert describe_device("cpu").precision == "fp32"


def two_gpus(monkeypatch) -> None:
    cards = [
        SimpleNamespace(name="NVIDIA H100", major=9),
        SimpleNamespace(name="Tesla T4", major=7),
    ]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: cards[index])


def test_gpus_come_first_and_keep_their_own_names(monkeypatch) -> None:
    two_gpus(monkeypatch)
    names = [(device.name, device.precision) for device in available_devices()]
    assert names[:2] == [("NVIDIA H100", "bf16"), ("Tesla T4", "fp32")]
    assert names[2][0].startswith("CPU")
    assert describe_device("auto").name == "NVIDIA H100"
    assert describe_device("cuda").torch_device == torch.device("cuda:0")
    assert describe_device("cuda:1").name == "Tesla T4"


@pytest.mark.parametrize("name", ["cuda:2", "xpu", "nonsense", "mps"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch, name) -> None:
    two_gpus(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda:1 = Tesla T4"):
        describe_device(name)


def test_processes_side_by_side_take_the_gpus_in_turn_unless_one_is_named(monkeypatch) -> None:
    two_gpus(monkeypatch)

    def taken(asked: str) -> list[str]:
        return [device_in_turn(number, asked, available_devices()) for number in range(3)]

    assert taken("auto") == taken("cuda") == ["cuda:0", "cuda:1", "cuda:0"]
    assert taken("cuda:1") == ["cuda:1"] * 3
    assert taken("cpu") == ["cpu"] * 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert taken("auto") == ["auto"] * 3


def test_apple_devices_are_found(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(runtime.platform, "processor", lambda: "arm")
    for name in ("auto", "mps", "mps:0"):
        assert describe_device(name).name == "Apple GPU (arm)"


def test_the_cpu_of_this_machine_is_there() -> None:
    assert available_devices()[-1].kind == "cpu"
    assert describe_device("cpu:0").kind == "cpu"
