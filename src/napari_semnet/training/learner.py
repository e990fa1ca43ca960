"""One training step: predict, compare, correct, average."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_semnet.errors import TrainingError
from napari_semnet.model import DEFAULT_MODEL, load_model
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.checkpoint import Start
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data
from napari_semnet.training.degradation import PROFILES, Profile, degrade
from napari_semnet.training.engine import Engine, MixedPrecision
from napari_semnet.training.grid import without_grid
from napari_semnet.training.losses import LossTerms, LossWeights, combined_loss, reach_loss
from napari_semnet.training.muon import Muon
from napari_semnet.training.schedule import averaging_decay, learning_rate
from napari_semnet.training.sections import Optimiser

__all__ = [
    "Batch",
    "Learner",
    "first_network",
    "make_batch",
    "network_again",
    "profile_of",
    "started_from",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network is given and what it should give, on the training device.

    Attributes
    ----------
    inputs : Tensor of float32, (N, 1, Y, X)
    targets : Tensor of float32, (N, 1, 2Y, 2X)
    """

    inputs: Tensor
    targets: Tensor


def profile_of(config: TrainingConfig) -> Profile:
    """Degradation profile that a configuration names or holds.

    Raises
    ------
    TrainingError
        There is no profile of that name.
    """
    if isinstance(config.degradation, Profile):
        return config.degradation
    if config.degradation not in PROFILES:
        raise TrainingError(
            f"There is no degradation profile '{config.degradation}'. Use one of: "
            f"{', '.join(PROFILES)}; or the path of a .toml file."
        )
    return PROFILES[config.degradation]


def make_batch(
    data: Data, config: TrainingConfig, profile: Profile, engine: Engine, step: int
) -> Batch:
    """Make this process's part of the batch of a step, a pure function of (seed, step)."""
    count = config.batch // engine.world
    first = engine.rank * count
    patches = data.patches(
        seed=config.seed, step=step, first_sample=first, count=count, side=config.patch
    )
    targets = torch.from_numpy(patches.targets).to(engine.device)
    lows = torch.from_numpy(patches.lows).to(engine.device)
    if patches.has_low.all():
        return Batch(lows, targets)
    degraded = degrade(targets, profile, seed=config.seed, step=step, first_sample=first)
    if patches.has_low.any():
        measured = torch.from_numpy(patches.has_low).to(engine.device)
        degraded = torch.where(measured[:, None, None, None], lows, degraded)
    return Batch(degraded, targets)


def started_from(config: TrainingConfig) -> str | None:
    """Name or path of the model that a run starts from."""
    return DEFAULT_MODEL if config.start_from == "default" else config.start_from


def first_network(config: TrainingConfig) -> tuple[SEMNet, Start]:
    """Build the network that a run starts with.

    Returns
    -------
    SEMNet
        Of a model, or with random weights that are a function of the seed.
    Start
        Where its weights come from, for the card.

    Raises
    ------
    TrainingError
        The model has several channels.
    ModelFileError
        There is no such model, or it cannot be read.
    """
    chosen = started_from(config)
    if chosen is None:
        sizes = config.network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = SEMNet(
                Architecture(
                    features=sizes.features,
                    growth=sizes.growth,
                    blocks=sizes.blocks,
                    rdb_per_block=sizes.rdb_per_block,
                    conv_per_rdb=sizes.conv_per_rdb,
                )
            )
        return network, Start("", network.architecture)
    model = load_model(chosen)
    if model.card.architecture.in_channels != 1:
        raise TrainingError(
            f"The model {model.name} takes {model.card.architecture.in_channels} channels; "
            "training works on grey images. Start from a model of one channel."
        )
    origin = f"{model.name} (sha256 {model.sha256})"
    start = Start(origin, model.card.architecture, model.card.training.all_steps)
    return model.network.train().requires_grad_(True), start


def network_again(config: TrainingConfig, start: Start) -> tuple[SEMNet, Start]:
    """Build the network of a run that goes on, whose weights are those of its state.

    Parameters
    ----------
    config : TrainingConfig
    start : Start
        What the run began with. The model that it started from is not read again.

    Returns
    -------
    SEMNet, Start
        As of `first_network`.
    """
    if not start.origin and config.start_from is None:
        return first_network(config)
    return SEMNet(start.architecture), start


