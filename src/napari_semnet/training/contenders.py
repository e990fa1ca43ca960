"""The classical methods of one evaluation, with the Gaussians that were searched for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_semnet.training import baselines
from napari_semnet.training.baselines import BASELINES, FIXED_SIGMAS, GAUSSIAN
from napari_semnet.training.cases import Case
from napari_semnet.training.scores import Kind, Method

__all__ = ["Contender", "Widths", "contenders"]

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Contender:
    """A classical method, and what it makes of a case."""

    method: Method
    restore: Callable[[Case], tuple[Grey, float | None]]
    """Gives the restored picture and, for Gaussians, the sigma in pixels of the input."""


class Widths:
    """Which Gaussian suits which case best, and which one suits all.

    Every case is to be measured once before anything is asked.
    """

    def __init__(self) -> None:
        self._curves: dict[tuple[str, int], NDArray[np.float64]] = {}
        self._for_ssim: dict[tuple[str, int], float] = {}

    def measure(self, case: Case) -> None:
        """Search the widths for one case."""
        key = case.picture, case.draw
        self._curves[key] = baselines.psnr_of_sigmas(case.low, case.high)
        self._for_ssim[key] = baselines.sigma_for_ssim(case.low, case.high)

    def for_psnr(self, case: Case) -> float:
        """Sigma of the highest PSNR of a case, in pixels of the input."""
        return baselines.peak_of(self._curves[case.picture, case.draw])

    def for_ssim(self, case: Case) -> float:
        """Sigma of the highest SSIM of a case, in pixels of the input."""
        return self._for_ssim[case.picture, case.draw]

    def for_all(self) -> float:
        """Sigma of the highest mean PSNR of all cases, in pixels of the input."""
        return baselines.peak_of(np.mean(list(self._curves.values()), axis=0))


def contenders(chosen: Sequence[str], widths: Widths, *, is_degraded: bool) -> Iterator[Contender]:
    """List the classical methods of an evaluation.

    Parameters
    ----------
    chosen : sequence of str
        See `napari_semnet.training.baselines.choose_baselines`; those that are not installed are
        left out.
    widths : Widths
        Has measured every case, if Gaussians are chosen.
    is_degraded : bool
        Whether the cases are degraded references, whose noise-free inputs are known.
    """
    for word in chosen:
        if word == GAUSSIAN:
            yield from _gaussians(widths)
        elif BASELINES[word].is_installed():
            baseline = BASELINES[word]
            method = Method(baseline.name, "baseline", baseline.definition)
            yield Contender(method, _plain(baseline.restore))
    if is_degraded:
        yield Contender(
            Method(
                "noise-free input, bicubic",
                "mark",
                "the same degradation without its noise, enlarged: what perfect denoising at the "
                "input's size would reach",
            ),
            _without_noise,
        )


def _gaussians(widths: Widths) -> Iterator[Contender]:
    for sigma in FIXED_SIGMAS:
        method = Method(
            f"Gaussian {sigma:g} px + bicubic",
            "baseline",
            f"Gaussian of {sigma:g} px ({2 * sigma:g} px of the result); then bicubic",
        )
        yield Contender(method, _blurred(_always(sigma)))
    common = widths.for_all()
    yield Contender(
        Method(
            "Gaussian one sigma + bicubic",
            "oracle",
            f"Gaussian of {common:.3f} px, which gives the highest mean PSNR of these very "
            "pictures; then bicubic",
        ),
        _blurred(_always(common)),
    )
    yield _best("PSNR", widths.for_psnr)
    yield _best("SSIM", widths.for_ssim)


def _best(figure: str, sigma: Callable[[Case], float]) -> Contender:
    kind: Kind = "oracle"
    definition = (
        f"Gaussian of the sigma that gives each single case its highest {figure}, which nobody "
        "can know without the reference; then bicubic"
    )
    return Contender(Method(f"Gaussian best {figure} + bicubic", kind, definition), _blurred(sigma))


def _always(sigma: float) -> Callable[[Case], float]:
    return lambda _case: sigma


def _blurred(sigma: Callable[[Case], float]) -> Callable[[Case], tuple[Grey, float | None]]:
    def restore(case: Case) -> tuple[Grey, float | None]:
        width = sigma(case)
        return baselines.gaussian(case.low, width), width

    return restore


def _plain(method: Callable[[Grey], Grey]) -> Callable[[Case], tuple[Grey, float | None]]:
    return lambda case: (method(case.low), None)


def _without_noise(case: Case) -> tuple[Grey, float | None]:
    assert case.quiet is not None, "Degraded cases know their noise-free input."
    return baselines.bicubic(case.quiet), None
