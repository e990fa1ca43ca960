"""napari's reader and writers: files to layer data and back, without importing napari."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_semnet.errors import FileFormatError
from napari_semnet.files.calibration import NM_PER_UNIT
from napari_semnet.files.em_formats import DM_SUFFIXES, MRC_SUFFIXES
from napari_semnet.files.endings import WRITTEN, split_ending
from napari_semnet.files.ome_zarr import is_ome_zarr, write_ome_zarr
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reader import (
    PICTURE_SUFFIXES,
    TIFF_SUFFIXES,
    SemImage,
    in_usual_order,
    read_image,
    sidecars,
)
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.geometry import Placement

__all__ = [
    "FILE_KEY",
    "PROVENANCE_KEY",
    "file_stem",
    "get_reader",
    "layer_data",
    "saved_options",
    "write_layer",
    "write_layers",
    "write_zarr_layer",
]

FILE_KEY = "semnet_file"
"""Where a layer's metadata hold what its file said."""
PROVENANCE_KEY = "semnet"
"""Where a restored layer's metadata hold how it was made."""

_ENDINGS = (*WRITTEN, *PICTURE_SUFFIXES, *MRC_SUFFIXES, *DM_SUFFIXES)
_STRAIGHT = 1e-9
"""What a step along an axis may go along another, of its length, by rounding alone."""

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Give napari a reader for a path, or None where another one should take it.

    Pictures that are no TIFF are taken only with a vendor's file beside them: without one
    there is nothing to add to what napari's own reader gives.
    """
    if not isinstance(path, str):
        return None
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in (*TIFF_SUFFIXES, *MRC_SUFFIXES, *DM_SUFFIXES) or is_ome_zarr(file):
        return _read
    return _read if suffix in PICTURE_SUFFIXES and sidecars(file) else None


def _read(path: str) -> list[LayerData]:
    return layer_data(read_image(path))


def layer_data(image: SemImage) -> list[LayerData]:
    """Turn a picture into napari layers; detectors that shared a frame become a layer each.

    Returns
    -------
    list of (pixels, keyword arguments, "image")
        Scale in nanometres, where the pixel size is known, with units and axis labels. The
        databar is part of the pixels; ``metadata["semnet_file"]["specimen_rows"]`` tells where
        the specimen is. Axes before the last two come as time, channels, Z, in any file.
    """
    image = in_usual_order(image)
    name = "SEM" if image.path is None else split_ending(image.path.name, _ENDINGS)[0]
    arrays = (image.pixels, *image.coarser)
    if image.axes != "CYX":
        return [_layer(image, name, arrays, image.axes)]
    detectors = image.metadata.get("detector", "").split(", ")
    names = [
        f"{name} {detectors[i] if len(detectors) == len(image.pixels) else i + 1}"
        for i in range(len(image.pixels))
    ]
    return [_layer(image, each, tuple(a[i] for a in arrays), "YX") for i, each in enumerate(names)]


def _layer(image: SemImage, name: str, arrays: tuple[Any, ...], axes: str) -> LayerData:
    spatial = axes.replace("S", "")
    scale, units, translate = [], [], []
    for letter in spatial:
        length = _length(image, letter)
        scale.append(1.0 if length is None else length)
        units.append("pixel" if length is None else "nm")
        translate.append(0.0 if length is None else _start(image, letter))
    metadata: dict[str, Any] = {FILE_KEY: describe(image)}
    if image.provenance is not None:
        metadata[PROVENANCE_KEY] = image.provenance.model_dump(mode="json")
    options: dict[str, Any] = {
        "name": name,
        "scale": tuple(scale),
        "translate": tuple(translate),
        "units": tuple(units),
        "axis_labels": tuple(letter.lower() for letter in spatial),
        "metadata": metadata,
    }
    if axes.endswith("S"):
        options["rgb"] = True
    elif (limits := _specimen_limits(image, arrays[0])) is not None:
        options["contrast_limits"] = limits
    if len(arrays) > 1:
        return list(arrays), options | {"multiscale": True}, "image"
    return arrays[0], options, "image"


def _start(image: SemImage, letter: str) -> float:
    """Place of the first pixel along an axis of the specimen, in nanometres."""
    if letter == "Z":
        return image.origin_z_nm or 0.0
    y, x = image.origin_nm or (0.0, 0.0)
    return {"Y": y, "X": x}.get(letter, 0.0)


def _specimen_limits(image: SemImage, pixels: Any) -> tuple[float, float] | None:
    """Darkest and brightest grey level of the specimen, where a databar would set them.

    None leaves the choice to napari: for 8 bits, which it shows whole, for pixels that are on the
    disk, and where there is no databar.
    """
    rows = image.specimen_rows
    if rows is None or not isinstance(pixels, np.ndarray) or pixels.dtype.itemsize < 2:
        return None
    specimen = pixels[..., slice(*rows), :]
    if specimen.shape == pixels.shape or not bool(np.isfinite(specimen).any()):
        return None
    low, high = float(np.nanmin(specimen)), float(np.nanmax(specimen))
    return (low, high) if low < high and np.isfinite(high - low) else None


def _length(image: SemImage, letter: str) -> float | None:
    if letter in "YX":
        return None if image.pixel_size is None else image.pixel_size.yx["YX".index(letter)]
    return image.z_step_nm if letter == "Z" else None


def describe(image: SemImage) -> dict[str, Any]:
    """Give what a file said as plain values that JSON can hold."""
    size = image.pixel_size
    return {
        "path": str(image.path or ""),
        "vendor": image.vendor,
        "instrument": image.instrument,
        "shape": [int(n) for n in image.pixels.shape],
        "axes": image.axes,
        "dtype": str(image.pixels.dtype),
        "pixel_size": None if size is None else dataclasses.asdict(size),
        "z_step_nm": image.z_step_nm,
        "specimen_rows": None if image.specimen_rows is None else list(image.specimen_rows),
        "specimen_rows_from": image.specimen_rows_from,
        "conditions": dict(image.metadata),
        "warnings": list(image.warnings),
    }


def write_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as calibrated OME-TIFF; what napari's *Save* calls.

    Raises
    ------
    FileFormatError
        The layer cannot be written so.
    """
    written = write_tiff(path, _pixels(data, attributes), **saved_options(attributes))
    return [str(written)]


