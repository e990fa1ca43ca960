"""``napari-semnet bench``: how fast this machine restores."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.restoration.rates import Rate

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``bench`` to the command line."""
    parser = commands.add_parser(
        "bench",
        help="measure how fast this machine restores",
        description=(
            "Restore a picture of noise in every way that this machine can, from array to array, "
            "and tell the speed beside that of matrix products."
        ),
    )
    parser.add_argument("--model", metavar="MODEL", help="a model's name or file")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--size", default="480x640", metavar="YxX", help="of the picture (default 480x640)"
    )
    parser.add_argument(
        "--runs", type=values.runs, default=2, metavar="N", help="the best of N counts (default 2)"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=values.path, help="write the results as JSON as well"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print a table; 0 when anything could be measured."""
    from rich.console import Console

    from napari_semnet.model import DEFAULT_MODEL, load_model
    from napari_semnet.restoration.rates import Rate, measure_rates

    size = _size(arguments.size)
    model = load_model(arguments.model or DEFAULT_MODEL)
    rates: list[Rate] = []
    with Console(stderr=True).status("measuring"):
        for found in measure_rates(model, arguments.device, size, arguments.runs):
            if isinstance(found, Rate):
                rates.append(found)
            else:
                sys.stderr.write(found + "\n")
    sys.stdout.write(_table(rates, size, model.name))
    if arguments.json:
        _write(arguments.json, rates, size, model.name)
    return 0 if rates else 1


def _size(text: str) -> tuple[int, int]:
    from napari_semnet.errors import SemnetError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SemnetError(f"A size is rows x columns, such as 480x640, not '{text}'.")
    return int(parts[0]), int(parts[1])


def _table(rates: list[Rate], size: tuple[int, int], model: str) -> str:
    head = ("device", "precision", "backend", "tile", "s", "Mpx/s", "of matrix rate", "memory")
    rows = [head]
    for rate in rates:
        rows.append(
            (
                rate.device,
                rate.precision,
                rate.backend,
                f"{rate.tile[0]} x {rate.tile[1]}",
                f"{rate.seconds:.2f}",
                f"{rate.megapixels_per_second:.3f}",
                f"{rate.share:.0%} of {rate.matrix_teraflops:.2f} TFLOP/s",
                f"{rate.memory_bytes / 2**20:.0f} MiB",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    title = f"{model}, {size[0]} x {size[1]} pixels\n"
    return title + "\n".join(line.rstrip() for line in lines) + "\n"


def _write(path: Path, rates: list[Rate], size: tuple[int, int], model: str) -> None:
    from napari_semnet import __version__
    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.atomic import replacing

    found = {
        "version": __version__,
        "model": model,
        "size": size,
        "rates": [asdict(rate) for rate in rates],
    }
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise FileFormatError(
            f"{path} could not be written: {error.strerror or error}. Choose another place."
        ) from error
