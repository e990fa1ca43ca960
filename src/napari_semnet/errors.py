"""What can go wrong, in sentences that a microscopist understands.

Every error that the package raises on purpose is a `SemnetError`. Its text is one or two whole
sentences: what happened, and what to do next. Interfaces show the text as it is; they never show
a bare traceback for one of these.
"""

from __future__ import annotations

__all__ = [
    "DeviceError",
    "FileFormatError",
    "ImageError",
    "ModelFileError",
    "SemnetError",
    "TrainingError",
    "lacks_memory",
]


class SemnetError(Exception):
    """Anything that napari-semnet refuses or fails at, said in plain words."""


class ImageError(SemnetError, ValueError):
    """The pixels cannot be restored or measured as they are (shape, dtype, colour, NaN)."""


class FileFormatError(SemnetError, ValueError):
    """A file cannot be read or written: damaged, of another kind, or without room to write."""


class ModelFileError(SemnetError, ValueError):
    """A model file is missing, damaged, unsafe, or of another architecture or newer format."""


class DeviceError(SemnetError, RuntimeError):
    """The asked-for device or precision is not here, or has too little memory."""


class TrainingError(SemnetError, RuntimeError):
    """A training run cannot start or go on: configuration, data, or a diverged network."""


def lacks_memory(error: BaseException) -> bool:
    """Tell whether Python had no memory left, for an object or for the stack of a thread."""
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return no_thread or isinstance(error, MemoryError)
