from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.training.muon import Muon, orthogonalised


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 24), st.integers(0, 60), st.integers(0, 2**31), st.floats(1e-12, 1e12))
def test_directions_stay_and_all_count_alike(m: int, more: int, seed: int, scale: float) -> None:
    matrix = random(m, m + more, seed=seed).double()
    left, values, right = torch.linalg.svd(scale * matrix, full_matrices=False)
    result = orthogonalised(scale * matrix)
    among = left.T @ result @ right.T
    kept = values > 0.01 * torch.linalg.matrix_norm(scale * matrix)
    along = among.diagonal()
    assert ((along[kept] > 0.5) & (along[kept] < 1.3)).all()
    assert torch.allclose(among, torch.diag(along), atol=1e-6)


def test_no_gradient_gives_no_direction() -> None:
    assert torch.equal(orthogonalised(torch.zeros(2, 3, 5)), torch.zeros(2, 3, 5))


def weights() -> list[torch.nn.Parameter]:
    shapes = (8, 1, 3, 3), (8,), (16, 8, 3, 3), (8, 16, 3, 3), (1, 8, 3, 3)
    return [torch.nn.Parameter(random(*shape, seed=k)) for k, shape in enumerate(shapes)]


def give_gradients(parameters: list[torch.nn.Parameter], seed: int) -> None:
    for k, weight in enumerate(parameters):
        weight.grad = random(*weight.shape, seed=100 * seed + k)


def test_what_is_no_kernel_between_feature_maps_learns_by_adam() -> None:
    mine, adams = weights(), weights()
    muon = Muon(mine, 1e-3, (0.9, 0.999))
    adam = torch.optim.Adam(adams, lr=1e-3, fused=True)
    for step in range(3):
        for parameters, optimiser in ((mine, muon), (adams, adam)):
            give_gradients(parameters, step)
            optimiser.step()
    same = [torch.equal(a, b) for a, b in zip(mine, adams, strict=True)]
    assert same == [True, True, False, False, True]


def test_a_kernel_moves_by_its_averaged_gradient_made_orthogonal() -> None:
    parameters, rate, momentum = weights(), 1e-3, 0.9
    muon = Muon(parameters, rate, (0.9, 0.999), momentum)
    kernel = parameters[3]
    expected, mean = kernel.detach().clone(), torch.zeros_like(kernel)
    for step in range(4):
        give_gradients(parameters, step)
        assert kernel.grad is not None
        mean = momentum * mean + (1 - momentum) * kernel.grad
        ahead = momentum * mean + (1 - momentum) * kernel.grad
        direction = orthogonalised(ahead.reshape(8, 144)).reshape(8, 16, 3, 3)
        expected -= rate * 0.2 * 144**0.5 * direction
        muon.step()
    assert torch.allclose(kernel, expected, atol=1e-6)


def test_a_kernel_s_elements_move_as_far_as_adam_s() -> None:
    kernel = torch.nn.Parameter(torch.zeros(32, 64, 3, 3))
    muon = Muon([torch.nn.Parameter(torch.zeros(1)), kernel], 1e-3, (0.9, 0.999))
    kernel.grad = random(32, 64, 3, 3)
    muon.step()
    moved = kernel.detach().square().mean().sqrt().item()
    assert 0.1e-3 < moved < 0.3e-3


def test_a_step_that_is_called_bad_changes_nothing() -> None:
    parameters = weights()
    muon = Muon(parameters, 1e-3, (0.9, 0.999))
    give_gradients(parameters, 0)
    muon.step()
    before = [weight.detach().clone() for weight in parameters]
    averaged = [muon.state[weight]["exp_avg"].clone() for weight in parameters]
    give_gradients(parameters, 1)
    for weight in parameters:
        assert weight.grad is not None
        weight.grad.view(-1)[0] = torch.nan
        weight.grad.view(-1)[-1] = torch.inf
    muon.found_inf = torch.ones(())
    muon.step()
    for weight, old, mean in zip(parameters, before, averaged, strict=True):
        assert torch.equal(weight, old)
        assert torch.equal(muon.state[weight]["exp_avg"], mean)
        assert muon.state[weight]["step"].item() == 1
