"""The methods paragraph and figure of a restored layer, made from the layers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.files.layers import FILE_KEY
from napari_semnet.files.methods import (
    methods_paragraph,
    rows_and_columns,
    write_methods_files,
)
from napari_semnet.files.provenance import Provenance
from napari_semnet.widgets.background import Steps
from napari_semnet.widgets.layers import record_of, source_shape
from napari_semnet.widgets.planes import plane_of, refuse_other_slices

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_semnet.imaging.plane import Plane

__all__ = ["methods_steps"]


def methods_steps(viewer: Any, source: Image | None, result: Image, text: Path) -> Steps:
    """Prepare the work that writes paragraph and figure.

    Parameters
    ----------
    viewer : ViewerModel
        Tells which slice of a stack the figure shows.
    source : Image or None
        What was restored; without it there is no figure.
    result : Image
        The restored layer.
    text : Path
        File for the paragraph; the figure goes beside it.

    Returns
    -------
    generator
        Yields the finished part and returns `MethodsFiles`.

    Raises
    ------
    ImageError
        The result does not tell how it was made.
    """
    record = record_of(result)
    told = {} if source is None else source.metadata.get(FILE_KEY, {})
    paragraph = methods_paragraph(
        record,
        told.get("conditions", {}),
        f"{told.get('vendor', '')} {told.get('instrument', '')}".strip(),
    )
    pictures, reason = None, ""
    try:
        if source is None:
            raise ImageError(f"the source, {record.source or 'unknown'}, is not open any more.")
        refuse_other_slices(source, result, viewer)
        place = rows_and_columns(record, source_shape(source))
        pictures = plane_of(source, viewer), plane_of(result, viewer), place
    except SemnetError as error:
        reason = str(error)
    limits = record.intensity_range
    if limits is None or limits[0] >= limits[1]:
        limits = (float(result.contrast_limits[0]), float(result.contrast_limits[1]))
    return _steps(record, paragraph, pictures, limits, text, reason)


def _steps(
    record: Provenance,
    paragraph: str,
    pictures: tuple[Plane, Plane, tuple[slice, slice]] | None,
    limits: tuple[float, float],
    text: Path,
    reason: str,
) -> Steps:
    from napari_semnet.imaging.methods_figure import draw_figure

    yield 0.0
    figure = None
    if pictures is not None:
        raw, restored, place = pictures
        try:
            figure = draw_figure(
                np.asarray(raw.pixels[place]),
                np.asarray(restored.pixels),
                pixel_size_nm=record.source_pixel_size_nm,
                limits=limits,
                statement=record.statement,
            )
        except SemnetError as error:
            reason = str(error)
    yield 0.7
    return write_methods_files(text, paragraph, figure, reason)
