"""How worker processes start: as copies of one that has loaded what they need.

To load PyTorch and what else a worker needs takes two seconds of a core for each of them, before it
restores anything. On Linux a process can be copied as it stands. So one is started that loads it
once, while the command is still planning, and workers are copies of it. It never computes:
only a process without threads may be copied.
"""

from __future__ import annotations

import sys

__all__ = ["LOADED", "METHOD", "load_ahead"]

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""What `multiprocessing` calls it. Elsewhere each worker loads for itself: macOS has libraries that
must not be copied, and Windows copies no processes."""

LOADED = ["distributed", "napari_semnet.restoration.cluster_worker", "dask.array", "zarr"]
"""With what a worker answers, computes, reads and writes. Loading it starts no thread."""


def load_ahead(*modules: str) -> None:
    """Begin to load what workers need, in the background; where nothing can be, do nothing.

    Without the package ``distributed`` that process loads nothing, and starting workers says so.

    Parameters
    ----------
    *modules : str
        What opening the image needs besides `LOADED`. A second call changes nothing.
    """
    if METHOD == "forkserver":
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload([*LOADED, *modules])
        forkserver.ensure_running()
