"""What worker processes are copied from."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from napari_semnet.restoration.worker_start import LOADED, METHOD

pytest.importorskip("distributed")

_LOAD = """
import importlib, threading
for name in {names}:
    importlib.import_module(name)
print(*(thread.name for thread in threading.enumerate()))
"""


def test_what_is_loaded_ahead_starts_no_thread_so_that_the_process_may_be_copied() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _LOAD.format(names=LOADED)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert loaded.stdout.split() == ["MainThread"]


_START = """
import multiprocessing, os
from napari_semnet.restoration.worker_start import METHOD, load_ahead
before = dict(os.environ)
load_ahead()
assert dict(os.environ) == before
show = ("printenv", "printenv", "GLIBC_TUNABLES")
worker = multiprocessing.get_context(METHOD).Process(target=os.execlp, args=show)
worker.start()
worker.join()
"""


@pytest.mark.skipif(METHOD != "forkserver", reason="workers are copies on Linux only")
@pytest.mark.parametrize(
    ("chosen", "taken"),
    [
        ("", "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.arena_max=4", "glibc.malloc.arena_max=4:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_workers_ask_for_large_pages_unless_the_user_chose_and_nothing_else_does(
    chosen: str, taken: str
) -> None:
    others = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    started = subprocess.run(
        [sys.executable, "-c", _START],
        check=True,
        capture_output=True,
        text=True,
        env=others | ({"GLIBC_TUNABLES": chosen} if chosen else {}),
    )
    assert started.stdout.split() == [taken]