def _optimiser(weights: list[Tensor], choice: Optimiser) -> torch.optim.Adam:
    if choice.kind == "muon":
        return Muon(weights, choice.learning_rate, choice.betas, choice.momentum)
    return torch.optim.Adam(weights, lr=choice.learning_rate, betas=choice.betas, fused=True)


class Learner:
    """The network, the average of its weights, and the optimiser.

    A step whose gradient is not finite leaves weights and optimiser as they are. That is decided
    on the device, so that a GPU need not stop for it; `streak` and `skipped` count such steps.

    Parameters
    ----------
    network : SEMNet
        Weights to start with; on the CPU.
    config : TrainingConfig
    engine : Engine
    """

    def __init__(self, network: SEMNet, config: TrainingConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        kind, is_bf16 = engine.device.type, engine.precision == "bf16"
        self.network = network.to(engine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.optimiser.without_grid and started_from(config) is None:
            self._change_last(without_grid(self.network.last.weight.detach()))
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.restore = MixedPrecision(self.average, kind, is_bf16)
        self._trained = engine.wrap(MixedPrecision(self.network, kind, is_bf16))
        if config.hardware.compile != "off":
            self._trained = torch.compile(self._trained, mode=config.hardware.compile)  # type: ignore[assignment]
        self._weights = list(self.network.parameters())
        self._averages = list(self.average.parameters())
        self.optimiser: Any = _optimiser(self._weights, config.optimiser)
        losses = config.losses
        self._loss_weights = LossWeights(
            losses.l1,
            losses.histogram,
            losses.total_variation,
            losses.brightness,
            losses.psnr,
            losses.reach,
        )
        self.streak = torch.zeros((), device=engine.device)
        self.skipped = torch.zeros((), device=engine.device)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        config = self._config
        return learning_rate(step, config.optimiser.learning_rate, config.schedule, config.steps)

    def learn(self, batch: Batch, step: int) -> tuple[LossTerms, Tensor]:
        """Take one step.

        Parameters
        ----------
        batch : Batch
        step : int
            Steps done before.

        Returns
        -------
        LossTerms
        Tensor, scalar
            Norm of the gradient, before it was limited.
        """
        terms = self._engine.gradient(self._loss, batch.inputs, batch.targets, self._weights)
        limit = self._config.optimiser.largest_gradient
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if limit is not None:
            torch.nn.utils.clip_grads_with_norm_(self._weights, limit, norm)
        bad = (~torch.isfinite(norm)).to(torch.float32)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(step)
        # How gradient scalers tell fused optimisers to do nothing.
        self.optimiser.grad_scale, self.optimiser.found_inf = None, bad
        before = self.network.last.weight.detach().clone()
        self.optimiser.step()
        if self._config.optimiser.without_grid:
            change = self.network.last.weight.detach() - before
            self._change_last(before + without_grid(change))
        self.optimiser.zero_grad(set_to_none=True)
        self.streak = (self.streak + 1) * bad
        self.skipped = self.skipped + bad
        with torch.no_grad():
            share = 1.0 - averaging_decay(step + 1, self._config.ema)
            torch._foreach_lerp_(self._averages, self._weights, share)
        return terms, norm

    def _change_last(self, kernels: Tensor) -> None:
        with torch.no_grad():
            self.network.last.weight.copy_(kernels)

    def _loss(self, inputs: Tensor, targets: Tensor) -> LossTerms:
        restored, weights = self._trained(inputs), self._loss_weights
        if weights.reach == 0.0:
            return combined_loss(restored, targets, weights)
        losses = self._config.losses
        reach = reach_loss(self._trained, inputs, restored, losses.halo, losses.power)
        return combined_loss(restored, targets, weights, reach)

    def updates(self) -> int:
        """Count the steps that changed the weights, as the optimiser does."""
        state = self.optimiser.state.get(self._weights[0])
        return int(state["step"].item()) if state else 0
