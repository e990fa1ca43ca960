from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.losses import LossTerms, LossWeights, combined_loss
from napari_semnet.training.parts import Parts, parts_of

WEIGHTS = LossWeights(brightness=0.3, psnr=0.005)


@given(st.integers(1, 64), st.integers(1, 64))
def test_parts_are_equal_and_no_more_than_threads(samples: int, threads: int) -> None:
    count = parts_of(samples, threads)
    assert samples % count == 0
    assert count <= threads
    assert not any(samples % more == 0 for more in range(count + 1, min(samples, threads) + 1))


def network() -> SEMNet:
    torch.manual_seed(0)
    sizes = Architecture(features=8, growth=4, blocks=1, rdb_per_block=1)
    return SEMNet(sizes).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def gradient(threads: int, samples: int = 4) -> tuple[list[Tensor], LossTerms]:
    net = network()
    weights = list(net.parameters())
    inputs = torch.rand(samples, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    targets = torch.rand(samples, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    terms = Parts(threads).gradient(
        lambda some, wanted: combined_loss(net(some), wanted, WEIGHTS), inputs, targets, weights
    )
    assert all(w.grad is not None and w.grad.stride() == w.stride() for w in weights)
    return [w.grad for w in weights if w.grad is not None], terms


@pytest.mark.parametrize("threads", [2, 4])
def test_parts_have_the_gradient_and_the_losses_of_the_batch(threads: int) -> None:
    (whole, terms), (parts, parts_terms) = gradient(1), gradient(threads)
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)
    for name in ("total", "l1", "histogram", "total_variation", "brightness", "psnr", "reach"):
        value = getattr(parts_terms, name)
        assert not value.requires_grad
        assert value.item() == pytest.approx(getattr(terms, name).item(), rel=1e-5)


def test_parts_give_the_same_each_time() -> None:
    one, other = gradient(4)[0], gradient(4)[0]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_part_is_computed_in_a_thread_that_computes_alone() -> None:
    seen: list[tuple[str, int]] = []
    weight = torch.ones(1, requires_grad=True)
    usual = torch.get_num_threads()

    def loss(inputs: Tensor, targets: Tensor) -> LossTerms:
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return combined_loss(weight * inputs, targets)

    Parts(2).gradient(loss, torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4), [weight])
    assert all(name.startswith("semnet-gradient") and count == 1 for name, count in seen)
    assert len(seen) == 2
    assert torch.get_num_threads() == usual


def test_a_part_that_fails_fails_the_batch() -> None:
    weight = torch.ones(1, requires_grad=True)

    def loss(inputs: Tensor, targets: Tensor) -> LossTerms:
        raise RuntimeError("not enough memory")

    with pytest.raises(RuntimeError, match="not enough memory"):
        Parts(2).gradient(loss, torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4), [weight])
    assert weight.grad is None
