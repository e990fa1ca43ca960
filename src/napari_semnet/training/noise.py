"""What a detector adds to a picture: shot noise, correlation, row noise, streaks, shading, bits.

All functions take and return float32 tensors of shape (N, 1, Y, X) with values in units of white
(0 ... 1, not clipped unless said), parameters of shape (N, 1, 1, 1), and one key a sample.
Only additions, multiplications, divisions and square roots are used, so a sample's result does
not depend on the batch it stands in (see `napari_semnet.training.randomness`).
"""

from __future__ import annotations

import torch

from napari_semnet.training.randomness import Keys, to_normal, to_uniform, words

__all__ = [
    "add_gaussian",
    "add_row_noise",
    "add_shot_noise",
    "add_streaks",
    "correlate",
    "poisson",
    "quantise",
    "shade",
]

SEARCH_BELOW = 8.0
"""Mean up to which counts are searched exactly; beyond it the expansion's error is < 3e-4."""
SEARCH_STEPS = 30
"""The chance of more counts than this at the mean `SEARCH_BELOW` is 1e-9."""


def poisson(mean: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Draw Poisson counts.

    Below a mean of 8 the distribution function is inverted exactly (to the 2**-23 steps of the
    uniform number). From 8 on, counts are the floor of the Cornish-Fisher expansion of the
    quantile to the order 1/mean (Giles, "Algorithm 955: Approximation of the inverse Poisson
    cumulative distribution function", ACM TOMS 42, 2016): the distribution function is then
    wrong by less than 1e-4, the mean by less than 1e-5 and the variance by less than 5e-4 of
    themselves, and all three errors fall with the mean.

    Parameters
    ----------
    mean : Tensor of float32
        Expected counts, 0 ... about 1e6.
    bits : Tensor of int32, same shape
        Random words.

    Returns
    -------
    Tensor of float32, same shape
        Whole numbers.
    """
    small = mean < SEARCH_BELOW
    counts = _expand(mean, bits)
    if mean.device.type == "cpu":
        counts[small] = _search(mean[small], bits[small])
        return counts
    # Picking pixels out would make a GPU wait for the CPU.
    return torch.where(small, _search(mean, bits), counts)


def _search(mean: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    mean = mean.clamp(0.0, SEARCH_BELOW)
    uniform = to_uniform(bits)
    probability = _exp_of_minus(mean)
    cumulated = probability.clone()
    counts = (uniform > cumulated).to(mean.dtype)
    for count in range(1, SEARCH_STEPS):
        probability.mul_(mean).mul_(1.0 / count)
        cumulated.add_(probability)
        counts.add_(uniform > cumulated)
    return counts


def _exp_of_minus(mean: torch.Tensor) -> torch.Tensor:
    """Exponential of -mean (0 ... 8) by a Taylor polynomial of -mean/32 and five squarings."""
    small = mean * (-1.0 / 32.0)
    result = torch.full_like(mean, 1.0 / 720.0)
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        result.mul_(small).add_(coefficient)
    for _ in range(5):
        result.mul_(result)
    return result


def _expand(mean: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    mean = mean.clamp(min=SEARCH_BELOW)
    normal = to_normal(bits)
    squared = normal * normal
    root = torch.sqrt(mean)
    quantile = ((squared * (1 / 270)) + (7 / 810)) * squared - 8 / 405
    quantile.div_(root)
    quantile.sub_((squared * (1 / 72) + (1 / 36)) * normal)
    quantile.div_(root)
    quantile.add_(squared * (1 / 6) + (1 / 3))
    quantile.add_(root * normal).add_(mean)
    return quantile.floor_().clamp_(min=0.0)


def add_shot_noise(
    images: torch.Tensor,
    electrons: torch.Tensor,
    black_level: torch.Tensor,
    excess: torch.Tensor | None,
    keys: Keys,
) -> torch.Tensor:
    """Count electrons: the variance at grey value x is ``excess (1 - b) (x - b) / electrons``.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, Y, X)
        Expected values.
    electrons : Tensor of float32, shape (N, 1, 1, 1)
        Expected counts at white.
    black_level : Tensor of float32, shape (N, 1, 1, 1)
        Grey value b at which no electrons arrive; values below it stay as they are.
    excess : Tensor of float32, shape (N, 1, 1, 1), or None for 1
        Variance over that of a Poisson count, >= 1. The surplus is drawn as a Gaussian of
        variance (excess - 1) counts: the sum of many pulses of unequal height.
    keys : ndarray of uint64, shape (N,)

    Returns
    -------
    Tensor of float32, shape (N, 1, Y, X)
    """
    rate = electrons / (1.0 - black_level)
    above = (images - black_level).clamp(min=0.0)
    below = torch.minimum(images, black_level)
    counts = poisson(above * rate, words(keys, "shot", images.shape[1:], images.device))
    if excess is not None:
        surplus = torch.sqrt(counts * (excess - 1.0))
        spread = to_normal(words(keys, "pulse heights", images.shape[1:], images.device))
        counts = counts + surplus * spread
    return counts / rate + below


def correlate(noise: torch.Tensor, lag_one: torch.Tensor) -> torch.Tensor:
    """Correlate white noise along x as a first-order autoregressive process.

    ``n[0] = w[0]; n[x] = a n[x - 1] + sqrt(1 - a^2) w[x]``: the variance stays that of `noise`,
    the correlation at a distance d is ``a**d``, from the first pixel on.

    Parameters
    ----------
    noise : Tensor of float32, shape (N, 1, Y, X)
    lag_one : Tensor of float32, shape (N, 1, 1, 1)
        a, 0 ... below 1.
    """
    scaled = noise * torch.sqrt(1.0 - lag_one * lag_one)
    scaled[..., 0] = noise[..., 0]
    return _accumulate(scaled, lag_one)


def _accumulate(values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Sum ``factor**d values[x - d]`` over all d >= 0, by doubling the reach of the sum."""
    distance = 1
    while distance < values.shape[-1]:
        longer = values.clone()
        longer[..., distance:] += values[..., :-distance] * factor
        values, factor, distance = longer, factor * factor, 2 * distance
    return values


def add_row_noise(images: torch.Tensor, sigma: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Give each row an offset of its own, of standard deviation `sigma` (units of white)."""
    offsets = to_normal(words(keys, "row noise", (1, images.shape[-2], 1), images.device))
    return images + offsets * sigma


def add_gaussian(images: torch.Tensor, sigma: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Add white noise of standard deviation `sigma` (units of white)."""
    noise = to_normal(words(keys, "gaussian", images.shape[1:], images.device))
    return images + noise.mul_(sigma)


def shade(
    images: torch.Tensor, amplitude: torch.Tensor, along_x: torch.Tensor, along_y: torch.Tensor
) -> torch.Tensor:
    """Multiply by a tilted plane, 1 in the centre of the field.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, Y, X)
    amplitude : Tensor of float32, shape (N, 1, 1, 1)
        Deviation from 1 in the middle of the side that the steepest direction points at; in a
        corner up to 1.41 times as much.
    along_x, along_y : Tensor of float32, shape (N, 1, 1, 1)
        Unit vector of the steepest direction.
    """
    rows, columns = images.shape[-2:]
    y = torch.arange(rows, dtype=torch.float32, device=images.device).view(1, 1, -1, 1)
    x = torch.arange(columns, dtype=torch.float32, device=images.device)
    y, x = (y + 0.5) * (2.0 / rows) - 1.0, (x + 0.5) * (2.0 / columns) - 1.0
    return images * ((x * along_x + y * along_y) * amplitude + 1.0)


def add_streaks(
    images: torch.Tensor,
    density: torch.Tensor,
    amplitude: torch.Tensor,
    decay: torch.Tensor,
    keys: Keys,
) -> torch.Tensor:
    """Add bright streaks that fade along x.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, Y, X)
    density : Tensor of float32, shape (N, 1, 1, 1)
        Chance that a streak starts at a pixel.
    amplitude : Tensor of float32, shape (N, 1, 1, 1)
        Mean height at the start, units of white; heights are uniform between 0 and twice that.
    decay : Tensor of float32, shape (N, 1, 1, 1)
        Factor from one pixel to the next, 0 ... below 1.
    keys : ndarray of uint64, shape (N,)
    """
    shape = images.shape[1:]
    starts = to_uniform(words(keys, "streak starts", shape, images.device)) < density
    height = to_uniform(words(keys, "streak heights", shape, images.device))
    return images + _accumulate(height * (2.0 * amplitude) * starts, decay)


def quantise(images: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Clip to 0 ... 1 and round to multiples of ``1 / levels`` (255 for 8 bits)."""
    return torch.round(images.clamp(0.0, 1.0) * levels) / levels
