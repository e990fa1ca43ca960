"""Which devices are here, what they are called, and which precision suits them."""

from __future__ import annotations

import platform
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch

from napari_semnet.errors import DeviceError

__all__ = [
    "CPU",
    "Device",
    "Precision",
    "as_precision",
    "available_devices",
    "compute_alone",
    "compute_by",
    "describe_device",
    "device_in_turn",
]

Precision: TypeAlias = Literal["fp32", "bf16"]

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can restore."""

    name: str
    """As shown to people: ``CPU (AVX-512 bf16)``, ``NVIDIA H100 80GB HBM3``."""
    torch_device: torch.device
    precision: Precision
    """What ``precision="auto"`` means here: the fastest that the hardware computes natively."""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return str(self.torch_device.type)


def as_precision(name: str) -> Precision:
    """Give a precision by its name.

    Raises
    ------
    DeviceError
        There is no such precision.
    """
    for precision in get_args(Precision):
        if name == precision:
            found: Precision = precision
            return found
    raise DeviceError(f"The precision is fp32 or bf16, not '{name}'.")


def available_devices() -> tuple[Device, ...]:
    """All devices of this machine, fastest first; the CPU is always there and comes last."""
    found = [_describe_cuda(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(_describe_mps())
    return (*found, _describe_cpu())


def describe_device(name: str = "auto") -> Device:
    """Find a device by name.

    Parameters
    ----------
    name : str
        ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises
    ------
    DeviceError
        It is not here; the text lists those that are.
    """
    devices = available_devices()
    if name == "auto":
        return devices[0]
    try:
        asked = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"'{name}' is not a device. Use one of: {_names(devices)}.") from error
    for device in devices:
        here = device.torch_device
        if here.type == asked.type and asked.index in (None, here.index or 0):
            return device
    raise DeviceError(f"The device '{name}' is not here. Use one of: {_names(devices)}.")


def device_in_turn(number: int, asked: str, devices: Sequence[Device]) -> str:
    """Share the GPUs of a machine out to processes that work on it side by side.

    Parameters
    ----------
    number : int
        Of the process, counted from 0.
    asked : str
        As `describe_device` takes it.
    devices : sequence of Device
        Those of the machine.

    Returns
    -------
    str
        A GPU's name, each in turn, where any of several may be taken; else what was asked for.
    """
    gpus = [str(device.torch_device) for device in devices if device.kind == "cuda"]
    return gpus[number % len(gpus)] if gpus and asked in ("auto", "cuda") else asked


_changing_threads = threading.Lock()


def compute_alone() -> None:
    """Let the calling thread compute without the help of others from now on."""
    compute_by(1)


def compute_by(threads: int) -> None:
    """Let the calling thread share its sums among so many threads from now on, itself included.

    PyTorch keeps how many threads share a sum for each thread that asks for sums, and with it the
    number for threads that have yet to ask for one. The latter is put back.
    """
    with _changing_threads:
        usual = torch.get_num_threads()
        if usual == threads:
            return
        torch.set_num_threads(threads)
        helper = threading.Thread(target=torch.set_num_threads, args=(usual,))
        helper.start()
        helper.join()


def _names(devices: tuple[Device, ...]) -> str:
    return ", ".join(["auto", *(f"{d.torch_device} = {d.name}" for d in devices)])


def _describe_cuda(index: int) -> Device:
    # bf16 came with compute capability 8; before it is emulated and slower than fp32. AMD's
    # devices, which answer to the same calls, all compute it.
    properties = torch.cuda.get_device_properties(index)
    native = torch.version.hip is not None or properties.major >= 8
    return Device(properties.name, torch.device("cuda", index), "bf16" if native else "fp32")


def _describe_mps() -> Device:
    chip = platform.processor() or platform.machine()
    return Device(f"Apple GPU ({chip})", torch.device("mps"), "fp32")


def _describe_cpu() -> Device:
    has = _cpu_capabilities()
    if has.get("amx_bf16") or has.get("amx_tile"):
        return Device("CPU (AMX bf16)", CPU, "bf16")
    if has.get("avx512_bf16"):
        return Device("CPU (AVX-512 bf16)", CPU, "bf16")
    for feature, name in (("avx512_f", "AVX-512"), ("avx2", "AVX2"), ("neon", "NEON")):
        if has.get(feature):
            return Device(f"CPU ({name})", CPU, "fp32")
    return Device("CPU", CPU, "fp32")


def _cpu_capabilities() -> Mapping[str, Any]:
    """Ask what the CPU can do, in the names of `torch.cpu.get_capabilities`.

    Older releases of PyTorch have single questions instead, some of them not at all; what
    cannot be asked counts as missing, which costs speed and nothing else.
    """
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        capabilities: Mapping[str, Any] = ask()
        return capabilities
    questions = {
        "amx_tile": "_is_amx_tile_supported",
        "avx512_bf16": "_is_avx512_bf16_supported",
        "avx512_f": "_is_avx512_supported",
        "avx2": "_is_avx2_supported",
    }
    return {
        feature: question()
        for feature, name in questions.items()
        if (question := getattr(torch.cpu, name, None)) is not None
    }
