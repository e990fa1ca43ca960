"""Pictures decoded once, in flat files that any number of runs map into memory.

A source becomes a folder with two growing ``.npy`` files (``uint8.npy``, ``uint16.npy``: one axis,
all pictures after one another) and ``index.json``, which says where each picture lies in them.
The folder's name is a hash of the source's settings and of the path, size and time of each file,
so that it is made again when, and only when, something changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError, TrainingError
from napari_semnet.files.atomic import replacing, work_folder
from napari_semnet.training.config import Source
from napari_semnet.training.events import Preparing
from napari_semnet.training.flat_file import FlatFile, Place
from napari_semnet.training.pairs import join_pair
from napari_semnet.training.partners import ends_of
from napari_semnet.training.pictures import (
    Plane,
    Rejected,
    find_files,
    find_pairs,
    halved,
    read_planes,
    reason_of,
    refusal,
)
from napari_semnet.training.tables import Facts, facts_about, read_table

__all__ = ["Copy", "Field", "Place", "Store", "default_store", "open_store", "prepare_source"]

STORE_VERSION = {"hq": 2, "pairs": 6, "noise2noise": 5}
"""By the kind of source; changes when the same pictures would be stored otherwise."""
_TABLE_VERSION = 3
"""Of what is taken from tables; changes when the same table would be understood otherwise."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of view: what the network should give and, where it was taken, what it is given."""

    path: str
    page: int
    digest: str
    """Of the reference; equal for equal pictures."""
    group: str
    licence: str
    noise: float
    """Of the reference: standard deviation in grey levels of 255."""
    pixel_nm: float | None
    """Pixel size in nanometres of the picture that the network would be given."""
    target: Place
    low: Place | None
    """Half the rows and columns of `target`; None where it is made by degradation."""
    low_digest: str | None = None
    """As `digest`, of the picture that `low` is made of."""

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all pictures that it is made of."""
        return (self.digest,) if self.low_digest is None else (self.digest, self.low_digest)


@dataclass(frozen=True, slots=True)
class Copy:
    """A picture that is not stored, as another one has the same pixels.

    What its table says still tells that the two groups show one specimen.
    """

    group: str
    digests: tuple[str, ...]
    """As `Field.digests`."""


class Store:
    """A prepared source, mapped into memory.

    Parameters
    ----------
    folder : Path
        In which it was prepared.

    Attributes
    ----------
    fields : tuple of Field
    rejected : tuple of Rejected
    copies : tuple of Copy
        Those among the rejected.
    databars : tuple of str
        Names of the files that are used though something in them looks like a databar.
    named : int or None
        Files that the table names; None where there was no table, or nobody counted.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self.fields = tuple(_field(entry) for entry in index["fields"])
            self.rejected = tuple(Rejected(**entry) for entry in index["rejected"])
            self.copies = tuple(
                Copy(group, tuple(digests)) for group, digests in index.get("copies", ())
            )
            self.databars: tuple[str, ...] = tuple(index.get("databars", ()))
            self.named: int | None = index.get("named")
            self._flat: Mapping[str, NDArray[Any]] = {
                path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"The store of decoded pictures {folder} is damaged. Delete that folder; it is "
                "made again."
            ) from error

    def pixels(self, place: Place) -> NDArray[Any]:
        """Pixels (rows, columns) of one picture, read when they are touched."""
        flat = self._flat[place.dtype]
        stop = place.offset + place.rows * place.columns
        return flat[place.offset : stop].reshape(place.rows, place.columns)

    def with_licence(self, source: Source, *, from_table: bool) -> Store:
        """Let the source's licence, which may change, stand where the table names none."""
        self.fields = tuple(
            replace(field, licence=(field.licence if from_table else "") or source.licence)
            for field in self.fields
        )
        return self


def default_store() -> Path:
    """Folder for stores where the configuration names none."""
    import platformdirs

    return platformdirs.user_cache_path("napari-semnet", appauthor=False) / "pictures"


