"""Muon: momentum whose every direction counts alike, for the kernels between feature maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalised"]

_FEWEST_CHANNELS = 8
"""Kernels with fewer inputs or outputs lead from pixels or to them and are left to Adam."""

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5

_LIKE_ADAM = 0.2
"""Root mean square of what Adam changes a weight by, in learning rates."""


class Muon(torch.optim.Adam):
    """Muon for the kernels between feature maps, Adam for all other weights.

    A kernel is seen as the matrix of its outputs by all that it multiplies, ``m x n``. Its
    gradient, averaged over past steps, is replaced by the nearest matrix with orthogonal rows, so
    that rare directions are learned as fast as the few that rule the gradient. It is scaled by
    ``0.2 * sqrt(max(m, n))``, with which its elements are as large as Adam's steps are: both take
    the same learning rate.

    Parameters
    ----------
    parameters : iterable of Tensor
        All weights of a network.
    lr : float
        Learning rate, of both.
    betas : (float, float)
        Of Adam.
    momentum : float
        Share of the past in the averaged gradient.

    References
    ----------
    .. [1] Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    .. [2] Liu et al., "Muon is scalable for LLM training", 2025 (the scale).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float],
        momentum: float = 0.95,
    ) -> None:
        kernels: list[Tensor] = []
        others: list[Tensor] = []
        for weight in parameters:
            between = weight.ndim == 4 and min(weight.shape[:2]) >= _FEWEST_CHANNELS
            (kernels if between else others).append(weight)
        super().__init__(others, lr=lr, betas=betas, fused=True)
        if kernels:
            self.add_param_group({"params": kernels, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; none where `found_inf` is 1, as gradient scalers tell fused optimisers."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if "momentum" not in group]
            result = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if "momentum" in group:
                self._step(group)
        return result

    def _step(self, group: dict[str, Any]) -> None:
        kernels = [weight for weight in group["params"] if weight.grad is not None]
        if not kernels:
            return
        bad = getattr(self, "found_inf", None)
        good = 1.0 if bad is None else 1.0 - bad
        share = (1.0 - group["momentum"]) * good
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in kernels:
            # What is not finite belongs to a step that is not taken.
            gradient = torch.nan_to_num(weight.grad * good, 0.0, 0.0, 0.0)
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros((), device=weight.device)
                state["exp_avg"] = torch.zeros_like(weight)
            state["step"] += good
            mean = state["exp_avg"].lerp_(gradient, torch.as_tensor(share, device=weight.device))
            by_shape[tuple(weight.shape)].append((weight, gradient.lerp(mean, group["momentum"])))
        for shape, pairs in by_shape.items():
            steps = orthogonalised(torch.stack([mean.reshape(shape[0], -1) for _, mean in pairs]))
            size = -group["lr"] * _LIKE_ADAM * max(steps.shape[-2:]) ** 0.5 * good
            for (weight, _), change in zip(pairs, steps, strict=True):
                weight.add_(change.reshape(shape) * size)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Replace matrices by ones with the same directions, whose singular values are near 1.

    Five times ``X <- a X + b (X X') X + c (X X')^2 X``, which moves every singular value from
    (0, 1] towards 1 [1]_. The polynomials are multiplied up for ``X X'`` alone, and ``X``, a
    kernel's long side, is touched twice only.

    Parameters
    ----------
    matrices : Tensor, shape (..., m, n)
        Better with m <= n.

    Returns
    -------
    Tensor, shape (..., m, n)
        Singular values between 0.5 and 1.3 wherever they were above a hundredth of the norm; zeros
        stay zeros.

    References
    ----------
    .. [1] Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = _QUINTIC
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    scaled = matrices / norm.clamp_min(torch.finfo(matrices.dtype).tiny)
    gram = scaled @ scaled.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(_ITERATIONS):
        polynomial = a * identity + b * gram + c * (gram @ gram)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    return torch.matmul(product, scaled)
