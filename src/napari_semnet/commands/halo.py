"""``napari-semnet halo``: measure how wide a model's tiles must overlap, and write it down."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values
from napari_semnet.files.home import from_home

if TYPE_CHECKING:
    from napari_semnet.model import Halo, Model
    from napari_semnet.restoration.halo import Picture

__all__ = ["add_parser", "run"]

_IN_PLACE = ""
_LEAST_SIZE = 64
"""Pixels along each side, as of the smallest picture that a halo is measured on."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``halo`` to the command line."""
    parser = commands.add_parser(
        "halo",
        help="measure how far a model looks, so that tiles need overlap no further",
        description=(
            "Measure on real pictures the smallest halo with which tiles differ from the whole "
            "image by less than a small bound anywhere."
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="a model's name, or the path of its file")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        type=values.name,
        help="picture, or folder of pictures",
    )
    parser.add_argument(
        "--bound",
        type=float,
        metavar="LEVELS",
        help="largest difference allowed, in grey levels of 255 (default 0.05)",
    )
    parser.add_argument(
        "--size",
        type=partial(values.at_least, _LEAST_SIZE, what="number of pixels"),
        metavar="N",
        help="pixels along each side used of a picture, from its middle: 64 or more (default 512)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps"
    )
    parser.add_argument(
        "--write",
        nargs="?",
        const=_IN_PLACE,
        metavar="FILE",
        help=(
            "write the result into the model's card; into FILE, else in place. A bundled model is "
            "left alone and gets a copy in your own models folder, which then takes its place"
        ),
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, tell, and with ``--write`` write the card; 0 when all went well."""
    from napari_semnet.model import load_model, rewrite_card

    model = load_model(arguments.model)
    target = None if arguments.write is None else _target(arguments.write, model)
    halo = _measured(arguments, model)
    if target is not None:
        rewrite_card(model.path, model.card.model_copy(update={"halo": halo}), target)
    if arguments.json:
        found = halo.model_dump(mode="json") | {"written": None if target is None else str(target)}
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    exact = model.card.architecture.exact_halo
    sys.stdout.write(_table(halo) + f"{model.name}: {halo.pixels} pixels (exact: {exact})\n")
    if target is not None:
        sys.stdout.write(f"written to {target}\n")
    return 0


def _measured(arguments: argparse.Namespace, model: Model) -> Halo:
    from rich.console import Console
    from rich.progress import Progress as Display

    from napari_semnet.restoration.events import Progress
    from napari_semnet.restoration.halo import (
        BOUND,
        SIDE,
        HaloMeasured,
        PictureMeasured,
        measure_halo,
    )

    silent = arguments.quiet or arguments.json
    run = measure_halo(
        model,
        _pictures(arguments.images),
        bound=BOUND if arguments.bound is None else arguments.bound,
        device=arguments.device,
        side=SIDE if arguments.size is None else arguments.size,
    )
    with Display(console=Console(stderr=True), transient=True, disable=silent) as display:
        task = display.add_task("measuring", total=1.0)
        for event in run:
            if isinstance(event, Progress):
                display.update(task, completed=event.fraction)
            if isinstance(event, PictureMeasured) and not silent:
                display.print(f"{event.name}: {event.halo} pixels")
            if isinstance(event, HaloMeasured):
                return event.halo
    raise AssertionError("A measurement ends with its result.")


def _pictures(names: list[str]) -> list[Picture]:
    from napari_semnet.commands.captions import printable
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.reader import PICTURE_SUFFIXES, TIFF_SUFFIXES, read_image
    from napari_semnet.restoration.halo import Picture

    files: list[Path] = []
    for name in names:
        path = from_home(name)
        if path.is_dir():
            # Hidden are the files that macOS writes beside each picture on a shared drive.
            inside = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
            files += [p for p in inside if p.suffix.lower() in (*PICTURE_SUFFIXES, *TIFF_SUFFIXES)]
        else:
            files.append(path)
    if not files:
        raise FileFormatError("There is no picture in the given folders.")
    return [Picture(printable(path.name), read_image(path).specimen) for path in files]


def _target(written: str, model: Model) -> Path:
    """Where the new card goes: the asked-for file, the model's own, or a copy of a bundled one."""
    from napari_semnet import model as models
    from napari_semnet.errors import ModelFileError

    if written != _IN_PLACE:
        target = from_home(written)
        if target.suffix != models.SUFFIX:
            raise ModelFileError(
                f"A model file must end in {models.SUFFIX}, not '{target.suffix}'."
            )
        if target.exists() and not target.samefile(model.path):
            raise ModelFileError(
                f"{target} exists already, and is not the model that is measured. Give another "
                "name, or --write alone to write into the model itself."
            )
        return target
    bundled = Path(models.__file__).parent in model.path.resolve().parents
    return models.user_models_folder() / model.path.name if bundled else model.path


def _table(halo: Halo) -> str:
    lines = ["halo, pixels   largest difference, grey levels of 255"]
    lines += [f"{pixels:12d}   {value:.2g}" for pixels, value in halo.differences.items()]
    return "\n".join(lines) + "\n"
