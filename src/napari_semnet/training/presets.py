"""The degradation profiles that come with the package, and why they are as they are."""

from __future__ import annotations

from napari_semnet.training.profile import (
    Blur,
    Chain,
    Correlation,
    Gaussian,
    Levels,
    Profile,
    Rescaling,
    RowJitter,
    RowNoise,
    Sampling,
    Shading,
    Shot,
    Streaks,
    Vibration,
)

__all__ = ["POSTER", "SEM"]

_POSTER_CHAIN = Chain(
    blur=Blur(probability=0.8, sigma=(0.1, 2.4), isotropic=0.5),
    rescaling=Rescaling(probability=0.7, scale=(0.5, 2.0)),
    sampling=Sampling(kernels=("area", "triangle", "cubic")),
    shot=Shot(probability=0.75, electrons=(1e2, 1e4)),
    gaussian=Gaussian(probability=0.75, sigma=(2.0, 25.0)),
)

POSTER = Profile(name="poster", chains=(_POSTER_CHAIN,))
"""What the poster names, with its numbers."""

_MICROSCOPE_CHAIN = Chain(
    frames=(1, 1, 2, 4, 8),
    blur=Blur(probability=0.8, sigma=(0.2, 2.0), isotropic=0.4),
    row_jitter=RowJitter(probability=0.5, sigma=(0.0, 0.4)),
    vibration=Vibration(probability=0.2, amplitude=(0.0, 0.5), period=(4.0, 60.0)),
    shading=Shading(probability=0.3, amplitude=(0.0, 0.02)),
    streaks=Streaks(
        probability=0.15, density=(2e-5, 1e-3), amplitude=(0.05, 0.4), length=(3.0, 40.0)
    ),
    shot=Shot(electrons=(30.0, 3e3), excess=(1.0, 1.5), black_level=(-0.3, 0.05)),
    correlation=Correlation(probability=0.5, lag_one=(0.0, 0.5)),
    row_noise=RowNoise(probability=0.3, sigma=(0.0, 4.0)),
    gaussian=Gaussian(probability=0.8, sigma=(0.0, 25.0)),
    levels=Levels(probability=0.3, gain=(0.98, 1.02), offset=(-0.01, 0.01)),
)

SEM = Profile(
    name="sem",
    chains=(
        _POSTER_CHAIN.model_copy(update={"weight": 0.5}),
        _MICROSCOPE_CHAIN.model_copy(update={"weight": 0.5}),
    ),
)
"""Half of the samples as the poster has them, half as a microscope makes them: what it learns must
hold for the poster's noise and for real pictures. docs/degradation.md says why the ranges are as
they are."""
