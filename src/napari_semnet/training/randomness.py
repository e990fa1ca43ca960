"""Random numbers that are counted, not remembered.

Every number is a pure function of (seed, step, sample, stream, position): there is no generator
whose state must be saved, a batch split over several processes draws what one process would
draw, and a resumed run goes on with the numbers it would have had.

Two floors:

- `Draws`: a few numbers for each sample (which blur, which dose), in double precision on the
  CPU with NumPy.
- `words`, `to_uniform`, `to_normal`: a number for every pixel, in batch, on any torch device.
  Only integer arithmetic and single-precision additions and multiplications are used, which
  IEEE 754 rounds alike everywhere, so the numbers do not depend on the batch, on the number of
  threads or on the vector width of the machine.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), applied to a counter.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "Draws",
    "Keys",
    "sample_keys",
    "sequences",
    "stream_keys",
    "to_normal",
    "to_uniform",
    "words",
]

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)

MANTISSA_BITS = 7
"""Segments of the normal table within each power of two: 128, for an error below 1e-5 sigma."""

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]


def _mix(values: Keys) -> Keys:
    values = (values ^ (values >> np.uint64(SHIFTS[0]))) * np.uint64(MULTIPLIERS[0])
    values = (values ^ (values >> np.uint64(SHIFTS[1]))) * np.uint64(MULTIPLIERS[1])
    return values ^ (values >> np.uint64(SHIFTS[2]))


def _absorb(keys: Keys, value: int | Keys) -> Keys:
    added = np.array([value & MASK], dtype=np.uint64) if isinstance(value, int) else value
    return _mix(_mix(keys ^ added) + np.uint64(GAMMA))


def sample_keys(seed: int, step: int, first_sample: int, count: int) -> Keys:
    """Make one 64-bit key for each sample of a batch.

    Parameters
    ----------
    seed : int
        Seed of the run.
    step : int
        Training step, or the index of a fixed draw.
    first_sample : int
        Place of the first sample in the whole batch of this step; larger than 0 in a process
        that works on a later part of the batch.
    count : int
        Number of samples here.

    Returns
    -------
    ndarray of uint64, shape (count,)
    """
    root = np.zeros(1, dtype=np.uint64)
    samples = np.arange(count, dtype=np.uint64) + np.uint64(first_sample)
    return _absorb(_absorb(_absorb(root, seed), step), samples)


def stream_keys(keys: Keys, stream: str) -> Keys:
    """Derive the keys of one named stream, so that stages never share a random number."""
    return _absorb(keys, zlib.crc32(stream.encode()))


class Draws:
    """Parameters drawn for each sample, each under a name of its own.

    A name always gives the same numbers, whatever else is drawn before or after: adding a stage
    leaves the others as they were.

    Parameters
    ----------
    keys : ndarray of uint64, shape (N,)
        One key a sample, see `sample_keys`.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Floats:
        """Draw uniformly between `low` and `high`."""
        bits = stream_keys(self.keys, name) >> np.uint64(12)
        unit = (bits.astype(np.float64) + 0.5) * 2.0**-52
        return low + (high - low) * unit

    def log_uniform(self, name: str, low: float, high: float) -> Floats:
        """Draw so that the logarithm is uniform between those of `low` and `high` (> 0)."""
        return np.exp(self.uniform(name, math.log(low), math.log(high)))

    def chance(self, name: str, probability: float) -> NDArray[np.bool_]:
        """Draw True with `probability`."""
        return self.uniform(name) < probability

    def choose(self, name: str, weights: Sequence[float]) -> NDArray[np.intp]:
        """Draw an index into `weights`, in proportion to them."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        index = np.searchsorted(edges, self.uniform(name) * edges[-1], side="right")
        chosen: NDArray[np.intp] = np.minimum(index, len(edges) - 1)
        return chosen


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _mix_on_device(values: torch.Tensor) -> torch.Tensor:
    # torch shifts int64 arithmetically; the mask takes the copied sign bits away.
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, None), strict=True):
        values = values ^ ((values >> shift) & (MASK >> shift))
        if multiplier is not None:
            values = values * _signed(multiplier)
    return values


def words(keys: Keys, stream: str, shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Draw 32 random bits for every position of every sample.

    Parameters
    ----------
    keys : ndarray of uint64, shape (N,)
        One key a sample.
    stream : str
        Name of the stream.
    shape : sequence of int
        Shape of one sample.
    device : torch.device
        Where the numbers are made.

    Returns
    -------
    Tensor of int32, shape (N, ...)
    """
    count = math.prod(shape)
    pairs = (count + 1) // 2
    signed = stream_keys(keys, stream).view(np.int64)
    bits = sequences(torch.from_numpy(signed).to(device), pairs)
    return bits.view(torch.int32)[:, :count].reshape(len(keys), *shape)


def sequences(states: torch.Tensor, length: int) -> torch.Tensor:
    """Give the next outputs of SplitMix64 generators, all at once.

    Parameters
    ----------
    states : Tensor of int64, shape (N,)
        States of N generators, two's complement.
    length : int
        Outputs of each.

    Returns
    -------
    Tensor of int64, shape (N, length)
    """
    counter = torch.arange(1, length + 1, dtype=torch.int64, device=states.device)
    return _mix_on_device(states[:, None] + counter * _signed(GAMMA))


def to_uniform(bits: torch.Tensor) -> torch.Tensor:
    """Turn words into float32 strictly between 0 and 1, in steps of 2**-23."""
    return ((bits >> 9) & 0x7FFFFF).to(torch.float32).add_(0.5).mul_(2.0**-23)


@lru_cache(maxsize=8)
def _normal_table(device: torch.device) -> torch.Tensor:
    """Tabulate the quantiles on the grid of the floats 1 ... 2**31, with their differences."""
    per_octave = 1 << MANTISSA_BITS
    magnitudes = [
        2.0**octave * (1 + step / per_octave) for octave in range(31) for step in range(per_octave)
    ]
    inverse = NormalDist().inv_cdf
    quantiles: list[float] = [-inverse(value * 2.0**-32) for value in magnitudes]
    quantiles += [0.0, 0.0]
    table: NDArray[Any] = np.array(quantiles)
    both = np.stack([table[:-1], np.diff(table)]).astype(np.float32)
    return torch.from_numpy(both).to(device)


def to_normal(bits: torch.Tensor) -> torch.Tensor:
    """Turn words into standard normal float32 numbers.

    The inverse of the normal distribution function is read from a table whose nodes are the
    floats themselves (128 in each power of two) and interpolated linearly. The error is below
    1e-5 everywhere; the largest magnitude is 6.2.
    """
    table = _normal_table(bits.device)
    magnitude = ((bits & 0x7FFFFFFF) | 1).to(torch.float32)
    pattern = magnitude.view(torch.int32)
    rest = 23 - MANTISSA_BITS
    index = (pattern >> rest).sub_(127 << MANTISSA_BITS).to(torch.int64)
    part = (pattern & ((1 << rest) - 1)).to(torch.float32).mul_(2.0**-rest)
    normal = table[1][index].mul_(part).add_(table[0][index])
    return torch.where(bits < 0, -normal, normal)
