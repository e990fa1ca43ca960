"""What a restored layer's metadata say about how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semnet.files.layers import FILE_KEY
from napari_semnet.files.provenance import Provenance
from napari_semnet.imaging.geometry import FACTOR, Placement, Region, whole
from napari_semnet.widgets.layers import source_pixels, source_shape, specimen_rows

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_semnet.restoration.events import RunPlan
    from napari_semnet.widgets.choices import Choices

__all__ = [
    "completed_record",
    "pixel_size_nm",
    "provenance_of",
    "record_of_part",
    "sizes_of",
    "source_record",
]


def pixel_size_nm(layer: Image) -> tuple[float, float] | None:
    """Size of a layer's pixels along Y and X in nanometres; None without units of length."""
    place = Placement.of(layer)
    if not place.has_physical_units:
        return None
    n = layer.ndim
    steps = place.to_world(np.eye(n)[-2:]) - place.to_world(np.zeros(n))
    # Units of napari layers are pint's, and know how to become one another.
    to_nm = []
    for unit in layer.units:
        quantity = 1.0 * unit
        to_nm.append(quantity.to("nm").magnitude if quantity.check("[length]") else 0.0)
    lengths = np.linalg.norm(steps * np.asarray(to_nm), axis=1)
    return (float(lengths[0]), float(lengths[1])) if bool((lengths > 0).all()) else None


def provenance_of(
    source: Image, region: Region, choices: Choices, plan: RunPlan, source_sha256: str = ""
) -> dict[str, Any]:
    """Describe a restoration completely enough to repeat it.

    Parameters
    ----------
    source : Image
    region : Region
        What of it is restored.
    choices : Choices
    plan : RunPlan
        What became of them.
    source_sha256 : str
        Of the source's file, or of its pixels.

    Returns
    -------
    dict
        A `Provenance` as plain JSON values.
    """
    return completed_record(source_record(source, region, choices), plan, source_sha256)


def source_record(source: Image, region: Region, choices: Choices) -> dict[str, Any]:
    """Give the part of a record that is known before anything is restored."""
    parameters, rows = asdict(choices), specimen_rows(source)
    # Where a result was kept meanwhile does not matter to whoever repeats the run.
    del parameters["folder"]
    everything = whole(source_shape(source))
    if region != (everything if rows is None else everything.between_rows(*rows)):
        parameters["region_start"], parameters["region_stop"] = region.start, region.stop
    return {
        "parameters": parameters,
        "source": source.name,
        "source_path": str(source.source.path or ""),
        "source_shape": source_shape(source),
        "source_dtype": str(source_pixels(source).dtype),
        "specimen_rows": rows,
    } | sizes_of(source)


def record_of_part(
    record: Mapping[str, Any], index: Sequence[int], corner: tuple[int, int], shape: tuple[int, int]
) -> dict[str, Any]:
    """Give the record of a part of a restored layer: that of the layer, with its own region.

    Parameters
    ----------
    record : mapping
        As `provenance_of` gave it.
    index : sequence of int
        Which of the layer's slices.
    corner : (int, int)
        First row and column of the part in the layer.
    shape : (int, int)
        Rows and columns of the source that the part is of.
    """
    known = Provenance.model_validate(dict(record))
    if len(known.source_shape) < 2:
        return dict(record)
    rows = known.specimen_rows or (0, known.source_shape[-2])
    everything = whole(known.source_shape).between_rows(*rows) or whole(known.source_shape)
    start, stop = known.region or (everything.start, everything.stop)
    if len(index) == len(start) - 2:
        leading = tuple(first + at for first, at in zip(start, index, strict=False))
        after = tuple(at + 1 for at in leading)
    else:  # A file that was opened again need not have all axes.
        leading, after = start[:-2], stop[:-2]
    top, left = start[-2] + corner[0] // FACTOR, start[-1] + corner[1] // FACTOR
    region = Region((*leading, top, left), (*after, top + shape[0], left + shape[1]))
    if region == everything:
        return dict(record)
    own = {"region_start": region.start, "region_stop": region.stop}
    return {**record, "parameters": known.parameters | own}


def completed_record(
    about: Mapping[str, Any], plan: RunPlan, source_sha256: str = ""
) -> dict[str, Any]:
    """Add what became known of a restoration to what `source_record` gave; as `provenance_of`."""
    return Provenance(
        **about,
        model=plan.model_name,
        model_sha256=plan.model_sha256,
        source_sha256=source_sha256,
        intensity_range=(plan.intensity.low, plan.intensity.high),
        intensity_source=plan.intensity.source,
        tile=plan.tile,
        halo=plan.halo,
        swept=plan.swept,
        device=plan.device_name,
        precision=plan.precision,
        backend=plan.backend,
    ).model_dump(mode="json")


def sizes_of(source: Image) -> dict[str, Any]:
    """Give what a record says of pixel sizes, by a layer's scale and units of now."""
    size = pixel_size_nm(source)
    return {
        "source_pixel_size_nm": None if size is None else list(size),
        "source_pixel_size_from": _size_from(source, size),
        "pixel_size_nm": None if size is None else [length / FACTOR for length in size],
    }


def _size_from(source: Image, size: tuple[float, float] | None) -> str:
    """Say where a layer's pixel size comes from, and how far to trust it."""
    if size is None:
        return ""
    told = source.metadata.get(FILE_KEY)
    stated = told.get("pixel_size") if isinstance(told, dict) else None
    if isinstance(stated, dict) and np.allclose((stated["y_nm"], stated["x_nm"]), size, rtol=1e-9):
        return f"{stated['source']} ({stated['confidence']})"
    return "the layer's scale and units"
