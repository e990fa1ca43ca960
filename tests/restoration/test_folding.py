"""The folded kernels compute what the network computes, and draw no grid."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from napari_semnet.restoration.backends import Backend, run_through
from napari_semnet.restoration.choice import backend_named
from napari_semnet.restoration.folding import fold_upsampling, rounded_alike
from napari_semnet.restoration.openvino_runtime import openvino_version
from napari_semnet.restoration.runtime import CPU, describe_device
from tests.restoration.conftest import reduced_network


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
)
def test_the_fold_is_exact_everywhere_and_at_the_border(size, channels, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    inside, outside = channels
    image = torch.randn(1, inside, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(outside, inside, 3, 3, generator=generator, dtype=torch.float64)
    enlarged = functional.interpolate(image, scale_factor=2, mode="nearest")
    expected = functional.conv2d(enlarged, weight, padding=1)
    phases = functional.conv2d(functional.pad(image, (1, 1, 1, 1)), fold_upsampling(weight))
    height, width = size
    for p in range(2):
        for q in range(2):
            part = phases[:, (2 * p + q) * outside : (2 * p + q + 1) * outside]
            found = part[:, :, p : p + height, q : q + width]
            torch.testing.assert_close(found, expected[:, :, p::2, q::2], rtol=0, atol=1e-12)


@given(
    channels=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    spread=st.floats(0.0, 12.0),
    seed=st.integers(0, 2**31),
)
def test_kernels_rounded_alike_have_the_same_sum_in_every_phase(channels, spread, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randn(*channels, 3, 3, generator=generator, dtype=torch.float64)
    weight = sizes * torch.exp2(
        spread * torch.randn(sizes.shape, generator=generator, dtype=torch.float64)
    )
    weight[0, 0] = 0
    folded = fold_upsampling(weight)
    rounded = rounded_alike(folded)
    assert torch.equal(rounded.bfloat16().double(), rounded)
    sums = by_phase(rounded).sum(-1)
    assert torch.equal(sums, sums[:1].expand_as(sums))
    largest = by_phase(folded).abs().amax((0, -1))
    off = by_phase((rounded - folded).abs()).amax((0, -1))
    assert (off <= 2**-6 * largest).all()


def by_phase(kernels: Tensor) -> Tensor:
    return kernels.reshape(4, -1, kernels.shape[1], 4)


@pytest.mark.parametrize("name", ["torch", "torch-stacked", "openvino"])
def test_bfloat16_draws_no_grid_on_a_flat_area(name) -> None:
    if name == "openvino" and not openvino_version():
        pytest.skip("OpenVINO is not installed: pip install openvino")
    network = reduced_network()

    def enlarged(precision) -> Tensor:
        backend: Backend = backend_named(network, describe_device(CPU), precision, name)
        flat = torch.full((48, 48), 0.7)
        noisy = flat + 0.06 * torch.randn(48, 48, generator=torch.Generator().manual_seed(1))
        return torch.from_numpy(run_through(backend.restore_tile(noisy.numpy()))).double()

    error = enlarged("bf16") - enlarged("fp32")
    phases = torch.stack([error[p::2, q::2].mean() for p in range(2) for q in range(2)])
    assert error.std() > 0
    assert phases.std() < 0.06 * error.std()
