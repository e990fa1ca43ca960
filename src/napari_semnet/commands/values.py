"""What an option of the command line may hold, from its text; each refuses others in a sentence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from napari_semnet.files.calibration import PixelSize

__all__ = [
    "at_least",
    "halo",
    "name",
    "part",
    "path",
    "pixel_size",
    "processes",
    "rows",
    "runs",
    "seconds",
    "strength",
    "tile",
    "tries",
]


def tile(text: str) -> Literal["auto"] | int | tuple[int, int]:
    """Read the side of a tile in pixels, two of them (Y, X), or ``auto``."""
    if text == "auto":
        return "auto"
    parts = [_positive(side) for side in text.lower().split("x")]
    if len(parts) > 2:
        raise argparse.ArgumentTypeError(f"'{text}' is not a tile: give 512 or 256x1024 (YxX).")
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def rows(text: str) -> tuple[int, int | None]:
    """Read the first row and the one after the last, which is None for the end of the image."""
    if text == "all":
        return 0, None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"'{text}' are no rows: give 0-767, or all.")
    return int(first), int(last) + 1


def name(text: str) -> str:
    """Read the name of a file; an empty one would mean the folder that one happens to be in."""
    if not text:
        raise argparse.ArgumentTypeError(
            "'' names nothing, as where a variable of the shell is not set: give a file or folder."
        )
    return text


def path(text: str) -> Path:
    """Read where a file or folder is."""
    return Path(name(text))


def strength(text: str) -> float:
    """Read how much of what the model does is kept, from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a strength: give 0 (plain enlargement) to 1 (the model)."
        )
    return number


def tries(text: str) -> int:
    """Read how often something is tried again, 0 or more."""
    return at_least(0, text, "number of tries")


def runs(text: str) -> int:
    """Read how often something is measured, 1 or more."""
    return at_least(1, text, "number of runs")


def processes(text: str) -> int:
    """Read a number of processes, 1 or more."""
    return at_least(1, text, "number of processes")


def seconds(text: str) -> float:
    """Read a time in seconds, below a day."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds below a day.")
    return number


def part(text: str) -> tuple[int, int]:
    """Read which part of how many, both from 1 on."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a part: give 1/8, 2/8 ... 8/8.")
    return int(number), int(of)


def halo(text: str) -> Literal["auto", "exact"] | int:
    """Read a number of pixels, ``auto`` or ``exact``."""
    if text == "auto":
        return "auto"
    if text == "exact":
        return "exact"
    return at_least(0, text, "halo in whole pixels, auto or exact")


def pixel_size(text: str) -> PixelSize:
    """Read the size of a pixel with its unit, or two sizes (Y, X) of which both may share one."""
    from napari_semnet.files.calibration import length_in_nm
    from napari_semnet.files.calibration import pixel_size as checked_size
    from napari_semnet.files.given_size import GIVEN

    *before, last = text.lower().replace("×", "x").split("x")
    shared = last.lstrip("0123456789.,+-e \t")
    lengths = [*(length_in_nm(part, shared) for part in before), length_in_nm(last)]
    size = None
    if len(lengths) <= 2 and None not in lengths and len(text) <= 64:
        size = checked_size(lengths[0], lengths[-1], GIVEN, "medium")
    if size is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not the size of a pixel: give a length with its unit, such as 5nm, "
            "0.012um or 5x4nm (YxX), from 0.001 nm to 1 mm."
        )
    return size


def _positive(text: str) -> int:
    """Read a number of pixels, 1 or more."""
    return at_least(1, text, "whole number of pixels")


def at_least(least: int, text: str, what: str) -> int:
    """Read a whole number that is not too small; `what` names it in the error."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a {what}: give {least} or more.")
    return number
