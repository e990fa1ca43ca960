"""The paragraph on image processing for a paper's methods section, and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import replacing
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reordered import unordered

__all__ = [
    "MethodsFiles",
    "methods_paragraph",
    "pixel_size_text",
    "restored_part",
    "rows_and_columns",
    "write_methods_files",
]

_ESTIMATES = (
    "The restored image is the output of a neural network: its pixels are estimates, not "
    "measurements."
)
_CONDITIONS = {
    "acceleration voltage": "an acceleration voltage of {}",
    "working distance": "a working distance of {}",
    "beam current": "a beam current of {}",
    "dwell time": "a dwell time of {}",
    "detector": "the {} detector",
}


@dataclass(frozen=True, slots=True)
class MethodsFiles:
    """What `write_methods_files` wrote."""

    paragraph: str
    text: Path
    figures: tuple[Path, ...]
    """PNG and PDF; empty where the figure could not be drawn."""
    why_no_figure: str
    """Reason for that; empty otherwise."""


def write_methods_files(
    text: Path, paragraph: str, figure: Any, why_no_figure: str = ""
) -> MethodsFiles:
    """Write the paragraph as text, and the figure as PNG and PDF, each whole or not at all.

    Parameters
    ----------
    text : Path
        File for the paragraph; the figure goes beside it, with ``.png`` and ``.pdf`` in the place
        of its ending.
    paragraph : str
    figure : PIL.Image.Image or None
    why_no_figure : str
        Reason where there is none.

    Raises
    ------
    FileFormatError
        The folder cannot be written to.
    """
    figures = []
    # Pillow would take the title from the name of what is written first, and only where it is text.
    title = text.stem.encode("utf-8", "backslashreplace").decode()
    try:
        with replacing(text) as temporary:
            temporary.write_text(paragraph + "\n", encoding="utf-8")
        for suffix in (".png", ".pdf"):
            if figure is None:
                break
            path = text.with_suffix(suffix)
            with replacing(path) as temporary:
                figure.save(temporary, resolution=300, dpi=(300, 300), title=title)
            figures.append(path)
    except OSError as error:
        raise FileFormatError(
            f"The files cannot be written to {text.parent}: {error.strerror or error}. Choose "
            "another folder."
        ) from error
    return MethodsFiles(paragraph, text, tuple(figures), why_no_figure)


def methods_paragraph(
    record: Provenance, conditions: Mapping[str, str] | None = None, instrument: str = ""
) -> str:
    """Describe a restoration as a methods section does.

    Parameters
    ----------
    record : Provenance
        What is unknown is left out of the text.
    conditions : mapping of str to str, optional
        What the microscope said, as `SemImage.metadata` holds it.
    instrument : str
        Name of the microscope.

    Returns
    -------
    str
        English sentences without line breaks.
    """
    sentences = (
        _acquisition(conditions or {}, instrument),
        _restoration(record),
        _part(record),
        _computation(record),
        _result(record),
        _ESTIMATES,
        _source(record),
    )
    return " ".join(filter(None, sentences))


def restored_part(record: Provenance, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """Say which picture of the source a record's first one was made from.

    Parameters
    ----------
    record : Provenance
    shape : tuple of int
        Of the source, (..., Y, X), its axes as `napari_semnet.files.reader.in_usual_order` has
        them.

    Returns
    -------
    tuple of int and slice
        A key of the source's pixels, which gives (Y, X). Axes of length one are left out.

    Raises
    ------
    FileFormatError
        What was restored had other pixels, such as one detector of several.
    """
    told = record.source_shape
    if len(told) > 2 and told[-1] in (3, 4) and told[-3:-1] == shape[-2:]:
        told = told[:-1]  # colours
    if told and unordered(told) != unordered(shape):
        raise FileFormatError(
            f"{record.source or 'the source'} holds {_shape(shape)}, where a layer of "
            f"{_shape(told)} was restored."
        )
    start = record.region[0] if record.region else (0,) * len(told)
    first = [at for at, length in zip(start, told[:-2], strict=False) if length > 1]
    if not told:  # Nothing is known: the first of all.
        first = [0 for length in shape[:-2] if length > 1]
    return (*first, *rows_and_columns(record, shape))


def rows_and_columns(record: Provenance, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Say which rows and columns of the source, of `shape` (..., Y, X), were restored."""
    start, stop = record.region or ((0, 0), shape)
    top, bottom = record.specimen_rows or (0, shape[-2])
    return slice(max(start[-2], top), min(stop[-2], bottom)), slice(start[-1], stop[-1])


