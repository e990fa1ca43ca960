"""``napari-semnet export``: a model as a file for other programs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.export.exporting import Exported

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``export`` to the command line."""
    parser = commands.add_parser(
        "export",
        help="write a model as ONNX, as a bioimage.io package or as a copy",
        description=(
            "Write a model for other programs. The result is run and compared with the network "
            "before it appears."
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="a model's name, or the path of its file")
    parser.add_argument(
        "-o",
        "--output",
        type=values.path,
        required=True,
        metavar="FILE",
        help="ends in .onnx, in .zip (bioimage.io) or in .safetensors (copy)",
    )
    parser.add_argument(
        "--author",
        action="append",
        metavar="NAME",
        help="who made the model, for bioimage.io; repeat it for several",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export one model."""
    from napari_semnet.errors import ModelFileError
    from napari_semnet.export.exporting import Exported, export_model

    output: Path = arguments.output
    if output.exists() and not arguments.overwrite:
        raise ModelFileError(f"{output} exists already. Give another name, or --overwrite.")
    for event in export_model(arguments.model, output, arguments.author):
        if isinstance(event, Exported):
            told = {"event": "exported", "path": str(event.path), "difference": event.difference}
            _print(told if arguments.json else _sentence(event))
        elif arguments.json:
            _print({"event": "step", "text": event.text})
        else:
            sys.stderr.write(f"{event.text} ...\n")
    return 0


def _sentence(exported: Exported) -> str:
    size = exported.path.stat().st_size / 2**20
    same = (
        f"differs from the network by at most {exported.difference:.1g} where white is 1"
        if exported.difference
        else "is the same to the byte"
        if exported.path.suffix == ".safetensors"
        else "equals the network"
    )
    return f"{exported.path} ({size:.1f} MiB) is written and checked: it {same}."


def _print(told: object) -> None:
    sys.stdout.write(f"{told if isinstance(told, str) else json.dumps(told)}\n")
