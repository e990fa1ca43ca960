"""What runs in a dask worker. Imported only where the package ``distributed`` is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
from distributed import WorkerPlugin, get_worker

from napari_semnet.model import Model
from napari_semnet.restoration.events import Notice
from napari_semnet.restoration.part import PartOf
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.runtime import available_devices, device_in_turn
from napari_semnet.restoration.settings import Settings
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.volumes import begin_volume

__all__ = ["RestoringWorker", "keep_to_cores", "restore_block"]


class RestoringWorker(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Gives each worker its model, image and result, once; also a worker that joins later.

    Parameters
    ----------
    name : str
        Tells this job from others of the same workers.
    model : Model
    settings : Settings
    open_image : callable
        Gives the image.
    path : Path
        The result.
    at_once : int or None
        Blocks that a worker computes at once, each on a core of its own, where the workers share
        one machine; then they take its GPUs in turn. None takes as many as it has threads, and any
        core.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        settings: Settings,
        open_image: Callable[[], Any],
        path: Path,
        at_once: int | None,
    ) -> None:
        self.name = name
        self._job = (model, settings, open_image, path)
        self._at_once = at_once

    def setup(self, worker: Any) -> None:
        """Get ready in a worker; what takes long waits for the first block."""
        if self._at_once is not None:
            self._share_machine(int(worker.name), self._at_once)
        self._at_once = self._at_once or worker.state.nthreads
        self._run: VolumeRun | None = None
        self._opening = threading.Lock()

    def _share_machine(self, worker: int, at_once: int) -> None:
        keep_to_cores(worker, at_once)
        model, settings, open_image, path = self._job
        device = device_in_turn(worker, settings.device, available_devices())
        self._job = (model, replace(settings, device=device), open_image, path)

    def restore(self, number: int) -> list[str]:
        """Restore a block and write it; gives what is to be said of it."""
        steps = self._opened().steps(number)
        return [said.text for said in steps if isinstance(said, Notice)]

    def _opened(self) -> VolumeRun:
        with self._opening:
            if self._run is None:
                model, settings, open_image, path = self._job
                # Within a worker dask would hand reading back to the cluster, whose threads all
                # wait for it here.
                with dask.config.set(scheduler="synchronous"):
                    image = open_image()
                    is_part = isinstance(image, PartOf)
                    image = image.through(_ReadHere) if is_part else _ReadHere(image)
                    self._run = begin_volume(
                        Restorer(model, settings), image, path, at_once=self._at_once
                    )
            return self._run


def keep_to_cores(worker: int, count: int) -> None:
    """Keep this thread, and those that it starts, to cores that no other worker here uses.

    A core's own cache holds what it computed last. Two processes that were kept to a core each took
    a twentieth less time. Elsewhere than on Linux nothing is done.

    Parameters
    ----------
    worker : int
        Counted from 0.
    count : int
        Cores for each worker. More than there are go round.
    """
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        first = worker * count
        os.sched_setaffinity(0, {cores[i % len(cores)] for i in range(first, first + count)})


class _ReadHere:
    """An image that is read by the thread that asks, also where it is a dask array."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self.shape, self.dtype = tuple(image.shape), image.dtype

    def __getitem__(self, key: Any) -> Any:
        part = self._image[key]
        compute = getattr(part, "compute", None)
        return part if compute is None else compute(scheduler="synchronous")


def restore_block(name: str, number: int) -> list[str]:
    """Restore one block in a worker that has the plugin of that name."""
    notices: list[str] = get_worker().plugins[name].restore(number)
    return notices
