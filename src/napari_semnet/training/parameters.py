"""The parameters of one batch: drawn from a profile, one set for each sample.

A stage that a sample does not go through gets parameters that change nothing, so that the whole
batch can go through the same operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.training.profile import Chain, Profile
from napari_semnet.training.randomness import Draws

__all__ = ["Parameters", "draw_parameters"]

OUTER_TAPS = {"area": 0.0, "triangle": 0.125, "cubic": -0.09375}
"""Outermost of the four taps that halve an axis, see `filters.downsample`."""

WHITE = 255.0
"""Grey levels of noise in a profile are those of an 8-bit picture, whatever its depth."""

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Parameters:
    """One value for each of N samples, in the units that the stages take.

    Lengths are in pixels, of the good picture for blur and of the poor one for all else; noise
    is in units of white; frame integration is already applied.
    """

    blur_major: Values
    blur_minor: Values
    blur_angle: Values
    scale: Values
    first_resizing: Values
    second_resizing: Values
    jitter: Values
    vibration: Values
    period: Values
    phase: Values
    outer_tap: Values
    shading: Values
    shade_x: Values
    shade_y: Values
    streak_density: Values
    streak_amplitude: Values
    streak_decay: Values
    counted: Values
    electrons: Values
    excess: Values
    black_level: Values
    lag_one: Values
    row_noise: Values
    gaussian: Values
    gain: Values
    offset: Values
    levels: Values
    widest_blur: float = 0.0
    """Largest standard deviation that the profile can draw, in pixels of the good picture."""

    def columns(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Give every numeric parameter as a float32 tensor of shape (N, 1, 1, 1) on `device`."""
        numeric = {
            field.name: value
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
            and value.dtype.kind != "U"
        }
        # One transfer for all: on a GPU each costs more than the numbers are worth.
        table = torch.from_numpy(np.stack([value.astype(np.float32) for value in numeric.values()]))
        rows = table.to(device)[..., None, None, None].unbind(0)
        return dict(zip(numeric, rows, strict=True))


def draw_parameters(profile: Profile, draws: Draws) -> Parameters:
    """Draw the chain and then the parameters of each sample.

    Parameters
    ----------
    profile : Profile
        What may be drawn.
    draws : Draws
        Keys of the N samples.

    Returns
    -------
    parameters : Parameters
        N values each.
    """
    widest = max((chain.blur.sigma[1] for chain in profile.chains if chain.blur), default=0.0)
    drawn = [_draw_chain(chain, draws) for chain in profile.chains]
    choice = draws.choose("chain", [chain.weight for chain in profile.chains])
    mixed = {name: np.choose(choice, [chain[name] for chain in drawn]) for name in drawn[0]}
    return Parameters(**mixed, widest_blur=widest)


def _draw_chain(chain: Chain, draws: Draws) -> dict[str, Values]:
    frames = np.asarray(chain.frames)[draws.choose("frames", [1] * len(chain.frames))]
    bits = np.asarray(chain.bits)[draws.choose("bits", [1] * len(chain.bits))]
    kernels = chain.sampling.kernels
    taps = np.array([OUTER_TAPS[kernel] for kernel in kernels])
    averaging = np.sqrt(frames)
    return {
        **_draw_blur(chain, draws),
        **_draw_rescaling(chain, draws),
        **_draw_scan(chain, draws, averaging),
        "outer_tap": taps[draws.choose("sampling", [1] * len(kernels))],
        **_draw_illumination(chain, draws),
        **_draw_shot(chain, draws, frames),
        **_draw_detector(chain, draws, averaging),
        "levels": 2.0**bits - 1,
    }


def _applied(draws: Draws, name: str, probability: float) -> Callable[[Values, float], Values]:
    """Give a function that keeps a parameter where the stage is applied, else its neutral value."""
    applied = draws.chance(f"{name}?", probability)
    return lambda values, neutral: np.where(applied, values, neutral)


def _draw_blur(chain: Chain, draws: Draws) -> dict[str, Values]:
    blur = chain.blur
    zeros = np.zeros(len(draws.keys))
    if blur is None:
        return {"blur_major": zeros, "blur_minor": zeros, "blur_angle": zeros}
    kept = _applied(draws, "blur", blur.probability)
    major = draws.uniform("blur.major", *blur.sigma)
    minor = draws.uniform("blur.minor", *blur.sigma)
    minor = np.where(draws.chance("blur.isotropic", blur.isotropic), major, minor)
    return {
        "blur_major": kept(major, 0.0),
        "blur_minor": kept(minor, 0.0),
        "blur_angle": draws.uniform("blur.angle", 0.0, np.pi),
    }


