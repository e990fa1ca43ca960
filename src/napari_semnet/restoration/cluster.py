"""Restore a volume with many processes: dask hands out blocks, and again those of lost workers.

The model goes to each worker once. Workers read the image and write the result themselves, so
that only the numbers of blocks travel; both must be where all workers see them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from napari_semnet.errors import DeviceError
from napari_semnet.restoration.events import BlockWritten, Event, Notice, Progress
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.worker_start import METHOD, load_ahead

if TYPE_CHECKING:
    from distributed import Client


__all__ = ["run_on_cluster", "worker_cluster"]

_NEEDS_EXTRA = (
    "Several processes need the package distributed. Install it: "
    "pip install napari-semnet[cluster]. Or give each process its part with --shard."
)
_SETTINGS = {
    "distributed.worker.multiprocessing-method": METHOD,
    # It looks at all threads a hundred times a second, for a page that nobody opens.
    "distributed.worker.profile.enabled": False,
    # Each of its parts looks fifty times a second whether it is late, and measures the machine.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    # Nothing is kept in workers that could be there twice.
    "distributed.scheduler.active-memory-manager.start": False,
}
"""Of dask, for workers on this machine."""
_SECONDS_TO_ANSWER = 20
_BESIDE = 1
"""Threads of a worker beyond those that compute, so that a block is read or written meanwhile."""
_WAITING_FOR_EACH_THREAD = 2
"""Blocks handed out beyond those at work, so that no worker waits for the next."""


@contextmanager
def worker_cluster(workers: int = 0, scheduler: str = "") -> Iterator[Client]:
    """Connect to a dask scheduler, or start worker processes on this machine.

    Parameters
    ----------
    workers : int
        Processes to start; not used where `scheduler` is given. They share the cores.
    scheduler : str
        Address such as ``tcp://node1:8786``.

    Raises
    ------
    DeviceError
        The package ``distributed`` is missing, or nobody answers at the address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise DeviceError(_NEEDS_EXTRA) from error
    if scheduler:
        _check_answer(scheduler)
        with Client(scheduler, timeout=_SECONDS_TO_ANSWER, set_as_default=False) as client:
            yield client
        return
    load_ahead()
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, _cores() // workers) + _BESIDE,
            processes=True,
            memory_limit=0,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _check_answer(scheduler: str) -> None:
    """Refuse an address where no scheduler is; a client that fails there takes a minute to end."""
    from distributed import Security
    from distributed.comm import connect

    async def greet() -> None:
        secrets = Security().get_connection_args("client")
        comm = await connect(scheduler, timeout=_SECONDS_TO_ANSWER, **secrets)
        await comm.close()

    try:
        # Notebooks have a loop of their own running in this thread.
        with ThreadPoolExecutor(1, "semnet-greet") as pool:
            pool.submit(lambda: asyncio.run(greet())).result()
    except Exception as error:  # What other programs answer is read as anything.
        raise DeviceError(
            f"No dask scheduler answers at {scheduler}. Start one with 'dask scheduler' and "
            "give the address that it prints."
        ) from error


def run_on_cluster(
    client: Client, volume: VolumeRun, restorer: Restorer, open_image: Callable[[], Any]
) -> Generator[Event, None, None]:
    """Let workers restore what is not there yet.

    Parameters
    ----------
    client : distributed.Client
    volume : VolumeRun
        What `begin_volume` gave here.
    restorer : Restorer
        Its model and settings are the workers'.
    open_image : callable
        Gives the image on a worker; it is pickled, so it must be a function of a module.

    Yields
    ------
    Event
        As `VolumeRun.run`, blocks in the order in which they are finished. Closing the generator
        takes back what is not begun; blocks that are finished stay.

    Raises
    ------
    SemnetError
        A block cannot be restored, or it has brought down several workers.
    """
    from distributed import KilledWorker, as_completed

    from napari_semnet.restoration.cluster_worker import RestoringWorker

    numbers = volume.remaining()
    total = len(volume.grid)
    done = total - len(numbers)
    yield from volume.opening(total, done)
    if not numbers:
        return
    name = f"napari-semnet-{uuid.uuid4().hex}"
    plugin = RestoringWorker(
        name,
        restorer.model,
        restorer.settings,
        open_image,
        volume.store.path.resolve(),
        _cores_each(client),
    )
    client.register_plugin(plugin)
    waiting = iter(numbers)
    said: set[str] = set()
    first = _submitted(client, name, islice(waiting, _room(client)))
    running = as_completed(first, loop=client.loop)
    try:
        for future in running:
            try:
                notices = future.result()
            except KilledWorker as error:
                raise DeviceError(
                    "A block has brought down several workers, most likely for want of memory. "
                    "Give a smaller --tile or fewer workers, and run the same again."
                ) from error
            for text in notices:
                if text not in said:
                    said.add(text)
                    yield Notice(text)
            done += 1
            number = int(future.key.rpartition("-")[2])
            yield Progress(done / total)
            yield BlockWritten(volume.grid[number].where, done, total)
            for more in _submitted(
                client, name, islice(waiting, max(0, _room(client) - running.count()))
            ):
                running.add(more)
    finally:
        client.cancel(list(running.futures))
        client.unregister_worker_plugin(name)


def _submitted(client: Client, name: str, numbers: Iterator[int]) -> list[Any]:
    from napari_semnet.restoration.cluster_worker import restore_block

    return [
        client.submit(restore_block, name, number, key=f"{name}-{number}", pure=False)
        for number in numbers
    ]


def _room(client: Client) -> int:
    """How many blocks may be handed out at a time."""
    threads: int = sum(client.nthreads().values())
    return max(4, _WAITING_FOR_EACH_THREAD * threads)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cores_each(client: Client) -> int | None:
    """Cores for each worker of this machine's own cluster; None elsewhere."""
    return max(1, _cores() // len(client.nthreads())) if client.cluster is not None else None
