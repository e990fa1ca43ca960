"""What a configuration would train on: found, refused, held out, and how noisy it is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.training.pictures import Rejected
from napari_semnet.training.pieces import shown_name

if TYPE_CHECKING:
    from napari_semnet.training.calibration import Calibration
    from napari_semnet.training.config import TrainingConfig
    from napari_semnet.training.data import Data

__all__ = ["Examples", "Found", "Survey", "example_patches", "measure_noise", "survey"]

_MOST_MEASURED = 16
"""Slices of a stack whose noise is measured; more tell nothing new."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that is used.

    Attributes
    ----------
    name : str
    columns, rows : int
        Of the good picture, in pixels.
    noise : float
        Standard deviation in grey levels of 255.
    pixel_nm : float or None
        Size of the good picture's pixels, in nanometres.
    is_held_out : bool
        Whether it is measured on, and never trained on.
    """

    name: str
    columns: int
    rows: int
    noise: float
    pixel_nm: float | None
    is_held_out: bool


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """All that was found."""

    found: tuple[Found, ...]
    rejected: tuple[Rejected, ...]
    notices: tuple[str, ...]
    megapixels: float
    """Of the pictures that are trained on, in millions."""
    data: Data

    @property
    def held_out(self) -> int:
        """Number of pictures that are measured on."""
        return sum(one.is_held_out for one in self.found)

    @property
    def trained_on(self) -> int:
        """Number of pictures that are trained on."""
        return len(self.found) - self.held_out

    def summary(self) -> str:
        """Say the counts in a sentence."""
        pictures = "picture" if self.trained_on == 1 else "pictures"
        refused = f"; {len(self.rejected)} refused" if self.rejected else ""
        return (
            f"{self.trained_on} {pictures} of {self.megapixels:.1f} megapixels to train on, "
            f"{self.held_out} held out to measure on{refused}."
        )


def survey(config: TrainingConfig) -> Generator[float, None, Survey]:
    """Read the pictures of a configuration, as a run of it would.

    Yields
    ------
    float
        Finished part, 0 to 1.

    Raises
    ------
    TrainingError
        No picture can be used; the reason of the last one is told.
    """
    # PyTorch comes with these, which takes seconds at first.
    from napari_semnet.training.data import not_used, prepare_data
    from napari_semnet.training.events import Notice, Preparing

    notices = []
    reading = prepare_data(config)
    while True:
        try:
            event = next(reading)
        except StopIteration as end:
            data: Data = end.value
            break
        if isinstance(event, Preparing):
            yield event.done / max(event.total, 1)
        elif isinstance(event, Notice):
            notices.append(event.text)
    # They are listed one by one beside what was found.
    listed = not_used(data.rejected)
    notices = [text for text in notices if text != listed]
    found = [
        Found(
            _named(field.path, field.page),
            field.target.columns,
            field.target.rows,
            field.noise,
            None if field.pixel_nm is None else field.pixel_nm / 2,
            is_held_out,
        )
        for pools, is_held_out in ((data.training, False), (data.validation, True))
        for pool in pools
        for field in pool.fields
    ]
    return Survey(tuple(found), data.rejected, tuple(notices), data.megapixels, data)


def _named(path: str, page: int) -> str:
    return shown_name(Path(path)) + (f", slice {page + 1}" if page else "")


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Patches to show.

    Attributes
    ----------
    good : ndarray of float32, (N, 1, 2Y, 2X)
        Values 0 ... 1.
    poor : ndarray of float32, (N, 1, Y, X), or None
        As they were measured; None where poor pictures are made of the good ones.
    """

    good: NDArray[np.float32]
    poor: NDArray[np.float32] | None


def example_patches(data: Data, side: int, count: int = 3) -> Examples:
    """Cut patches from the middles of pictures spread over all of them.

    Parameters
    ----------
    data : Data
    side : int
        Of the good patches in pixels, even; less where a picture is smaller.
    count : int
    """
    entries = [(pool, field) for pool in data.training for field in pool.fields]
    count = min(count, len(entries))
    chosen = [entries[n * len(entries) // count] for n in range(count)]
    smallest = min(min(field.target.rows, field.target.columns) for _, field in chosen)
    half = min(side, smallest) // 2
    good, poor = [], []
    for pool, field in chosen:
        rows, columns = field.target.rows // 2, field.target.columns // 2
        patch, low = pool.patch(field, (rows - half) // 2, (columns - half) // 2, half)
        good.append(patch)
        poor += [low] if low is not None else []
    measured = _stacked(poor) if len(poor) == len(good) else None
    return Examples(_stacked(good), measured)


def _stacked(patches: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.stack(patches)[:, None], dtype=np.float32)


def measure_noise(pictures: Sequence[Any]) -> Generator[float, None, Calibration]:
    """Measure the noise of pictures as a microscope took them.

    Parameters
    ----------
    pictures : sequence of array-like, (..., Y, X)
        Without databars.

    Yields
    ------
    float
        Finished part, 0 to 1.

    Raises
    ------
    ImageError
        None of the pictures told its noise; the reason of the last one is told.
    """
    from napari_semnet.imaging.intensity import measure_range
    from napari_semnet.training.calibration import combine, measure

    planes = []
    for pixels in pictures:
        intensity = _whole_range(pixels) or measure_range(pixels)
        indices = list(np.ndindex(*pixels.shape[:-2]))[:_MOST_MEASURED]
        planes += [(pixels, index, intensity) for index in indices]
    told, why = [], "There is no picture to measure."
    for done, (pixels, index, intensity) in enumerate(planes, 1):
        try:
            told.append(measure(np.asarray(pixels[index]), intensity))
        except SemnetError as error:
            why = str(error)
        yield done / len(planes)
    if not told:
        raise ImageError(why)
    return combine(told)


def _whole_range(pixels: Any) -> Any:
    """Black and white of 8-bit pictures, whose grey levels are the profile's own."""
    from napari_semnet.imaging.intensity import given_range

    return given_range(0.0, 255.0) if np.dtype(pixels.dtype) == np.uint8 else None
