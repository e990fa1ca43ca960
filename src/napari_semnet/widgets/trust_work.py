"""What the trust page computes beside the window: no Qt here."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.consistency import check_doubled
from napari_semnet.imaging.intensity import IntensityRange
from napari_semnet.imaging.plane import Plane, overlap
from napari_semnet.widgets.layers import METADATA_KEY
from napari_semnet.widgets.planes import plane_of, refuse_other_slices, refuse_unfinished

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_semnet.restoration.trust import Judgement

__all__ = [
    "Judged",
    "Pair",
    "consistent_steps",
    "judge_steps",
    "pair_of",
    "sensitivity_steps",
    "warnings_of",
]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """A raw picture and its restoration, cut to the part that both show."""

    raw: Plane
    restored: Plane
    rows: slice
    """Of the raw picture."""
    columns: slice
    corner: tuple[int, int]
    """Row and column of the restored layer where the part begins."""
    record: Mapping[str, Any] | None
    """How the restoration was made, as its layer tells."""

    @property
    def intensity(self) -> IntensityRange | None:
        """Black and white that the network saw, where the record tells."""
        known = None if self.record is None else self.record.get("intensity_range")
        return None if known is None else IntensityRange(known[0], known[1], "given")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the cheap checks found."""

    judgement: Judgement
    residual: Floats
    """Raw less the 2 x 2 mean of the restoration, in units of the noise."""


def pair_of(raw: Image, restored: Image, viewer: Any) -> Pair:
    """Take the pictures of two layers that the viewer shows.

    Raises
    ------
    ImageError
        They do not lie over one another, or are of different slices, or one has not twice the
        other's pixels, or some of them are still to come.
    """
    refuse_unfinished(restored)
    refuse_other_slices(raw, restored, viewer)
    coarse, fine = plane_of(raw, viewer), plane_of(restored, viewer)
    rows, columns = overlap(coarse.grid, fine.grid)
    part = coarse.crop(rows, columns)
    over = overlap(fine.grid, part.grid)
    doubled = fine.crop(*over)
    counts = tuple(part.pixels.shape), tuple(doubled.pixels.shape)
    try:
        check_doubled(*counts)
    except ImageError as error:
        below, above = (f"{height} x {width}" for height, width in counts)
        raise ImageError(
            f"Where “{raw.name}” lies under “{restored.name}” it has {below} pixels, and that has "
            f"{above}, not twice as many each way. Undo what scaled or moved one of the two, or "
            "restore the image again."
        ) from error
    told = restored.metadata.get(METADATA_KEY)
    corner = over[0].start, over[1].start
    return Pair(part, doubled, rows, columns, corner, told if isinstance(told, dict) else None)


def judge_steps(pair: Pair) -> Generator[float, None, Judged]:
    """Judge a restoration, and give its residual.

    Yields
    ------
    float
        Finished part.
    """
    from napari_semnet.imaging.consistency import residual_bands
    from napari_semnet.imaging.intensity import measure_range
    from napari_semnet.model import load_model
    from napari_semnet.restoration.trust import Judgement
    from napari_semnet.restoration.trust import judge_steps as steps

    card = None
    if pair.record is not None:
        card = load_model(_model_of(pair.record)).card
    raw, restored = np.asarray(pair.raw.pixels), np.asarray(pair.restored.pixels)
    intensity = pair.intensity or measure_range(raw)
    size = pair.raw.grid.pixel_size if pair.raw.grid.unit == "nm" else None
    judgement: Judgement | None = None
    for step in steps(raw, restored, card, intensity=intensity, pixel_size_nm=size):
        if isinstance(step, Judgement):
            judgement = step
        else:
            yield 0.8 * step
    assert judgement is not None, "The last step is the result."
    residual = np.empty(raw.shape, np.float32)
    for band in residual_bands(raw, restored, intensity, judgement.consistency.noise):
        residual[band.top : band.top + len(band.residual)] = band.standardised
        yield 0.8 + 0.2 * (band.top + len(band.residual)) / len(raw)
    return Judged(judgement, residual)


def warnings_of(judgement: Judgement) -> tuple[str, ...]:
    """Give those sentences of a judgement that nobody should miss."""
    from napari_semnet.restoration.trust import sentences

    # What is said of the input comes first, and then the verdict on the result.
    count = len(judgement.input.warnings) + judgement.consistency.whiteness.is_structured
    return sentences(judgement)[:count]


def consistent_steps(pair: Pair) -> Generator[float, None, NDArray[Any]]:
    """Make a restoration agree with its denoised input.

    Yields
    ------
    float
        Finished part.
    """
    from napari_semnet.imaging.projection import projected_bands

    restored = np.asarray(pair.restored.pixels)
    result = np.empty_like(restored)
    for band in projected_bands(np.asarray(pair.raw.pixels), restored, pair.intensity):
        result[band.where] = band.pixels
        yield band.done
    return result


def sensitivity_steps(pair: Pair) -> Generator[float, None, Floats]:
    """Map the sensitivity of a restoration; the model is the one that made it.

    Yields
    ------
    float
        Finished part.

    Raises
    ------
    ImageError
        The layer does not tell how it was made.
    """
    from napari_semnet.restoration.events import Finished, Progress
    from napari_semnet.restoration.restorer import Restorer, Settings
    from napari_semnet.restoration.sensitivity import sensitivity

    record = pair.record
    if record is None:
        raise ImageError(
            f"“{pair.restored.name}” does not tell which model made it, so its sensitivity cannot "
            "be mapped. Restore the image again, or open the file that napari-semnet wrote."
        )
    chosen = record.get("parameters", {})
    intensity = pair.intensity
    settings = Settings(
        device=chosen.get("device", "auto"),
        intensity="auto" if intensity is None else (intensity.low, intensity.high),
        non_finite=chosen.get("non_finite", "refuse"),
    )
    yield 0.0
    restorer = Restorer(_model_of(record), settings)
    run = sensitivity(restorer, np.asarray(pair.raw.pixels))
    try:
        for event in run:
            if isinstance(event, Progress):
                yield event.fraction
            if isinstance(event, Finished):
                return np.asarray(event.restored.pixels)
    finally:
        run.close()
    raise AssertionError("A run ends with Finished.")


def _model_of(record: Mapping[str, Any]) -> str:
    """Name or path of the model of a record."""
    from napari_semnet.model import DEFAULT_MODEL

    chosen = record.get("parameters", {}).get("model")
    return str(chosen or record.get("model") or DEFAULT_MODEL)