def pixel_size_text(size: tuple[float, float]) -> str:
    """Say a pixel size (y, x), in nanometres or micrometres.

    Examples
    --------
    >>> pixel_size_text((2.5, 2.5)), pixel_size_text((3000.0, 2500.0))
    ('2.5 nm', '2.5 µm x 3 µm (x, y)')
    """
    y, x = size
    if abs(y / x - 1) < 1e-9:
        return _length(x)
    return f"{_length(x)} x {_length(y)} (x, y)"


def _length(nm: float) -> str:
    return f"{nm:.6g} nm" if nm < 1000 else f"{nm / 1000:.6g} µm"


def _shape(shape: tuple[int, ...]) -> str:
    *leading, height, width = shape
    slices = "".join(f"{n} x " for n in leading)
    return f"{slices}{width} x {height} pixels"


def _acquisition(conditions: Mapping[str, str], instrument: str) -> str:
    told = [
        text.format(conditions[name]) for name, text in _CONDITIONS.items() if name in conditions
    ]
    if not told:
        return ""
    where = f" on a {instrument}" if instrument else ""
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"The scanning electron micrograph was acquired{where} with {listed}."


def _restoration(record: Provenance) -> str:
    about = []
    if len(record.source_shape) >= 2:
        about.append(_shape(record.source_shape))
    if record.source_dtype:
        about.append(record.source_dtype)
    if record.source_pixel_size_nm is not None:
        about.append(f"pixel size {pixel_size_text(record.source_pixel_size_nm)}")
    details = f" ({', '.join(about)})" if about else ""
    hashed = f", SHA-256 of the model file {record.model_sha256}" if record.model_sha256 else ""
    return (
        f"The image{details} was denoised and its number of pixels doubled along both axes with "
        f"{record.software} {record.version} (model {record.model or 'unknown'}{hashed}), a "
        "convolutional neural network."
    )


def _part(record: Provenance) -> str:
    if record.region is not None and len(record.region[0]) == len(record.source_shape):
        region = _region(*record.region, record.source_shape)
        return f"Of it was processed, counted from 0: {region}."
    rows = record.specimen_rows
    if rows is None or len(record.source_shape) < 2:
        return ""
    if rows == (0, record.source_shape[-2]):
        return ""
    return (
        f"Rows {rows[0]} to {rows[1] - 1}, which show the specimen, were processed; the databar "
        "was left out."
    )


def _region(start: Sequence[int], stop: Sequence[int], shape: Sequence[int]) -> str:
    """Name a part of an image, counted from 0 as napari does."""
    names = [*(f"index of axis {n + 1}" for n in range(len(shape) - 3)), "slice", "row", "column"]
    parts = []
    for name, first, end, length in zip(names[-len(shape) :], start, stop, shape, strict=True):
        if end - first == 1 < length:
            parts.append(f"{name} {first}")
        elif (first, end) != (0, length):
            parts.append(f"{name}s {first} to {end - 1}")
    return ", ".join(parts)


def _computation(record: Provenance) -> str:
    parts = []
    if record.intensity_range is not None:
        low, high = record.intensity_range
        parts.append(
            f"Grey levels from {low:g} to {high:g} were mapped linearly to the network's input "
            "range, with one range for the whole image"
        )
    if record.precision and record.device:
        tiles = ""
        if record.tile is not None and record.swept:
            tiles = (
                f" in pieces of about {record.tile[1]} x {record.tile[0]} pixels, each of which "
                "took over from its neighbours what it needed of them,"
            )
        elif record.tile is not None and record.halo is not None and not _in_one_tile(record):
            tiles = (
                f" in tiles of about {record.tile[1]} x {record.tile[0]} pixels with a margin of "
                f"{record.halo} pixels"
            )
        parts.append(
            f"computation was done in {record.precision} precision{tiles} on {record.device}"
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _in_one_tile(record: Provenance) -> bool:
    """Whether a tile held all that was restored, so that nothing was cut."""
    shape = record.source_shape
    if len(shape) < 2 or record.tile is None:
        return False
    if len(shape) > 2 and shape[-1] in (3, 4):
        shape = shape[:-1]  # colours
    restored = rows_and_columns(record, shape)
    return all(
        part.stop - part.start <= side for part, side in zip(restored, record.tile, strict=True)
    )


def _result(record: Provenance) -> str:
    if record.pixel_size_nm is None:
        return ""
    return f"The restored image has a pixel size of {pixel_size_text(record.pixel_size_nm)}."


def _source(record: Provenance) -> str:
    if not record.source_sha256:
        return ""
    # A layer that never was a file is told by its pixels.
    is_file = bool(record.source_path)
    what = "unprocessed image file has" if is_file else "pixels of the unprocessed image have"
    return f"The {what} the SHA-256 {record.source_sha256}."
