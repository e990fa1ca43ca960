"""Which files are meant on a command line, and what their results are called.

Nothing here reads a pixel.
"""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, TypeAlias

from napari_semnet.commands.captions import printable
from napari_semnet.errors import FileFormatError
from napari_semnet.files.em_formats import DM_SUFFIXES, MRC_SUFFIXES
from napari_semnet.files.home import from_home
from napari_semnet.files.ome_zarr import is_ome_zarr
from napari_semnet.files.provenance import read_sidecar, sidecar_path
from napari_semnet.files.reader import PICTURE_SUFFIXES, TIFF_SUFFIXES
from napari_semnet.files.tile_store import unfinished_record

if TYPE_CHECKING:
    from napari_semnet.files.calibration import PixelSize

__all__ = [
    "CONSISTENT",
    "RESIDUAL",
    "SENSITIVITY",
    "Entry",
    "FileFailed",
    "FileSkipped",
    "Job",
    "find_jobs",
    "is_picture_name",
    "is_volume",
    "names_one_result",
    "refuse_unwritable",
    "result_name",
    "same_file",
    "share_files",
    "skip_existing",
]

RESULT_ENDING = "_semnet-x2.ome.tif"
"""What a result is called after its source's stem."""
VOLUME_ENDING = "_semnet-x2.ome.zarr"

RESIDUAL = ".residual.ome.tif"
SENSITIVITY = ".sensitivity.ome.tif"
CONSISTENT = ".consistent.ome.tif"
"""What pictures about a result are called after its stem."""

Rows: TypeAlias = tuple[int, int | None]
"""First row of specimen and the one after the last; None is the end of the image."""

_LOSSY_SUFFIXES = (".jpg", ".jpeg")
_MADE_OF_RESULT = re.compile(r"_semnet-x2[._]")
"""A result, what was repeated of it, its figure."""

_READ_ONLY_SUFFIXES = (*PICTURE_SUFFIXES, *MRC_SUFFIXES, *DM_SUFFIXES)
_IMAGE_SUFFIXES = (*TIFF_SUFFIXES, *PICTURE_SUFFIXES, ".zarr")


@dataclass(frozen=True, slots=True)
class Job:
    """One image to restore, and the file to write."""

    source: Path
    target: Path
    specimen_rows: Rows | None = None
    """What to restore; None takes what the file tells."""
    pixel_size: PixelSize | None = None
    """Size of a pixel of the source, where a person gave it; None takes what the file tells."""


