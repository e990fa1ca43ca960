from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from napari_semnet.card import Card, Training
from napari_semnet.errors import TrainingError
from napari_semnet.model import save_model
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.engine import MixedPrecision, engine_for
from napari_semnet.training.grid import without_grid
from napari_semnet.training.learner import Batch, Learner, first_network, profile_of
from napari_semnet.training.losses import reach_loss
from tests.training.runs import small_config


def learner_of(tmp_path: Path, **changes: object) -> Learner:
    config = small_config(tmp_path, **changes)
    return Learner(first_network(config)[0], config, engine_for(config.hardware))


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        torch.rand(2, 1, 12, 12, generator=generator),
        torch.rand(2, 1, 24, 24, generator=generator),
    )


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_first_weights_are_a_function_of_the_seed(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    one, again, other = (
        weights(first_network(small_config(tmp_path, seed=seed))[0]) for seed in (3, 3, 4)
    )
    assert equal(one, again)
    assert not equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_step_is_one_of_adam_on_the_combined_loss(tmp_path: Path) -> None:
    learner = learner_of(tmp_path, losses={"l1": 1.0, "histogram": 0.0, "total_variation": 0.0})
    twin = copy.deepcopy(learner.network)
    optimiser = torch.optim.Adam(twin.parameters(), lr=1e-4)
    for step in range(3):
        given = batch(step)
        terms, _ = learner.learn(given, step)
        loss = (twin(given.inputs) - given.targets).abs().mean()
        assert terms.l1.item() == pytest.approx(loss.item(), rel=1e-5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for mine, expected in zip(weights(learner.network), weights(twin), strict=True):
        assert torch.allclose(mine, expected, atol=1e-6)


def test_a_step_knows_the_reach_beyond_its_halo_by_its_power(tmp_path: Path) -> None:
    found = []
    for power in (1.0, 4.0):
        losses = {"reach": 1.0, "halo": 1, "power": power}
        learner = learner_of(tmp_path, patch=12, losses=losses)
        twin, given = copy.deepcopy(learner.network), batch()
        with torch.no_grad():
            expected = reach_loss(twin, given.inputs, twin(given.inputs), 1, power)
        terms, _ = learner.learn(given, 0)
        assert terms.reach.item() == pytest.approx(expected.item(), rel=1e-3)
        found.append(terms.reach.item())
    assert 0 < 1.1 * found[0] < found[1]


def answer_to_grids(network: SEMNet) -> torch.Tensor:
    kernels = network.last.weight.detach()
    return kernels - without_grid(kernels)


def test_without_grid_the_last_convolution_never_learns_to_answer_to_one(tmp_path: Path) -> None:
    for is_wanted in (True, False):
        learner = learner_of(tmp_path, optimiser={"without_grid": is_wanted})
        first = weights(learner.network)
        for step in range(4):
            learner.learn(batch(step), step)
        assert not any(
            torch.equal(a, b) for a, b in zip(weights(learner.network), first, strict=True)
        )
        for network in (learner.network, learner.average):
            assert (float(answer_to_grids(network).abs().max()) < 1e-7) == is_wanted


def test_without_grid_a_model_that_is_started_from_keeps_what_it_answers(tmp_path: Path) -> None:
    torch.manual_seed(5)
    architecture = Architecture(blocks=1, rdb_per_block=1, conv_per_rdb=2, features=4, growth=2)
    network = SEMNet(architecture)
    card = Card(name="start", architecture=architecture)
    save_model(tmp_path / "start.safetensors", network, card)
    learner = learner_of(
        tmp_path, start_from=str(tmp_path / "start.safetensors"), optimiser={"without_grid": True}
    )
    assert torch.equal(learner.network.last.weight, network.last.weight)
    before = answer_to_grids(network)
    assert before.abs().max() > 0.01
    for step in range(4):
        learner.learn(batch(step), step)
    assert not torch.equal(learner.network.last.weight, network.last.weight)
    torch.testing.assert_close(answer_to_grids(learner.network), before, atol=1e-7, rtol=0)


def test_a_step_without_a_finite_gradient_changes_nothing_but_the_counts(tmp_path: Path) -> None:
    learner = learner_of(tmp_path)
    learner.learn(batch(), 0)
    before = weights(learner.network)
    moments = {k: v["exp_avg"].clone() for k, v in learner.optimiser.state.items()}
    poison = batch()
    poison.inputs[0, 0, 3, 3] = torch.nan
    for step in (1, 2):
        learner.learn(poison, step)
    assert equal(before, weights(learner.network))
    assert all(torch.equal(v, learner.optimiser.state[k]["exp_avg"]) for k, v in moments.items())
    assert (learner.streak.item(), learner.skipped.item(), learner.updates()) == (2, 2, 1)
    learner.learn(batch(), 3)
    assert (learner.streak.item(), learner.skipped.item(), learner.updates()) == (0, 2, 2)
    assert not equal(before, weights(learner.network))


def test_large_gradients_are_limited_and_told_of_as_they_were(tmp_path: Path) -> None:
    free = learner_of(tmp_path)
    limited = learner_of(tmp_path, optimiser={"largest_gradient": 1e-3, "learning_rate": 1e-4})
    (_, free_norm), (_, limited_norm) = free.learn(batch(), 0), limited.learn(batch(), 0)
    assert limited_norm.item() == pytest.approx(free_norm.item())
    total = sum(v["exp_avg"].square().sum().item() for v in limited.optimiser.state.values())
    assert (total**0.5) / 0.1 == pytest.approx(1e-3, rel=1e-3)


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    learner = learner_of(tmp_path, ema=0.5)
    expected = weights(learner.average)
    for step in range(8):
        learner.learn(batch(step), step)
        decay = min(0.5, (2 + step) / (11 + step))
        expected = [
            decay * old + (1 - decay) * new
            for old, new in zip(expected, weights(learner.network), strict=True)
        ]
    for mine, wanted in zip(weights(learner.average), expected, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-7)


def test_without_averaging_the_average_is_the_last_weights(tmp_path: Path) -> None:
    learner = learner_of(tmp_path, ema=0.0)
    learner.learn(batch(), 0)
    assert equal(weights(learner.average), weights(learner.network))


def test_mixed_precision_is_near_the_network_and_not_rounded_to_bfloat16() -> None:
    torch.manual_seed(0)
    network = SEMNet(Architecture(features=8, growth=4, blocks=1, rdb_per_block=1))
    image = torch.rand(1, 1, 16, 16)
    exact, mixed = network(image), MixedPrecision(network, "cpu", is_bf16=True)(image)
    assert mixed.dtype == torch.float32
    assert (exact - mixed).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(mixed, mixed.bfloat16().float())
    assert torch.equal(MixedPrecision(network, "cpu", is_bf16=False)(image), exact)


def test_a_run_can_start_from_a_model(tmp_path: Path) -> None:
    architecture = Architecture(features=6, growth=3, blocks=1, rdb_per_block=1)
    network = SEMNet(architecture)
    path = tmp_path / "before.safetensors"
    card = Card(name="before", architecture=architecture, training=Training(steps=70))
    save_model(path, network, card, torch.float32)
    config = small_config(tmp_path, start_from="before.safetensors")
    started, start = first_network(config)
    assert equal(weights(started), weights(network))
    assert all(parameter.requires_grad for parameter in started.parameters())
    assert start.origin.startswith("before (sha256 ")
    assert (start.architecture, start.steps) == (architecture, 70)


def test_a_model_of_several_channels_is_refused(tmp_path: Path) -> None:
    architecture = Architecture(in_channels=3, features=6, growth=3, blocks=1, rdb_per_block=1)
    path = tmp_path / "colour.safetensors"
    save_model(path, SEMNet(architecture), Card(name="colour", architecture=architecture))
    with pytest.raises(TrainingError, match="takes 3 channels"):
        first_network(small_config(tmp_path, start_from="colour.safetensors"))


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Use one of: poster, sem"):
        profile_of(small_config(tmp_path, degradation="semm"))
