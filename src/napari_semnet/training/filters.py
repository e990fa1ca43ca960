"""Linear filters in batch, each sample with a filter of its own.

On the CPU every sum is written as single multiplications and additions in a fixed order. That
makes a sample's result independent, to the last bit, of the batch it stands in and of the number
of threads, which a convolution routine does not promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

__all__ = [
    "Taps",
    "downsample",
    "filter_each",
    "gaussian_kernels",
    "resample",
    "resampling_taps",
    "shift_rows",
]

TRUNCATION = 3.5
"""Kernels end at this many standard deviations, on an ellipse; 0.2 % lies beyond it."""

Floats = NDArray[np.float64]
Array = NDArray[Any]


def gaussian_kernels(major: Floats, minor: Floats, angle: Floats, radius: int) -> Array:
    """Sample anisotropic Gaussians.

    Parameters
    ----------
    major, minor : ndarray, shape (N,)
        Standard deviations along the two axes of the ellipse, in pixels. Below about 0.2 the
        kernel is a single one.
    angle : ndarray, shape (N,)
        Angle of the first axis to x, in radians.
    radius : int
        Pixels on either side of the centre. Each kernel is zero beyond 3.5 standard deviations.

    Returns
    -------
    ndarray of float32, shape (N, 2 radius + 1, 2 radius + 1)
        Each sums to 1.
    """
    axis = np.arange(-radius, radius + 1, dtype=np.float64)
    x, y = axis[None, None, :], axis[None, :, None]
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    widths = [np.maximum(width, 1e-2)[:, None, None] for width in (major, minor)]
    along, across = (x * cosine + y * sine) / widths[0], (y * cosine - x * sine) / widths[1]
    distance = along**2 + across**2
    weights = np.where(distance <= TRUNCATION**2, np.exp(-0.5 * distance), 0.0)
    kernels: Array = weights / weights.sum(axis=(1, 2), keepdims=True)
    return kernels.astype(np.float32)


def filter_each(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Correlate each image with its own kernel; borders are mirrored.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, Y, X)
    kernels : Tensor of float32, shape (N, K, K), K odd

    Returns
    -------
    Tensor of float32, shape (N, 1, Y, X)
    """
    padded = _mirrored(images, kernels.shape[-1] // 2)
    if images.device.type == "cpu":
        return _filter_one_by_one(padded, kernels)
    return _filter_row_by_row(padded, kernels)


def _filter_one_by_one(padded: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """For the CPU: one picture stays in the cache, and its zero weights can be left out."""
    margin = kernels.shape[-1] - 1
    rows, columns = padded.shape[-2] - margin, padded.shape[-1] - margin
    result = padded.new_zeros(len(padded), 1, rows, columns)
    scratch = padded.new_empty(1, rows, columns)
    for target, source, kernel in zip(result, padded, kernels, strict=True):
        for dy, weights in enumerate(kernel.tolist()):
            for dx, weight in enumerate(weights):
                if weight != 0.0:
                    window = source[:, dy : dy + rows, dx : dx + columns]
                    torch.mul(window, weight, out=scratch)
                    target.add_(scratch)
    return result


def _filter_row_by_row(padded: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """For a GPU: the whole batch at once, few launches, and a buffer of K pictures."""
    size = kernels.shape[-1]
    rows = padded.shape[-2] - size + 1
    windows = padded.unfold(-1, size, 1)
    result = torch.zeros_like(windows[:, :, :rows, :, 0])
    for dy in range(size):
        weights = kernels[:, dy].view(-1, 1, 1, 1, size)
        result += (windows[:, :, dy : dy + rows] * weights).sum(-1)
    return result


def _mirrored(images: torch.Tensor, margin: int) -> torch.Tensor:
    mode = "reflect" if margin < min(images.shape[-2:]) else "replicate"
    return functional.pad(images, (margin, margin, margin, margin), mode=mode)


@dataclass(frozen=True, slots=True)
class Taps:
    """Which pixels make each output pixel along one axis, and with which weight.

    Attributes
    ----------
    index : ndarray of int64, shape (N, M, T)
    weight : ndarray of float32, shape (N, M, T)
    """

    index: Array
    weight: Array


def resampling_taps(sizes_in: Array, sizes_out: Array, kernels: Array, length: int) -> Taps:
    """Plan resizing between grids whose outer borders coincide (pixel areas, no shift).

    Parameters
    ----------
    sizes_in, sizes_out : ndarray of int, shape (N,)
        Pixels along the axis before and after.
    kernels : ndarray of str, shape (N,)
        "area" (mean over the new pixel's width), "linear" or "cubic" (a = -0.75), the latter two
        without anti-aliasing, as OpenCV defines them.
    length : int
        Rows M of the plan, at least the largest of `sizes_out`; rows beyond a sample's own size
        repeat its border and are not meant to be used.

    Returns
    -------
    Taps
    """
    ratio = (sizes_in / sizes_out)[:, None, None]
    count = max(4, math.ceil(float(ratio.max())) + 2)
    last_out = (sizes_out - 1)[:, None]
    place = np.minimum(np.arange(length)[None, :], last_out)[..., None]
    centre = (place + 0.5) * ratio - 0.5
    index = np.floor(centre).astype(np.int64) - (count // 2 - 1) + np.arange(count)
    distance = np.abs(centre - index)
    half = np.maximum(ratio, 1.0) / 2
    overlap = np.minimum(centre + half, index + 0.5) - np.maximum(centre - half, index - 0.5)
    weights = {
        "area": np.maximum(overlap, 0.0) / (2 * half),
        "linear": np.maximum(1.0 - distance, 0.0),
        "cubic": _cubic(distance, -0.75),
    }
    chosen = np.select(
        [(kernels == name)[:, None, None] for name in weights], list(weights.values())
    )
    inside = np.clip(index, 0, (sizes_in - 1)[:, None, None])
    return Taps(inside, chosen.astype(np.float32))


def _cubic(distance: Floats, a: float) -> Floats:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def resample(images: torch.Tensor, taps: Taps, axis: int) -> torch.Tensor:
    """Resize each image along one axis (2 for y, 3 for x) as planned by `resampling_taps`."""
    index = torch.from_numpy(taps.index).to(images.device)
    weight = torch.from_numpy(taps.weight).to(images.device)
    shape = list(images.shape)
    shape[axis] = index.shape[1]
    view = [len(images), 1, 1, 1]
    view[axis] = index.shape[1]
    result = torch.zeros(shape, dtype=images.dtype, device=images.device)
    for tap in range(index.shape[2]):
        gathered = images.gather(axis, index[:, :, tap].view(view).expand(shape))
        result.add_(gathered.mul_(weight[:, :, tap].view(view)))
    return result


def downsample(images: torch.Tensor, outer: torch.Tensor) -> torch.Tensor:
    """Halve both axes with the symmetric taps (outer, 1/2 - outer, 1/2 - outer, outer).

    A symmetric filter of even length centres each new pixel on its four old ones: no shift.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, 2Y, 2X)
    outer : Tensor of float32, shape (N, 1, 1, 1)
        0 for the mean of 2 x 2 pixels, 1/8 for the triangle, -3/32 for the cubic (a = -0.75).

    Returns
    -------
    Tensor of float32, shape (N, 1, Y, X)
    """
    inner = 0.5 - outer
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    x = [padded[..., start : padded.shape[-1] - 3 + start : 2] for start in range(4)]
    halved = (x[1] + x[2]) * inner + (x[0] + x[3]) * outer
    y = [halved[..., start : halved.shape[-2] - 3 + start : 2, :] for start in range(4)]
    return (y[1] + y[2]) * inner + (y[0] + y[3]) * outer


def shift_rows(images: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Move each row along x by its own part of a pixel (Catmull-Rom interpolation).

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, Y, X)
    displacement : Tensor of float32, shape (N, Y)
        Pixels; a positive one moves the row's content towards larger x.

    Returns
    -------
    Tensor of float32, shape (N, 1, Y, X)
    """
    columns = images.shape[-1]
    whole = torch.floor(-displacement)
    part = (-displacement - whole)[:, None, :, None]
    start = whole.to(torch.int64)[:, None, :, None] + torch.arange(columns, device=images.device)
    squared = part * part
    cubed = squared * part
    weights = (
        squared - 0.5 * (cubed + part),
        1.5 * cubed - 2.5 * squared + 1.0,
        2.0 * squared - 1.5 * cubed + 0.5 * part,
        0.5 * (cubed - squared),
    )
    result = torch.zeros_like(images)
    for tap, weight in enumerate(weights):
        index = (start + (tap - 1)).clamp_(0, columns - 1)
        result.add_(images.gather(3, index).mul_(weight))
    return result
