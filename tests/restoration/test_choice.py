"""The choice of an arrangement: measured once, remembered, and harmless when it goes wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from napari_semnet.errors import DeviceError
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration import choice
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.choice import (
    WIDTHS,
    Speed,
    backend_named,
    fastest,
    is_measured,
    measured_speeds,
)
from napari_semnet.restoration.dense import ArrangementError, Concatenated
from napari_semnet.restoration.events import Finished, Notice
from napari_semnet.restoration.openvino_network import OpenVINONetwork
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.prepared import PreparedNetwork
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import Device, describe_device
from tests.restoration.conftest import reduced_model, reduced_network

SMALL = Architecture(features=16, growth=8, blocks=1, rdb_per_block=1, conv_per_rdb=3)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    path = tmp_path / "cache" / "speed.json"
    monkeypatch.setattr(choice, "cache_file", lambda: path)
    monkeypatch.setattr(choice, "_HEIGHT", 8)
    monkeypatch.setattr(choice, "_FINE_HEIGHT", 8)
    monkeypatch.setattr(choice, "_FINE", (100, 384))
    return path


def test_speeds_are_measured_once_and_then_read(cache, monkeypatch) -> None:
    first = measured_speeds(SMALL, "fp32")
    # Which of them are hopeless, and left out, is for the machine to say.
    assert {speed.name for speed in first} <= choice.ARRANGEMENTS.keys()
    assert first
    assert all(min(speed.times.values()) > 0 for speed in first)
    monkeypatch.setattr(choice, "_measure", lambda *_: pytest.fail("measured again"))
    assert measured_speeds(SMALL, "fp32") == first


def test_it_is_known_before_whether_something_has_to_be_measured(cache, monkeypatch) -> None:
    monkeypatch.setattr(choice, "_LEAST_OPERATIONS", 0)
    cpu, threads = describe_device("cpu"), torch.get_num_threads()
    assert not is_measured(SMALL, cpu, "fp32", threads)
    measured_speeds(SMALL, "fp32")
    assert is_measured(SMALL, cpu, "fp32", threads)
    assert not is_measured(SMALL, cpu, "fp32", threads + 1)
    assert not is_measured(SMALL, cpu, "bf16", threads)
    gpu = Device("NVIDIA H100", torch.device("cuda", 0), "bf16")
    assert is_measured(SMALL, gpu, "bf16", threads)


def test_another_precision_network_or_release_is_measured_anew(cache, monkeypatch) -> None:
    asked = []

    def measure(*what):
        asked.append(what)
        return {"torch": dict.fromkeys(WIDTHS, 1e-6)}

    monkeypatch.setattr(choice, "_measure", measure)
    for _ in range(2):
        measured_speeds(SMALL, "fp32")
        measured_speeds(SMALL, "bf16")
        measured_speeds(Architecture(), "bf16")
    assert len(asked) == 3
    monkeypatch.setattr(torch, "__version__", "99.0")
    measured_speeds(SMALL, "fp32")
    assert len(asked) == 4
    assert len(json.loads(cache.read_text())) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"a": {"torch": [1, 1, 1]}}',
        b'{"a": {"torch": {"192": 1, "256": 1}}}',
        b'{"a": {"torch": {"384": 1, "192": 1}}}',
        b'{"a": {"torch": {"192": 0, "384": 1}}}',
    ],
)
def test_a_cache_that_cannot_be_understood_is_measured_over(cache, content) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    speeds = measured_speeds(SMALL, "fp32")
    assert measured_speeds(SMALL, "fp32") == speeds
    assert json.loads(cache.read_text())


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(choice, "cache_file", lambda: tmp_path / "file" / "speed.json")
    speeds = measured_speeds(SMALL, "fp32")
    assert speeds
    # Which are hopelessly slower, and left out, depends on what else the machine does.
    assert all(speed.name in choice.ARRANGEMENTS for speed in speeds)
    assert all(seconds > 0 for speed in speeds for seconds in speed.times.values())
    assert (tmp_path / "file").read_bytes() == b""


def test_measuring_leaves_the_random_numbers_of_others_alone(cache) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    measured_speeds(SMALL, "fp32")
    assert torch.equal(torch.rand(2), expected)


def speed(name: str, *times: float) -> Speed:
    return Speed(name, dict(zip(WIDTHS, times, strict=True)))


def test_a_less_plain_arrangement_must_gain_something() -> None:
    plain = speed("torch", 1, 2)
    same = speed("torch-stacked", 0.99, 2)
    better = speed("openvino", 0.9, 2)
    assert fastest((plain, same)) is plain
    assert fastest((plain, same, better)) is better


def test_wide_tiles_count_for_what_they_need_not_read_around_them() -> None:
    narrow = speed("torch", 1, 1.2)
    wide = speed("openvino", 2, 1.05)
    assert fastest((narrow, wide)) is wide


def test_width_costs_only_where_wide_tiles_are_slower() -> None:
    assert speed("torch", 1, 1.04).width_cost is None
    cost = speed("torch", 1, 1.2).width_cost
    assert cost is not None
    assert cost.at(np.array([384])) == 1.2
    times = {96: 1.0, 192: 1.05, 240: 0.81, 248: 0.8, 384: 1.0}
    between = Speed("openvino", times).width_cost
    assert between is not None
    assert between.at(np.array([248])) == 0.81


def test_one_time_that_came_out_too_long_does_not_make_its_width_a_bad_one() -> None:
    widths = (96, 224, 232, 240, 248, 254, 256, 264, 384)
    times = (2.1, 1.8, 2.2, 1.9, 1.85, 1.8, 2.4, 2.3, 2.2)
    cost = Speed("openvino", dict(zip(widths, times, strict=True))).width_cost
    assert cost is not None
    assert cost.times == (2.1, 2.1, 1.9, 1.9, 1.85, 1.85, 2.3, 2.3, 2.2)


def test_a_step_between_two_widths_is_looked_for(monkeypatch) -> None:
    def seconds(network, shape):
        return 1.0 if shape[1] < 253 else 1.3

    monkeypatch.setattr(choice, "_seconds_per_pixel", seconds)
    found = choice._finely(None, dict.fromkeys(WIDTHS, 1.0))
    assert list(found) == sorted(found)
    assert found[252] == 1.0
    assert found[254] == 1.3


@pytest.mark.parametrize(("wide", "widths"), [(1.0, {192, 384}), (1.3, {100, 192, 384})])
def test_widths_are_compared_where_the_widest_is_slower(cache, monkeypatch, wide, widths) -> None:
    def seconds(network, shape):
        return 1e-9 * (wide if shape[1] == 384 else 1.0)

    monkeypatch.setattr(choice, "_seconds_per_pixel", seconds)
    monkeypatch.setattr(choice, "_HALVINGS", 0)
    assert {width for each in measured_speeds(SMALL, "fp32") for width in each.times} == widths


def test_where_computing_takes_long_only_the_widest_pieces_are_restored(cache, monkeypatch) -> None:
    asked = []

    def seconds(network, shape):
        asked.append(shape)
        return 1.0

    monkeypatch.setattr(choice, "_seconds_per_pixel", seconds)
    speeds = measured_speeds(SMALL, "fp32")
    assert set(asked) == {choice._FIRST, (8, 384)}
    assert asked.count((8, 384)) == 2 * len(speeds)
    assert all(speed.width_cost is None for speed in speeds)


def test_a_small_network_is_not_worth_measuring(cache) -> None:
    backend = backend_named(reduced_network(), describe_device("cpu"), "fp32")
    assert backend.name == "torch"
    assert not cache.exists()


def test_a_backend_that_is_not_installed_is_refused_with_what_to_do(model, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match="pip install"):
        Restorer(model, Settings(backend="openvino")).restore(np.zeros((9, 9), np.uint8))


class Failing(Concatenated):
    """Blocks that stop in the middle."""

    def run(self, maps, narrowed):
        for done in super().run(maps, narrowed):
            yield done
            raise ArrangementError("The other runtime failed: no reason given")


def failing(network, device, precision):
    return TorchBackend(
        network, device, precision, partial(PreparedNetwork, arrange=Failing), "other"
    )


def test_an_arrangement_that_fails_is_replaced_for_good_and_that_is_said_once(model) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    restorer = Restorer(model, Settings(precision="fp32", tile=20), failing)
    events = list(restorer.run(image))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["The other runtime failed: no reason given. PyTorch computes in its place."]
    assert isinstance(events[-1], Finished)
    expected = Restorer(model, Settings(precision="fp32", tile=20)).restore(image).pixels
    np.testing.assert_array_equal(events[-1].restored.pixels, expected)
    assert restorer.restore(image).plan.backend == "torch"


def test_the_record_names_what_computed_where_that_is_not_what_was_planned(model) -> None:
    restorer = Restorer(model, Settings(precision="fp32"), failing)
    started, *_, finished = restorer.run(np.zeros((20, 20), np.uint8))
    assert started.plan.backend == "other"
    assert finished.restored.plan.backend == "torch"
    assert replace(finished.restored.plan, backend="other") == started.plan


# ----- OpenVINO ------------------------------------------------------------------------------


@pytest.fixture
def openvino() -> None:
    if not openvino_version():
        pytest.skip("OpenVINO is not installed: pip install openvino")


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_computes_what_pytorch_computes(precision) -> None:
    network = reduced_network()
    cpu = describe_device("cpu")
    image = np.random.default_rng(0).random((30, 41), np.float32)
    expected = run_through(TorchBackend(network, cpu, "fp32").restore_tile(image))
    backend = TorchBackend(network, cpu, precision, OpenVINONetwork)
    found = run_through(backend.restore_tile(image))
    error = np.abs(found - expected)
    assert error.max() < (1e-5 if precision == "fp32" else 2e-2)
    np.testing.assert_array_equal(run_through(backend.restore_tile(image)), found)


@pytest.mark.usefixtures("openvino")
def test_tiles_by_openvino_equal_the_whole(model) -> None:
    image = np.random.default_rng(1).random((50, 37), np.float32)
    common = {"precision": "fp32", "halo": "exact", "intensity": (0.0, 1.0)}
    tiled = Restorer(model, Settings(**common, tile=(19, 13), backend="openvino")).restore(image)
    whole = Restorer(model, Settings(**common)).restore(image).pixels
    assert tiled.plan.backend == "openvino"
    np.testing.assert_allclose(tiled.pixels, whole, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("openvino")
def test_a_run_by_openvino_can_be_given_up_and_repeated() -> None:
    network = SEMNet(Architecture(blocks=1)).eval()
    backend = TorchBackend(network, describe_device("cpu"), "fp32", OpenVINONetwork)
    image = np.random.default_rng(0).random((150, 150), np.float32)
    steps = backend.restore_tile(image)
    next(steps)
    steps.close()
    assert run_through(backend.restore_tile(image)).shape == (300, 300)


def test_times_that_differ_are_measured_again_until_two_are_alike(monkeypatch) -> None:
    # The first one prepares kernels; then other programs take the caches three times.
    times = iter((9.0, 3.0, 2.0, 1.5, 1.0, 1.01, 0.5))
    monkeypatch.setattr(choice, "_seconds_per_pixel", lambda *_: next(times))
    assert choice._in_turns({"torch": None}, (96,), 8) == {"torch": {96: 1.0}}
    assert next(times) == 0.5


def test_times_that_never_agree_are_given_up_on(monkeypatch) -> None:
    measured = []

    def seconds(*_) -> float:
        measured.append(1)
        return 0.5 ** len(measured)

    monkeypatch.setattr(choice, "_seconds_per_pixel", seconds)
    assert choice._in_turns({"torch": None}, (96,), 8) == {"torch": {96: 0.5**10}}


def test_a_machine_that_others_use_does_not_make_a_picture_wait_for_long(monkeypatch) -> None:
    clock = iter((0.0, 30.0, 60.0))
    monkeypatch.setattr(choice.time, "monotonic", lambda: next(clock))
    times = iter((9.0, 3.0))
    monkeypatch.setattr(choice, "_seconds_per_pixel", lambda *_: next(times))
    assert choice._in_turns({"torch": None}, (96,), 8) == {"torch": {96: 3.0}}


def test_an_arrangement_that_fails_at_one_width_is_left_out(monkeypatch) -> None:
    def seconds(network, shape) -> float:
        if network == "poor" and shape[1] == 192:
            raise ArrangementError("not here")
        return 1.0

    monkeypatch.setattr(choice, "_seconds_per_pixel", seconds)
    found = choice._in_turns({"torch": "good", "openvino": "poor"}, (96, 192), 8)
    assert found == {"torch": {96: 1.0, 192: 1.0}}


def test_the_plan_names_what_computed() -> None:
    image = np.zeros((9, 9), np.uint8)
    for name in ("torch", "torch-stacked"):
        assert Restorer(reduced_model(), Settings(backend=name)).restore(image).plan.backend == name


def test_for_a_plan_nothing_is_measured(model, monkeypatch) -> None:
    image = np.zeros((9, 9), np.uint8)
    plan = Restorer(model, Settings(precision="fp32", backend="torch-stacked")).begin(image).plan
    monkeypatch.setattr(choice, "_LEAST_OPERATIONS", 0)
    monkeypatch.setattr(choice, "measured_speeds", lambda *_: pytest.fail("measured"))
    restorer = Restorer(model, Settings(precision="fp32"))
    assert restorer.begin(image, plan).backend_name == "torch-stacked"
