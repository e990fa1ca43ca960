"""Learning rate and averaging as pure functions of the step: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from napari_semnet.training.config import Schedule

__all__ = ["averaging_decay", "learning_rate"]


def learning_rate(step: int, highest: float, schedule: Schedule, steps: int) -> float:
    """Learning rate of one step.

    Parameters
    ----------
    step : int
        Steps done before, from 0.
    highest : float
        The rate that the schedule scales.
    schedule : Schedule
        Its form.
    steps : int
        Steps of the whole run.

    Returns
    -------
    float
    """
    if step < schedule.warmup:
        return highest * (step + 1) / schedule.warmup
    match schedule.kind:
        case "halving":
            return highest * 0.5 ** (step // schedule.halve_every)
        case "cosine":
            done = (step - schedule.warmup) / max(1, steps - schedule.warmup)
            share = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        case "constant":
            left = (steps - step) / schedule.cooldown if schedule.cooldown else 1.0
            share = min(1.0, max(0.0, left))
    return highest * (schedule.final + (1 - schedule.final) * share)


def averaging_decay(step: int, decay: float) -> float:
    """Decay of the average of the weights after `step` steps.

    It rises from 1/10 to `decay`, so that the average forgets the random start.
    """
    return min(decay, (1 + step) / (10 + step))
