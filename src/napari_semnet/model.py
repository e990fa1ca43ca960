"""A model: a network, its card, and the one file that holds both.

A model file is a safetensors file whose header carries the card as JSON under the key ``card``.
Nothing in it can run code, and sizes are checked against the file before memory is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file as save_tensors

from napari_semnet.card import FORMAT_VERSION, Card, Halo, Metric, Training
from napari_semnet.errors import ModelFileError
from napari_semnet.files.atomic import replacing
from napari_semnet.files.home import from_home
from napari_semnet.model_header import check_architecture, check_tensors, parse_header
from napari_semnet.network import SEMNet

__all__ = [
    "DEFAULT_MODEL",
    "FORMAT_VERSION",
    "SUFFIX",
    "Card",
    "Halo",
    "Metric",
    "Model",
    "Training",
    "load_model",
    "model_paths",
    "read_card",
    "resolve_model",
    "rewrite_card",
    "save_model",
    "stored_dtype",
    "user_models_folder",
]

DEFAULT_MODEL = "semnet-x2"
"""Name of the bundled model that is used when none is named."""

SUFFIX = ".safetensors"
"""Ending of a model file's name."""
_PICKLE_SUFFIXES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_LARGEST_HEADER = 4 * 2**20
_LARGEST_FILE = 2**30


@dataclass(frozen=True, slots=True)
class Model:
    """A network ready to run, and where it came from."""

    network: SEMNet
    """In evaluation mode, float32, on the CPU."""
    card: Card
    sha256: str
    """Hash of the whole model file, in hexadecimal digits."""
    path: Path

    @property
    def name(self) -> str:
        """Name on the card."""
        return self.card.name

    @property
    def is_bundled(self) -> bool:
        """Whether it came with the package."""
        return self.path.parent == _bundled_models_folder()


def user_models_folder() -> Path:
    """Folder in which the user's own models live; it may not exist yet."""
    # Loading a model by its path, and training, work where this package is not installed.
    import platformdirs

    return platformdirs.user_data_path("napari-semnet", appauthor=False) / "models"


def _bundled_models_folder() -> Path:
    return Path(__file__).parent / "weights"


def model_paths() -> dict[str, Path]:
    """Model files by name: the user's own before the bundled ones of the same name.

    Returns
    -------
    dict of str to Path
        Sorted by name; the name is the file's, without its suffix.
    """
    found: dict[str, Path] = {}
    for folder in (_bundled_models_folder(), user_models_folder()):
        if folder.is_dir():
            found |= {p.stem: p for p in folder.glob(f"[!.]*{SUFFIX}") if p.is_file()}
    return dict(sorted(found.items()))


def resolve_model(name: str | Path) -> Path:
    """Find the file that a model's name or path means.

    Parameters
    ----------
    name : str or Path
        A path, or the name of a model in the user's models folder or in the package.
        They are tried in this order.

    Raises
    ------
    ModelFileError
        No such model; the text lists those there are.
    """
    path = from_home(name)
    looks_like_path = isinstance(name, Path) or path.suffix != "" or len(path.parts) > 1
    if looks_like_path and path.is_file():
        return path
    known = model_paths()
    if str(name) in known:
        return known[str(name)]
    if path.is_file():
        return path
    names = ", ".join(known) or "none"
    raise ModelFileError(
        f"There is no model '{name}'. Give the path of a {SUFFIX} file, or one of: {names}."
    )


def load_model(name: str | Path = DEFAULT_MODEL) -> Model:
    """Load a model by name or path.

    Parameters
    ----------
    name : str or Path
        See `resolve_model`.

    Returns
    -------
    Model
        The network in float32 on the CPU, whatever precision the file stores.

    Raises
    ------
    ModelFileError
        The file is missing, a pickle, truncated, for another architecture, or of a newer format.
    """
    path = resolve_model(name)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = _read_header(file, size, path)
        header, card = _card_of(start, path)
        check_tensors(header, size - len(start), card.architecture, path.name)
        content = start + file.read(size - len(start))
    try:
        tensors = load_tensors(content)
    except SafetensorError as error:
        raise ModelFileError(
            f"{path.name} is damaged or cut off ({error}). Copy or download it again."
        ) from error
    network = _fill(SEMNet(card.architecture), tensors, path)
    return Model(network, card, hashlib.sha256(content).hexdigest(), path)


def read_card(name: str | Path) -> Card:
    """Read a model's card without building its network.

    Parameters
    ----------
    name : str or Path
        See `resolve_model`.

    Raises
    ------
    ModelFileError
        As `load_model`, except for what only the weights can show.
    """
    path = resolve_model(name)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        return _card_of(_read_header(file, size, path), path)[1]


