from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.grid import without_grid

SMALL = Architecture(features=8, growth=4, blocks=1, rdb_per_block=1)


def grids(side: int) -> torch.Tensor:
    """The three patterns with a pitch of two pixels, (3, side, side)."""
    rows = (-1.0) ** torch.arange(side)[:, None].expand(side, side)
    return torch.stack([rows, rows.T, rows * rows.T])


@pytest.mark.parametrize("side", [3, 5])
def test_no_grid_passes_a_kernel_that_answers_to_none(side: int) -> None:
    kernels = without_grid(torch.randn(4, 6, side, side, dtype=torch.float64))
    patterns = grids(32).double()[:, None].expand(3, 6, 32, 32)
    passed = functional.conv2d(patterns, kernels)
    torch.testing.assert_close(passed, torch.zeros_like(passed), atol=1e-13, rtol=0)


def test_a_kernel_that_answers_to_no_grid_stays_as_it_is() -> None:
    blur = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    torch.testing.assert_close(without_grid(blur), blur)


def test_it_is_the_nearest_such_kernel() -> None:
    kernel = torch.randn(3, 3, dtype=torch.float64)
    nearest = without_grid(kernel)
    for other in without_grid(torch.randn(50, 3, 3, dtype=torch.float64)):
        assert (kernel - nearest).norm() <= (kernel - other).norm()
        # What was taken off lies across all that is allowed.
        assert abs(float(((kernel - nearest) * other).sum())) < 1e-12


def test_a_network_without_grid_draws_none_on_a_flat_field_with_noise() -> None:
    torch.manual_seed(3)
    network = SEMNet(SMALL).double()
    noise = 0.5 + 0.1 * torch.randn(1, 1, 96, 96, dtype=torch.float64)

    def spread() -> float:
        """Of the means of the four places, which the border has no part in."""
        with torch.no_grad():
            inner = network(noise)[0, 0, 8:-8, 8:-8]
        means = [inner[y::2, x::2].mean() for y in (0, 1) for x in (0, 1)]
        return float(max(means) - min(means))

    before = spread()
    with torch.no_grad():
        network.last.weight.copy_(without_grid(network.last.weight))
    # What is left comes from where the field is cut off, not from the network.
    assert spread() < before / 20
