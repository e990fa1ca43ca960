"""The model before and after fine-tuning, on fields that were never trained on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import TrainingError
from napari_semnet.training.pieces import shown_name
from napari_semnet.training.run_folder import RunFolder

if TYPE_CHECKING:
    from napari_semnet.training.config import TrainingConfig

__all__ = ["FieldScore", "Figures", "Judgement", "judge"]

Grey = NDArray[np.uint8]

FIELDS = 6
SIDE = 128
"""Pixels along each side of the poor field."""
UNCHANGED = 0.005
"""dB that writing the same weights in 16 bits may change."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How near a picture comes to the good one."""

    psnr: float
    """dB, data range 255."""
    ssim: float


@dataclass(frozen=True, slots=True, eq=False)
class FieldScore:
    """One held-out field, restored in three ways.

    Attributes
    ----------
    name : str
    poor : ndarray of uint8, (Y, X)
    base, tuned, good : ndarray of uint8, (2Y, 2X)
    of_bicubic, of_base, of_tuned : Figures
        Measured before rounding to whole grey levels.
    """

    name: str
    poor: Grey
    base: Grey
    tuned: Grey
    good: Grey
    of_bicubic: Figures
    of_base: Figures
    of_tuned: Figures


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """All fields."""

    base: str
    """Name of the model that was started from."""
    tuned: str
    fields: tuple[FieldScore, ...]

    def mean(self, which: str) -> Figures:
        """Mean of ``of_bicubic``, ``of_base`` or ``of_tuned``."""
        all_of_it: Sequence[Figures] = [getattr(field, which) for field in self.fields]
        return Figures(
            float(np.mean([one.psnr for one in all_of_it])),
            float(np.mean([one.ssim for one in all_of_it])),
        )

    @property
    def gain(self) -> Figures:
        """What fine-tuning gained over the model that was started from."""
        tuned, base = self.mean("of_tuned"), self.mean("of_base")
        return Figures(tuned.psnr - base.psnr, tuned.ssim - base.ssim)

    def verdict(self) -> str:
        """Say what came of it, and what follows."""
        better = sum(field.of_tuned.psnr > field.of_base.psnr for field in self.fields)
        gain = self.gain
        counts = (
            f"PSNR {gain.psnr:+.2f} dB, SSIM {gain.ssim:+.4f} against {self.base}; better in "
            f"{better} of {len(self.fields)} held-out fields."
        )
        if all(abs(f.of_tuned.psnr - f.of_base.psnr) < UNCHANGED for f in self.fields):
            # The run keeps the weights that did best, and it measures those it begins with.
            return (
                f"Fine-tuning gained nothing: no step did better than {self.base} on held-out "
                "fields, so its weights were kept. More steps or more images may help."
            )
        if gain.psnr >= 0.05:
            return f"Fine-tuning helped. {counts}"
        if gain.psnr > -0.05:
            return f"Fine-tuning changed little. {counts} More steps or more images may help."
        return f"Fine-tuning did harm. {counts} Discard it, or look whether the images are good."


def judge(config: TrainingConfig, tuned: Path) -> Generator[float, None, Judgement]:
    """Restore held-out fields with the model that a run started from and with the one it made.

    This happens on the CPU, so that no memory of a GPU is taken.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    tuned : Path
        The model that came of it, in the run's folder.

    Yields
    ------
    float
        Finished part, 0 to 1.

    Raises
    ------
    TrainingError
        Nothing was held out, or the run did not start from a model.
    SemnetError
        A model or a picture cannot be read any more.
    """
    import torch

    from napari_semnet.model import load_model
    from napari_semnet.training.checkpoint import read_progress
    from napari_semnet.training.data import prepare_data
    from napari_semnet.training.learner import profile_of, started_from
    from napari_semnet.training.validation import cut_crops

    start = started_from(config)
    if start is None:
        raise TrainingError("The run did not start from a model, so there is nothing to compare.")
    before, after = load_model(start), load_model(tuned)
    yield 0.0
    state = RunFolder(tuned.parent).last
    # Pictures may have come and gone since; those that were trained on prove nothing.
    reading = prepare_data(config, read_progress(state).split if state.is_file() else None)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            data = end.value
            break
        yield 0.0
    crops = cut_crops(data.validation, FIELDS, SIDE, profile_of(config), torch.device("cpu"))
    if not crops:
        raise TrainingError(
            "No picture was held out, so the two models cannot be compared by numbers. Compare "
            "their restorations of a picture by eye."
        )
    fields = []
    for done, crop in enumerate(crops, 1):
        name = shown_name(Path(crop.picture))
        fields.append(_scored(name, crop.low, crop.target, before.network, after.network))
        yield done / len(crops)
    return Judgement(before.name, after.name, tuple(fields))


def _scored(name: str, low: Any, target: Any, before: Any, after: Any) -> FieldScore:
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        bicubic = functional.interpolate(low, scale_factor=2, mode="bicubic", align_corners=False)
        base, tuned = before(low), after(low)
    return FieldScore(
        name,
        poor=_rounded(low),
        base=_rounded(base),
        tuned=_rounded(tuned),
        good=_rounded(target),
        of_bicubic=_figures(bicubic, target),
        of_base=_figures(base, target),
        of_tuned=_figures(tuned, target),
    )


def _levels(image: Any) -> NDArray[np.float64]:
    levels: NDArray[np.float64] = image[0, 0].clamp(0, 1).mul(255).double().numpy()
    return levels


def _rounded(image: Any) -> Grey:
    return np.rint(_levels(image)).astype(np.uint8)


def _figures(image: Any, target: Any) -> Figures:
    from napari_semnet.imaging.quality import psnr, ssim

    levels, good = _levels(image), _levels(target)
    return Figures(min(psnr(levels, good, 255.0), 100.0), ssim(levels, good, 255.0))
