"""Backends: tiles in, tiles out, and nothing left switched on behind them."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch

from napari_semnet.restoration import backends
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.runtime import describe_device
from tests.restoration.conftest import reduced_network

IMAGE = np.random.default_rng(0).random((12, 15), np.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tile_comes_back_on_the_host_with_twice_the_pixels(precision) -> None:
    backend = TorchBackend(reduced_network(), describe_device("cpu"), precision)
    result = run_through(backend.restore_tile(IMAGE))
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.dtype) == ((24, 30), np.float32)
    assert result.flags.writeable


def test_any_layout_of_a_tile_gives_the_same() -> None:
    backend = TorchBackend(reduced_network(), describe_device("cpu"), "fp32")
    expected = run_through(backend.restore_tile(IMAGE))
    strided = np.asfortranarray(np.pad(IMAGE, 3))[3:-3, 3:-3]
    strided.flags.writeable = False
    np.testing.assert_array_equal(run_through(backend.restore_tile(strided)), expected)


def test_a_tile_given_up_halfway_leaves_nothing_behind() -> None:
    backend = TorchBackend(reduced_network(), describe_device("cpu"), "fp32")
    expected = run_through(backend.restore_tile(IMAGE))
    steps = backend.restore_tile(IMAGE)
    next(steps)
    assert not torch.is_inference_mode_enabled()
    steps.close()
    np.testing.assert_array_equal(run_through(backend.restore_tile(IMAGE)), expected)


def cudnn_settings() -> tuple:
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision, cudnn.benchmark, cudnn.deterministic


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="came with PyTorch 2.9")
def test_cudnn_is_exact_inside_and_as_before_outside() -> None:
    # The settings can be made without a GPU, which then simply nobody reads.
    before = cudnn_settings()
    with suppress(KeyError), backends._exact_convolutions():
        assert cudnn_settings() == ("ieee", False, True)
        raise KeyError
    assert cudnn_settings() == before


def test_older_releases_of_pytorch_are_told_by_their_own_setting(monkeypatch) -> None:
    class Older:
        allow_tf32, benchmark, deterministic = True, True, False

    monkeypatch.setattr(torch.backends, "cudnn", Older)
    with backends._exact_convolutions():
        assert (Older.allow_tf32, Older.benchmark, Older.deterministic) == (False, False, True)
    assert (Older.allow_tf32, Older.benchmark, Older.deterministic) == (True, True, False)


def test_the_backend_does_not_follow_later_changes_of_the_network() -> None:
    network = reduced_network()
    backend = TorchBackend(network, describe_device("cpu"), "fp32")
    expected = run_through(backend.restore_tile(IMAGE))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(run_through(backend.restore_tile(IMAGE)), expected)