def prepare_source(source: Source, root: Path) -> Generator[Preparing, None, Store]:
    """Decode a source's pictures, unless that was done before.

    Parameters
    ----------
    source : Source
        What to decode. Where `images` is itself such a folder, made on another machine, it is
        taken as it is.
    root : Path
        Folder in which the source gets a folder of its own.

    Yields
    ------
    Preparing
        One event a file.

    Returns
    -------
    Store

    Raises
    ------
    TrainingError
        Nothing is found, a table cannot be read, or the disk is full. A file that cannot be used
        is listed in `Store.rejected` instead.
    """
    # A data set may have an index.json of its own, but no flat files beside it.
    if len(source.images) == 1 and all(
        any(source.images[0].glob(name)) for name in ("index.json", "uint*.npy")
    ):
        return Store(source.images[0]).with_licence(source, from_table=True)
    jobs, alone = _jobs(source)
    folder = root / _key(source, jobs, alone)
    has_table = source.table is not None
    if (folder / "index.json").is_file():
        return Store(folder).with_licence(source, from_table=has_table)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with work_folder(root, ".preparing-") as making:
            yield from _decode(source, jobs, alone, making)
            # Another run may have made the same store meanwhile; either will do.
            with suppress(OSError):
                making.rename(folder)
    except OSError as error:
        raise TrainingError(
            f"The decoded pictures cannot be stored in {root}: {error.strerror}. Free some space, "
            'or name another folder as "store" in the configuration.'
        ) from error
    return Store(folder).with_licence(source, from_table=has_table)


def open_store(source: Source, root: Path) -> Store:
    """Open what `prepare_source` made (or make it, without a word)."""
    steps = prepare_source(source, root)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            store: Store = end.value
            return store


def _jobs(source: Source) -> tuple[list[tuple[Path, ...]], list[Rejected]]:
    """Files that are read together, and those that lack a partner for it."""
    if source.kind == "hq":
        return [(path,) for path in find_files(source.images)], []
    partners = find_pairs(source.low, source.high)
    alone = [Rejected(str(path), reason) for path, reason in partners.alone.items()]
    return list(partners.pairs), alone


def _key(source: Source, jobs: list[tuple[Path, ...]], alone: list[Rejected]) -> str:
    files = [path for job in jobs for path in job]
    files += [Path(entry.path) for entry in alone]
    if source.table is not None:
        files.append(source.table)
    if not all(path.is_file() for path in files):
        raise TrainingError(f"There is no table {source.table}. Correct the configuration.")
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    columns = [source.file_column, source.group_column, source.noise_column, source.licence_column]
    what = [STORE_VERSION[source.kind], source.kind, source.reference, columns, stats]
    what += [] if source.table is None else [_TABLE_VERSION]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def _decode(
    source: Source, jobs: list[tuple[Path, ...]], alone: list[Rejected], folder: Path
) -> Iterator[Preparing]:
    table = _table(source)
    named = 0
    flat: dict[str, FlatFile] = {}
    fields: list[Field] = []
    rejected = list(alone)
    copies: list[Copy] = []
    databars: list[str] = []
    seen: dict[frozenset[str], str] = {}
    try:
        for done, job in enumerate(jobs, start=1):
            name = " + ".join(dict.fromkeys(path.name for path in job))
            facts = facts_about(job[-1], table)
            named += any(end in table for end in ends_of(job[-1]))
            # One file that cannot be read, for whatever reason, must not end the run.
            try:
                read = _together([list(read_planes(path)) for path in job])
            except Exception as error:  # noqa: BLE001
                read = []
                rejected.append(Rejected(name, reason_of(error)))
            for planes in read:
                # Of one slow scan there may be several fast ones: a pair is another one then.
                digests = frozenset(_digests(planes))
                if digests in seen:
                    rejected.append(Rejected(name, f"the same pixels as {seen[digests]}"))
                    copies.append(Copy(_group(facts, planes), _digests(planes)))
                    continue
                try:
                    _check(planes)
                    fields += list(_stored(source, planes, facts, flat, folder))
                except SemnetError as error:
                    rejected.append(Rejected(name, reason_of(error)))
                    continue
                # Not before: a pair that is of no use must not stand in the way of a good one.
                seen[digests] = planes[-1].path.name
                databars += [p.path.name for p in planes if p.may_have_databar]
            yield Preparing(source.title, done, len(jobs))
    finally:
        for file in flat.values():
            file.close()
    index = {
        "fields": [asdict(f) for f in fields],
        "rejected": [asdict(r) for r in rejected],
        "copies": [[copy.group, copy.digests] for copy in copies],
        "databars": list(dict.fromkeys(databars)),
        "named": None if source.table is None else named,
    }
    with replacing(folder / "index.json") as temporary:
        temporary.write_text(json.dumps(index), encoding="utf-8")


