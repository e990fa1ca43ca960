"""Options of the command line that say how the engine restores, and the engine that they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.restoration.events import Notice
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["add_engine_options", "restorer_from", "why_it_waits"]


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the choices that the restoration engine takes.

    Parameters
    ----------
    parser : ArgumentParser
        Of any command that restores; `restorer_from` reads them back.
    """
    group = parser.add_argument_group("engine")
    group.add_argument("--model", metavar="NAME", help="name or path; see napari-semnet models")
    group.add_argument(
        "--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 or mps"
    )
    group.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    group.add_argument(
        "--tile",
        default="auto",
        type=values.tile,
        metavar="N|YxX",
        help="input pixels along a tile, without its halo; by default what the memory allows",
    )
    group.add_argument(
        "--halo",
        default="auto",
        type=values.halo,
        metavar="N|exact",
        help="input pixels around each tile; by default what was measured for the model",
    )
    group.add_argument(
        "--intensity",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="grey values that are black and white to the network; by default measured",
    )
    group.add_argument(
        "--non-finite",
        default="refuse",
        choices=("refuse", "mask"),
        help="what to do with NaN and inf pixels",
    )
    group.add_argument(
        "--strength",
        default=1.0,
        type=values.strength,
        metavar="S",
        help="from 0 (bicubic enlargement) to 1 (the model; default)",
    )


def restorer_from(arguments: argparse.Namespace) -> Restorer:
    """Prepare the engine as the command line asks for it.

    Raises
    ------
    SemnetError
        The model or the device cannot be used.
    """
    from napari_semnet.model import DEFAULT_MODEL
    from napari_semnet.restoration.restorer import Restorer, Settings

    settings = Settings(
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        halo=arguments.halo,
        intensity=tuple(arguments.intensity) if arguments.intensity else "auto",
        non_finite=arguments.non_finite,
        strength=arguments.strength,
    )
    return Restorer(arguments.model or DEFAULT_MODEL, settings)


def why_it_waits(restorer: Restorer, threads: int) -> Iterator[Notice]:
    """Say why nothing is restored for some seconds, where this is the first time on a computer.

    Parameters
    ----------
    restorer : Restorer
    threads : int
        That are going to share a sum.
    """
    from napari_semnet.restoration.choice import is_measured
    from napari_semnet.restoration.events import Notice

    asked = restorer.settings.precision
    precision = restorer.device.precision if asked == "auto" else asked
    if not is_measured(restorer.model.card.architecture, restorer.device, precision, threads):
        yield Notice(
            "First it is measured what computes fastest on this computer. That takes some seconds "
            "once."
        )
