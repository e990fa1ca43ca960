"""``napari-semnet calibrate``: measure a lab's noise and write the profile that imitates it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.training.calibration import Calibration, Measured, PictureNoise
    from napari_semnet.training.pictures import Plane

__all__ = ["add_parser", "run"]

_MOST_PAGES = 16
"""Pages of a stack that are measured; more tell nothing new of the noise."""

Told = Callable[[str], None]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``calibrate`` to the command line."""
    parser = commands.add_parser(
        "calibrate",
        help="measure the noise of your pictures, for training",
        description=(
            "Measure the noise of pictures as they come from the microscope, and write the "
            "degradation profile that imitates it, to be named in a training configuration."
        ),
    )
    parser.add_argument(
        "images", metavar="IMAGES", type=values.path, nargs="+", help="files, folders of pictures"
    )
    parser.add_argument(
        "-o", "--output", metavar="PROFILE", type=values.path, help="file to write (.toml)"
    )
    parser.add_argument(
        "--repeats",
        action="store_true",
        help="the pictures are repeated frames of one field, in the order of their names",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing profile")
    parser.add_argument("--json", action="store_true", help="tell the figures as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, tell, write; 0 when at least one picture told its noise."""
    from napari_semnet.commands.captions import printable
    from napari_semnet.errors import FileFormatError, ImageError
    from napari_semnet.files.atomic import replacing
    from napari_semnet.training.calibration import combine
    from napari_semnet.training.toml_text import to_toml

    output: Path | None = arguments.output
    if output is not None and output.suffix.lower() != ".toml":
        raise FileFormatError(f"A profile is a TOML file. Give {output} a name that ends in .toml.")
    if output is not None and output.exists() and not arguments.overwrite:
        raise FileFormatError(
            f"{output} exists already. Choose another name, or add --overwrite to replace it."
        )
    measured = _measured_frames if arguments.repeats else _measured_pictures
    found = list(_with_progress(measured, arguments.images))
    if not found:
        raise ImageError("None of the pictures told its noise, so no profile was written.")
    calibration = combine(found)
    text = as_json(calibration) if arguments.json else as_text(calibration)
    sys.stdout.write(text + "\n")
    if output is not None:
        profile = calibration.profile(printable(output.stem))
        settings = to_toml(profile.model_dump(mode="json", exclude_none=True))
        try:
            with replacing(output) as path:
                path.write_text(_comment(calibration) + settings, encoding="utf-8")
        except OSError as error:
            raise FileFormatError(
                f"{output} could not be written: {error.strerror or error}. Choose another folder "
                "or make room."
            ) from error
        sys.stderr.write(f"Written: {output}\n")
    return 0


def _with_progress(
    measured: Callable[[list[Path], Told], Iterator[PictureNoise]], images: Sequence[Path]
) -> Iterator[PictureNoise]:
    from rich.console import Console
    from rich.progress import Progress

    files = list(dict.fromkeys(file for place in images for file in _found(place)))
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("measuring", total=None)
        for one in measured(files, lambda text: console.print(text, soft_wrap=True)):
            bars.advance(task)
            yield one


def _found(place: Path) -> list[Path]:
    """List the pictures that a file or folder means."""
    from napari_semnet.errors import FileFormatError, TrainingError
    from napari_semnet.training.pictures import find_files

    if not place.exists():
        raise FileFormatError(f"There is no file or folder {place}.")
    try:
        return find_files([place])
    except TrainingError as error:
        # Its text is for those who write a training configuration.
        raise FileFormatError(
            f"{place} holds no picture. Give a folder with TIFF, PNG, JPEG or BMP files."
        ) from error


def _measured_pictures(files: list[Path], tell: Told) -> Iterator[PictureNoise]:
    from napari_semnet.errors import SemnetError
    from napari_semnet.training.calibration import measure

    for plane in (plane for file in files for plane in _readable_planes(file, tell)):
        try:
            noise = measure(plane.pixels, _whole_range(plane))
        except SemnetError as error:
            # One rough picture among many is no reason to measure none.
            tell(f"Picture {plane.page + 1} of {plane.path.name} is left out. {error}")
        else:
            yield noise


def _readable_planes(file: Path, tell: Told) -> Iterator[Plane]:
    """Give what can be read, and tell where it ends before its time."""
    from napari_semnet.errors import SemnetError

    read = 0
    try:
        for plane in _planes(file):
            yield plane
            read += 1
    except SemnetError as error:
        rest = f"{file.name} from picture {read + 1} on" if read else file.name
        tell(f"{rest} is left out. {error}")


def _measured_frames(files: list[Path], tell: Told) -> Iterator[PictureNoise]:
    from napari_semnet.errors import ImageError
    from napari_semnet.training.calibration import measure_frames

    planes = (plane for file in files for plane in _planes(file))
    pairs = 0
    # Every frame is used once, so that the pairs are independent.
    for first in planes:
        second = next(planes, None)
        if second is None:
            break
        try:
            yield measure_frames(first.pixels, second.pixels, _whole_range(first))
        except ImageError as error:
            names = " and ".join(dict.fromkeys((first.path.name, second.path.name)))
            raise ImageError(f"{names}: {error}") from error
        pairs += 1
    if not pairs:
        raise ImageError("Repeats need at least two frames of one field. Give more pictures.")


def _planes(file: Path) -> Iterator[Plane]:
    from itertools import islice

    from napari_semnet.errors import FileFormatError, TrainingError
    from napari_semnet.training.pictures import read_planes

    try:
        yield from islice(read_planes(file), _MOST_PAGES)
    except TrainingError as error:
        # It is the end of a sentence, in a list that names the file.
        raise FileFormatError(
            f"{file.name} cannot be measured: {error}. Save it in grey levels of 8 or 16 bits."
        ) from error


def _whole_range(plane: Plane) -> Any:
    import numpy as np

    from napari_semnet.imaging.intensity import given_range

    return given_range(0.0, float(np.iinfo(plane.pixels.dtype).max))


def figures(calibration: Calibration) -> list[tuple[str, str]]:
    """Name each figure and tell it, with its unit and its standard error."""
    levels = "grey levels of 255"
    lines = [("electrons a pixel at white", "not seen")]
    if calibration.electrons is not None and calibration.doses is not None:
        low, high = calibration.doses
        spread = f", single pictures {low:.0f} to {high:.0f}" if calibration.pictures > 1 else ""
        lines = [("electrons a pixel at white", _figure(calibration.electrons) + spread)]
    if calibration.black_level:
        lines += [("counted from", f"{calibration.black_level * 255:.1f} {levels}")]
    lines += [("noise of the electronics", f"{_figure(calibration.read_noise)} {levels}")]
    if calibration.row_noise is not None:
        lines += [("offsets of rows", f"{_figure(calibration.row_noise)} {levels}")]
    if calibration.lag_one is not None:
        lines += [("correlation along x", _figure(calibration.lag_one))]
    if calibration.blur is not None and calibration.blur_bound is not None:
        bound = f"beam at most {calibration.blur_bound:.1f} pixels (sigma)"
        lines += [("blur of the steepest edges", f"{calibration.blur:.2f} pixels; {bound}")]
    return lines


def as_text(calibration: Calibration) -> str:
    """Tell the figures in lines."""
    lines = figures(calibration)
    width = max(len(name) for name, _ in lines)
    noun = "picture" if calibration.pictures == 1 else "pictures"
    head = (
        f"Noise of {calibration.pictures} {noun}, measured on "
        f"{100 * calibration.flat_share:.0f} % of the pixels:"
    )
    return "\n".join(
        [head, *(f"  {name:<{width}}  {figure}" for name, figure in lines), *calibration.remarks]
    )


def _figure(measured: Measured) -> str:
    if not measured.seen:
        return f"below {measured.limit:.2g}"
    digits = max(0, 1 - math.floor(math.log10(max(measured.error, 1e-6))))
    digits = 0 if measured.error >= 1 else digits
    return f"{measured.value:.{digits}f} ± {measured.error:.{digits}f}"


def as_json(calibration: Calibration) -> str:
    """Tell the figures as one JSON object; keys are those of `Calibration`."""
    import dataclasses

    values = dataclasses.asdict(calibration) | {"blur_bound": calibration.blur_bound}
    return json.dumps(values, allow_nan=False)


def _comment(calibration: Calibration) -> str:
    return "".join(f"# {line}\n" for line in as_text(calibration).splitlines()) + "\n"