def _together(files: Sequence[Sequence[Plane]]) -> list[tuple[Plane, ...]]:
    """Put the pages of files side by side."""
    first, *others = map(len, files)
    for other in others:
        if other != first:
            raise TrainingError(f"it has {_pages(first)} and its partner {other}")
    return list(zip(*files, strict=True))


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"


def _group(facts: Facts, planes: tuple[Plane, ...]) -> str:
    return facts.group or str(planes[-1].path)


def _digests(planes: tuple[Plane, ...]) -> tuple[str, ...]:
    return tuple(plane.digest for plane in reversed(planes))


def _check(planes: tuple[Plane, ...]) -> None:
    for reason in map(refusal, planes):
        if reason:
            raise TrainingError(reason)
    # The network would learn to copy the noise that it is given.
    if len(planes) > 1 and planes[0].digest == planes[-1].digest:
        raise TrainingError("both have the same pixels, noise and all, so that one is there twice")


def _table(source: Source) -> Mapping[str, Facts]:
    if source.table is None:
        return {}
    return read_table(
        source.table,
        file=source.file_column,
        group=source.group_column,
        licence=source.licence_column,
        noise=source.noise_column,
        needed=source.named_columns,
    )


def _stored(
    source: Source,
    planes: tuple[Plane, ...],
    facts: Facts,
    flat: dict[str, FlatFile],
    folder: Path,
) -> Iterator[Field]:
    """Store the fields that one job gives: one, or for two noisy frames one each way round."""

    def put(pixels: NDArray[Any]) -> Place:
        dtype = pixels.dtype.name
        if dtype not in flat:
            flat[dtype] = FlatFile(folder / f"{dtype}.npy", dtype)
        return flat[dtype].append(pixels)

    def described(
        reference: Plane,
        pixel_nm: float | None,
        target: Place,
        low: tuple[Place, Plane] | None = None,
    ) -> Field:
        noise = facts.noise if facts.noise is not None else reference.noise
        return Field(
            path=str(reference.path),
            page=reference.page,
            digest=reference.digest,
            group=_group(facts, planes),
            licence=facts.licence,
            noise=noise / 2 if source.reference == "binned" else noise,
            pixel_nm=pixel_nm,
            target=target,
            low=None if low is None else low[0],
            low_digest=None if low is None else low[1].digest,
        )

    def times(factor: float, size: float | None) -> float | None:
        return None if size is None else size * factor

    reference = planes[-1]
    if source.kind == "hq":
        binned = source.reference == "binned"
        pixels = halved(reference.pixels) if binned else reference.pixels
        # The network is given half the pixels of the reference, each twice as large.
        size = times(4 if binned else 2, reference.pixel_nm)
        yield described(reference, size, put(pixels))
        return
    orders = [planes] if source.kind == "pairs" else [planes, planes[::-1]]
    for first, second in orders:
        pair = join_pair(first.unit, second.unit, equally_noisy=source.kind == "noise2noise")
        low, high = (_as_uint16(part) for part in (pair.low, pair.high))
        yield described(second, times(2, second.pixel_nm), put(high), (put(low), first))


def _as_uint16(unit: NDArray[np.float32]) -> NDArray[np.uint16]:
    stored: NDArray[np.uint16] = np.rint(np.clip(unit, 0.0, 1.0) * 65535.0).astype(np.uint16)
    return stored


def _field(entry: Mapping[str, Any]) -> Field:
    low = entry["low"]
    places = {"target": Place(**entry["target"]), "low": None if low is None else Place(**low)}
    return Field(**{**entry, **places})


def store_root(path: Path | None) -> Path:
    """Folder for stores: the given one, or the user's cache."""
    return (
        path if path is not None else Path(os.environ.get("NAPARI_SEMNET_STORE") or default_store())
    )
