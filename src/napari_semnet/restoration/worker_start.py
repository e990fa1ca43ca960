"""How worker processes start: as copies of one that has loaded what they need.

To load PyTorch and what else a worker needs takes two seconds of a core for each of them, before it
restores anything. On Linux a process can be copied as it stands. So one is started that loads it
once, while the command is still planning, and workers are copies of it. It never computes:
only a process without threads may be copied.

*Memory.* What a kind of tile takes is given back and taken anew when the kind changes: of a slice
of 3 x 4 blocks, 300 MB at almost each block. The system hands it out in pages of 4 kB, each at its
first touch, which was a thirtieth of a worker's time. glibc asks for pages of 2 MB where it is told
to before a process begins (its manual, *Memory Related Tunables*). So only a process that is
started here can be told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LOADED", "METHOD", "load_ahead"]

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""What `multiprocessing` calls it. Elsewhere each worker loads for itself: macOS has libraries that
must not be copied, and Windows copies no processes."""

LOADED = ["distributed", "napari_semnet.restoration.cluster_worker", "dask.array", "zarr"]
"""With what a worker answers, computes, reads and writes. Loading it starts no thread."""

_TUNABLES = "GLIBC_TUNABLES"
_LARGE_PAGES = "glibc.malloc.hugetlb"


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
        with _large_pages():
            forkserver.ensure_running()


@contextmanager
def _large_pages() -> Iterator[None]:
    """Have processes that are started meanwhile ask for large pages, unless the user has chosen."""
    chosen = os.environ.get(_TUNABLES)
    if _LARGE_PAGES in (chosen or ""):
        yield
        return
    os.environ[_TUNABLES] = ":".join(filter(None, (chosen, f"{_LARGE_PAGES}=1")))
    try:
        yield
    finally:
        if chosen is None:
            del os.environ[_TUNABLES]
        else:
            os.environ[_TUNABLES] = chosen
