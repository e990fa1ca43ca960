"""Kinds of tiles compiled by OpenVINO: side by side, kept for as long as memory allows."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
import torch

from napari_semnet.restoration import openvino_network
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.narrowing import reaches
from napari_semnet.restoration.openvino_network import OpenVINONetwork, kept_bytes
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.prepared import PreparedNetwork
from napari_semnet.restoration.tiles import Tile, TileKind, plan_tiles
from tests.restoration.conftest import REDUCED, reduced_network

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).random((60, 70), np.float32)


@pytest.fixture
def network() -> OpenVINONetwork:
    if not openvino_version():
        pytest.skip("OpenVINO is not installed: pip install openvino")
    return OpenVINONetwork(reduced_network(), CPU, torch.float32)


@pytest.fixture
def compiled(network, monkeypatch) -> list[TileKind]:
    """Kinds that the network has compiled, as often as it has."""
    kinds: list[TileKind] = []
    compile_kind = network._compile

    def counting(kind, threads):
        kinds.append(kind)
        return compile_kind(kind, threads)

    monkeypatch.setattr(network, "_compile", counting)
    return kinds


def nine() -> list[Tile]:
    return list(plan_tiles(IMAGE.shape, (14, 17), 10, reaches(REDUCED)[1:]))


def result(network: OpenVINONetwork | PreparedNetwork, tile: Tile) -> np.ndarray:
    seen = torch.from_numpy(np.ascontiguousarray(IMAGE[tile.read.slices]))[None, None]
    with torch.inference_mode():
        return run_through(network.steps(seen, tile.kept_maps))[0, 0].numpy()


def expected(tile: Tile) -> np.ndarray:
    return result(PreparedNetwork(reduced_network(), CPU, torch.float32), tile)


def test_tiles_of_every_kind_are_what_pytorch_gives_whether_they_were_expected_or_not(
    network,
) -> None:
    tiles = nine()
    assert len({tile.kind for tile in tiles}) == 9
    network.expect([tile.kind for tile in tiles[:5]])
    for tile in tiles:
        np.testing.assert_allclose(result(network, tile), expected(tile), rtol=0, atol=1e-5)


def test_a_kind_is_compiled_once_whoever_asks_first(network, compiled) -> None:
    tiles = nine()[:3]
    kinds = [tile.kind for tile in tiles]
    result(network, tiles[0])
    network.expect(kinds)
    network.expect(kinds)
    for tile in tiles + tiles:
        result(network, tile)
    assert Counter(compiled) == Counter(kinds)


def test_kinds_that_are_not_kept_are_compiled_again_and_give_the_same_bytes(
    network, monkeypatch
) -> None:
    tiles = nine()
    first = [result(network, tile) for tile in tiles]
    monkeypatch.setattr(openvino_network, "_KEPT_KINDS", 2)
    monkeypatch.setattr(openvino_network, "_KEPT_PIXELS", 1)
    for tile, before in zip(tiles + tiles, first + first, strict=True):
        np.testing.assert_array_equal(result(network, tile), before)
    assert len(network._compiled) == 2
    assert len(network._with_maps) == 1


def test_what_cannot_be_compiled_is_said_and_tried_again_the_next_time(
    network, monkeypatch
) -> None:
    tile = nine()[0]

    def failing(kind, threads):
        raise RuntimeError("no room\nfor it")

    with monkeypatch.context() as broken:
        broken.setattr(network, "_compile", failing)
        network.expect([tile.kind])
        with pytest.raises(ArrangementError, match=r"OpenVINO failed: no room$"):
            result(network, tile)
        with pytest.raises(ArrangementError, match="no room"):
            result(network, tile)
    np.testing.assert_allclose(result(network, tile), expected(tile), rtol=0, atol=1e-5)


def test_who_waits_for_a_kind_to_be_compiled_can_stop_and_it_is_there_the_next_time(
    network, monkeypatch
) -> None:
    compile_kind, go_on, tile = network._compile, threading.Event(), nine()[0]

    def waiting(kind, threads):
        go_on.wait()
        return compile_kind(kind, threads)

    monkeypatch.setattr(network, "_compile", waiting)
    seen = torch.from_numpy(np.ascontiguousarray(IMAGE[tile.read.slices]))[None, None]
    steps = network.steps(seen, tile.kept_maps)
    try:
        assert [next(steps), next(steps)] == [0.0, 0.0]
        steps.close()
    finally:
        go_on.set()
    monkeypatch.undo()
    np.testing.assert_allclose(result(network, tile), expected(tile), rtol=0, atol=1e-5)


def test_expected_kinds_that_are_compiled_already_stay_and_no_more_are_kept_than_said(
    network, compiled, monkeypatch
) -> None:
    monkeypatch.setattr(openvino_network, "_KEPT_KINDS", 4)
    tiles = nine()
    others, wanted = tiles[1:4], [tiles[0], *tiles[4:7]]
    result(network, tiles[0])  # the one that was not used for longest
    for tile in others:
        result(network, tile)
    network.expect([tile.kind for tile in wanted])
    assert len(network._compiled) == 4
    compiled.clear()
    for tile in wanted:
        result(network, tile)
    assert tiles[0].kind not in compiled


class Compiled:
    """A network whose maps cannot be released while it computes."""

    def __init__(self) -> None:
        self.computes, self.has_maps = False, True

    def release_memory(self) -> None:
        if self.computes:
            raise RuntimeError("an infer request is busy")
        self.has_maps = False


def test_maps_that_are_in_use_are_released_once_they_are_not(network, monkeypatch) -> None:
    monkeypatch.setattr(openvino_network, "_KEPT_PIXELS", 1)
    large, small = Compiled(), Compiled()
    network._keep_maps((300, 300, ()), large)
    large.computes = True
    network._keep_maps((16, 16, ()), small)
    assert large.has_maps
    large.computes = False
    network._keep_maps((16, 16, ()), small)
    assert (large.has_maps, small.has_maps) == (False, True)
    assert list(network._with_maps) == [(16, 16, ())]


def test_all_kinds_of_the_bundled_network_take_half_a_gigabyte() -> None:
    assert 4e8 < kept_bytes(4_391_617) < 6e8