def rewrite_card(name: str | Path, card: Card, path: Path) -> None:
    """Write a model again under another card, its weights unchanged to the byte.

    Parameters
    ----------
    name : str or Path
        The model; see `resolve_model`.
    card : Card
        Its architecture must be that of the model's own card.
    path : Path
        File to write, also the model's own; replaced only when the new one is complete.

    Raises
    ------
    ModelFileError
        As `load_model`; or the suffix or the architecture is another.
    """
    model = load_model(name)
    if path.suffix != SUFFIX:
        raise ModelFileError(f"A model file must end in {SUFFIX}, not '{path.suffix}'.")
    if card.architecture != model.card.architecture:
        raise ModelFileError("The card describes another architecture than the network has.")
    with _opened(model.path) as file:
        size = os.fstat(file.fileno()).st_size
        header = parse_header(_read_header(file, size, model.path)[8:])
        weights = file.read()
    header["__metadata__"]["card"] = card.model_dump_json()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the weights aligned
    with _replacing(path) as temporary:
        temporary.write_bytes(len(text).to_bytes(8, "little") + text + weights)


def save_model(
    path: Path,
    network: SEMNet,
    card: Card,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a model file, replacing an old one only when the new one is complete.

    Parameters
    ----------
    path : Path
        File to write; its suffix must be ``.safetensors``.
    network : SEMNet
        The kernels of its dense blocks are stored as `dtype`.
    card : Card
        Its architecture must be the network's.
    dtype : torch.dtype
        Floating-point type of all but the few weights named below. With float16 the file has
        half the size.

    Raises
    ------
    ModelFileError
        The suffix is another, the card describes another network, or a weight is not finite
        in `dtype`.

    Notes
    -----
    Biases, and kernels outside the dense blocks, stay in float32: they are a fiftieth of the
    weights and make most of what rounding to float16 changes in a restoration
    (`benchmarks/half_weights.py`: 0.055 grey levels of 255 at most without this, 0.003 with it).
    """
    if path.suffix != SUFFIX:
        raise ModelFileError(f"A model file must end in {SUFFIX}, not '{path.suffix}'.")
    if card.architecture != network.architecture:
        raise ModelFileError("The card describes another architecture than the network has.")
    tensors = {
        key: value.detach().to("cpu", stored_dtype(key, dtype)).contiguous()
        for key, value in network.state_dict().items()
    }
    broken = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ModelFileError(
            f"{len(broken)} weights are not finite numbers (first: {broken[0]}); "
            "the model was not written."
        )
    with _replacing(path) as temporary:
        save_tensors(tensors, temporary, metadata={"card": card.model_dump_json()})


def stored_dtype(key: str, dtype: torch.dtype) -> torch.dtype:
    """Type in which a model file holds a weight, where it holds most as `dtype`."""
    is_many = key.startswith("body.") and key.endswith(".weight")
    return dtype if is_many else torch.promote_types(dtype, torch.float32)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    try:
        with replacing(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"{path.name} could not be written: {getattr(error, 'strerror', None) or error}. "
            "Choose another folder or make room; an older file of that name is unchanged."
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}.") from error


def _read_header(file: BinaryIO, size: int, path: Path) -> bytes:
    """Length and text of the header, after all that can be checked without parsing it."""
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    # A header's length may by chance begin as a pickle does; what follows it may not.
    is_safetensors = start[8:] == b"{" and length <= min(size - 8, _LARGEST_HEADER)
    is_pickle = start.startswith((b"PK\x03\x04", b"\x80")) and not is_safetensors
    if is_pickle or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise ModelFileError(
            f"{path.name} is a pickle, which can run any code when it is opened. Only "
            f"{SUFFIX} files are loaded; ask for the model in that format."
        )
    if not is_safetensors or size > _LARGEST_FILE:
        raise ModelFileError(
            f"{path.name} is not a {SUFFIX} file, or it is cut off. Copy or download it again."
        )
    return start + file.read(length - 1)


def _card_of(start: bytes, path: Path) -> tuple[dict[str, Any], Card]:
    """Read what a header says, and the card in it."""
    try:
        header = parse_header(start[8:])
        values = json.loads(header["__metadata__"]["card"])
        version = int(values.get("format_version", 1))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as e:
        raise ModelFileError(
            f"{path.name} carries no model card, so it is not a SEMNet model of this package."
        ) from e
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path.name} has a card of format {version}; this version of napari-semnet reads "
            f"formats up to {FORMAT_VERSION}. Update napari-semnet."
        )
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelFileError(
            f"The card of {path.name} is not valid: {where}: {first['msg']}."
        ) from error
    check_architecture(card.architecture, path.name)
    return header, card


def _fill(network: SEMNet, tensors: dict[str, torch.Tensor], path: Path) -> SEMNet:
    """Put a file's tensors, which are its own by `check_tensors`, into a network."""
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ModelFileError(f"{path.name} holds weights that are not finite numbers.")
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    return network.eval().requires_grad_(False)