def write_zarr_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as OME-Zarr with a pyramid; what napari's *Save* calls.

    Raises
    ------
    FileFormatError
        The layer cannot be written so.
    """
    written = write_ome_zarr(path, _pixels(data, attributes), **saved_options(attributes))
    return [str(written)]


def write_layers(path: str, layers: Sequence[tuple[Any, Mapping[str, Any], str]]) -> list[str]:
    """Write several image layers, each to a calibrated file of its own.

    napari's *Save all layers* calls this, which would otherwise save all but the pixel sizes.

    Parameters
    ----------
    path : str
        ``series.ome.tif`` gives ``series_NAME.ome.tif`` for each layer; with ``.ome.zarr`` each is
        an OME-Zarr.
    layers : sequence of (array-like, mapping, str)
        napari's layer data tuples.

    Raises
    ------
    FileFormatError
        One of the names is taken, as no dialog asked about it, or a layer cannot be written.
    """
    stem, ending = _parted(Path(path))
    paths = [stem.with_name(f"{stem.name}_{name}{ending}") for name in _distinct(layers)]
    taken = [file.name for file in paths if file.exists()]
    if taken:
        raise FileFormatError(
            f"{taken[0]} is there already, and nothing was written. Give another name."
        )
    for data, attributes, _ in layers:
        _pixels(data, attributes)
    write = write_zarr_layer if ending.lower().endswith("zarr") else write_layer
    written: list[str] = []
    for file, (data, attributes, _) in zip(paths, layers, strict=True):
        written += write(str(file), data, attributes)
    return written


def file_stem(name: str) -> str:
    """Turn a layer's name into one that a file can have on any system; it may come out empty."""
    said = name.replace("[SEMNet 2x]", "semnet-x2").strip()
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in said).strip("._")


def _parted(path: Path) -> tuple[Path, str]:
    """Part a path from the ending that says how to write it; an OME-TIFF where it has none."""
    stem, ending = split_ending(path.name)
    return path.with_name(stem), ending or ".ome.tif"


def _distinct(layers: Sequence[tuple[Any, Mapping[str, Any], str]]) -> list[str]:
    """Name each layer as a file can be named, no two alike, even where case does not count."""
    names: list[str] = []
    taken: set[str] = set()
    for _, attributes, _ in layers:
        stem = file_stem(str(attributes.get("name") or "")) or "image"
        numbered = chain([stem], (f"{stem}-{number}" for number in count(2)))
        names.append(next(name for name in numbered if name.casefold() not in taken))
        taken.add(names[-1].casefold())
    return names


