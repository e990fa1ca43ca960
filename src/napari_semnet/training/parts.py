"""The gradient of a batch on a CPU: in parts, each computed by threads of its own.

Threads that share a sum wait for each other at its end, and a step of SEMNet has a thousand sums.
Threads that have samples of their own wait once a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from napari_semnet.restoration.runtime import compute_by
from napari_semnet.training.losses import LossTerms, mean_of_parts

__all__ = ["Parts", "parts_of"]


def parts_of(samples: int, threads: int) -> int:
    """Say in how many equal parts a batch is computed: as many as there are threads, if it can be.

    Examples
    --------
    >>> parts_of(4, 2), parts_of(4, 16), parts_of(6, 4), parts_of(5, 2)
    (2, 4, 3, 1)
    """
    return next(n for n in range(min(samples, threads), 0, -1) if samples % n == 0)


class Parts:
    """Threads that compute the gradient of a batch together.

    The result is a function of the batch and the number of threads: parts are added up in order.

    Parameters
    ----------
    threads : int
        How many compute at once; 1 computes in the thread that asks.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._crews: dict[int, ThreadPoolExecutor] = {}

    def gradient(
        self,
        loss: Callable[[Tensor, Tensor], LossTerms],
        inputs: Tensor,
        targets: Tensor,
        weights: Sequence[Tensor],
    ) -> LossTerms:
        """Leave in the weights the gradient of a batch.

        Parameters
        ----------
        loss : callable
            Of some inputs and targets, a mean over the samples; called by several threads at once.
        inputs, targets : Tensor, shapes (N, ...)
        weights : sequence of Tensor
            What the loss is a function of. What they hold as `grad` is replaced.

        Returns
        -------
        LossTerms
            Detached.
        """

        def computed(part: tuple[Tensor, Tensor]) -> tuple[LossTerms, tuple[Tensor, ...]]:
            terms = loss(*part)
            return mean_of_parts([terms]), torch.autograd.grad(terms.total / count, weights)

        count = parts_of(len(inputs), self._threads)
        parts = zip(inputs.chunk(count), targets.chunk(count), strict=True)
        results = list(
            self._crew(count).map(computed, parts) if count > 1 else map(computed, parts)
        )
        (_, total), *others = results
        for _, gradient in others:
            torch._foreach_add_(total, gradient)
        for weight, mean in zip(weights, total, strict=True):
            weight.grad = _laid_out_as(weight, mean)
        return mean_of_parts([terms for terms, _ in results])

    def _crew(self, count: int) -> ThreadPoolExecutor:
        if count not in self._crews:
            self._crews[count] = ThreadPoolExecutor(
                count, "semnet-gradient", compute_by, (self._threads // count,)
            )
        return self._crews[count]


def _laid_out_as(weight: Tensor, gradient: Tensor) -> Tensor:
    """Let a gradient lie in memory as its weight does, which fused optimisers count on."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight, requires_grad=False).copy_(gradient)
