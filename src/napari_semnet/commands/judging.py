"""Check a written result against the file that it was made from, and write down what was found."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands.jobs import CONSISTENT, RESIDUAL, SENSITIVITY

if TYPE_CHECKING:
    from napari_semnet.commands.events import BatchEvent
    from napari_semnet.files.reader import SemImage
    from napari_semnet.imaging.intensity import IntensityRange
    from napari_semnet.imaging.noise_level import NoiseLevel
    from napari_semnet.restoration.restorer import Restorer
    from napari_semnet.restoration.trust import Judgement

__all__ = ["Checking", "Checks", "Judged", "judge_file"]

REPORT = ".trust.json"


@dataclass(frozen=True, slots=True)
class Checks:
    """What is asked for beyond the checks that cost nothing."""

    sensitivity: bool = False
    """Map it: eight more restorations."""
    residual: bool = False
    """Write the residual as a picture, in units of the noise."""
    consistent: bool = False
    """Write a result that agrees with the denoised input."""
    seed: int = 0
    """Chooses the fresh noise."""


@dataclass(frozen=True, slots=True)
class Checking:
    """A result is held against its source; the network, which may follow, tells of itself."""

    target: Path
    fraction: float
    """Done so far, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A result was checked."""

    source: Path
    target: Path
    is_structured: bool | None
    """Whether the residual has structure; None where it cannot be judged."""
    sentences: tuple[str, ...]
    files: tuple[Path, ...]
    """The report and the pictures that were written."""


def judge_file(
    source: Path, target: Path, restorer: Restorer, checks: Checks, folder: Path | None = None
) -> Iterator[BatchEvent]:
    """Check one result.

    Parameters
    ----------
    source : Path
        The file that was restored.
    target : Path
        The result.
    restorer : Restorer
        What restored it.
    checks : Checks
    folder : Path, optional
        Where the report and pictures go; beside the result by default.

    Yields
    ------
    Checking, the engine's events where it runs, then Judged

    Raises
    ------
    SemnetError
        One of the two cannot be read, they do not belong together, or there is no room.
    """
    from napari_semnet.files.given_size import given_size_of, with_pixel_size
    from napari_semnet.files.reader import in_usual_order, read_image
    from napari_semnet.restoration.trust import as_record, describe_sensitivity, sentences

    folder = folder or target.parent
    _refuse_file(folder)
    image, result = (in_usual_order(read_image(path)) for path in (source, target))
    given = given_size_of(result.provenance)
    if given is not None:
        image = with_pixel_size(image, given)
    judgement = yield from _judged(target, image, result, restorer)
    said, record = list(sentences(judgement)), as_record(judgement)
    record |= {"source": source.name, "result": target.name}
    noise = judgement.consistency.noise
    written = []
    if checks.residual:
        written.append(_write_residual(folder, target, image, result, judgement))
    if checks.consistent:
        written.append(_write_consistent(folder, target, image, result, noise))
    if checks.sensitivity:
        spread = yield from _spread(restorer, _restored_part(image, result), noise, checks.seed)
        said.append(describe_sensitivity(spread))
        record["sensitivity"] = _in_figures(spread, checks.seed)
        written.append(_write(folder, target, SENSITIVITY, spread, result))
    record["sentences"] = said
    report = _write_report(folder, target, record)
    verdict = judgement.consistency.whiteness
    structured = None if verdict.p_value is None else verdict.is_structured
    yield Judged(source, target, structured, tuple(said), (report, *written))


def _judged(
    target: Path, image: SemImage, result: SemImage, restorer: Restorer
) -> Generator[Checking, None, Judgement]:
    """Hold a result against its image, without the network."""
    from napari_semnet.restoration.trust import Judgement, judge_steps

    size = None if image.pixel_size is None else image.pixel_size.yx
    for step in judge_steps(
        _restored_part(image, result),
        result.pixels,
        restorer.model.card,
        intensity=_range_of(result),
        pixel_size_nm=size,
    ):
        if isinstance(step, Judgement):
            return step
        yield Checking(target, step)
    raise AssertionError("The last step is the result.")


def _spread(
    restorer: Restorer, pixels: Any, noise: NoiseLevel, seed: int
) -> Generator[BatchEvent, None, Any]:
    """Restore again and again, and return how far the results differ at each pixel."""
    from napari_semnet.restoration.events import Finished
    from napari_semnet.restoration.sensitivity import SensitivityRun, sensitivity

    spread = None
    for event in sensitivity(restorer, pixels, run=SensitivityRun(noise=noise, seed=seed)):
        yield event
        if isinstance(event, Finished):
            spread = event.restored.pixels
    return spread


def _in_figures(spread: Any, seed: int) -> dict[str, Any]:
    """Sum up the sensitivity for the report."""
    import numpy as np

    known = spread[np.isfinite(spread)]
    median, high = np.percentile(known, (50, 99)) if known.size else (math.nan, math.nan)
    return {
        "median": float(median),
        "percentile_99": float(high),
        "unit": "grey levels of the image",
        "restorations": 8,
        "seed": seed,
    }


def _range_of(result: SemImage) -> IntensityRange | None:
    """Black and white that the network saw, where the result's record tells."""
    from napari_semnet.imaging.intensity import IntensityRange

    record = result.provenance
    if record is None or record.intensity_range is None:
        return None
    return IntensityRange(*record.intensity_range, record.intensity_source or "given")