def _pixels(data: Any, attributes: Mapping[str, Any]) -> Any:
    if attributes.get("rgb"):
        raise FileFormatError(
            "Layers in colour are not written as calibrated files. Convert the layer to grey "
            "first, or save it with napari's own writer."
        )
    # A multiscale layer is a sequence of levels, the finest first.
    return data[0] if attributes.get("multiscale") or isinstance(data, list | tuple) else data


def saved_options(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a layer's place and metadata say for its file: the writers' keyword arguments.

    All of a layer's transforms count for the size of its pixels. A file can only say where an
    upright picture lies: a layer that is rotated, sheared or mirrored gets no ``origin_nm``, and
    one whose slices are gets no ``origin_z_nm``.
    """
    lengths: list[float | None] = []
    starts: list[float | None] = []
    if "scale" in attributes:
        lengths, starts = _in_nanometres(_placement(attributes))
    axes = _axes(attributes.get("axis_labels") or (), len(lengths))
    options: dict[str, Any] = {
        "pixel_size_nm": None,
        "axes": axes,
        "name": attributes.get("name") or "",
        "provenance": _provenance(attributes.get("metadata") or {}),
    }
    if len(lengths) >= 2 and lengths[-2] is not None and lengths[-1] is not None:
        options["pixel_size_nm"] = (lengths[-2], lengths[-1])
        if starts[-2] is not None and starts[-1] is not None:
            options["origin_nm"] = (starts[-2], starts[-1])
    # Of axes that no label names the writers take the third from the end for Z.
    z = len(lengths) - 3 if axes is None else axes.find("Z")
    if z >= 0:
        options["z_step_nm"], options["origin_z_nm"] = lengths[z], starts[z]
    return options


def _placement(attributes: Mapping[str, Any]) -> Placement:
    """Read the place of a layer from its attributes; what is not among them is as napari has it."""
    scale = attributes["scale"]
    count = len(scale)
    defaults: dict[str, Any] = {
        "translate": (0.0,) * count,
        "rotate": np.eye(count),
        "shear": np.eye(count),
        "affine": np.eye(count + 1),
        "units": ("pixel",) * count,
    }
    given = {name: attributes[name] for name in defaults if attributes.get(name) is not None}
    labels = ("",) * count
    place = SimpleNamespace(ndim=count, scale=scale, axis_labels=labels, **defaults | given)
    return Placement.of(place)


def _in_nanometres(place: Placement) -> tuple[list[float | None], list[float | None]]:
    """Lengths of a pixel along its axes, and the place of the first one's centre along each.

    None where they are unknown. There is no place to give along an axis that is not upright.
    """
    # A row is an axis of the world, a column where one pixel's step along an axis leads in it.
    steps = np.asarray(place.affine)[:-1, :-1] @ place.rotate @ place.shear @ np.diag(place.scale)
    steps[abs(steps) <= _STRAIGHT * abs(steps).max(axis=0, initial=0.0)] = 0.0
    nm = np.array([NM_PER_UNIT.get(unit.lower(), np.nan) for unit in place.units])
    # An axis without a unit is no matter to a step that does not go along it.
    steps_nm = np.where(steps == 0.0, 0.0, steps * nm[:, None])
    lengths = [float(n) if n > 0 else None for n in np.linalg.norm(steps_nm, axis=0)]
    aside = (steps - np.diag(np.diag(steps))) != 0.0
    is_upright = ~(aside.any(axis=0) | aside.any(axis=1)) & (np.diag(steps) > 0)
    first = place.to_world(np.zeros(place.ndim)) * nm
    starts = [
        float(start) if upright and length is not None else None
        for start, upright, length in zip(first, is_upright, lengths, strict=True)
    ]
    return lengths, starts


def _axes(labels: Sequence[str], count: int) -> str | None:
    """Letters for a layer's axes where its labels say what they are; else the writer's usual."""
    named = {"z": "Z", "t": "T", "c": "C", "time": "T", "channel": "C"}
    leading = [named.get(str(label).lower(), "") for label in labels[:-2]]
    if len(leading) == count - 2 and all(leading) and len(set(leading)) == len(leading):
        return "".join(leading) + "YX"
    return None


def _provenance(metadata: Mapping[str, Any]) -> Provenance | None:
    record = metadata.get(PROVENANCE_KEY)
    if not isinstance(record, Mapping):
        return None
    try:
        return Provenance.model_validate(dict(record))
    except ValidationError:
        return None
