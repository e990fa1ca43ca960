"""Repeat a restoration from its record; what ``napari-semnet restore --from`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands.jobs import Job, is_volume, refuse_unwritable, same_file
from napari_semnet.errors import FileFormatError

if TYPE_CHECKING:
    from napari_semnet.files.replay import Replay
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["compare", "find_job", "prepare"]

ENDING = "_again.ome.tif"
"""What a repeated result is called after its record's stem."""


def find_job(record: Path, output: str | None) -> tuple[Job, Replay]:
    """Find what a record restored, and name the file for the repeated result.

    Parameters
    ----------
    record : Path
        A ``.semnet.json`` file, or a result that carries its record.
    output : str or None
        Folder or file to write; by default ``<stem>_again.ome.tif`` beside the record.

    Raises
    ------
    FileFormatError
        The record does not tell enough, its source is gone or changed, or the result would
        overwrite the source or the first result, or be no TIFF.
    """
    from napari_semnet.files.given_size import given_size_of
    from napari_semnet.files.provenance import record_stem
    from napari_semnet.files.reader import TIFF_SUFFIXES
    from napari_semnet.files.replay import find_result, replay_arguments

    again = replay_arguments(record)
    target = record.with_name(record_stem(record) + ENDING)
    if output is not None:
        refuse_unwritable(output)
        given = Path(output)
        if is_volume(given):
            raise FileFormatError(
                f"A repeated run is written as TIFF, and {given.name} is the name of an OME-Zarr. "
                "Give a folder, or a name that ends in .tif."
            )
        named = given.suffix.lower() in TIFF_SUFFIXES and not given.is_dir()
        target = given if named else given / target.name
    taken = (again.source, record, find_result(again.record, record))
    if any(p and (p.resolve() == target.resolve() or same_file(p, target)) for p in taken):
        raise FileFormatError(
            f"{target} would overwrite what is repeated. Give another name with -o."
        )
    return Job(again.source, target, _rows(again), given_size_of(again.record)), again


def _rows(again: Replay) -> tuple[int, int]:
    """Rows that were restored: as the file told then, or as the user set them.

    Raises
    ------
    FileFormatError
        The source holds other pixels than were restored, such as several pictures of which one
        was.
    """
    from napari_semnet.files.reader import read_image
    from napari_semnet.files.reordered import unordered

    image = read_image(again.source)
    here, then = tuple(image.pixels.shape), again.record.source_shape
    grey = here[:-1] if image.axes.endswith("S") else here
    # A layer has its axes in the usual order, and a file in its own.
    if then and unordered(then) not in (unordered(here), unordered(grey)):
        raise FileFormatError(
            f"The record is of {' x '.join(map(str, then))} pixels, and {again.source.name} holds "
            f"{' x '.join(map(str, grey))}: what was one layer of several in napari cannot be "
            "repeated from the file."
        )
    return again.specimen_rows or (0, here[image.axes.index("Y")])


def prepare(again: Replay, model: str | None) -> Restorer:
    """Prepare the engine as it was.

    Parameters
    ----------
    again : Replay
    model : str or None
        Name or path of the model, where it is not found under its own name.

    Raises
    ------
    ModelFileError
        The model is missing, or another one by now.
    """
    from napari_semnet.library import load_recorded
    from napari_semnet.restoration.restorer import Restorer, Settings

    loaded = load_recorded(again.model, again.model_sha256, given=model)
    return Restorer(loaded, Settings(**again.settings))


def compare(target: Path, record: Path, again: Replay) -> str:
    """Say whether a repeated result has the pixels of the first one, where that is still there."""
    import numpy as np

    from napari_semnet.files.reader import in_usual_order, read_image
    from napari_semnet.files.replay import find_result

    first = find_result(again.record, record)
    if first is None:
        return "The first result is not there any more, so the two cannot be compared."
    one, other = (np.asarray(in_usual_order(read_image(p)).pixels) for p in (first, target))
    # Pixels that were masked are NaN in both.
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        return f"Every pixel is the same as in {first.name}."
    if one.shape != other.shape:
        return (
            f"{first.name} has another number of pixels: it is a part of that run, or was changed "
            "later."
        )
    difference = np.nanmax(np.abs(one.astype(np.float64) - other.astype(np.float64)))
    return (
        f"The pixels differ from those in {first.name} by up to {difference:g} grey levels. Only "
        "the CPU in fp32 repeats a run bit for bit, on the same kind of machine."
    )
