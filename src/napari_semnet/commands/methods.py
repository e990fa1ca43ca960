"""``napari-semnet methods``: the paragraph and the figure for a paper's methods section."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.files.methods import MethodsFiles
    from napari_semnet.files.provenance import Provenance
    from napari_semnet.files.reader import SemImage

__all__ = ["add_parser", "run", "write_methods"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``methods`` to the command line."""
    parser = commands.add_parser(
        "methods",
        help="write the methods paragraph and figure for a paper",
        description=(
            "From the record of a restoration, write the paragraph for a paper's methods section "
            "and a figure (raw, restored, difference, scale bar, statement) as PNG and PDF."
        ),
    )
    parser.add_argument(
        "record",
        metavar="RESULT",
        type=values.path,
        help="a result's .semnet.json file, or the result itself",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=values.path,
        help="where to write (default: beside the record)",
    )
    parser.add_argument("--json", action="store_true", help="say what was written as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write paragraph and figure; 0 also when the figure lacks its pictures."""
    record = arguments.record
    files = write_methods(record, arguments.output or record.parent)
    if arguments.json:
        values = {
            "paragraph": files.paragraph,
            "files": [str(path) for path in (files.text, *files.figures)],
            "why_no_figure": files.why_no_figure,
        }
        sys.stdout.write(json.dumps(values, ensure_ascii=True) + "\n")
        return 0
    written = ", ".join(str(path) for path in (files.text, *files.figures))
    note = f"No figure: {files.why_no_figure}\n" if files.why_no_figure else ""
    text = f"{files.paragraph}\n\n{note}Written: {written}\n"
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    return 0


def write_methods(record_path: Path, folder: Path) -> MethodsFiles:
    """Write the paragraph, and the figure where source and result are still there.

    Parameters
    ----------
    record_path : Path
        A ``.semnet.json`` file, or a picture that carries a record.
    folder : Path
        Made if missing.

    Raises
    ------
    FileFormatError
        There is no record, or the folder cannot be written to.
    """
    from napari_semnet.errors import SemnetError
    from napari_semnet.files.methods import methods_paragraph, write_methods_files
    from napari_semnet.files.provenance import record_stem
    from napari_semnet.files.reader import in_usual_order, read_image
    from napari_semnet.files.replay import read_record, unchanged_source

    record = read_record(record_path)
    source, reason = None, ""
    try:
        source = in_usual_order(read_image(unchanged_source(record, record_path)))
    except SemnetError as error:
        reason = str(error)
    conditions = {} if source is None else source.metadata
    instrument = "" if source is None else f"{source.vendor} {source.instrument}".strip()
    paragraph = methods_paragraph(record, conditions, instrument)
    figure = None
    if source is not None:
        try:
            figure = _figure(record, record_path, source)
        except SemnetError as error:
            reason = str(error)
    return write_methods_files(
        folder / f"{record_stem(record_path)}_methods.txt", paragraph, figure, reason
    )


def _figure(record: Provenance, record_path: Path, source: SemImage) -> Any:
    """Draw the figure from the pictures on the disk.

    Raises
    ------
    SemnetError
        The result is gone, or does not belong to the source, or is of a layer that is only a part
        of the source's file.
    """
    import numpy as np

    from napari_semnet.errors import FileFormatError
    from napari_semnet.files.methods import restored_part
    from napari_semnet.files.reader import in_usual_order, read_image
    from napari_semnet.files.replay import find_result
    from napari_semnet.imaging.intensity import as_grey
    from napari_semnet.imaging.methods_figure import draw_figure

    place = find_result(record, record_path)
    if place is None:
        raise FileFormatError("the result is not beside its record any more.")
    whole, result = as_grey(source.pixels), as_grey(in_usual_order(read_image(place)).pixels)
    raw = np.asarray(whole[restored_part(record, tuple(whole.shape))])
    restored = np.asarray(result[(0,) * (len(result.shape) - 2)])
    limits = record.intensity_range or (float(raw.min()), float(raw.max()))
    return draw_figure(
        raw,
        restored,
        pixel_size_nm=record.source_pixel_size_nm,
        limits=limits,
        statement=record.statement,
    )