def _restored_part(image: SemImage, result: SemImage) -> Any:
    """Pixels of the source that the result was made from."""
    rows = _restored_rows(image, result)
    if rows is None:
        return image.pixels
    at = (slice(None),) * image.axes.index("Y")
    return image.pixels[(*at, slice(*rows))]


def _restored_rows(image: SemImage, result: SemImage) -> tuple[int, int] | None:
    """Rows of the source that were restored; None for all."""
    record = result.provenance
    return image.specimen_rows if record is None else record.specimen_rows


def _write_residual(
    folder: Path, target: Path, image: SemImage, result: SemImage, judgement: Judgement
) -> Path:
    import numpy as np

    from napari_semnet.files.writer import write_tiff
    from napari_semnet.imaging.consistency import residual_bands
    from napari_semnet.imaging.intensity import as_grey, measure_range

    grey = as_grey(_restored_part(image, result))
    intensity = _range_of(result) or measure_range(grey)
    residual = np.empty(grey.shape, np.float32)
    for band in residual_bands(grey, result.pixels, intensity, judgement.consistency.noise):
        rows = slice(band.top, band.top + len(band.standardised))
        residual[band.index][rows] = band.standardised
    size, origin = None, None
    if image.pixel_size is not None:
        size = image.pixel_size.yx
        (top, left), restored = image.origin_nm or (0.0, 0.0), _restored_rows(image, result)
        origin = top + (0 if restored is None else restored[0]) * size[0], left
    return write_tiff(
        _path(folder, target, RESIDUAL),
        residual,
        pixel_size_nm=size,
        origin_nm=origin,
        axes=result.grey_axes,
        z_step_nm=image.z_step_nm,
        origin_z_nm=image.origin_z_nm,
        description="Input less 2 x 2 mean of the restoration, in units of the input's noise",
    )


def _write_consistent(
    folder: Path, target: Path, image: SemImage, result: SemImage, noise: NoiseLevel
) -> Path:
    from napari_semnet.imaging.projection import make_consistent

    pixels = make_consistent(_restored_part(image, result), result.pixels, _range_of(result), noise)
    return _write(folder, target, CONSISTENT, pixels, result, with_record=True)


def _write(
    folder: Path,
    target: Path,
    ending: str,
    pixels: Any,
    result: SemImage,
    *,
    with_record: bool = False,
) -> Path:
    from napari_semnet.files.writer import write_tiff

    record = None
    if with_record and result.provenance is not None:
        operation = f"{result.provenance.operation}; made consistent with the denoised input"
        record = result.provenance.model_copy(update={"operation": operation})
    return write_tiff(
        _path(folder, target, ending),
        pixels,
        pixel_size_nm=None if result.pixel_size is None else result.pixel_size.yx,
        origin_nm=result.origin_nm,
        axes=result.grey_axes,
        z_step_nm=result.z_step_nm,
        origin_z_nm=result.origin_z_nm,
        provenance=record,
    )


def _write_report(folder: Path, target: Path, record: dict[str, Any]) -> Path:
    from napari_semnet.commands.json_values import plain
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.atomic import replacing

    path = _path(folder, target, REPORT)
    try:
        with replacing(path) as temporary:
            text = json.dumps(plain(record), indent=2, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise FileFormatError(
            f"{path.name} could not be written: {error.strerror or error}. Choose another folder "
            "or make room."
        ) from error
    return path


def _refuse_file(folder: Path) -> None:
    """Refuse to write into a file, before anything is measured."""
    from napari_semnet.errors import FileFormatError

    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise FileFormatError(f"{there} is a file. Give a folder to write to.")


def _path(folder: Path, target: Path, ending: str) -> Path:
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.provenance import record_stem

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{folder} could not be made: {error.strerror or error}. Choose another folder."
        ) from error
    return folder / (record_stem(target) + ending)
