"""Find the pictures that a source names, read them as grey planes, and say which are of no use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError, TrainingError
from napari_semnet.imaging.intensity import IntensityRange, measure_range, to_unit
from napari_semnet.training.folders import files_below
from napari_semnet.training.own_results import without_results
from napari_semnet.training.partners import Partners, join_by_name, name_within

__all__ = [
    "Plane",
    "Rejected",
    "find_files",
    "find_pairs",
    "halved",
    "read_planes",
    "reason_of",
    "refusal",
]

_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}
_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in ITU-R BT.601 luma."""

SMALLEST = 32
"""Pixels along the shorter side below which a picture is of no use to any patch."""
_SATURATED_SHARE = 0.5
_NOISE_SIDE = 1024

Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plane:
    """One grey picture, ready to be stored."""

    path: Path
    page: int
    pixels: Pixels
    """uint8 or uint16, (Y, X): the whole range of the type stands for 0 ... 1."""
    pixel_nm: float | None = None
    """Pixel size in nanometres, where the file says it."""
    may_have_databar: bool = False
    """Whether something looks like a databar, though not surely enough to cut it off."""

    @property
    def unit(self) -> NDArray[np.float32]:
        """Values in 0 ... 1."""
        top = float(np.iinfo(self.pixels.dtype).max)
        return (self.pixels / top).astype(np.float32)

    @property
    def digest(self) -> str:
        """Equal for pictures of equal pixels."""
        content = hashlib.blake2b(digest_size=16)
        content.update(f"{self.pixels.dtype} {self.pixels.shape}".encode())
        content.update(np.ascontiguousarray(self.pixels).data)
        return content.hexdigest()

    @property
    def noise(self) -> float:
        """Standard deviation of the noise in grey levels of 255, measured in the middle."""
        from napari_semnet.imaging.quality import noise_sigma

        top, left = (max(0, (n - _NOISE_SIDE) // 2) for n in self.pixels.shape)
        middle = self.pixels[top : top + _NOISE_SIDE, left : left + _NOISE_SIDE]
        return float(noise_sigma(middle)) * 255.0 / float(np.iinfo(self.pixels.dtype).max)


def find_files(places: Sequence[Path]) -> list[Path]:
    """List the pictures that files, folders and patterns mean.

    Raises
    ------
    TrainingError
        A place does not exist, or holds no picture.
    """
    return list(_named_files(places))


def _named_files(places: Sequence[Path]) -> dict[Path, str]:
    """Pictures, and what each is called within the place that means it."""
    found: dict[Path, str] = {}
    for place in places:
        if place.is_dir():
            inside = (p for p in files_below(place) if p.suffix.lower() in _SUFFIXES)
            here = without_results(place, inside)
        elif place.is_file():
            here = [place]
        elif any(sign in place.name for sign in "*?["):
            matching = (p for p in place.parent.glob(place.name) if p.is_file())
            here = without_results(place.parent, matching)
        else:
            raise TrainingError(f"There is no file or folder {place}. Correct its name.")
        if not here:
            known = ", ".join(sorted(_SUFFIXES))
            raise TrainingError(f"{place} holds no picture ({known}). Name one that does.")
        for path in sorted(here):
            found.setdefault(path, name_within(place, path))
    return found


def find_pairs(low: Sequence[Path], high: Sequence[Path]) -> Partners:
    """Join pictures of the same field by name, or in order where no names agree.

    Returns
    -------
    Partners
        See `napari_semnet.training.partners.join_by_name`.

    Raises
    ------
    TrainingError
        A place is missing, or names and numbers give no pairs.
    """
    ones, others = _named_files(low), _named_files(high)
    partners = join_by_name(ones, others)
    if partners.pairs:
        return partners
    if len(ones) == len(others) and not partners.share_names:
        pairs = tuple(zip(ones, others, strict=True))
        # Whoever names the files one by one has put them in this order.
        is_guess = not all(place.is_file() for place in (*low, *high))
        return Partners(pairs, {}, share_names=False, in_order=is_guess)
    why = "several of each have the same name" if partners.share_names else "no names agree"
    raise TrainingError(
        f"{len(ones)} and {len(others)} pictures cannot be joined to pairs: {why}. "
        "Give the two pictures of a field the same name in two folders."
    )


def read_planes(path: Path) -> Iterator[Plane]:
    """Read a file's grey planes, without databars; colour becomes luminance.

    Raises
    ------
    SemnetError
        The file cannot be read, or not all of its pixels.
    """
    from napari_semnet.files.reader import read_whole

    image = read_whole(path)
    pixels = image.pixels
    colour = image.axes.endswith("S")
    leading = tuple(pixels.shape[: -3 if colour else -2])
    first, stop = image.specimen_rows or (0, pixels.shape[-3 if colour else -2])
    size = image.pixel_size
    pixel_nm = None if size is None else float(np.sqrt(size.y_nm * size.x_nm))
    # One range for all planes of a file, so that frames of a series stay comparable.
    wide = np.dtype(pixels.dtype) != np.uint8 and not colour
    intensity = measure_range(pixels) if wide else None
    for page, index in enumerate(np.ndindex(*leading)):
        plane = np.asarray(pixels[index])[first:stop]
        if colour:
            plane = _luminance(plane)
        may_have_databar = image.specimen_rows_from == "uncertain"
        yield Plane(path, page, _storable(plane, intensity), pixel_nm, may_have_databar)


def _luminance(colour: Pixels) -> Pixels:
    grey: Pixels = colour[..., :3].astype(np.float64) @ _LUMINANCE
    if colour.dtype.kind in "iu":
        grey = np.rint(grey).astype(colour.dtype)
    return grey


def _storable(plane: Pixels, intensity: IntensityRange | None) -> Pixels:
    if plane.dtype == np.uint8:
        return plane
    if plane.dtype.kind not in "iuf":
        raise TrainingError(f"pixels of type {plane.dtype} are no grey levels")
    if plane.dtype.kind in "iu" and plane.dtype.itemsize > 4:
        raise TrainingError(f"it holds integers of 64 bits ({plane.dtype}), as label images do")
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise TrainingError("it has pixels that are not numbers")
    unit = to_unit(plane, intensity or measure_range(plane))
    stored: Pixels = np.rint(np.clip(unit, 0.0, 1.0) * 65535.0).astype(np.uint16)
    return stored


def refusal(plane: Plane) -> str | None:
    """Say why a plane is of no use for training, or None when it is."""
    pixels = plane.pixels
    rows, columns = pixels.shape
    if min(rows, columns) < SMALLEST:
        return f"too small: {columns} x {rows} pixels, needed are {SMALLEST} each way"
    least, greatest = int(pixels.min()), int(pixels.max())
    if least == greatest:
        return "constant: all its pixels have the same value"
    clipped = float(np.mean((pixels == least) | (pixels == greatest)))
    if clipped > _SATURATED_SHARE:
        # Not "black or white": a detector may be cut off at any grey level.
        return f"saturated: {100 * clipped:.0f} % of its pixels have its least or greatest value"
    return None


def halved(pixels: Pixels) -> Pixels:
    """Mean of 2 x 2 pixels as uint16; an odd last row or column is left out."""
    scale = 1.0 if pixels.dtype == np.uint16 else 257.0
    rows, columns = (n - n % 2 for n in pixels.shape)
    even = pixels[:rows, :columns].astype(np.float64)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return np.rint(mean * scale).astype(np.uint16)


def reason_of(error: Exception) -> str:
    """Word why a file could not be read."""
    if isinstance(error, SemnetError):
        return str(error).removesuffix(".")
    return f"it cannot be read ({type(error).__name__}: {error})"
