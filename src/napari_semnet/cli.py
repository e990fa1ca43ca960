"""The command ``napari-semnet``: the package's jobs without a screen.

Each command lives in a module of its own in `napari_semnet.commands`, which gives
``add_parser(commands)`` and ``run(arguments) -> exit status``. Nothing heavy is imported before
a command runs, and nothing here imports Qt or napari.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from napari_semnet import __version__
from napari_semnet.errors import SemnetError, lacks_memory

__all__ = ["main", "program"]

COMMANDS = (
    "restore",
    "trust",
    "inspect",
    "methods",
    "models",
    "export",
    "demo",
    "train",
    "calibrate",
    "evaluate",
    "halo",
    "bench",
)
"""Names of the modules in `napari_semnet.commands`, in the order in which help lists them."""

FAILED = 1
"""Exit status when a job failed; argparse uses 2 for a wrong command line."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="napari-semnet",
        description="Denoise SEM images and double their pixels with SEMNet.",
    )
    parser.add_argument("--version", action="version", version=f"napari-semnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"napari_semnet.commands.{name}").add_parser(commands)
    return parser


def _escape_what_cannot_be_shown() -> None:
    """Let no name of a file end a job because the terminal lacks its letters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; taken from the process by default.

    Returns
    -------
    int
        0 when all went well, 1 when something failed, 130 after Ctrl-C.
    """
    _escape_what_cannot_be_shown()
    try:
        parsed = build_parser().parse_args(arguments)
        status: int = parsed.run(parsed)
        # At the end of the program nobody would be there to hear that it failed. A program
        # without a console has no output at all.
        if sys.stdout is not None:
            sys.stdout.flush()
    except SemnetError as error:
        sys.stderr.write(f"napari-semnet: {error}\n")
        return FAILED
    except BrokenPipeError:
        # Whoever read along, such as `head`, has seen enough; the last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"napari-semnet: {error.strerror or error}{where}.\n")
        return FAILED
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        sys.stderr.write("napari-semnet: There is not enough memory for this.\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("napari-semnet: stopped.\n")
        return INTERRUPTED
    return status


def program() -> int:
    """Run one command in a process of its own, which ends with it."""
    # Python would look through all that PyTorch has brought for what can be freed: 0.4 s.
    atexit.register(gc.freeze)
    return main()
