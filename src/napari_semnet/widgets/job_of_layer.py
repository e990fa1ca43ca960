"""Turn a layer and what is chosen into a job. No Qt here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semnet.errors import ImageError
from napari_semnet.files.layers import file_stem, saved_options
from napari_semnet.imaging.geometry import Placement, Region, restored_placement, restored_shape
from napari_semnet.widgets.disk_job import Looking, OnDisk, folder_for
from napari_semnet.widgets.jobs import Job, fits_memory
from napari_semnet.widgets.layers import name_of_result, region_of, source_pixels
from napari_semnet.widgets.record import source_record

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_semnet.widgets.choices import Choices

__all__ = ["job_of"]


def job_of(source: Image, choices: Choices, viewer: Any) -> Job:
    """Describe the restoration of a layer, which goes to disk where memory does not hold it.

    Raises
    ------
    ImageError
        Nothing of the specimen is in view.
    """
    region = region_of(source, choices.region, viewer)
    pixels = source_pixels(source)
    fits = fits_memory(restored_shape(region.shape), np.dtype(pixels.dtype))
    to_disk = choices.region == "viewed" or (choices.region == "layer" and not fits)
    return Job(
        source.name,
        pixels,
        region,
        has_channels=bool(source.rgb),
        path=str(source.source.path or ""),
        on_disk=_on_disk(source, region, choices, viewer) if to_disk else None,
    )


def _on_disk(source: Image, region: Region, choices: Choices, viewer: Any) -> OnDisk:
    try:
        seen = region_of(source, "view", viewer)
    except ImageError:
        seen = region
    place = restored_placement(Placement.of(source), region.origin)
    said = saved_options(place.as_layer_kwargs())
    return OnDisk(
        folder_for(choices.folder, str(source.source.path or "")),
        file_stem(name_of_result(source.name)),
        Looking(seen, region),
        source_record(source, region, choices),
        axes=said["axes"],
        z_step_nm=said.get("z_step_nm"),
        origin_nm=said.get("origin_nm"),
        origin_z_nm=said.get("origin_z_nm"),
    )
