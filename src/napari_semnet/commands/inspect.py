"""``napari-semnet inspect``: what a picture's file says about it, in plain words or as JSON."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.files.reader import SemImage

__all__ = ["add_parser", "as_text", "findings", "run"]

_TRUST = {
    "high": "stated for each pixel by the microscope",
    "medium": "derived, or written by another program",
    "low": "check it against the scale bar before measuring",
}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``inspect`` to the command line."""
    parser = commands.add_parser(
        "inspect",
        help="say what a picture's file tells: pixel size, databar, microscope",
        description=(
            "Say what a picture's file tells: size, pixel size and where it comes from, the rows "
            "that show specimen, how it was acquired, and how it was restored."
        ),
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=values.name, help="picture")
    parser.add_argument("--json", action="store_true", help="one JSON object a file, a line each")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Tell about each file; 0 when all could be read, else 1."""
    from napari_semnet.errors import SemnetError
    from napari_semnet.files.reader import read_image

    failed = 0
    for number, name in enumerate(arguments.files):
        try:
            image = read_image(name)
        except SemnetError as error:
            failed += 1
            if arguments.json:
                _say_json({"path": name, "error": str(error)})
            else:
                sys.stderr.write(f"{name}: {error}\n")
            continue
        if arguments.json:
            _say_json(findings(image))
        else:
            _say(("\n" if number else "") + as_text(image))
    return 1 if failed else 0


def findings(image: SemImage) -> dict[str, Any]:
    """Give all that is known about a picture as plain JSON values."""
    from napari_semnet.files.layers import describe

    record = image.provenance
    restored = None if record is None else record.model_dump(mode="json")
    place = {"origin_nm": image.origin_nm, "origin_z_nm": image.origin_z_nm}
    return describe(image) | place | {"warnings": _notes(image), "restored": restored}


def _notes(image: SemImage) -> list[str]:
    """Say what is to be known of a file. Nothing can be entered here: an option of restore can."""
    from napari_semnet.files.given_size import without_request

    return [without_request(warning) for warning in image.warnings]


def as_text(image: SemImage) -> str:
    """Say all that is known about a picture in lines of plain words, with units."""
    lines = list(_lines(image))
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(
        f"{f'{name}:' if name else '':<{width}}{text}".rstrip() for name, text in lines
    )


def _lines(image: SemImage) -> Iterator[tuple[str, str]]:
    yield "file", str(image.path or "")
    sizes = dict(zip(image.axes, image.pixels.shape, strict=True))
    slices = " x ".join(str(n) for letter, n in sizes.items() if letter not in "YXS")
    stack = f", {slices} slices ({image.axes})" if slices else ""
    colour = ", colour" if "S" in image.axes else ""
    picture = f"{sizes['X']} x {sizes['Y']} pixels, {image.pixels.dtype}{colour}{stack}"
    yield "picture", picture
    yield "microscope", " ".join(filter(None, (image.vendor, image.instrument))) or "not stated"
    yield from _calibration(image)
    yield from _specimen(image, sizes["Y"])
    yield from image.metadata.items()
    if image.provenance is not None:
        record = image.provenance
        by = f"{record.model}, {record.software} {record.version}, {record.date}"
        yield "restored", f"from {record.source or 'unknown'} with {by}"
        yield "", record.statement
    for note in _notes(image):
        yield "note", note


def _calibration(image: SemImage) -> Iterator[tuple[str, str]]:
    from napari_semnet.files.methods import pixel_size_text

    size = image.pixel_size
    if size is None:
        # A result is not restored again, so nothing is to be said of its source here.
        give = "; restore with --pixel-size SIZE" if image.provenance is None else ""
        yield "pixel size", f"unknown{give}"
    else:
        yield "pixel size", pixel_size_text(size.yx)
        yield "from", size.source
        yield "confidence", f"{size.confidence} ({_TRUST[size.confidence]})"
    if image.z_step_nm is not None:
        yield "slice distance", f"{image.z_step_nm:.6g} nm"


def _specimen(image: SemImage, height: int) -> Iterator[tuple[str, str]]:
    rows = image.specimen_rows
    if rows is None:
        unsure = image.specimen_rows_from == "uncertain"
        # A result is not restored again.
        give = ", and restore with --rows FIRST-LAST" if image.provenance is None else ""
        look = f"not certain; please look{give}"
        yield "specimen", look if unsure else "all rows, as far as is known"
    elif rows == (0, height):
        yield "specimen", f"all {height} rows ({_source(image)})"
    else:
        databar = f"; databar in rows {rows[1]} to {height - 1}" if rows[1] < height else ""
        yield "specimen", f"rows {rows[0]} to {rows[1] - 1}{databar} ({_source(image)})"


def _source(image: SemImage) -> str:
    return {"header": "from the header", "pixels": "found in the pixels"}[image.specimen_rows_from]


def _say_json(content: dict[str, Any]) -> None:
    # ASCII: in the escapes of a terminal that lacks a letter, a line would be no JSON any more.
    sys.stdout.write(json.dumps(content) + "\n")


def _say(text: str) -> None:
    # Names of files may hold bytes that are no text, and terminals may lack characters.
    encoding = sys.stdout.encoding or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    # A header from anywhere must not move the terminal's cursor or name its window.
    sys.stdout.write(_CONTROL.sub(lambda c: f"\\x{ord(c[0]):02x}", shown) + "\n")
