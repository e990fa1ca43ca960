"""The models there are: those of the package, and the user's own with what can be done to them.

An own model is a file in `model.user_models_folder`, and its name is the file's. Renaming changes
that name alone: the card and the hash stay, so that records of earlier restorations still lead to
the model. A deleted model is set aside, not erased, until a month later another one is deleted.
"""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_semnet import model as models
from napari_semnet.card import Card
from napari_semnet.errors import ModelFileError
from napari_semnet.files.atomic import replacing
from napari_semnet.files.home import from_home
from napari_semnet.files.provenance import sha256_of

__all__ = [
    "KEPT_DAYS",
    "Listed",
    "check_name",
    "delete_model",
    "deleted_models",
    "find_by_sha256",
    "import_model",
    "list_models",
    "load_recorded",
    "put_back",
    "rename_model",
]

KEPT_DAYS = 30
"""Days for which a deleted model can be put back."""

_SET_ASIDE = ".deleted"
_NAME = re.compile(r"[^\W_](?:[\w .+()-]{0,78}[\w+)-])?")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model file and its card, or the reason why it is refused."""

    name: str
    """By which commands and lists know it: the file's name without its suffix."""
    path: Path
    is_own: bool
    """Whether it lies in the user's models folder, so that it can be renamed and deleted."""
    is_default: bool
    """Whether it is used when none is named."""
    card: Card | None
    refused: str = ""
    """Why the file cannot be used, where there is no card."""


def list_models() -> tuple[Listed, ...]:
    """List all models, by name; of two with one name the user's own.

    Returns
    -------
    tuple of Listed
        Cards are read, weights are not.
    """
    return tuple(_listed(name, path) for name, path in models.model_paths().items())


def import_model(path: str | Path, name: str | None = None) -> Listed:
    """Copy a model file into the user's models folder, after the checks that loading it makes.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file of this package.
    name : str, optional
        Name for it; the file's by default, with a number where another model has that already.

    Returns
    -------
    Listed
        The model in its new place; the one that is there where it holds the same bytes.

    Raises
    ------
    ModelFileError
        The file cannot be loaded (a pickle, cut off, another architecture, a newer format), the
        name cannot be used or is taken, or the folder cannot be written to.
    """
    path = from_home(path)
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}. Choose the model's {models.SUFFIX} file.")
    loaded = models.load_model(path)
    known = find_by_sha256(loaded.sha256)
    if known is not None and name in (None, known.name):
        return known
    name = _free_name(path.stem) if name is None else name
    target = _target(name)
    try:
        with replacing(target) as temporary:
            shutil.copyfile(path, temporary)
            if sha256_of(temporary) != loaded.sha256:
                raise ModelFileError(
                    f"{path.name} changed while it was copied. Import it again when it is complete."
                )
    except OSError as error:
        raise _unwritable(error) from error
    return _listed(name, target)


def rename_model(name: str, new: str) -> Listed:
    """Give one of the user's own models another name; its contents stay as they are.

    Raises
    ------
    ModelFileError
        There is no such model, it comes with the package, or the new name cannot be used.
    """
    old = _own(name, "renamed")
    if new == name:
        return _listed(name, old)
    target = _target(new, instead_of=name)
    try:
        old.rename(target)
    except OSError as error:
        raise _unwritable(error) from error
    return _listed(new, target)


def delete_model(name: str) -> Path:
    """Set one of the user's own models aside; `put_back` undoes it for `KEPT_DAYS` days.

    Returns
    -------
    Path
        Where the file lies now; `put_back` takes the name of this file.

    Raises
    ------
    ModelFileError
        There is no such model, or it comes with the package.
    """
    path = _own(name, "deleted")
    folder = path.parent / _SET_ASIDE
    try:
        folder.mkdir(exist_ok=True)
        _clear_out(folder)
        aside = next(p for p in _numbered(folder / path.name) if not p.exists())
        path.touch()  # the days count from now
        path.rename(aside)
    except OSError as error:
        raise _unwritable(error) from error
    return aside


def deleted_models() -> tuple[str, ...]:
    """Names of the models that `put_back` can bring back, the last deleted one first."""
    folder = models.user_models_folder() / _SET_ASIDE
    found = folder.glob(f"*{models.SUFFIX}") if folder.is_dir() else ()
    return tuple(p.stem for p in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True))