def _draw_rescaling(chain: Chain, draws: Draws) -> dict[str, Values]:
    stage = chain.rescaling
    count = len(draws.keys)
    if stage is None:
        linear = np.full(count, "linear")
        return {"scale": np.ones(count), "first_resizing": linear, "second_resizing": linear}
    kept = _applied(draws, "rescaling", stage.probability)
    scale = kept(draws.log_uniform("rescaling.scale", *stage.scale), 1.0)
    ways = {}
    for way, names in (("shrinking", stage.shrinking), ("enlarging", stage.enlarging)):
        ways[way] = np.array(names)[draws.choose(f"rescaling.{way}", [1] * len(names))]
    smaller = scale < 1
    return {
        "scale": scale,
        "first_resizing": np.where(smaller, ways["shrinking"], ways["enlarging"]),
        "second_resizing": np.where(smaller, ways["enlarging"], ways["shrinking"]),
    }


def _draw_scan(chain: Chain, draws: Draws, averaging: Values) -> dict[str, Values]:
    zeros = np.zeros(len(draws.keys))
    drawn = {"jitter": zeros, "vibration": zeros, "period": zeros + 1, "phase": zeros}
    if chain.row_jitter is not None:
        kept = _applied(draws, "row_jitter", chain.row_jitter.probability)
        sigma = draws.uniform("row_jitter.sigma", *chain.row_jitter.sigma)
        drawn["jitter"] = kept(sigma / averaging, 0.0)
    if chain.vibration is not None:
        kept = _applied(draws, "vibration", chain.vibration.probability)
        amplitude = draws.uniform("vibration.amplitude", *chain.vibration.amplitude)
        drawn["vibration"] = kept(amplitude / averaging, 0.0)
        drawn["period"] = draws.log_uniform("vibration.period", *chain.vibration.period)
        drawn["phase"] = draws.uniform("vibration.phase")
    return drawn


def _draw_illumination(chain: Chain, draws: Draws) -> dict[str, Values]:
    zeros = np.zeros(len(draws.keys))
    drawn = dict.fromkeys(
        ("shading", "shade_x", "shade_y", "streak_density", "streak_amplitude", "streak_decay"),
        zeros,
    )
    if chain.shading is not None:
        kept = _applied(draws, "shading", chain.shading.probability)
        direction = draws.uniform("shading.direction", 0.0, 2 * np.pi)
        drawn["shading"] = kept(draws.uniform("shading.amplitude", *chain.shading.amplitude), 0.0)
        drawn["shade_x"], drawn["shade_y"] = np.cos(direction), np.sin(direction)
    if chain.streaks is not None:
        kept = _applied(draws, "streaks", chain.streaks.probability)
        amplitude = draws.uniform("streaks.amplitude", *chain.streaks.amplitude)
        length = draws.log_uniform("streaks.length", *chain.streaks.length)
        drawn["streak_density"] = draws.log_uniform("streaks.density", *chain.streaks.density)
        drawn["streak_amplitude"] = kept(amplitude, 0.0)
        drawn["streak_decay"] = np.exp(-1.0 / length)
    return drawn


def _draw_shot(chain: Chain, draws: Draws, frames: Values) -> dict[str, Values]:
    ones = np.ones(len(draws.keys))
    zeros = ones - 1
    drawn = {
        "counted": zeros,
        "electrons": ones,
        "excess": ones,
        "black_level": zeros,
        "lag_one": zeros,
    }
    shot = chain.shot
    if shot is None:
        return drawn
    drawn["counted"] = draws.chance("shot?", shot.probability).astype(np.float64)
    drawn["electrons"] = draws.log_uniform("shot.electrons", *shot.electrons) * frames
    drawn["excess"] = draws.uniform("shot.excess", *shot.excess)
    drawn["black_level"] = draws.uniform("shot.black_level", *shot.black_level)
    if chain.correlation is not None:
        kept = _applied(draws, "correlation", chain.correlation.probability)
        drawn["lag_one"] = kept(
            draws.uniform("correlation.lag_one", *chain.correlation.lag_one), 0.0
        )
    return drawn


def _draw_detector(chain: Chain, draws: Draws, averaging: Values) -> dict[str, Values]:
    ones = np.ones(len(draws.keys))
    drawn = {"row_noise": ones - 1, "gaussian": ones - 1, "gain": ones, "offset": ones - 1}
    for name, stage in (("row_noise", chain.row_noise), ("gaussian", chain.gaussian)):
        if stage is not None:
            kept = _applied(draws, name, stage.probability)
            sigma = draws.uniform(f"{name}.sigma", *stage.sigma) / WHITE
            drawn[name] = kept(sigma / averaging, 0.0)
    if chain.levels is not None:
        kept = _applied(draws, "levels", chain.levels.probability)
        drawn["gain"] = kept(draws.uniform("levels.gain", *chain.levels.gain), 1.0)
        drawn["offset"] = kept(draws.uniform("levels.offset", *chain.levels.offset), 0.0)
    return drawn
