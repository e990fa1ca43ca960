"""A model as a bioimage.io package, which bioimageio.core has run before it is written.

The package holds the ONNX model, its documentation and card, and a synthetic picture with the
result that the network itself makes of it, so that any runner can check what it gets.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from napari_semnet.errors import ModelFileError
from napari_semnet.export.bioimage_description import WHITE, describe, smallest_side
from napari_semnet.export.bioimage_text import readme
from napari_semnet.export.onnx_file import compare_with_network, onnx_bytes
from napari_semnet.export.packages import check_bioimageio, needing
from napari_semnet.files.atomic import replacing
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.model import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["quiet", "write_package"]


def write_package(
    model: Model, path: Path, authors: Sequence[str] = ()
) -> Generator[str, None, float]:
    """Write a bioimage.io package, after bioimageio.core has reproduced its test picture.

    Parameters
    ----------
    model : Model
    path : Path
        The ``.zip`` file to write or replace.
    authors : sequence of str
        Who made the model.

    Yields
    ------
    str
        What comes next; the largest difference to the network is returned, where black is 0 and
        white is 1.

    Raises
    ------
    ModelFileError
        A package is missing that exporting needs, or bioimageio.core does not accept the result.
    OSError
        The file cannot be written.
    """
    check_bioimageio()
    with needing("bioimageio.core"), quiet():
        from bioimageio.core import test_description
        from bioimageio.spec import InvalidDescr, load_description, save_bioimageio_package
    yield "Writing the ONNX graph"
    content = onnx_bytes(model)
    yield "Comparing it with the network"
    difference = compare_with_network(content, model)
    # bioimageio leaves the package open, which Windows will not delete then.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        yield "Restoring the test picture"
        with quiet():
            licence = _write_parts(folder, model, content)
            text = json.dumps(describe(model, authors, licence), indent=2)
            (folder / "rdf.yaml").write_text(text, encoding="utf-8")  # JSON is YAML
        yield "Packing"
        with quiet():
            description = load_description(folder / "rdf.yaml")
            if isinstance(description, InvalidDescr):
                raise _refused(description.validation_summary)
            packed = save_bioimageio_package(description, output_path=folder / "package.zip")
        yield "Letting bioimageio.core reproduce the test picture"
        with quiet():
            summary = test_description(packed, weight_format="onnx")
        if summary.status != "passed":
            raise _refused(summary)
        yield "Writing the file"
        with replacing(path) as temporary:
            shutil.copyfile(packed, temporary)
    return difference


def _write_parts(folder: Path, model: Model, content: bytes) -> Any:
    """Write all files but the description; give what that says of the licence."""
    picture = _picture(model)
    with torch.inference_mode():
        restored = model.network(torch.from_numpy(picture / np.float32(WHITE))).numpy()
    (folder / "weights.onnx").write_bytes(content)
    (folder / "README.md").write_text(readme(model.card), encoding="utf-8")
    (folder / "card.json").write_text(model.card.model_dump_json(indent=2), encoding="utf-8")
    np.save(folder / "test_input.npy", picture)
    np.save(folder / "test_output.npy", np.clip(restored, 0, 1) * np.float32(WHITE))
    return _licence(folder, model.card.licence)


def _licence(folder: Path, licence: str) -> Any:
    """Name a licence that SPDX knows; put other terms into a file of their own."""
    from bioimageio.spec.model.v0_5 import LicenseId

    if not licence:
        return None
    with contextlib.suppress(ValidationError):
        return TypeAdapter(LicenseId).validate_python(licence)
    (folder / "LICENSE.txt").write_text(f"{licence}\n", encoding="utf-8")
    return {"source": "LICENSE.txt"}


def _picture(model: Model) -> NDArray[np.float32]:
    """Take a synthetic picture, large enough that something is left within the halo."""
    side = 64 * (1 + (smallest_side(model.card) + 32) // 64)
    grey = acquire(particles((side, side), 0))
    channels = model.card.architecture.in_channels
    return np.repeat(grey[None, None], channels, axis=1).astype(np.float32)


def _refused(summary: Any) -> ModelFileError:
    reasons = [
        f"{'.'.join(str(part) for part in error.loc)}: {error.msg}"
        for detail in summary.details
        for error in detail.errors
    ]
    first = reasons[0].splitlines()[0] if reasons else "no reason given"
    return ModelFileError(
        f"bioimageio.core does not accept the package ({first}); nothing was written. Export as "
        "ONNX instead, or report this with the versions of bioimageio.core and bioimageio.spec."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what bioimageio logs and warns of out of our output; its summaries hold it too."""
    with needing("bioimageio.core"):
        from loguru import logger
    logger.disable("bioimageio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.enable("bioimageio")
