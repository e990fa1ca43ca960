"""OpenVINO, loaded without what it would send over the network.

OpenVINO's own start reports it to a web analytics service, with a number by which the user is known
again and that it keeps in a folder `intel` at home; nobody is asked. That happens where the package
`openvino_telemetry` can be imported, which is installed with it. Where it cannot, OpenVINO does
without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["load_openvino", "openvino_version"]

_REPORTER = "openvino_telemetry"


def load_openvino() -> ModuleType:
    """Import OpenVINO; where another program part has imported it before, it is left as it is.

    Raises
    ------
    ImportError, OSError
        It is not installed, or does not load.
    """
    with _hidden(_REPORTER):
        import openvino

        module: ModuleType = openvino
        return module


def openvino_version() -> str:
    """Version of OpenVINO, or nothing where it is not installed or does not load."""
    try:
        return str(load_openvino().__version__)
    except (ImportError, OSError):
        return ""


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let a package seem not to be installed, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(name, None)
