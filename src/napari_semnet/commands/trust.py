"""``napari-semnet trust``: show where results that were written before can be believed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.commands.judging import Checks, Judged
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``trust`` to the command line."""
    parser = commands.add_parser(
        "trust",
        help="show where a result can be believed",
        description=(
            "Hold a result against the image that it was made from: is what was taken away only "
            "noise, was the image fit for the model, and where does the result depend on chance?"
        ),
    )
    parser.add_argument(
        "results", metavar="RESULT", nargs="+", type=values.name, help="what restore wrote"
    )
    parser.add_argument(
        "--source",
        metavar="FILE",
        type=values.path,
        help="the image, where the record does not lead there",
    )
    parser.add_argument(
        "--sensitivity",
        action="store_true",
        help="map how much the result depends on chance; restores the image eight times",
    )
    parser.add_argument(
        "--residual", action="store_true", help="write what was taken away, in units of the noise"
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="write a result whose 2 x 2 means are the denoised input",
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses the fresh noise (default 0)")
    parser.add_argument("--model", metavar="NAME", help="name or path; by default the record's")
    parser.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=values.path,
        help="where to write (beside the result)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a result")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check all results; 0 when none failed, whatever was found."""
    from napari_semnet.commands.judging import Checks
    from napari_semnet.errors import SemnetError

    checks = Checks(arguments.sensitivity, arguments.residual, arguments.consistent, arguments.seed)
    failed = 0
    for name in arguments.results:
        try:
            judged = _judged(Path(name), arguments, checks)
        except SemnetError as error:
            failed += 1
            sys.stderr.write(f"{name} FAILED: {error}\n")
            continue
        sys.stdout.write(_as_json(judged) if arguments.json else _as_text(judged))
    return 1 if failed else 0


def _judged(result: Path, arguments: argparse.Namespace, checks: Checks) -> Judged:
    from napari_semnet.commands.judging import Judged, judge_file
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.reader import read_image
    from napari_semnet.files.replay import unchanged_source

    record = read_image(result).provenance
    if record is None:
        raise FileFormatError(
            f"{result.name} carries no record of a restoration. Give what napari-semnet wrote."
        )
    source = unchanged_source(
        record, result, arguments.source, otherwise=", or give it with --source"
    )
    restorer = _restorer(record, arguments)
    for event in judge_file(source, result, restorer, checks, arguments.output):
        _show(event, arguments)
        if isinstance(event, Judged):
            return event
    raise AssertionError("The last event is the result.")


def _restorer(record: Provenance, arguments: argparse.Namespace) -> Restorer:
    """Prepare the engine that made a result."""
    from napari_semnet.library import load_recorded
    from napari_semnet.restoration.restorer import Restorer, Settings

    model = load_recorded(record.model, record.model_sha256, given=arguments.model)
    settings = Settings(
        device=arguments.device,
        intensity=record.intensity_range or "auto",
        non_finite=record.parameters.get("non_finite", "refuse"),
    )
    return Restorer(model, settings)


def _show(event: object, arguments: argparse.Namespace) -> None:
    """Tell how far it is, on a terminal."""
    from napari_semnet.commands.judging import Checking, Judged
    from napari_semnet.restoration.events import Progress

    if arguments.json or not sys.stderr.isatty():
        return
    match event:
        case Checking(fraction=fraction):
            sys.stderr.write(f"\rchecking: {100 * fraction:3.0f} %   ")
        case Progress(fraction):
            sys.stderr.write(f"\rsensitivity: {100 * fraction:3.0f} %")
        case Judged():
            sys.stderr.write("\r" + " " * 20 + "\r")
        case _:
            return
    sys.stderr.flush()


def _as_json(judged: Judged) -> str:
    report = json.loads(judged.files[0].read_text(encoding="utf-8"))
    return json.dumps(report | {"files": [str(path) for path in judged.files]}) + "\n"


def _as_text(judged: Judged) -> str:
    lines = [str(judged.target), *(f"  {sentence}" for sentence in judged.sentences)]
    lines.append("  written: " + ", ".join(str(path) for path in judged.files))
    return "\n".join(lines) + "\n"
