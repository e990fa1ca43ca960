"""OpenVINO is loaded without telling anyone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# Imported here, it would do what it must not.
if find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed: pip install openvino", allow_module_level=True)

WATCHED = """
import json, os, socket, sys, threading

asked = []

def lookup(host, *rest, **named):
    asked.append(str(host))
    raise OSError("there is no network")

def connect(self, address):
    asked.append(str(address))
    raise OSError("there is no network")

socket.getaddrinfo = lookup
socket.socket.connect = connect
from napari_semnet.restoration.openvino_runtime import load_openvino, openvino_version
IMPORT
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(5)
files = [os.path.join(at, name) for at, _, names in os.walk(os.environ["HOME"]) for name in names]
print(json.dumps({"asked": asked, "files": files, "converts": hasattr(openvino, "convert_model"),
                  "reporter": "openvino_telemetry" in sys.modules}))
"""


def started(how: str, home: Path) -> dict[str, object]:
    # On a build server OpenVINO tells nothing of its own accord, which would hide the difference.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.replace("IMPORT", how)],
        env=kept | {"HOME": str(home), "USERPROFILE": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_it_asks_nobody_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    found = started("assert openvino_version(); openvino = load_openvino()", tmp_path)
    assert found == {"asked": [], "files": [], "converts": True, "reporter": False}


def test_what_another_part_has_loaded_is_left_as_it_is(tmp_path: Path) -> None:
    found = started("import openvino; assert load_openvino() is openvino", tmp_path)
    assert found["reporter"] is True
