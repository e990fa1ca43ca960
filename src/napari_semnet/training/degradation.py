"""Make a poor picture from a good one, as a microscope in a hurry would have taken it.

The order is the physical one: the scene is blurred by the beam, distorted by the scan, sampled at
half the pixels, shaded, streaked by charging; its electrons are counted; the detector correlates
neighbours, offsets rows and adds noise of its own; contrast and brightness are set; and the
result is rounded to whole grey levels. Profiles say which stages are applied how often and how
strongly (`napari_semnet.training.profile`).

Everything is done in batch on the device of the input. All randomness is a pure function of
(seed, step, sample), see `napari_semnet.training.randomness`.
"""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
import torch

from napari_semnet.errors import ImageError
from napari_semnet.training import filters, noise
from napari_semnet.training.parameters import Parameters, draw_parameters
from napari_semnet.training.presets import POSTER, SEM
from napari_semnet.training.profile import Profile
from napari_semnet.training.randomness import Draws, Keys, sample_keys, to_normal, words

__all__ = ["PROFILES", "Profile", "degrade"]

PROFILES = MappingProxyType({profile.name: profile for profile in (POSTER, SEM)})
"""The profiles that come with the package, by name."""


@torch.no_grad()
def degrade(
    hq: torch.Tensor, profile: Profile, *, seed: int, step: int, first_sample: int = 0
) -> torch.Tensor:
    """Degrade a batch of good pictures, a pure function of its arguments.

    Parameters
    ----------
    hq : Tensor of float32, shape (N, 1, 2Y, 2X)
        Good pictures, values 0 ... 1.
    profile : Profile
        What to do to them; see `PROFILES`.
    seed : int
        Seed of the run.
    step : int
        Training step, or the index of a fixed draw.
    first_sample : int
        Place of ``hq[0]`` in the whole batch of this step. Degrading two halves of a batch, the
        second with ``first_sample=N/2``, gives what degrading it whole gives; on the CPU to the
        last bit.

    Returns
    -------
    Tensor of float32, shape (N, 1, Y, X)
        Poor pictures on the same device: whole grey levels of 0 ... 1, registered to `hq` (pixel
        (y, x) covers the pixels 2y ... 2y+1, 2x ... 2x+1).

    Raises
    ------
    ImageError
        The tensor has another shape, odd sides, or another type.
    """
    _check(hq)
    keys = sample_keys(seed, step, first_sample, len(hq))
    parameters = draw_parameters(profile, Draws(keys))
    columns = parameters.columns(hq.device)
    # Mixed precision is for the network; a bfloat16 picture has no 8 bits left.
    with torch.autocast(hq.device.type, enabled=False):
        images = _blur(hq, parameters)
        images = _rescale(images, parameters)
        images = _distort(images, parameters, columns, keys)
        images = filters.downsample(images, columns["outer_tap"])
        images = _illuminate(images, parameters, columns, keys)
        images = _detect(images, parameters, columns, keys)
        return noise.quantise(images, columns["levels"])


def _check(hq: torch.Tensor) -> None:
    rows, columns = hq.shape[-2:] if hq.ndim == 4 else (0, 0)
    if hq.ndim != 4 or hq.shape[1] != 1 or not len(hq) or hq.dtype != torch.float32:
        raise ImageError(
            f"Degradation needs float32 pictures of shape (N, 1, 2Y, 2X), not {hq.dtype} of "
            f"shape {tuple(hq.shape)}. Convert them to one channel of values 0 to 1 first."
        )
    if rows % 2 or columns % 2 or min(rows, columns) < 4:
        raise ImageError(
            f"A picture of {columns} x {rows} pixels cannot be halved. Crop it to even sides of "
            "at least 4 pixels."
        )


def _blur(images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    widest = float(np.maximum(parameters.blur_major, parameters.blur_minor).max())
    if widest == 0:
        return images
    # Kernels are made at a size that the profile fixes and then cut to what this batch needs:
    # their weights must not depend on the batch.
    full = math.ceil(filters.TRUNCATION * parameters.widest_blur)
    kernels = filters.gaussian_kernels(
        parameters.blur_major, parameters.blur_minor, parameters.blur_angle, full
    )
    cut = full - min(full, math.ceil(filters.TRUNCATION * widest))
    kernels = np.ascontiguousarray(kernels[:, cut : 2 * full + 1 - cut, cut : 2 * full + 1 - cut])
    return filters.filter_each(images, torch.from_numpy(kernels).to(images.device))


def _rescale(images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    if np.all(parameters.scale == 1):
        return images
    for axis in (2, 3):
        size = images.shape[axis]
        sizes = np.full(len(images), size)
        between = np.maximum(np.round(size * parameters.scale), 1).astype(np.int64)
        there = filters.resampling_taps(
            sizes, between, parameters.first_resizing, int(between.max())
        )
        back = filters.resampling_taps(between, sizes, parameters.second_resizing, size)
        images = filters.resample(filters.resample(images, there, axis), back, axis)
    return images


def _distort(
    images: torch.Tensor, parameters: Parameters, columns: dict[str, torch.Tensor], keys: Keys
) -> torch.Tensor:
    if not parameters.jitter.any() and not parameters.vibration.any():
        return images
    rows = images.shape[2] // 2
    turns = np.arange(rows) / parameters.period[:, None] + parameters.phase[:, None]
    wave = parameters.vibration[:, None] * np.sin(2 * np.pi * turns)
    lines = torch.from_numpy(wave.astype(np.float32)).to(images.device)
    lines += to_normal(words(keys, "row jitter", (rows,), images.device)) * columns["jitter"].view(
        -1, 1
    )
    # A scan line is one row of the poor picture, two rows of the good one.
    # Interpolation at a displacement of nothing is exact, so still samples pass unchanged.
    return filters.shift_rows(images, (lines * 2.0).repeat_interleave(2, dim=1))


def _illuminate(
    images: torch.Tensor, parameters: Parameters, columns: dict[str, torch.Tensor], keys: Keys
) -> torch.Tensor:
    if parameters.shading.any():
        images = noise.shade(images, columns["shading"], columns["shade_x"], columns["shade_y"])
    if parameters.streak_amplitude.any():
        images = noise.add_streaks(
            images,
            columns["streak_density"],
            columns["streak_amplitude"],
            columns["streak_decay"],
            keys,
        )
    return images


def _detect(
    images: torch.Tensor, parameters: Parameters, columns: dict[str, torch.Tensor], keys: Keys
) -> torch.Tensor:
    if parameters.counted.any():
        excess = columns["excess"] if (parameters.excess > 1).any() else None
        noisy = noise.add_shot_noise(
            images, columns["electrons"], columns["black_level"], excess, keys
        )
        if parameters.lag_one.any():
            slow = images + noise.correlate(noisy - images, columns["lag_one"])
            noisy = torch.where(columns["lag_one"] > 0, slow, noisy)
        images = torch.where(columns["counted"] > 0, noisy, images)
    if parameters.row_noise.any():
        images = noise.add_row_noise(images, columns["row_noise"], keys)
    if parameters.gaussian.any():
        images = noise.add_gaussian(images, columns["gaussian"], keys)
    return images * columns["gain"] + columns["offset"]
