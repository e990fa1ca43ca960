"""The losses: the poster's L1, histogram and total variation; two of means, and one of reach.

All are computed in single precision outside autocast, and on the network's raw output: a clamp
before the loss would take the gradient of every saturated pixel away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch

from napari_semnet.training.sections import REACH_CORE

__all__ = [
    "LossTerms",
    "LossWeights",
    "brightness_loss",
    "combined_loss",
    "histogram_loss",
    "l1_loss",
    "mean_of_parts",
    "psnr_loss",
    "reach_loss",
    "soft_histogram",
    "total_variation",
]

Distance = Literal["emd2", "w1"]
BINS = 256
_ONE_GREY_LEVEL = 1 / 255


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the terms; the defaults are the poster's.

    Attributes
    ----------
    l1, histogram, total_variation, brightness, psnr, reach : float
        Weights, >= 0. The poster has neither brightness nor PSNR nor reach.
    distance : "emd2" or "w1"
        Distance of the histograms, see `histogram_loss`.
    """

    l1: float = 1.0
    histogram: float = 0.1
    total_variation: float = 0.01
    brightness: float = 0.0
    psnr: float = 0.0
    reach: float = 0.0
    distance: Distance = "emd2"


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The loss to minimise, and its terms before weighting.

    Attributes
    ----------
    total : Tensor, scalar
        Weighted sum; carries the gradient.
    l1, histogram, total_variation, brightness, psnr, reach : Tensor, scalar
        Terms, detached: for the log.
    """

    total: torch.Tensor
    l1: torch.Tensor
    histogram: torch.Tensor
    total_variation: torch.Tensor
    brightness: torch.Tensor
    psnr: torch.Tensor
    reach: torch.Tensor


def combined_loss(
    restored: torch.Tensor,
    reference: torch.Tensor,
    weights: LossWeights | None = None,
    reach: torch.Tensor | None = None,
) -> LossTerms:
    """Add the weighted losses of a batch.

    Parameters
    ----------
    restored : Tensor, shape (N, 1, Y, X)
        The network's output, not clamped.
    reference : Tensor, shape (N, 1, Y, X)
        What it should be, 0 ... 1.
    weights : LossWeights, optional
        The poster's by default.
    reach : Tensor, scalar, optional
        What `reach_loss` gives; costs a second pass of the network, so nothing by default.

    Returns
    -------
    LossTerms
    """
    weights = weights or LossWeights()
    reach = restored.new_zeros(()) if reach is None else reach
    l1 = l1_loss(restored, reference)
    histogram = histogram_loss(restored, reference, distance=weights.distance)
    variation = total_variation(restored)
    brightness = brightness_loss(restored, reference)
    psnr = psnr_loss(restored, reference)
    total = (
        weights.l1 * l1
        + weights.histogram * histogram
        + weights.total_variation * variation
        + weights.brightness * brightness
        + weights.psnr * psnr
        + weights.reach * reach
    )
    terms = (term.detach() for term in (l1, histogram, variation, brightness, psnr, reach))
    return LossTerms(total, *terms)


def mean_of_parts(parts: Sequence[LossTerms]) -> LossTerms:
    """Average the losses of equally large parts of a batch.

    All losses are means over the samples, so that this is the loss of the batch.

    Returns
    -------
    LossTerms
        Without gradient.
    """
    columns = (
        [getattr(part, field.name).detach() for part in parts] for field in fields(LossTerms)
    )
    return LossTerms(*(torch.stack(column).mean() for column in columns))


def l1_loss(restored: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, in units of white."""
    with torch.autocast(restored.device.type, enabled=False):
        return (_single(restored) - _single(reference)).abs().mean()


def histogram_loss(
    restored: torch.Tensor,
    reference: torch.Tensor,
    bins: int = BINS,
    distance: Distance = "emd2",
) -> torch.Tensor:
    """Compare the grey values of two images, wherever they are in the image.

    Each image's values are spread linearly over the two nearest of `bins` levels (0 to 1, one a
    grey level of 8 bits by default) and summed to a distribution function F.

    "emd2" is ``sum over the levels of (F_restored - F_reference)**2``, averaged over the images:
    the squared earth mover's distance of Avi-Aharon, Arbelle and Raviv, "Differentiable histogram
    loss functions for intensity-based image-to-image translation", IEEE TPAMI 45 (2023) 11642,
    here with the triangular kernel of Ustinova and Lempitsky, "Learning deep embeddings with
    histogram loss", NeurIPS 2016, in place of their sigmoids. It is a **sum**: the mean over the
    levels would be 256 times smaller, and the poster's weight of 0.1 would mean nothing. It grows
    with the square of a shift. For values spread evenly over all levels, a shift by g grey levels
    costs about ``256 (g / 255)**2``, 0.1 for 5 grey levels.

    "w1" is ``sum of |F_restored - F_reference| / (bins - 1)``: the mean distance that sorted
    values have to move, in units of white; 0.0196 for a shift by 5 grey levels.

    Parameters
    ----------
    restored, reference : Tensor, shape (N, 1, Y, X)
        Values beyond 0 ... 1 count as 0 and 1; they get no gradient from this loss.
    bins : int
        Levels.
    distance : "emd2" or "w1"

    Returns
    -------
    Tensor, scalar
        In single precision (or the inputs' double).
    """
    with torch.autocast(restored.device.type, enabled=False):
        difference = soft_histogram(restored, bins) - soft_histogram(reference, bins)
        gap = difference.cumsum(dim=1)
        if distance == "emd2":
            return (gap * gap).sum(dim=1).mean()
        return gap.abs().sum(dim=1).mean() / (bins - 1)


