"""A sweep by OpenVINO gives what the whole image in one tile does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_semnet.model import load_model
from napari_semnet.network import Architecture
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.openvino_network import OpenVINONetwork
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.prepared import PreparedNetwork
from napari_semnet.restoration.runtime import describe_device
from napari_semnet.restoration.sweep import Sweep, stages_of
from napari_semnet.restoration.tiles import Box
from tests.restoration.conftest import REDUCED, reduced_network

pytestmark = pytest.mark.skipif(
    not openvino_version(), reason="OpenVINO is not installed: pip install openvino"
)

CPU = torch.device("cpu")
DEEPER = Architecture(features=16, growth=16, blocks=3, rdb_per_block=3, conv_per_rdb=2)
IMAGE = np.random.default_rng(0).random((150, 170), np.float32)


def whole(network: OpenVINONetwork | PreparedNetwork, image: NDArray[np.float32]) -> NDArray:
    with torch.inference_mode():
        return run_through(network.steps(torch.from_numpy(image)[None, None]))[0, 0].numpy()


def swept(
    network: OpenVINONetwork,
    image: NDArray[np.float32],
    sweep: Sweep,
    between: Callable[[], object] = lambda: None,
) -> NDArray:
    result = np.full([2 * n for n in image.shape], np.nan, np.float32)
    handed_on = network.begin_sweep(sweep)
    for piece in sweep:
        window = torch.from_numpy(np.ascontiguousarray(image[piece.window.slices]))[None, None]
        with torch.inference_mode():
            pixels = run_through(network.sweep_steps(window, piece, handed_on))[0, 0].numpy()
        result[piece.given.enlarged().slices] = pixels
        between()
    return result


def sweep_of(image: NDArray, architecture: Architecture, piece: tuple[int, int]) -> Sweep:
    box = Box(0, image.shape[0], 0, image.shape[1])
    return Sweep(box, box, stages_of(architecture), piece)


def assert_alike(found: NDArray, expected: NDArray, network: OpenVINONetwork) -> None:
    """Allow roundings: for another width OpenVINO may choose another kernel for so few maps."""
    atol = 2e-3 if network._dtype == torch.bfloat16 else 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def network(request) -> OpenVINONetwork:
    dtype = torch.float32 if request.param == "fp32" else torch.bfloat16
    return OpenVINONetwork(reduced_network(DEEPER), CPU, dtype)


@pytest.mark.parametrize("piece", [(150, 40), (40, 170), (40, 40), (33, 51), (14, 12)])
def test_pieces_of_any_size_give_the_whole(network, piece) -> None:
    sweep = sweep_of(IMAGE, DEEPER, piece)
    assert len(sweep) > 2
    assert_alike(swept(network, IMAGE, sweep), whole(network, IMAGE), network)


@settings(max_examples=6)
@given(
    shape=st.tuples(st.integers(30, 130), st.integers(30, 130)),
    piece=st.tuples(st.integers(12, 60), st.integers(12, 60)),
)
def test_images_of_any_size_are_swept(network, shape, piece) -> None:
    image = np.ascontiguousarray(IMAGE[: shape[0], : shape[1]])
    found = swept(network, image, sweep_of(image, DEEPER, piece))
    assert_alike(found, whole(network, image), network)


def test_a_sweep_in_float32_is_what_pytorch_gives() -> None:
    network = OpenVINONetwork(reduced_network(), CPU, torch.float32)
    plain = PreparedNetwork(reduced_network(), CPU, torch.float32)
    sweep = sweep_of(IMAGE, REDUCED, (50, 60))
    assert len(sweep) == 9
    np.testing.assert_allclose(swept(network, IMAGE, sweep), whole(plain, IMAGE), rtol=0, atol=1e-5)


def test_the_bundled_model_gives_the_bytes_of_the_whole_where_it_is_computed_by_amx() -> None:
    if "AMX" not in describe_device("cpu").name:
        pytest.skip("other processors may round otherwise for another width")
    network = OpenVINONetwork(load_model("semnet-x2").network, CPU, torch.bfloat16)
    image = np.random.default_rng(1).random((220, 240), np.float32)
    sweep = sweep_of(image, Architecture(), (76, 80))
    assert any(piece.kind.parts[0].spoilt for piece in sweep)
    np.testing.assert_array_equal(swept(network, image, sweep), whole(network, image))


def test_pieces_inside_let_go_early_what_a_cut_has_spoilt(network) -> None:
    sweep = sweep_of(IMAGE, DEEPER, (14, 20))
    inside = [p for p in sweep if p.kind.parts[0].spoilt]
    assert len(inside) > 4
    assert_alike(swept(network, IMAGE, sweep), whole(network, IMAGE), network)


def test_two_sweeps_in_turns_do_not_disturb_each_other(network) -> None:
    one, other = IMAGE, np.ascontiguousarray(IMAGE[::-1])
    pieces = iter(sweep_of(other, DEEPER, (40, 40)))
    handed_on = network.begin_sweep(sweep_of(other, DEEPER, (40, 40)))
    result = np.full([2 * n for n in other.shape], np.nan, np.float32)

    def next_of_the_other() -> None:
        piece = next(pieces)
        window = torch.from_numpy(np.ascontiguousarray(other[piece.window.slices]))[None, None]
        pixels = run_through(network.sweep_steps(window, piece, handed_on))[0, 0].numpy()
        result[piece.given.enlarged().slices] = pixels

    found = swept(network, one, sweep_of(one, DEEPER, (40, 40)), next_of_the_other)
    assert_alike(found, whole(network, one), network)
    assert_alike(result, whole(network, other), network)


def test_expected_pieces_are_compiled_once(network, monkeypatch) -> None:
    compiled, compile_kind = [], network._compile
    monkeypatch.setattr(
        network,
        "_compile",
        lambda kind, threads: compiled.append(kind) or compile_kind(kind, threads),
    )
    sweep = sweep_of(IMAGE, DEEPER, (31, 37))
    kinds = {piece.kind for piece in sweep}
    network.expect(tuple(kinds))
    swept(network, IMAGE, sweep)
    assert len(kinds) == 9
    assert sorted(compiled) == sorted(kinds)
