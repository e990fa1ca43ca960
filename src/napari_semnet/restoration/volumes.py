"""Restore what no memory holds: from disk to disk, block by block, and on again after a crash.

What a block is depends on the image and the plan that was made when the job was begun. The plan is
kept with the result, so that the same bytes result however often the job is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter

from napari_semnet.errors import FileFormatError, ImageError, SemnetError
from napari_semnet.files.ome_metadata import axis_letters
from napari_semnet.files.tile_store import Layout, TileStore, unfinished_record
from napari_semnet.imaging.intensity import ArrayLike, as_grey, check_finite, is_in_memory
from napari_semnet.model import Model
from napari_semnet.restoration.blocks import block_sides
from napari_semnet.restoration.choice import ARRANGEMENTS
from napari_semnet.restoration.events import Notice, RunPlan
from napari_semnet.restoration.identity import check_same_job, job_record
from napari_semnet.restoration.memory import counted_cost, tiles_at_once
from napari_semnet.restoration.openvino_network import kept_bytes
from napari_semnet.restoration.part import PartOf
from napari_semnet.restoration.planned import PlannedRun
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.runtime import Device, as_precision, compute_alone
from napari_semnet.restoration.sweep import handed_on_bytes
from napari_semnet.restoration.tiles import SCALE
from napari_semnet.restoration.volume_run import VolumeRun

__all__ = ["begin_volume", "begun_pixel_size_nm", "place_for"]

_SIDES = {"cpu": 512, "cuda": 1024, "mps": 512}
"""Input pixels along a block's side: twice as much in the output, which holds a whole number of
common chunks."""

_GIVEN_SIZE = "given_pixel_size_nm"
"""What a store calls the size of a pixel that a person gave."""


def begin_volume(
    restorer: Restorer,
    image: Any,
    path: Path,
    *,
    axes: str | None = None,
    block: int | None = None,
    at_once: int | None = None,
    given_pixel_size_nm: tuple[float, float] | None = None,
) -> VolumeRun:
    """Begin a restoration that goes to disk block by block, or go on with one.

    Parameters
    ----------
    restorer : Restorer
    image : array-like, shape (..., Y, X)
        Read block by block. So pixels that are not finite, where they are refused, are found when
        the run comes to them; of an image in memory they are found here.
    path : Path
        Folder to write, which must end in ``.zarr``. Where an unfinished restoration of the same
        image with the same model and settings is there, it is gone on with.
    axes : str, optional
        See `napari_semnet.files.ome_zarr.write_ome_zarr`.
    block : int, optional
        Input pixels along a block's side; chosen by default.
    at_once : int, optional
        Blocks that are computed at once, each on a core of its own; by default as many as PyTorch
        has threads. A GPU computes one. Fewer where memory would not hold so many. The result does
        not depend on it.
    given_pixel_size_nm : (float, float), optional
        (y, x) of the image, where a person gave it: kept for whoever goes on, see
        `begun_pixel_size_nm`.

    Raises
    ------
    ImageError
        The image cannot be restored, or `path` holds another job.
    FileFormatError
        `path` cannot be written, or what is there is no unfinished restoration.
    """
    grey = as_grey(image)
    job = job_record(grey, restorer.model.name, restorer.model.sha256, restorer.settings)
    begun: PlannedRun | None = None
    if path.exists():
        store = TileStore.open(path)
    else:
        if restorer.settings.non_finite == "refuse" and is_in_memory(image):
            check_finite(grey)
        side = block or _SIDES.get(restorer.device.kind, 512)
        sides = block_sides((grey.shape[-2], grey.shape[-1]), side)
        begun = _alone(lambda: restorer.another().begin(grey, largest=sides))
        # Another process may be first; then its plan is what counts.
        record = {**job, "plan": asdict(begun.plan), "pytorch": str(torch.__version__)}
        if given_pixel_size_nm is not None:
            record[_GIVEN_SIZE] = list(given_pixel_size_nm)
        store = TileStore.create(path, _layout(grey, sides, axes), record)
    try:
        check_same_job(store.run, job, path.name)
        plan = _plan_from(store.run["plan"])
        pytorch = str(store.run["pytorch"])
    except SemnetError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise FileFormatError(
            "The unfinished result was begun by another version of napari-semnet, which must "
            "finish it. Or give another name."
        ) from error

    def another() -> PlannedRun:
        return restorer.another().begin(grey, plan)

    if at_once is None:
        at_once = torch.get_num_threads()
    work = begun if begun is not None and begun.plan == plan else _alone(another)
    columns = store.layout.block[1] // SCALE + 2 * plan.halo
    most = _most(at_once, plan, restorer.model, work.device, columns)
    notices = (*work.notices, *_changes(plan, pytorch, work.device))
    there = image.check_there if isinstance(image, PartOf) else None
    return VolumeRun(work, store, notices, another, most, there)


def begun_pixel_size_nm(path: Path) -> tuple[float, float] | None:
    """Give (y, x) of the image, where a person gave it when an unfinished volume was begun."""
    record = unfinished_record(path)
    try:
        y, x = (float(length) for length in (record or {})["run"][_GIVEN_SIZE])
    except (LookupError, TypeError, ValueError):
        return None
    return y, x


def place_for(restorer: Restorer, image: Any, folder: Path, name: str) -> Path:
    """Find where a restoration goes, so that nothing that is there is touched.

    Parameters
    ----------
    restorer : Restorer
    image : array-like, shape (..., Y, X)
    folder : Path
        It need not exist yet.
    name : str
        Without an ending.

    Returns
    -------
    Path
        ``name.zarr``, or with a number behind the name: the first that is not there yet, or that
        holds what was begun of the same image with the same model and settings.
    """
    grey = as_grey(image)
    job = job_record(grey, restorer.model.name, restorer.model.sha256, restorer.settings)
    for number in count(1):
        path = folder / (f"{name}.zarr" if number == 1 else f"{name}-{number}.zarr")
        if not path.exists():
            break
        begun = unfinished_record(path)
        try:
            if begun is not None:
                check_same_job(begun["run"], job, path.name)
                break
        except (ImageError, KeyError):
            continue
    return path


_Result = TypeVar("_Result")


def _alone(work: Callable[[], _Result]) -> _Result:
    """Do something, such as measuring which backend is fastest, as blocks are going to be done."""
    with ThreadPoolExecutor(1, "semnet-plan", initializer=compute_alone) as pool:
        return pool.submit(work).result()


def _most(at_once: int, plan: RunPlan, model: Model, device: Device, columns: int) -> int:
    """How many blocks are computed at once: as many as is asked for, and as memory holds."""
    cost = counted_cost(model.card.architecture, as_precision(plan.precision))
    height, width = (side + 2 * plan.halo for side in plan.tile)
    each = cost.of(height * width)
    if plan.swept:
        each += handed_on_bytes(model.card.architecture, as_precision(plan.precision), columns)
    if plan.backend == "openvino":
        each += kept_bytes(sum(p.numel() for p in model.network.parameters()))
    return max(1, min(at_once, tiles_at_once(device, each)))


def _changes(plan: RunPlan, pytorch: str, device: Device) -> Iterator[Notice]:
    """Say what is different from where the job was begun and cannot be made the same."""
    before = (plan.device_name, f"PyTorch {pytorch}")
    now = (device.name, f"PyTorch {torch.__version__}")
    for old, new in zip(before, now, strict=True):
        if old != new:
            yield Notice(
                f"This was begun with {old} and goes on with {new}: what each restores can "
                "differ by a rounding."
            )


def _layout(image: ArrayLike, sides: tuple[int, int], axes: str | None) -> Layout:
    *leading, height, width = (int(n) for n in image.shape)
    output = (*leading, SCALE * height, SCALE * width)
    letters = axis_letters(axes, len(output))
    return Layout(output, np.dtype(image.dtype).str, (SCALE * sides[0], SCALE * sides[1]), letters)


def _plan_from(values: Any) -> RunPlan:
    """Read a plan from what a store keeps; raises ValueError where it is none."""
    plan = TypeAdapter(RunPlan).validate_python(values)
    halos = (plan.halo, *(plan.later or ()))
    if plan.backend not in ARRANGEMENTS or min(*plan.tile) < 1 or min(halos) < 0:
        raise ValueError("it is no plan")
    return plan
