"""What is written beside the pixels of a result: calibration, axes, place and provenance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_semnet.commands.jobs import Rows
    from napari_semnet.files.calibration import PixelSize
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.files.reader import SemImage
    from napari_semnet.restoration.events import RunPlan
    from napari_semnet.restoration.settings import Settings

__all__ = ["Opened", "open_source", "printable"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A source, and what its result will say."""

    source: Path
    image: SemImage
    pixels: Any
    """The specimen, without the databar; lazy where the file is large."""
    notes: tuple[str, ...]
    """What to tell the user about the source."""

    @property
    def axes(self) -> str | None:
        """Letters for the result's axes: without colour; None where the file's mean nothing."""
        return self.image.grey_axes

    @property
    def pixel_size_nm(self) -> tuple[float, float] | None:
        """(y, x) of the result: half of the source's."""
        size = self.image.pixel_size
        return None if size is None else (size.y_nm / 2, size.x_nm / 2)

    @property
    def z_step_nm(self) -> float | None:
        """Distance of slices along Z."""
        return self.image.z_step_nm

    @property
    def origin_nm(self) -> tuple[float, float] | None:
        """Place of the result's first pixel, so that it lies over the specimen of its source.

        Half of half a source pixel above and left of the first restored one; see
        `napari_semnet.imaging.geometry`.
        """
        if self.image.pixel_size is None:
            return None
        y, x = self.image.pixel_size.yx
        top, left = self.image.origin_nm or (0.0, 0.0)
        rows = self.image.specimen_rows
        first = 0 if rows is None else rows[0]
        return top + (first - 0.25) * y, left - 0.25 * x

    @property
    def origin_z_nm(self) -> float | None:
        """Place of the first slice along Z: the source's, as slices stay what they are."""
        return self.image.origin_z_nm

    def provenance(
        self, plan: RunPlan, settings: Settings, digest: str, seconds: float | None = None
    ) -> Provenance:
        """Give the record of how the result was made.

        Parameters
        ----------
        plan : RunPlan
        settings : Settings
            What was asked for.
        digest : str
            SHA-256 of the source.
        seconds : float, optional
            How long it took.
        """
        from napari_semnet.files.provenance import Provenance

        image, size = self.image, self.image.pixel_size
        return Provenance(
            model=plan.model_name,
            model_sha256=plan.model_sha256,
            parameters=asdict(settings),
            source=printable(self.source.name),
            source_path=printable(str(self.source)),
            source_sha256=digest,
            source_shape=tuple(image.pixels.shape),
            source_dtype=str(image.pixels.dtype),
            source_pixel_size_nm=None if size is None else (size.y_nm, size.x_nm),
            source_pixel_size_from=_origin_of(size),
            pixel_size_nm=self.pixel_size_nm,
            specimen_rows=image.specimen_rows,
            intensity_range=(plan.intensity.low, plan.intensity.high),
            intensity_source=plan.intensity.source,
            tile=plan.tile,
            halo=plan.halo,
            swept=plan.swept,
            device=plan.device_name,
            precision=plan.precision,
            backend=plan.backend,
            seconds=seconds,
        )


def open_source(
    source: Path, specimen_rows: Rows | None = None, pixel_size: PixelSize | None = None
) -> Opened:
    """Read a source's header, and its pixels where they are few.

    Parameters
    ----------
    source : Path
    specimen_rows : (int, int or None), optional
        First row to restore and the row after the last, where a person has set them; None is the
        end of the image.
    pixel_size : PixelSize, optional
        Size of a pixel, where a person gave it: it counts more than what the file tells.

    Raises
    ------
    FileFormatError
        It cannot be read, or not all of its pixels, or has not so many rows.
    """
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.reader import read_whole

    image = read_whole(source)
    height = image.pixels.shape[image.axes.index("Y")]
    image, notes = _sized(image, pixel_size)
    if specimen_rows is not None:
        first, stop = specimen_rows[0], height if specimen_rows[1] is None else specimen_rows[1]
        if not 0 <= first < stop <= height:
            raise FileFormatError(
                f"{source.name} has the rows 0 to {height - 1}, so rows {first} to {stop - 1} "
                "cannot be restored. Give rows that it has."
            )
        image = replace(image, specimen_rows=(first, stop), specimen_rows_from="user")
    elif image.specimen_rows_from == "uncertain":
        notes.append(
            "All rows are restored. On the command line, --rows 0-767 says which are specimen."
        )
    rows = image.specimen_rows
    if rows is not None and rows != (0, height):
        kept = f"Rows {rows[0]} to {rows[1] - 1} show the specimen"
        notes.append(f"{kept}; the databar is left out.")
    return Opened(source, image, _watched(image.specimen, source), tuple(notes))


def _sized(image: SemImage, given: PixelSize | None) -> tuple[SemImage, list[str]]:
    """Give an image the size that a person gave, and what to tell of this and by its reader.

    Readers ask to enter a size, which the command line takes as an option.
    """
    from napari_semnet.files.given_size import disagreement, with_pixel_size, without_request
    from napari_semnet.files.reader import NOTHING_STATED

    notes = [without_request(warning) for warning in image.warnings]
    if given is None:
        if image.pixel_size is None or notes != list(image.warnings):
            notes.append(
                "On the command line, --pixel-size 5nm says how large a pixel of the image is."
            )
        return image, notes
    notes = [note for note in notes if note != NOTHING_STATED]
    other = disagreement(image.pixel_size, given)
    return with_pixel_size(image, given), [*notes, *filter(None, (other,))]


def _watched(pixels: Any, source: Path) -> Any:
    """Refuse to read on where the source of lazy pixels is gone."""
    from napari_semnet.imaging.geometry import whole
    from napari_semnet.imaging.intensity import is_in_memory
    from napari_semnet.restoration.part import PartOf

    return pixels if is_in_memory(pixels) else PartOf(pixels, whole(pixels.shape), source)


def printable(name: str) -> str:
    """Escape what is no text in a file's name: bytes in another encoding than the system's."""
    return name.encode("utf-8", "backslashreplace").decode()


def _origin_of(size: PixelSize | None) -> str:
    return "" if size is None else f"{size.source} ({size.confidence})"
