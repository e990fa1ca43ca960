"""What is done to a good picture to make a poor one: the settings, and their ranges.

A `Profile` is a mixture of `Chain`s; a chain names its stages in the order in which a microscope
applies them, each with the chance that it is applied and the ranges its parameters are drawn
from. Profiles are read from and written to TOML; unknown keys are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Blur",
    "Chain",
    "Correlation",
    "Gaussian",
    "Levels",
    "Profile",
    "Rescaling",
    "RowJitter",
    "RowNoise",
    "Sampling",
    "Shading",
    "Shot",
    "Streaks",
    "Vibration",
]


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        raise ValueError(f"the low end {pair[0]:g} lies above the high end {pair[1]:g}")
    return pair


NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

NonNegativeRange = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_in_order)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_in_order)]
FiniteRange = Annotated[tuple[Finite, Finite], AfterValidator(_in_order)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Stage(_Settings):
    probability: Share = 1.0
    """Share of the samples that the stage is applied to."""


class Blur(_Stage):
    """Gaussian spot of the beam; astigmatism makes it an ellipse.

    Attributes
    ----------
    sigma : (low, high), pixels of the good picture
        Standard deviation, drawn uniformly; twice, for the two axes, where it is anisotropic.
    isotropic : 0 ... 1
        Share of the blurred samples whose spot is round. The others are ellipses at any angle.
    """

    sigma: Annotated[
        tuple[Annotated[float, Field(ge=0, le=20)], Annotated[float, Field(ge=0, le=20)]],
        AfterValidator(_in_order),
    ]
    isotropic: Share = 0.5


class Rescaling(_Stage):
    """The picture is resized and resized back, which loses and invents detail.

    Attributes
    ----------
    scale : (low, high), times the size of the good picture
        Intermediate size, log-uniform. Below 1 the picture is shrunk and enlarged again, above 1
        enlarged and shrunk again.
    shrinking, enlarging : lists of "area", "linear", "cubic"
        Interpolations to draw from, each as often.
    """

    scale: Annotated[
        tuple[Annotated[float, Field(ge=0.1, le=8)], Annotated[float, Field(ge=0.1, le=8)]],
        AfterValidator(_in_order),
    ]
    shrinking: tuple[Literal["area", "linear", "cubic"], ...] = Field(
        default=("area", "linear", "cubic"), min_length=1
    )
    enlarging: tuple[Literal["linear", "cubic"], ...] = Field(
        default=("linear", "cubic"), min_length=1
    )


class RowJitter(_Stage):
    """Each scan line starts a little early or late (electronic noise of the deflection).

    Attributes
    ----------
    sigma : (low, high), pixels of the poor picture
        Standard deviation of the independent displacement of each line along x.
    """

    sigma: NonNegativeRange


class Vibration(_Stage):
    """Lines follow a sine: vibration of the stage, or a stray field of the mains.

    Attributes
    ----------
    amplitude : (low, high), pixels of the poor picture
        Largest displacement along x.
    period : (low, high), lines
        Lines in one period, log-uniform.
    """

    amplitude: NonNegativeRange
    period: PositiveRange


class Sampling(_Settings):
    """Two pixels become one, along both axes, without any shift.

    Attributes
    ----------
    kernels : list of "area", "triangle", "cubic"
        Drawn from, each as often. "area" is the mean of 2 x 2 pixels, what a detector that
        integrates over its dwell sees; "triangle" and "cubic" are the anti-aliased linear and
        the plain cubic interpolation of image libraries.
    """

    kernels: tuple[Literal["area", "triangle", "cubic"], ...] = Field(
        default=("area",), min_length=1
    )


class Shading(_Stage):
    """The collected signal changes smoothly over the field: detector on one side, vignetting.

    Attributes
    ----------
    amplitude : (low, high), share of the signal
        Deviation from 1 in the middle of a side; in a corner up to 1.41 times as much, where
        the shading runs along the diagonal.
    """

    amplitude: NonNegativeRange


class Streaks(_Stage):
    """Charging: bright streaks that start anywhere and fade along the scan direction.

    Attributes
    ----------
    density : (low, high), starts a pixel
        Chance that a streak starts at a pixel, log-uniform.
    amplitude : (low, high), share of white
        Height at the start, drawn for each sample; each streak has between 0 and 2 times that.
    length : (low, high), pixels of the poor picture
        Distance in which a streak falls to 1/e, log-uniform.
    """

    density: PositiveRange
    amplitude: NonNegativeRange
    length: PositiveRange


class Shot(_Stage):
    """Counting noise of the electrons.

    ``y = b + counts / rate`` with ``counts ~ Poisson(rate * (x - b))`` and
    ``rate = electrons / (1 - b)``, so that white is always the stated number of electrons.

    Attributes
    ----------
    electrons : (low, high), electrons
        Expected number at white (x = 1) in one frame, log-uniform.
    excess : (low, high), variance over that of a Poisson count, >= 1
        Excess noise factor of the chain behind the first electron (secondary yield,
        scintillator, multiplier).
    black_level : (low, high), share of white, < 1
        Grey value b at which no electrons arrive. Below 0 where the brightness is turned down,
        so that black still has noise.
    """

    electrons: PositiveRange
    excess: Annotated[
        tuple[Annotated[float, Field(ge=1, le=20)], Annotated[float, Field(ge=1, le=20)]],
        AfterValidator(_in_order),
    ] = (1.0, 1.0)
    black_level: Annotated[
        tuple[Annotated[float, Field(ge=-5, le=0.9)], Annotated[float, Field(ge=-5, le=0.9)]],
        AfterValidator(_in_order),
    ] = (0.0, 0.0)


class Correlation(_Stage):
    """A detector too slow for the dwell: counting noise leaks into the next pixel along x.

    Attributes
    ----------
    lag_one : (low, high), 0 ... 0.95
        Correlation of the noise of neighbours along x (first-order autoregressive). The variance
        of the noise is kept.
    """

    lag_one: Annotated[
        tuple[Annotated[float, Field(ge=0, le=0.95)], Annotated[float, Field(ge=0, le=0.95)]],
        AfterValidator(_in_order),
    ]


class RowNoise(_Stage):
    """Each scan line has an offset of its own.

    Attributes
    ----------
    sigma : (low, high), grey levels of 255
        Standard deviation of the offsets in one frame.
    """

    sigma: NonNegativeRange


class Gaussian(_Stage):
    """Noise of the amplifier, alike for every grey value.

    Attributes
    ----------
    sigma : (low, high), grey levels of 255
        Standard deviation in one frame.
    """

    sigma: NonNegativeRange


class Levels(_Stage):
    """Contrast and brightness that do not quite match those of the good picture.

    Attributes
    ----------
    gain : (low, high), factor
    offset : (low, high), share of white
    """

    gain: PositiveRange = (1.0, 1.0)
    offset: FiniteRange = (0.0, 0.0)


class Chain(_Settings):
    """Stages in the order in which they are applied; one that is not named is left out.

    Attributes
    ----------
    weight : >= 0
        How often a sample gets this chain, relative to the weights of the profile's others.
    frames : list of int
        Numbers of integrated frames to draw from, each as often: the dose is multiplied by it,
        and jitter, row noise and Gaussian noise are divided by its square root.
    bits : list of int
        Bit depths to draw from, each as often.
    """

    weight: NonNegative = 1.0
    frames: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(default=(1,), min_length=1)
    blur: Blur | None = None
    rescaling: Rescaling | None = None
    row_jitter: RowJitter | None = None
    vibration: Vibration | None = None
    sampling: Sampling = Sampling()
    shading: Shading | None = None
    streaks: Streaks | None = None
    shot: Shot | None = None
    correlation: Correlation | None = None
    row_noise: RowNoise | None = None
    gaussian: Gaussian | None = None
    levels: Levels | None = None
    bits: tuple[Annotated[int, Field(ge=2, le=16)], ...] = Field(default=(8,), min_length=1)


class Profile(_Settings):
    """A mixture of chains; each sample draws one of them.

    Attributes
    ----------
    name : str
        Shown in cards and logs.
    chains : list of Chain
        In TOML: one ``[[chains]]`` table each.
    """

    name: str = Field(min_length=1)
    chains: tuple[Chain, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _some_weight(self) -> Profile:
        if not sum(chain.weight for chain in self.chains) > 0:
            raise ValueError("at least one chain needs a weight above 0")
        return self