@dataclass(frozen=True, slots=True)
class FileSkipped:
    """A file was left alone."""

    source: Path
    reason: str


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file could not be restored; nothing was written for it."""

    source: str
    reason: str
    details: str = ""
    """Traceback, when the reason is a mistake of the program rather than of the file."""
    may_pass: bool = False
    """Whether the disk, the memory or the device failed, which may be otherwise next time."""


Entry: TypeAlias = Job | FileSkipped | FileFailed
"""What `find_jobs` finds in one place: something to do, or why it is not done."""


def find_jobs(
    inputs: Sequence[str],
    output: str,
    rows: Rows | None = None,
    pixel_size: PixelSize | None = None,
) -> list[Entry]:
    """Find the files that are meant, and name their results.

    Parameters
    ----------
    inputs : sequence of str
        Files, OME-Zarrs, folders (their images, not their subfolders') and patterns with ``*``,
        ``?`` and ``**``, which are expanded here because the Windows shells do not.
    output : str
        A folder, or for one single file the name of its result, which must end in .tif, .tiff or
        .zarr.
    rows : (int, int or None), optional
        Rows of each image that show the specimen; by default what its file tells.
    pixel_size : PixelSize, optional
        Size of a pixel of each image, which counts more than what its file tells.

    Returns
    -------
    list
        A job for each file, in the order given; in the place of what cannot be done, the reason.
        Where results of several would have one name, the image that lost least is restored.

    Raises
    ------
    FileFormatError
        `output` names one file and `inputs` more than one, or a file of a kind that is not written.
    """
    refuse_unwritable(output)
    _refuse_endless(output)
    found = [entry for text in inputs for entry in _expand(text)]
    sources = [entry for entry in found if isinstance(entry, Path)]
    is_file = names_one_result(output)
    if is_file and len(dict.fromkeys(p.resolve() for p in sources)) > 1:
        raise FileFormatError(
            f"{output} is one file, but there are {len(sources)} images to restore. "
            "Give a folder instead."
        )
    jobs: list[Entry] = []
    targets = {p: Path(output) if is_file else Path(output) / result_name(p) for p in sources}
    sources_by_target: dict[Path, Path] = {}
    for source in sorted(sources, key=_losses):
        sources_by_target.setdefault(targets[source].resolve(), source)
    seen: set[Path] = set()
    for entry in found:
        if not isinstance(entry, Path):
            jobs.append(entry)
            continue
        if entry.resolve() in seen:
            continue
        seen.add(entry.resolve())
        target = targets[entry]
        other = sources_by_target[target.resolve()]
        if other.resolve() != entry.resolve():
            reason = (
                f"Its result would be {target}, as that of {other}. Give them different folders."
            )
            jobs.append(FileFailed(str(entry), reason))
        elif problem := _problem_with(target):
            reason = f"{target} cannot be written: {problem}. Give another name or folder."
            jobs.append(FileFailed(str(entry), reason))
        elif target.resolve() == entry.resolve() or same_file(target, entry):
            reason = "The result would overwrite the image itself. Give another name or folder."
            jobs.append(FileFailed(str(entry), reason))
        elif entry.resolve() in target.resolve().parents:
            reason = f"The result would lie within the image itself, {entry}. Give another folder."
            jobs.append(FileFailed(str(entry), reason))
        else:
            jobs.append(Job(entry, target, rows, pixel_size))
    return jobs


def names_one_result(output: str) -> bool:
    """Tell whether what was given is the name of one result, rather than a folder for several."""
    suffix = Path(output).suffix.lower()
    return suffix == ".zarr" or (suffix in TIFF_SUFFIXES and not Path(output).is_dir())


def _losses(source: Path) -> int:
    """Rank a kind of file by what it loses, for microscopes write several of one scan.

    A PNG loses the pixel size that a TIFF has, a JPEG grey levels as well.
    """
    suffix = source.suffix.lower()
    return (suffix in PICTURE_SUFFIXES) + (suffix in _LOSSY_SUFFIXES)


def refuse_unwritable(output: str) -> None:
    """Refuse the name of a picture that is not written, where a folder of that name was not meant.

    Raises
    ------
    FileFormatError
        Its ending is that of a picture, but none that results have.
    """
    suffix = Path(output).suffix.lower()
    if suffix in _READ_ONLY_SUFFIXES and not Path(output).is_dir():
        raise FileFormatError(
            f"Results are not written as {suffix}. End {output} in .tif or .zarr, or give a folder."
        )


def _refuse_endless(output: str) -> None:
    try:
        Path(output).resolve()
    except (OSError, RuntimeError) as error:  # A loop is the one or the other, by Python's release.
        raise FileFormatError(
            f"{output} is a link that leads back to itself. Give another name or folder."
        ) from error


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two names lead to one file, as those do that differ in case on many disks."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def is_picture_name(path: Path) -> bool:
    """Tell by its name whether a file is a picture that can be read."""
    return path.suffix.lower() in _IMAGE_SUFFIXES


def skip_existing(entries: Sequence[Entry]) -> list[Entry]:
    """Put a reason in the place of each job whose result is there already.

    A volume that is there but not finished is gone on with. What was made of another image is not
    this one's result.
    """
    return [_unless_there(entry) if isinstance(entry, Job) else entry for entry in entries]


def _unless_there(job: Job) -> Entry:
    if not job.target.exists() or unfinished_record(job.target) is not None:
        return job
    other = _other_source(job)
    if other:
        reason = (
            f"{job.target} is the result of another image, {other}. Remove it to restore this "
            "one, or give another name or folder."
        )
        return FileFailed(str(job.source), reason)
    return FileSkipped(job.source, "its result exists; --overwrite makes it anew.")


def _other_source(job: Job) -> str:
    """Name the image that a result was made of by its record; empty where it was the job's own.

    By names alone: to hash each image would take long where thousands are skipped.
    """
    try:
        record = read_sidecar(sidecar_path(job.target))
    except FileFormatError:
        return ""
    if not record.source_path or record.result != printable(job.target.name):
        return ""
    # In napari the source is a layer, which may be called otherwise than its file.
    names = {record.source.casefold(), PureWindowsPath(record.source_path).name.casefold()}
    return "" if printable(job.source.name).casefold() in names else record.source


def share_files(entries: Sequence[Entry], number: int, of: int) -> list[Entry]:
    """Leave to other processes what is not in one's own part: all files but every `of`-th.

    Volumes stay: their blocks are shared out, not they.
    """
    shared: list[Entry] = []
    place = 0
    for entry in entries:
        if isinstance(entry, Job) and not is_volume(entry.target):
            owner = place % of + 1
            place += 1
            if owner != number:
                reason = f"it belongs to part {owner} of {of}."
                shared.append(FileSkipped(entry.source, reason))
                continue
        shared.append(entry)
    return shared


def is_volume(target: Path) -> bool:
    """Tell whether a result is written block by block."""
    return target.suffix.lower() == ".zarr"


def result_name(source: Path) -> str:
    """Name what a source's restoration is written to.

    ``<stem>_semnet-x2.ome.tif``, or ``.ome.zarr`` where the source is a Zarr too.
    """
    stem = source.stem
    ending = VOLUME_ENDING if is_volume(source) else RESULT_ENDING
    return (stem[:-4] if stem.lower().endswith(".ome") else stem) + ending


def _problem_with(target: Path) -> str:
    """Say what the system has against a name, before an image is restored for it."""
    try:
        there = next(folder for folder in target.parents if folder.is_dir())
        for path in (target, sidecar_path(target)):
            # In a folder that is still to be made no name can be asked for: so each is where that
            # goes.
            for asked in (path, *(there / name for name in path.relative_to(there).parts)):
                with suppress(FileNotFoundError):
                    asked.lstat()
        # Where a result is there already nothing may have to be written.
        if not target.exists() and not os.access(there, os.W_OK | os.X_OK):
            return f"{os.strerror(errno.EACCES)} in the folder {there.absolute()}"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _expand(text: str) -> list[Path | FileSkipped | FileFailed]:
    try:
        return _found(text, from_home(text))
    except (OSError, RuntimeError) as error:  # names that cannot be, folders that are closed
        return [FileFailed(text, f"{getattr(error, 'strerror', None) or error}.")]


def _found(text: str, path: Path) -> list[Path | FileSkipped | FileFailed]:
    # A name with brackets in it is a file before it is a pattern.
    if path.is_file() or is_ome_zarr(path):
        return [path]
    if path.is_dir():
        # As a pattern does, it leaves out what is hidden, such as what macOS writes beside a file.
        visible = (p for p in path.iterdir() if not p.name.startswith("."))
        found = sorted(p for p in visible if is_picture_name(p))
        nothing = "There is no image in this folder."
    elif glob.has_magic(text):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
        nothing = "No file matches this pattern."
    else:
        return [FileFailed(text, "There is no such file or folder.")]
    files: list[Path | FileSkipped | FileFailed] = [
        _unless_result(p) for p in found if p.is_file() or is_ome_zarr(p)
    ]
    return files or [FileFailed(text, nothing)]


def _unless_result(path: Path) -> Path | FileSkipped:
    """Leave out what earlier runs have written beside their sources."""
    about = (RESIDUAL, SENSITIVITY, CONSISTENT)
    if _MADE_OF_RESULT.search(path.name) or path.name.endswith(about):
        return FileSkipped(path, "It is a result already; name the file itself to restore it.")
    return path
