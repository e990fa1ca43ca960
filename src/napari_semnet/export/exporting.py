"""Export a model, in the format that the file's name asks for."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_semnet.errors import ModelFileError
from napari_semnet.files.atomic import replacing
from napari_semnet.model import SUFFIX, Model, load_model

__all__ = ["AUTHORS", "FORMATS", "Exported", "Step", "export_model"]

FORMATS = {
    SUFFIX: "safetensors: for napari-semnet",
    ".onnx": "ONNX: for ONNX Runtime, OpenVINO, Fiji and others",
    ".zip": "bioimage.io package: for the BioImage Model Zoo and its programs",
}
"""Formats by the ending of the file."""

AUTHORS = ("the napari-semnet developers",)
"""Authors of the models that come with the package."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done next."""

    text: str


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and read by the program that it is for."""

    path: Path
    difference: float
    """Largest difference to the network, where black is 0 and white is 1."""


def export_model(
    name: str | Path, path: Path, authors: Sequence[str] | None = None
) -> Iterator[Step | Exported]:
    """Write a model for another program, and check that it gives the same there.

    Parameters
    ----------
    name : str or Path
        The model; see `model.resolve_model`.
    path : Path
        File to write; its ending, a key of `FORMATS`, says how. It appears only when it is
        complete and checked.
    authors : sequence of str, optional
        Who made the model, for a bioimage.io package. By default `AUTHORS` for the models of the
        package, nobody for others.

    Yields
    ------
    Step or Exported
        `Exported` comes last.

    Raises
    ------
    ModelFileError
        The model cannot be loaded, the ending is another, a package is missing, the result
        differs from the network, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        kinds = ", ".join(FORMATS)
        raise ModelFileError(f"A model is exported as {kinds}, not '{path.suffix}'. Choose one.")
    yield Step("Loading the model")
    model = load_model(name)
    if authors is None:
        authors = AUTHORS if model.is_bundled else ()
    if path.suffix == SUFFIX:
        work = _copy(model, path)
    elif path.suffix == ".onnx":
        from napari_semnet.export.onnx_file import write_onnx

        work = write_onnx(model, path)
    else:
        from napari_semnet.export.bioimage import write_package

        work = write_package(model, path, authors)
    try:
        difference = yield from _told(work)
    except OSError as error:
        raise ModelFileError(
            f"{path} could not be written: {error.strerror or error}. Choose another folder."
        ) from error
    yield Exported(path, difference)


def _told(work: Generator[str, None, float]) -> Generator[Step, None, float]:
    while True:
        try:
            text = next(work)
        except StopIteration as end:
            difference: float = end.value
            return difference
        yield Step(text)


def _copy(model: Model, path: Path) -> Generator[str, None, float]:
    """Copy the file, bytes unchanged, so that its hash stays; then load the copy."""
    yield "Copying"
    if path.exists() and path.samefile(model.path):
        raise ModelFileError(f"{path} is the model itself. Choose another name or folder.")
    with replacing(path) as temporary:
        shutil.copyfile(model.path, temporary)
    if load_model(path).sha256 != model.sha256:
        raise ModelFileError(f"{path} is not what was copied. Check the disk, then export again.")
    return 0.0
