"""Getting one tile done, whatever goes wrong with it.

Out of memory: the tile alone is cut in two, again and again, and at last given to the CPU. Values
that are not finite: the tile alone is computed again in float32. Both are said once in a run, and
nothing that is finished is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import DeviceError, ImageError
from napari_semnet.restoration.backends import Backend, is_out_of_memory
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.events import Notice
from napari_semnet.restoration.runtime import Device, Precision
from napari_semnet.restoration.sweep import Sweep, SweptTile
from napari_semnet.restoration.tiles import SCALE, Surround, Tile, halves

__all__ = ["Attempts", "BackendSource"]

BackendSource = Callable[[Device, Precision], Backend]
"""Gives the backend of a device and precision, made when it is first asked for."""


class Attempts:
    """Computes the tiles of one run and remembers what failed in it.

    Parameters
    ----------
    backend : Backend
        What computes when nothing goes wrong.
    backend_of : callable
        Gives the others: float32 on the same device, float32 on the CPU.
    cpu : Device
        The CPU of this machine.
    surround : Surround
        What is read around each core.
    """

    def __init__(
        self,
        backend: Backend,
        backend_of: BackendSource,
        cpu: Device,
        surround: Surround,
    ) -> None:
        self.backend = backend
        self._backend_of = backend_of
        self._cpu = cpu
        self._surround = surround
        self._too_large: dict[tuple[str, str], int] = {}
        self._said: set[str] = set()
        self._handed_on: object = None
        self._awaited: tuple[tuple[int, ...], Sweep, int] | None = None

    def restore(
        self, tile: Tile, image: NDArray[np.float32]
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        """Compute the output of a tile's core.

        Parameters
        ----------
        tile : Tile
            What to compute.
        image : ndarray of float32
            Intensities of `tile.read`, in [0, 1].

        Yields
        ------
        Notice or float
            When something went wrong for the first time in this run and was dealt with; and in
            between the part of the tile that is done, which starts again where a part of the
            work does.

        Returns
        -------
        ndarray of float32
            Twice the core's shape, finite.

        Raises
        ------
        DeviceError
            The smallest tile does not fit the CPU's memory either.
        ImageError
            The values are not finite in float32 either.
        """
        backend = self.backend
        restored = None
        if isinstance(tile, SweptTile):
            restored = yield from self._swept(tile, image)
            image = image[tile.alone.read.within(tile.read).slices]
            tile = tile.alone
        if restored is None:
            restored = yield from self._fitting(backend, tile, image)
        if not np.isfinite(restored).all() and backend.precision != "fp32":
            yield from self._say(
                f"{backend.precision} gave values that are not finite; such tiles are computed "
                "again in fp32."
            )
            exact = self._backend_of(backend.device, "fp32")
            restored = yield from self._fitting(exact, tile, image)
        if not np.isfinite(restored).all():
            raise ImageError(
                "The network gave values that are not finite, even in fp32. Check that the "
                "intensity range is that of the image, or use another model."
            )
        return restored

    def _swept(
        self, tile: SweptTile, image: NDArray[np.float32]
    ) -> Generator[Notice | float, None, NDArray[np.float32] | None]:
        """Compute a piece of a sweep, or give None where it has to be computed by itself.

        It has to where the piece before it was not computed so, or this one fails.
        """
        piece, backend = tile.piece, self.backend
        awaited, self._awaited = self._awaited, None
        try:
            if piece.number == 0:
                self._handed_on = backend.begin_sweep(tile.sweep)
            elif awaited != (tile.index, tile.sweep, piece.number):
                return None
            if self._handed_on is None:
                return None
            window = image[piece.window.within(tile.read).slices]
            restored = yield from backend.restore_piece(window, piece, self._handed_on)
        except (ArrangementError, RuntimeError, MemoryError) as error:
            # What is wrong, if it still is, is found out and said with the tile by itself.
            if not (isinstance(error, ArrangementError) or is_out_of_memory(error)):
                raise
            self._handed_on = None
            return None
        self._awaited = (tile.index, tile.sweep, piece.number + 1)
        return restored[tile.core.within(piece.given).enlarged().slices]

    def _fitting(
        self, backend: Backend, tile: Tile, image: NDArray[np.float32]
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        """Compute a tile in as many parts as memory makes necessary."""
        key = (backend.device.name, backend.precision)
        if tile.read.pixels < self._too_large.get(key, tile.read.pixels + 1):
            restored = yield from _try(backend, image, tile)
            if restored is not None:
                return restored[tile.kept]
            self._too_large[key] = tile.read.pixels
            backend.release_memory()
        parts = halves(tile, self._surround)
        if parts is None:
            return (yield from self._on_cpu(backend, tile, image))
        yield from self._say(
            f"{backend.device.name} ran out of memory; the tile is computed in smaller parts."
        )
        whole = np.empty([SCALE * n for n in tile.core.shape], np.float32)
        for part in parts:
            seen = image[part.read.within(tile.read).slices]
            place = part.core.within(tile.core).enlarged().slices
            whole[place] = yield from self._fitting(backend, part, seen)
        return whole

    def _on_cpu(
        self, backend: Backend, tile: Tile, image: NDArray[np.float32]
    ) -> Generator[Notice | float, None, NDArray[np.float32]]:
        if backend.device.kind == "cpu":
            raise DeviceError(
                "There is not enough memory for even a small tile. Close other programs and try "
                "again."
            )
        yield from self._say(
            f"{backend.device.name} has too little free memory for even a small tile; "
            f"{self._cpu.name} computes it."
        )
        return (yield from self._fitting(self._backend_of(self._cpu, "fp32"), tile, image))

    def _say(self, text: str) -> Generator[Notice, None, None]:
        if text not in self._said:
            self._said.add(text)
            yield Notice(text)


def _try(
    backend: Backend, image: NDArray[np.float32], tile: Tile
) -> Generator[Notice | float, None, NDArray[np.float32] | None]:
    """Output of what is kept of a tile, or None where memory ran out.

    The error is let go here: its traceback would keep the tensors of the failed attempt alive.
    """
    try:
        return (yield from backend.restore_tile(image, tile.kept_maps))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