def soft_histogram(images: torch.Tensor, bins: int = BINS) -> torch.Tensor:
    """Spread each value over the two levels next to it, in proportion to its nearness.

    Work and memory are proportional to the number of pixels, not to pixels times bins.

    Parameters
    ----------
    images : Tensor, shape (N, ...)
    bins : int

    Returns
    -------
    Tensor, shape (N, bins)
        Shares that sum to 1 for each image; differentiable in `images`.
    """
    values = _single(images).flatten(1)
    place = values.clamp(0.0, 1.0) * (bins - 1)
    # A value that is not a number has no level; its share keeps it, and with it the loss.
    lower = place.detach().floor().nan_to_num_(0.0).clamp_(max=bins - 2)
    upper_share = (place - lower) / values.shape[1]
    index = lower.to(torch.int64)
    empty = values.new_zeros(len(values), bins)
    # For one pixel the two shares sum to 1 / pixels.
    return empty.scatter_add(1, index, 1.0 / values.shape[1] - upper_share).scatter_add(
        1, index + 1, upper_share
    )


def total_variation(restored: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of neighbours along y plus that along x, in units of white.

    The anisotropic L1 form; a mean, so that it does not grow with the size of the picture.
    """
    with torch.autocast(restored.device.type, enabled=False):
        images = _single(restored)
        along_y = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
        along_x = (images[..., 1:] - images[..., :-1]).abs().mean()
        return along_y + along_x


def brightness_loss(restored: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Absolute difference of the mean grey values of each picture, averaged, in units of white.

    Each picture has four means, one for each place within 2 x 2 pixels: a network that doubles the
    pixels makes these four by different weights, and a pattern of two pixels is what is left when
    they do not agree.

    What is uncertain is restored by L1 to the median of what it may be, which lies below the mean
    where a picture is dark with bright details: whole pictures come out too dark by up to a grey
    level, and the other way round. This term pulls the mean back.
    """
    with torch.autocast(restored.device.type, enabled=False):
        difference = _single(restored) - _single(reference)
        if min(difference.shape[-2:]) < 2:
            return difference.mean(dim=(1, 2, 3)).abs().mean()
        four = [difference[..., y::2, x::2].mean(dim=(1, 2, 3)) for y in (0, 1) for x in (0, 1)]
        return torch.stack(four).abs().mean()


def psnr_loss(restored: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Minus the peak signal-to-noise ratio of each picture, averaged, in dB.

    ``10 log10(mean of (restored - reference)**2 + 1/255**2)``: a picture that is right to within
    a grey level needs not be better. What is uncertain is restored to its mean, where L1 gives the
    median; and a clean picture counts as much as a noisy one, as it does where PSNRs are averaged
    (Chen et al., "HINet: half instance normalization network for image restoration", CVPR
    workshops 2021).
    """
    with torch.autocast(restored.device.type, enabled=False):
        error = (_single(restored) - _single(reference)).square().mean(dim=(1, 2, 3))
        return 10 * torch.log10(error + _ONE_GREY_LEVEL**2).mean()


def reach_loss(
    network: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    restored: torch.Tensor,
    halo: int,
    power: float = 1.0,
) -> torch.Tensor:
    """Say how much of the result comes from further away than a halo, in units of white.

    The middle of each picture is restored once more, cut out with the halo around it, and compared
    with what it was restored to within the picture: ``(mean of |difference|**power)**(1 / power)``
    for each picture, averaged. A network that is trained without it looks further with each step,
    and tiles that cannot be seen then need ever wider halos, for next to nothing: what is far away
    says little about a pixel.

    Parameters
    ----------
    network : callable
        From (N, 1, Y, X) to (N, 1, 2Y, 2X).
    inputs : Tensor, shape (N, 1, Y, X)
        Y and X are `REACH_CORE` + 2 `halo` at least.
    restored : Tensor, shape (N, 1, 2Y, 2X)
        What the network makes of them.
    halo : int
        Pixels of the inputs.
    power : float
        At least 1, where all pixels count by what they differ. The higher, the more the worst
        pixel counts, which a halo has to be wide enough for.
    """
    top, left = ((side - REACH_CORE) // 2 for side in inputs.shape[-2:])
    rows, columns = slice(top, top + REACH_CORE), slice(left, left + REACH_CORE)
    cut = network(inputs[..., _wider(rows, halo), _wider(columns, halo)])
    alone = cut[..., 2 * halo : -2 * halo, 2 * halo : -2 * halo]
    within = restored[..., _doubled(rows), _doubled(columns)]
    with torch.autocast(restored.device.type, enabled=False):
        difference = (_single(alone) - _single(within)).flatten(1)
        # A norm, whose gradient is nothing where all of it is nothing.
        norm = torch.linalg.vector_norm(difference, power, 1)
        mean: torch.Tensor = norm / difference.shape[1] ** (1 / power)
        return mean.mean()


def _wider(place: slice, by: int) -> slice:
    return slice(place.start - by, place.stop + by)


def _doubled(place: slice) -> slice:
    return slice(2 * place.start, 2 * place.stop)


def _single(images: torch.Tensor) -> torch.Tensor:
    return images if images.dtype == torch.float64 else images.to(torch.float32)
