"""Whether two jobs are the same one, so that one may go on with what the other has begun."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import ArrayLike
from napari_semnet.restoration.settings import Settings

__all__ = ["check_same_job", "fingerprint", "job_record"]

_PIECES = 64
_SIDE = 32
_STEPS = (math.sqrt(5) % 1, math.sqrt(2) % 1, math.sqrt(3) % 1)
"""Irrational steps, along slices, Y and X: the pieces they lead to spread evenly."""


def fingerprint(image: ArrayLike) -> str:
    """Hash an image's shape, data type and 64 small pieces that are spread over all of it.

    Parameters
    ----------
    image : array-like, shape (..., Y, X)
        Only the pieces are read, so that this takes no longer for a volume than for a picture.
    """
    *leading, height, width = (int(n) for n in image.shape)
    whole = hashlib.sha256(f"{image.shape} {np.dtype(image.dtype).str}".encode())
    slices = math.prod(leading)
    for number in range(_PIECES):
        z, y, x = (number * step % 1 for step in _STEPS)
        index = np.unravel_index(int(z * slices), leading) if leading else ()
        top, left = (int(part * max(1, n - _SIDE)) for part, n in ((y, height), (x, width)))
        piece = image[
            (*(int(i) for i in index), slice(top, top + _SIDE), slice(left, left + _SIDE))
        ]
        whole.update(np.ascontiguousarray(piece).tobytes())
    return whole.hexdigest()


def job_record(
    image: ArrayLike, model: str, model_sha256: str, settings: Settings
) -> dict[str, Any]:
    """Give what makes a job the same job, as plain values.

    The device is not part of it: a job may be begun on one machine and finished on another.
    """
    choices = {name: _plain(value) for name, value in asdict(settings).items() if name != "device"}
    return {
        "image": fingerprint(image),
        "shape": [int(n) for n in image.shape],
        "dtype": np.dtype(image.dtype).str,
        "model": model,
        "model_sha256": model_sha256,
        "settings": choices,
    }


def check_same_job(begun: Mapping[str, Any], asked: Mapping[str, Any], name: str) -> None:
    """Refuse to go on with another job's result.

    Parameters
    ----------
    begun, asked : mapping
        Two `job_record`.
    name : str
        Of the unfinished result, for the complaint.

    Raises
    ------
    ImageError
        They differ; the text says in what.
    """
    if (begun["shape"], begun["dtype"]) != (asked["shape"], asked["dtype"]):
        here, there = (
            f"{' x '.join(map(str, job['shape']))} ({np.dtype(job['dtype'])})"
            for job in (asked, begun)
        )
        what = f"of another image: it was begun with {there}, and this one is {here}"
    elif begun["image"] != asked["image"]:
        what = "of another image of the same size"
    elif begun["model_sha256"] != asked["model_sha256"]:
        what = f"by another model: '{begun['model']}', not '{asked['model']}'"
    elif not _same_settings(begun["settings"], asked["settings"]):
        names = sorted(begun["settings"].keys() | asked["settings"].keys())
        changed = [
            f"{key} {begun['settings'].get(key)}, now {asked['settings'].get(key)}"
            for key in names
            if begun["settings"].get(key) != asked["settings"].get(key)
        ]
        what = f"with other settings ({'; '.join(changed)})"
    else:
        return
    raise ImageError(
        f"{name} holds an unfinished restoration {what}. Give what it was begun with, another "
        "name, or --overwrite to begin anew."
    )


def _same_settings(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether settings give the same pixels wherever those they began with give any.

    Where pixels that are not finite are refused, no block that is finished has seen one. So who
    comes to one may go on with masking, and keeps what is there.
    """
    key = "non_finite"
    if (begun.get(key), asked.get(key)) == ("refuse", "mask"):
        begun = {**begun, key: "mask"}
    return begun == asked


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
