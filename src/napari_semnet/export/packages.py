"""Packages that only exporting needs, and what to say where they are missing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager

import pydantic

from napari_semnet.errors import ModelFileError

__all__ = ["INSTALL", "check_bioimageio", "needing"]

INSTALL = 'python -m pip install "napari-semnet[export]"'
"""Installs all that the formats need."""


@contextmanager
def needing(package: str) -> Iterator[None]:
    """Turn a missing package into a sentence that says how to get it.

    Parameters
    ----------
    package : str
        Name by which pip knows it.

    Raises
    ------
    ModelFileError
        Something that the block imports is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ModelFileError(
            f"This export needs the package {package}, which cannot be imported ({error}). "
            f"Install it: {INSTALL}"
        ) from error


def check_bioimageio() -> None:
    """Refuse versions of which it is known that they cannot work together.

    Raises
    ------
    ModelFileError
        bioimageio.core is missing, or its bioimageio.spec (up to 0.5.14.0) meets pydantic 2.14 or
        later, with which it can write nothing.
    """
    with needing("bioimageio.core"):
        spec = importlib.metadata.version("bioimageio.spec")
    if _numbers(spec) <= (0, 5, 14, 0) and _numbers(pydantic.VERSION) >= (2, 14):
        raise ModelFileError(
            f"bioimageio.spec {spec} does not work with pydantic {pydantic.VERSION}. Install an "
            'older one for this export: python -m pip install "pydantic<2.14"'
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
