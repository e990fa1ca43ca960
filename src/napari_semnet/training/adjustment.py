"""Make a degradation profile stronger or weaker as a whole, by three numbers that people turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from napari_semnet.training.profile import Chain, Profile

__all__ = ["AS_IT_IS", "Adjustment", "adjusted"]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Factors on what a profile does; 1 leaves it as it is.

    Attributes
    ----------
    noise : > 0
        On the standard deviation of counting noise and of the electronics' noise: 2 means a
        quarter of the electrons.
    blur : >= 0
        On the width of the beam.
    lines : >= 0
        On offsets and displacements of scan lines.
    """

    noise: float = 1.0
    blur: float = 1.0
    lines: float = 1.0


AS_IT_IS = Adjustment()

_LARGEST_BLUR = 20.0


def adjusted(profile: Profile, by: Adjustment) -> Profile:
    """Change a profile by factors.

    Parameters
    ----------
    profile : Profile
    by : Adjustment

    Returns
    -------
    Profile
        The same one for factors of 1, else one whose name says that it was changed.
    """
    if by == AS_IT_IS:
        return profile
    name = profile.name.removesuffix(_SUFFIX) + _SUFFIX
    return Profile(name=name, chains=tuple(_adjusted(chain, by) for chain in profile.chains))


_SUFFIX = " (adjusted)"


def _adjusted(chain: Chain, by: Adjustment) -> Chain:
    changes: dict[str, Any] = {}
    if chain.blur is not None:
        sigma = [min(value, _LARGEST_BLUR) for value in _times(chain.blur.sigma, by.blur)]
        changes["blur"] = chain.blur.model_copy(update={"sigma": tuple(sigma)})
    if chain.shot is not None:
        electrons = _times(chain.shot.electrons, by.noise**-2)
        changes["shot"] = chain.shot.model_copy(update={"electrons": electrons})
    if chain.gaussian is not None:
        sigma = list(_times(chain.gaussian.sigma, by.noise))
        changes["gaussian"] = chain.gaussian.model_copy(update={"sigma": tuple(sigma)})
    for stage, key in (("row_jitter", "sigma"), ("row_noise", "sigma"), ("vibration", "amplitude")):
        settings = getattr(chain, stage)
        if settings is not None:
            value = _times(getattr(settings, key), by.lines)
            changes[stage] = settings.model_copy(update={key: value})
    # Copies are not checked, so what comes of the factors is checked here.
    return Chain.model_validate(chain.model_copy(update=changes).model_dump())


def _times(values: Iterable[float], factor: float) -> tuple[float, float]:
    low, high = (float(f"{value * factor:.6g}") for value in values)
    return low, high
