"""What worker processes are copied from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_semnet.restoration.worker_start import LOADED

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
