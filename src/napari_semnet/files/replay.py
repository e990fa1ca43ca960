"""Repeat a run from its record: find the source again, and all that decided the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_semnet.errors import FileFormatError
from napari_semnet.files.provenance import (
    RESTORATION,
    SUFFIX,
    Provenance,
    name_on_disk,
    read_sidecar,
    sha256_of,
)
from napari_semnet.files.reader import read_image

__all__ = [
    "Replay",
    "find_result",
    "read_record",
    "replay_arguments",
    "unchanged_source",
]


@dataclass(frozen=True, slots=True)
class Replay:
    """What it takes to restore the same picture in the same way."""

    source: Path
    """The source file; its hash was compared with the record's, where that has one."""
    model: str
    """Name on the model's card."""
    model_sha256: str
    """The model must have this hash; empty where the record has none."""
    settings: dict[str, Any]
    """``device``, ``precision``, ``backend``, ``tile``, ``halo``, ``intensity`` and
    ``non_finite``, with what the first run settled on in the place of every ``auto``."""
    specimen_rows: tuple[int, int] | None
    """Rows to restore, counted in the source file; None means all."""
    record: Provenance = field(repr=False)


def read_record(path: str | Path) -> Provenance:
    """Read a record from a ``.semnet.json`` file, or from a picture that carries one.

    Raises
    ------
    FileFormatError
        There is no such file, or no record in it.
    """
    path = Path(path)
    if path.name.lower().endswith(SUFFIX) or path.suffix.lower() == ".json":
        return read_sidecar(path)
    found = read_image(path).provenance
    if found is None:
        raise FileFormatError(
            f"{path.name} holds no record of a restoration. Give a picture that napari-semnet "
            f"wrote, or the {SUFFIX} file beside it."
        )
    return found


def replay_arguments(path: str | Path) -> Replay:
    """Find out from a record how to repeat its run.

    Parameters
    ----------
    path : str or Path
        See `read_record`.

    Raises
    ------
    FileFormatError
        The record cannot be read, does not tell enough, or its source is not where it was, nor
        beside the record, or is another file by now.
    """
    path = Path(path)
    record = read_record(path)
    if not record.model or record.tile is None or record.halo is None:
        raise FileFormatError(
            f"The record of {path.name} does not tell enough to repeat the run (model, tile and "
            "halo)."
        )
    if record.operation != RESTORATION:
        raise FileFormatError(
            f"The record of {path.name} is of more than a restoration ({record.operation}), which "
            "cannot be repeated from it. Repeat the restoration that it was made from."
        )
    if "region_start" in record.parameters:
        raise FileFormatError(
            f"The record of {path.name} is of a part of a layer in napari, which cannot be "
            "repeated from files. Restore the part again in napari."
        )
    source = unchanged_source(record, path)
    device = "cpu" if record.device.startswith("CPU") else record.parameters.get("device", "auto")
    settings: dict[str, Any] = {
        "device": device,
        "precision": record.precision or "auto",
        "backend": record.backend or "torch",
        "tile": record.tile,
        "halo": record.halo,
        "intensity": _intensity(record),
        "non_finite": record.parameters.get("non_finite", "refuse"),
        "strength": record.parameters.get("strength", 1.0),
    }
    return Replay(source, record.model, record.model_sha256, settings, record.specimen_rows, record)


def _intensity(record: Provenance) -> tuple[float, float] | str:
    """Range that the network saw; a constant picture has none, and gets it measured again."""
    if record.intensity_range is None or record.intensity_range[0] >= record.intensity_range[1]:
        return "auto"
    return record.intensity_range


def unchanged_source(
    record: Provenance, record_path: Path, given: Path | None = None, *, otherwise: str = ""
) -> Path:
    """Find the file that was restored, and make sure that it is that one.

    Parameters
    ----------
    record : Provenance
        What is known of it.
    record_path : Path
        Where the record is: the file is looked for beside it, then where it was. Another one of
        its name is passed over.
    given : Path, optional
        Is taken instead of looking.
    otherwise : str
        What else the user can do where it is not found, for the errors.

    Raises
    ------
    FileFormatError
        It is gone, or has other contents than the restored one.
    """
    there = filter(_is_there, _source_places(record, record_path))
    places = [given] if given else list(dict.fromkeys(there))
    if not places:
        raise FileFormatError(
            f"The source of {record_path.name}, {record.source or 'unknown'}, is neither where it "
            f"was nor beside the record. Put it beside the record{otherwise}."
        )
    for place in places:
        if not record.source_sha256 or sha256_of(place) == record.source_sha256:
            return place
    raise FileFormatError(
        f"{places[0]} is not the image that {record_path.name} was made from: its contents have "
        f"changed. Put the unchanged file beside the record{otherwise}."
    )


def find_result(record: Provenance, record_path: Path) -> Path | None:
    """Find the picture that a record belongs to, beside it; None if it is gone."""
    if not record_path.name.lower().endswith(SUFFIX):
        return record_path
    stem = record_path.name[: -len(SUFFIX)]
    endings = (".ome.tif", ".tif", ".ome.tiff", ".tiff", ".ome.zarr", ".zarr")
    names = filter(None, (Path(record.result).name, *(stem + ending for ending in endings)))
    places = (record_path.with_name(name) for name in names)
    return next(filter(_is_there, places), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder of somebody else, or a name that no file can have
        return False


def _source_places(record: Provenance, record_path: Path) -> Iterator[Path]:
    # The name alone: a record from elsewhere must not lead out of its own folder by "..".
    for source, where in (
        (record.source, record.source_path),
        (name_on_disk(record.source), name_on_disk(record.source_path)),
    ):
        name = Path(source or where).name
        if name:
            yield record_path.parent / name
        if where:
            yield Path(where)
            yield record_path.parent / where
