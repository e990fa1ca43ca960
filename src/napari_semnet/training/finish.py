"""Turn the weights of a run into a model file with a card that says what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from napari_semnet import __version__
from napari_semnet.model import (
    Card,
    Metric,
    Training,
    load_model,
    rewrite_card,
    save_model,
)
from napari_semnet.network import SEMNet
from napari_semnet.restoration.events import Progress
from napari_semnet.restoration.halo import HaloMeasured, Picture, measure_halo
from napari_semnet.training import checkpoint
from napari_semnet.training.checkpoint import Best
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data, Pool
from napari_semnet.training.degradation import Profile, degrade
from napari_semnet.training.events import MeasuringHalo, Notice
from napari_semnet.training.validation import Crop, cut_crops, places_of

__all__ = ["add_halo", "card_for", "described", "noise_range", "write_model"]

HALO_SIDE = 256
"""Pixels along each side of the pictures that a halo is measured on."""
_SMALLEST_FOR_HALO = 64
_TOLD_SHARE = 0.1
"""Share of the work between two events."""

_LIMITS = (
    "Not for measurements that were not checked on a slow scan of the same specimen: restored "
    "detail is what is likely, not what was seen. Not for images with noise beyond the stated "
    "range."
)


def card_for(
    network: SEMNet,
    config: TrainingConfig,
    data: Data,
    profile: Profile,
    progress: checkpoint.Progress,
    *,
    start: checkpoint.Start,
    measured: Best | None,
) -> Card:
    """Fill in the card of a model from what the run knows.

    Parameters
    ----------
    network : SEMNet
        The model's network.
    config, data, profile, progress
        Of the run.
    start : Start
        What the run began with.
    measured : Best or None
        Validation of these very weights, if there was one.
    """
    step = measured.step if measured is not None else progress.step
    unfinished = progress.step < config.steps
    wording = config.model
    return Card(
        name=wording.name,
        description=wording.description,
        status=f"unfinished: {step:,} of {config.steps:,} steps" if unfinished else "",
        architecture=network.architecture,
        training=Training(
            data=(*described(data), *_learnt_from_before(data, progress)),
            recipe=_recipe(config, profile if _degrades(data) else None),
            steps=step,
            hardware=", ".join(progress.hardware),
            hours=round(progress.seconds / 3600, 3),
            started_from=start.origin,
            steps_before=start.steps,
        ),
        metrics=_metrics(measured, _measured_on(data, config, profile)) if measured else (),
        noise_range=noise_range(profile) if _degrades(data) else None,
        pixel_size_range_nm=wording.pixel_size_range_nm or _pixel_sizes(data),
        limits=wording.limits or _LIMITS,
        licence=wording.licence,
        date=datetime.now(UTC).date().isoformat(),
        package_version=__version__,
    )


def write_model(path: Path, network: SEMNet, card: Card, dtype: torch.dtype) -> None:
    """Write a model file; see `napari_semnet.model.save_model`."""
    plain = SEMNet(network.architecture)
    plain.load_state_dict({key: value.cpu() for key, value in network.state_dict().items()})
    save_model(path, plain, card, dtype)


def add_halo(
    path: Path,
    data: Data,
    config: TrainingConfig,
    profile: Profile,
    device: torch.device,
    why_stop: Callable[[], str],
) -> Iterator[MeasuringHalo | Notice]:
    """Measure how far a finished model looks, and write that into its card.

    Parameters
    ----------
    path : Path
        The model's file; replaced at the end.
    data, config, profile
        Of the run. Validation pictures are used where there are any.
    device : torch.device
        Where to measure.
    why_stop : callable
        Asked all along why to leave the halo unmeasured; says nothing as long as it need not be.

    Yields
    ------
    MeasuringHalo or Notice
    """
    pools = data.validation or data.training
    cpu = torch.device("cpu")
    crops = cut_crops(pools, config.model.halo_pictures, HALO_SIDE, profile, cpu)
    large = [crop for crop in crops if min(crop.low.shape[-2:]) >= _SMALLEST_FOR_HALO]
    if not large:
        if config.model.halo_pictures > 0:
            yield Notice(
                "The pictures are too small to measure the model's halo on, so tiles use the "
                "exact one, which takes longer."
            )
        return
    pictures = [picture for crop in large for picture in _poor_and_good(crop)]
    model = load_model(path)
    told = 0.0
    yield MeasuringHalo(told)
    for said in measure_halo(model, pictures, device=str(device)):
        if reason := why_stop():
            yield Notice(
                f"The model's halo was not measured, because {reason}, so tiles use the exact one, "
                "which takes longer."
            )
            return
        if isinstance(said, Progress) and said.fraction >= told + _TOLD_SHARE:
            told = said.fraction
            yield MeasuringHalo(round(told, 3))
        elif isinstance(said, HaloMeasured):
            rewrite_card(path, model.card.model_copy(update={"halo": said.halo}), path)


def _poor_and_good(crop: Crop) -> tuple[Picture, Picture]:
    """Give both sides of a crop at the same size: a clean picture can need more halo."""
    height, width = crop.low.shape[-2:]
    good = crop.target[0, 0, height // 2 :, width // 2 :][:height, :width]
    return (
        Picture(crop.name, crop.low[0, 0].numpy()),
        Picture(f"{crop.name}, its reference", good.numpy()),
    )


@lru_cache(maxsize=4)
def noise_range(profile: Profile) -> tuple[float, float]:
    """Measure the noise that a profile makes of a uniform middle grey.

    Returns
    -------
    (float, float)
        1st and 99th percentile, over 256 draws, of the standard deviation in grey levels of 255.
        Whatever else the profile does to a uniform picture (streaks, shading, rows) counts.
    """
    grey = torch.full((256, 1, 64, 64), 0.5)
    spread = degrade(grey, profile, seed=0, step=0).std(dim=(1, 2, 3)).numpy() * 255.0
    low, high = np.percentile(spread, [1, 99])
    return round(float(low), 1), round(float(high), 1)


def _degrades(data: Data) -> bool:
    return any(pool.source.kind == "hq" for pool in data.training)


def _pixel_sizes(data: Data) -> tuple[float, float] | None:
    """Smallest and largest pixel size, where every picture says its own."""
    sizes = [field.pixel_nm for pool in data.training for field in pool.fields]
    known = [size for size in sizes if size is not None]
    return (min(known), max(known)) if known and len(known) == len(sizes) else None


def described(data: Data) -> tuple[str, ...]:
    """Describe each source that is learnt from, for the card."""
    return tuple(_described(pool) for pool in data.training)


def _learnt_from_before(data: Data, progress: checkpoint.Progress) -> Iterator[str]:
    """Describe what the weights have seen besides: its licence holds for them as well."""
    if data.split.trained_on.issuperset(progress.trained_on):
        # At most its words were other ones, as where a licence is put right.
        return
    for source, step in progress.learnt_from.items():
        if source not in described(data):
            yield f"{source}, until step {step:,}"


def _described(pool: Pool) -> str:
    source = pool.source
    megapixels = sum(f.target.rows * f.target.columns for f in pool.fields) / 1e6
    # Two noisy pictures are a field each way round, and one pair.
    count = len({frozenset(f.digests) for f in pool.fields})
    licences = sorted({f.licence for f in pool.fields if f.licence})
    what = {
        "hq": "good pictures, degraded",
        "pairs": "pairs of poor and good pictures",
        "noise2noise": "pairs of noisy pictures",
    }[source.kind]
    binned = ", each the mean of 2 x 2 pixels" if source.reference == "binned" else ""
    return (
        f"{source.title} ({source.content}): {count} {what}{binned}, "
        f"{megapixels:.1f} megapixels, weight {source.weight:g}, "
        f"licence: {', '.join(licences) or 'not stated'}"
    )


_OPTIMISERS = {"adam": "Adam", "muon": "Muon"}


def _recipe(config: TrainingConfig, profile: Profile | None) -> str:
    losses, optimiser, schedule = config.losses, config.optimiser, config.schedule
    form = {
        "constant": "constant"
        + (f" with a cooldown of {schedule.cooldown} steps" if schedule.cooldown else ""),
        "halving": f"halved every {schedule.halve_every:,} steps",
        "cosine": f"cosine to {schedule.final:g} of it over {config.steps:,} steps",
    }[schedule.kind]
    warmup = f", warm-up {schedule.warmup} steps" if schedule.warmup else ""
    return (
        ("" if profile is None else f"degradation profile {profile.name}; ")
        + f"L1 {losses.l1:g}, histogram {losses.histogram:g}, "
        f"total variation {losses.total_variation:g}, brightness {losses.brightness:g}, "
        f"PSNR {losses.psnr:g}"
        + (f", reach beyond {losses.halo} pixels {losses.reach:g}" if losses.reach else "")
        + (f" by a mean of power {losses.power:g}" if losses.reach and losses.power != 1 else "")
        + "; "
        f"{_OPTIMISERS[optimiser.kind]}{', without grid' if optimiser.without_grid else ''}, "
        f"learning rate {optimiser.learning_rate:g}, "
        f"{form}{warmup}; "
        f"batch {config.batch} of {config.patch} x {config.patch} poor pixels; "
        f"average of weights {config.ema:g}; seed {config.seed}"
    )


def _measured_on(data: Data, config: TrainingConfig, profile: Profile) -> str:
    """Describe the validation crops as they are: smaller than asked for in small pictures."""
    wanted = config.validation
    places = places_of(data.validation, wanted.crops, wanted.crop)
    sides = sorted({place.side for place in places})
    size = " to ".join(f"{side} x {side}" for side in dict.fromkeys((*sides[:1], *sides[-1:])))
    pictures = len({(place.field.path, place.field.page) for place in places})
    degraded = any(place.is_degraded for place in places)
    return (
        f"{len(places)} fixed crops of {size} poor pixels from {pictures} held-out "
        f"{'picture' if pictures == 1 else 'pictures'}"
        + (f", degradation profile {profile.name}" if degraded else "")
    )


def _metrics(measured: Best, where: str) -> tuple[Metric, ...]:
    from napari_semnet.imaging.quality import PSNR_DEFINITION, SSIM_DEFINITION

    psnr, ssim = f"{PSNR_DEFINITION}; R = 255", f"{SSIM_DEFINITION}; data range 255"

    def metric(name: str, value: float, unit: str, definition: str) -> Metric:
        digits = 3 if unit else 4
        return Metric(
            name=name, value=round(value, digits), unit=unit, definition=definition, data=where
        )

    return (
        metric("PSNR", measured.psnr, "dB", psnr),
        metric("SSIM", measured.ssim, "", ssim),
        metric("PSNR of bicubic interpolation", measured.bicubic_psnr, "dB", psnr),
        metric("SSIM of bicubic interpolation", measured.bicubic_ssim, "", ssim),
    )