def put_back(name: str) -> Listed:
    """Undo `delete_model`.

    Raises
    ------
    ModelFileError
        No deleted model has that name, or another model has it by now.
    """
    if name not in deleted_models():
        there = ", ".join(deleted_models()) or "none"
        raise ModelFileError(f"There is no deleted model '{name}' to put back; there are: {there}.")
    folder = models.user_models_folder()
    target = folder / f"{name}{models.SUFFIX}"
    if target.exists():
        raise ModelFileError(
            f"Another model is called '{name}' by now. Rename that one, then put this one back."
        )
    try:
        (folder / _SET_ASIDE / target.name).rename(target)
    except OSError as error:
        raise _unwritable(error) from error
    return _listed(name, target)


def find_by_sha256(sha256: str) -> Listed | None:
    """Find the model whose file has a hash, under whatever name; None where there is none."""
    for name, path in models.model_paths().items():
        if sha256_of(path) == sha256:
            return _listed(name, path)
    return None


def load_recorded(name: str, sha256: str, given: str | None = None) -> models.Model:
    """Load the model that a record of a restoration names.

    Parameters
    ----------
    name : str
        What the model was called then.
    sha256 : str
        Hash of its file; empty where the record has none.
    given : str, optional
        Name or path of the model, where it is not found by itself.

    Raises
    ------
    ModelFileError
        The model is missing, or another one by now.
    """
    # By its contents first: a model that was renamed since is the same one.
    found = None if given else find_by_sha256(sha256)
    loaded = models.load_model(found.path if found is not None else given or name)
    if sha256 and loaded.sha256 != sha256:
        raise ModelFileError(
            f"The model '{loaded.name}' in {loaded.path} is not the one of the record (SHA-256 "
            f"{sha256[:12]}...). Give the right file with --model."
        )
    return loaded


def check_name(name: str) -> None:
    """Refuse a name that some system could not have as a file, or that a command would misread.

    Raises
    ------
    ModelFileError
        The text says what a name may be made of.
    """
    reads_as_path = Path(name).suffix == models.SUFFIX
    if _NAME.fullmatch(name) is None or _RESERVED.fullmatch(name) or reads_as_path:
        raise ModelFileError(
            f"'{name}' cannot be the name of a model. Take up to 80 letters, digits, spaces and "
            ". _ - + ( ), beginning with a letter or digit."
        )


def _listed(name: str, path: Path) -> Listed:
    is_own = path.parent == models.user_models_folder()
    is_default = name == models.DEFAULT_MODEL
    try:
        return Listed(name, path, is_own, is_default, models.read_card(path))
    except ModelFileError as error:
        return Listed(name, path, is_own, is_default, None, str(error))


def _own(name: str, what: str) -> Path:
    """File of one of the user's own models."""
    path = models.model_paths().get(name)
    if path is None:
        names = ", ".join(m.name for m in list_models() if m.is_own) or "none"
        raise ModelFileError(f"You have no model '{name}'. Your own models are: {names}.")
    if path.parent != models.user_models_folder():
        raise ModelFileError(
            f"'{name}' comes with the package and cannot be {what}. Only your own models can."
        )
    return path


def _target(name: str, instead_of: str = "") -> Path:
    """Path for a new model, whose name must be free; file systems may not tell A from a."""
    check_name(name)
    taken = {known.casefold() for known in models.model_paths() if known != instead_of}
    if name.casefold() in taken:
        raise ModelFileError(f"There is a model '{name}' already. Give another name.")
    return models.user_models_folder() / f"{name}{models.SUFFIX}"


def _free_name(wanted: str) -> str:
    """Name that no model has: as wanted, or with a number."""
    wanted = wanted if _NAME.fullmatch(wanted) else re.sub(r"[^\w.+()-]+", "-", wanted).strip("-._")
    wanted = wanted[:76] or "model"
    taken = {known.casefold() for known in models.model_paths()}
    names = (path.name for path in _numbered(Path(wanted + models.SUFFIX)))
    stems = (name.removesuffix(models.SUFFIX) for name in names)
    return next(stem for stem in stems if stem.casefold() not in taken)


def _numbered(path: Path) -> Iterator[Path]:
    """Give the path itself, then with -2, -3 and so on before its suffix."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name.removesuffix(models.SUFFIX)}-{number}{models.SUFFIX}")


def _clear_out(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for path in folder.glob(f"*{models.SUFFIX}"):
        if path.stat().st_mtime < oldest:
            path.unlink()


def _unwritable(error: OSError) -> ModelFileError:
    folder = models.user_models_folder()
    reason = error.strerror or str(error)
    return ModelFileError(
        f"The models folder {folder} cannot be changed: {reason}. Check its permissions and the "
        "space on the disk."
    )
