"""Look a degradation profile up, and show what it does to a few patches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_semnet.errors import TrainingError
from napari_semnet.training.profile import Profile

__all__ = ["degraded_examples", "named_profile"]

_SEED = 5


def named_profile(name: str) -> Profile:
    """Find a profile by its name, or read its TOML file.

    Raises
    ------
    TrainingError
        There is no such profile, or the file cannot be read or is none.
    """
    import tomllib

    from napari_semnet.training.complaints import first_complaint
    from napari_semnet.training.presets import POSTER, SEM

    known = {profile.name: profile for profile in (POSTER, SEM)}
    if name in known:
        return known[name]
    path = Path(name)
    try:
        return Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        raise TrainingError(f"{path.name}: {first_complaint(error, Profile)}") from error
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"The degradation profile {name} cannot be read: {error}. Choose another one."
        ) from error


def degraded_examples(
    good: Any, profile: Profile, draws: Iterable[int]
) -> tuple[list[Any], tuple[float, float]]:
    """Make patches poor, each in a few ways.

    Parameters
    ----------
    good : ndarray of float32, (N, 1, 2Y, 2X)
        Values 0 ... 1.
    profile : Profile
    draws : iterable of int
        Each gives other random numbers; those of one draw stay as they are when the profile
        changes, so that only its change is seen.

    Returns
    -------
    list of ndarray of float32, (N, 1, Y, X)
        One a draw.
    (float, float)
        Weakest and strongest noise of the profile, grey levels of 255; see
        `napari_semnet.training.finish.noise_range`.
    """
    import torch

    from napari_semnet.training.degradation import degrade
    from napari_semnet.training.finish import noise_range

    patches = torch.from_numpy(good)
    poor = [degrade(patches, profile, seed=_SEED, step=draw).numpy() for draw in draws]
    return poor, noise_range(profile)
