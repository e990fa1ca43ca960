"""Where a result came from: the record that travels with every restored picture.

The same record stands in the file itself (an OME ``MapAnnotation``, or an attribute of an
OME-Zarr) and beside it in ``<name>.semnet.json``. It is complete enough to repeat the run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_semnet import __version__
from napari_semnet.errors import FileFormatError
from napari_semnet.files.atomic import replacing
from napari_semnet.files.endings import split_ending

__all__ = [
    "NAMESPACE",
    "RESTORATION",
    "STATEMENT",
    "SUFFIX",
    "Provenance",
    "name_on_disk",
    "named",
    "read_sidecar",
    "record_stem",
    "remove_sidecar",
    "sha256_of",
    "sidecar_path",
    "write_sidecar",
]

NAMESPACE = "napari-semnet/provenance"
"""Name under which the record stands in an OME annotation."""

STATEMENT = (
    "This picture was restored by a neural network: its pixels are estimates, not measurements. "
    "Keep the unprocessed picture and state the processing wherever this one is shown."
)

RESTORATION = "denoise and double the pixels"
FORMAT_VERSION = 1
SUFFIX = ".semnet.json"
"""How the name of a record ends."""
_LARGEST_SIDECAR = 4 * 2**20


def _printable(text: str) -> str:
    """Escape what is no text in a file's name: bytes in another encoding than the system's."""
    return text.encode("utf-8", "backslashreplace").decode()


def name_on_disk(text: str) -> str:
    """Undo how a record writes a name that is no text, so that the file can be found."""
    return re.sub(r"\\u(d[89a-f][0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


Name = Annotated[str, AfterValidator(_printable)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


class Provenance(BaseModel):
    """What was done to which picture, by which model, and where.

    Every field has a default, since not every run knows everything; what is unknown stays empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    format_version: int = FORMAT_VERSION
    software: str = "napari-semnet"
    version: str = __version__
    operation: str = RESTORATION
    model: str = ""
    """Name on the model's card."""
    model_sha256: str = ""
    parameters: dict[str, Any] = {}
    """Choices that the user made, by the names that `restore` gives them."""
    source: Name = ""
    """Name of the source: a file's name, or a layer's."""
    source_path: Name = ""
    """Where the source file lay when it was restored; empty for a layer without a file."""
    source_sha256: str = ""
    """Hash of the source file; of the pixels alone for a layer without a file."""
    source_shape: tuple[Count, ...] = ()
    source_dtype: str = ""
    source_pixel_size_nm: tuple[Positive, Positive] | None = None
    """(y, x) in nanometres; None when unknown."""
    source_pixel_size_from: str = ""
    """Where the source's pixel size came from, and how far it can be trusted."""
    pixel_size_nm: tuple[Positive, Positive] | None = None
    """(y, x) of the result, in nanometres; None when unknown."""
    specimen_rows: tuple[Count, Count] | None = None
    """First row and the row after the last that were restored; None means all."""
    result: str = ""
    """Name of the file that holds the result; filled in when it is written."""
    intensity_range: tuple[float, float] | None = None
    """Grey levels that the network saw as 0 and 1."""
    intensity_source: str = ""
    """``dtype``, ``measured`` or ``given``."""
    tile: tuple[Count, Count] | None = None
    """(y, x) of a tile's core, in source pixels; None when the picture was not cut."""
    halo: Count | None = None
    """Source pixels around each tile."""
    swept: bool = False
    """Whether tiles took over from their neighbours what they needed of them."""
    device: str = ""
    precision: str = ""
    backend: str = ""
    """What computed: ``torch``, ``torch-stacked`` or ``openvino``."""
    seconds: float | None = None
    date: str = Field(default_factory=_now)
    """When the result was made, ISO 8601 with the offset to UTC."""
    statement: str = STATEMENT

    @property
    def region(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """First index along every axis of the source and the one after the last; None for all."""
        start, stop = (self.parameters.get(f"region_{end}") for end in ("start", "stop"))
        if not isinstance(start, list | tuple) or not isinstance(stop, list | tuple):
            return None
        if len(start) != len(stop) or len(start) < 2:
            return None
        if not all(isinstance(index, int) for index in (*start, *stop)):
            return None
        return tuple(start), tuple(stop)

    def to_json(self) -> str:
        """Give the record as indented JSON that ends in a newline."""
        return self.model_dump_json(indent=2) + "\n"

    def to_annotation(self) -> dict[str, str]:
        """Give the record as the flat text pairs that an OME ``MapAnnotation`` holds.

        What is unknown is left out; whatever is not text is written as JSON. The key ``json``
        holds the whole record, so that a file alone is enough to repeat the run.
        """
        values = self.model_dump(mode="json")
        known = {k: v for k, v in values.items() if v not in (None, "", [], {})}
        flat = {k: v if isinstance(v, str) else json.dumps(v) for k, v in known.items()}
        return flat | {"json": json.dumps(values)}

    @classmethod
    def from_json(cls, text: str | bytes) -> Provenance:
        """Read a record.

        Raises
        ------
        FileFormatError
            The text is no such record, or one of a newer format.
        """
        try:
            values = json.loads(text)
            version = int(values["format_version"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise FileFormatError(
                f"This is not a provenance record of napari-semnet. Give a file that ends in "
                f"{SUFFIX}, or a picture that napari-semnet wrote."
            ) from error
        if version > FORMAT_VERSION:
            raise FileFormatError(
                f"The provenance record has format {version}; this version of napari-semnet reads "
                f"formats up to {FORMAT_VERSION}. Update napari-semnet."
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise FileFormatError(
                f"The provenance record is not valid: {where}: {first['msg']}."
            ) from error

    @classmethod
    def from_annotation(cls, annotation: Mapping[str, str]) -> Provenance:
        """Read a record from the pairs that `to_annotation` gave.

        Raises
        ------
        FileFormatError
            As `from_json`.
        """
        return cls.from_json(annotation.get("json", ""))


def named(provenance: Provenance, picture: Path) -> Provenance:
    """Give a record that names the file which holds the result."""
    return provenance.model_copy(update={"result": _printable(picture.name)})


def sidecar_path(picture: Path) -> Path:
    """Path of the record that belongs to a picture: its name with ``.semnet.json``.

    ``grains.ome.tif``, ``grains.tif`` and ``grains.ome.zarr`` all give ``grains.semnet.json``.
    """
    return picture.with_name(split_ending(picture.name)[0] + SUFFIX)


def record_stem(path: Path) -> str:
    """Name without its ending of a record, or of the picture that it belongs to.

    Examples
    --------
    >>> record_stem(Path("a.semnet-1.semnet.json")), record_stem(Path("a.semnet-1.ome.tif"))
    ('a.semnet-1', 'a.semnet-1')
    """
    name = path.name if path.suffix.lower() == ".json" else sidecar_path(path).name
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else Path(name).stem


def write_sidecar(picture: Path, provenance: Provenance) -> Path:
    """Write a picture's record beside it, whole or not at all.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    FileFormatError
        There is no room or no permission to write.
    """
    path = sidecar_path(picture)
    try:
        with replacing(path) as temporary:
            temporary.write_text(provenance.to_json(), encoding="utf-8")
    except OSError as error:
        raise FileFormatError(
            f"{path.name} could not be written: {error.strerror or error}. "
            "Choose another folder or make room."
        ) from error
    return path


def remove_sidecar(picture: Path) -> None:
    """Remove the record of what a picture was before it was written anew, if there is one.

    Raises
    ------
    FileFormatError
        There is, and it cannot be removed.
    """
    path = sidecar_path(picture)
    try:
        # That of a.ome.tif has the same name as that of a.tif.
        is_own = path.exists() and read_sidecar(path).result == _printable(picture.name)
    except FileFormatError:  # not one of ours
        return
    try:
        if is_own:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{picture.name} is written, but {path.name}, which describes an older picture, could "
            f"not be removed: {error.strerror or error}. Please remove it."
        ) from error


def read_sidecar(path: Path) -> Provenance:
    """Read a ``.semnet.json`` file.

    Raises
    ------
    FileFormatError
        The file is missing, far too large, or not such a record.
    """
    try:
        if path.stat().st_size > _LARGEST_SIDECAR:
            raise FileFormatError(f"{path.name} is far too large for a provenance record.")
        text = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return Provenance.from_json(text)


def sha256_of(path: Path) -> str:
    """Hash a file, in hexadecimal digits; a folder (OME-Zarr) by its files' names and contents.

    Raises
    ------
    FileFormatError
        The file cannot be read.
    """
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        whole = hashlib.sha256()
        for part in sorted(p for p in path.rglob("*") if p.is_file()):
            whole.update(part.relative_to(path).as_posix().encode() + b"\0")
            with part.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error
