"""Means over steps, added up on the device so that a GPU need not stop for them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from napari_semnet.training.events import Step
from napari_semnet.training.losses import LossTerms

__all__ = ["Meter"]


class Meter:
    """Losses and speed since they were last read.

    Parameters
    ----------
    device : torch.device
        Where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self.skipped = 0
        """Skipped steps that were told of."""
        self._sums = torch.zeros(9, device=device)
        self._steps = 0
        self._seconds = 0.0
        self._waited = 0.0

    @contextmanager
    def timing(self, waited: float) -> Iterator[None]:
        """Time a step, for whose batch `waited` seconds were waited."""
        before = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - before + waited
        self._waited += waited
        self._steps += 1

    def add(self, terms: LossTerms, norm: Tensor) -> None:
        """Add a step's losses; a step that is not finite is left out of the means."""
        values = torch.stack(
            [
                terms.total.detach(),
                terms.l1,
                terms.histogram,
                terms.total_variation,
                terms.brightness,
                terms.psnr,
                terms.reach,
                norm.detach(),
                torch.ones_like(norm),
            ]
        )
        self._sums += torch.where(torch.isfinite(values).all(), values, torch.zeros_like(values))

    def read(self, step: int, total: int, rate: float, skipped: int) -> Step:
        """Give the means, which are NaN where no step was finite, and start anew."""
        before = time.perf_counter()
        # Asking for values makes a GPU finish what it was given: that time belongs to the steps.
        *sums, count = self._sums.tolist()
        self._seconds += time.perf_counter() - before
        steps = max(1, self._steps)
        loss, l1, histogram, variation, brightness, psnr, reach, norm = (
            value / count if count else math.nan for value in sums
        )
        event = Step(
            step=step,
            total=total,
            learning_rate=rate,
            loss=loss,
            l1=l1,
            histogram=histogram,
            total_variation=variation,
            brightness=brightness,
            psnr=psnr,
            reach=reach,
            gradient_norm=norm,
            steps_per_second=self._steps / self._seconds if self._seconds else 0.0,
            waiting_ms=1000 * self._waited / steps,
            skipped=skipped,
        )
        self._sums.zero_()
        self._steps, self._seconds, self._waited, self.skipped = 0, 0.0, 0.0, skipped
        return event
