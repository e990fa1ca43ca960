"""SEMNet, computed by OpenVINO, where it is installed.

The graph holds the whole network (`napari_semnet.restoration.openvino_graph`): what goes in and out
is small, while 64 maps handed from one runtime to another would take a tenth of the time.

It is built and compiled for each kind of tile or piece: a graph for any shape takes a fifth longer
for every tile. Kinds that are expected are compiled side by side, each by a thread, while the first
of them computes. What is compiled is not kept on disk: to load it would save 0.07 s of 0.3 s.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from copy import deepcopy
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from napari_semnet.network import SEMNet
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.openvino_graph import piece_graph, tail_of, tile_graph
from napari_semnet.restoration.openvino_runtime import load_openvino
from napari_semnet.restoration.openvino_sweep import HandedOn
from napari_semnet.restoration.sweep import Piece, PieceKind, Sweep
from napari_semnet.restoration.tiles import Box, TileKind

__all__ = ["OpenVINONetwork", "kept_bytes"]

_Kind: TypeAlias = TileKind | PieceKind

_POLL_MILLISECONDS = 20
"""How often a run looks whether it is still wanted, while it waits for whatever it is."""

_KEPT_KINDS = 12
"""Kinds of tiles that stay compiled: in corners, along borders and inside, and a few others."""

_KEPT_PIXELS = 400_000
"""Pixels of the kinds that keep memory for their maps, the last ones used: three to a row."""

_BYTES_PER_WEIGHT = 10
"""That a kind takes without its maps: weights in both precisions, and as they are convolved."""


class OpenVINONetwork:
    """A SEMNet run by OpenVINO on the CPU.

    Parameters
    ----------
    network, device, dtype
        See `napari_semnet.restoration.prepared.PreparedNetwork`.

    Raises
    ------
    ArrangementError
        OpenVINO is not installed or does not load.
    """

    def __init__(self, network: SEMNet, device: torch.device, dtype: torch.dtype) -> None:
        try:
            self._core = load_openvino().Core()
            self._network = deepcopy(network)
            self._tail = tail_of(network, dtype)
        except (ImportError, OSError, RuntimeError) as error:
            raise ArrangementError(f"OpenVINO cannot be used: {_first_line(error)}") from error
        self._dtype = dtype
        self._compiled: OrderedDict[_Kind, Future[Any]] = OrderedDict()
        self._with_maps: dict[_Kind, Any] = {}
        self._lock = threading.Lock()

    def steps(self, image: Tensor, narrowed: Sequence[Box] = ()) -> Generator[float, None, Tensor]:
        """See `napari_semnet.restoration.prepared.Prepared.steps`.

        It can be stopped at any time, also while it waits for its kind to be compiled, but does not
        know how far it is.
        """
        kind = (image.shape[-2], image.shape[-1], tuple(narrowed))
        return (yield from self._run(kind, image, [], []))

    def begin_sweep(self, sweep: Sweep) -> HandedOn:
        """See `napari_semnet.restoration.prepared.Sweeping.begin_sweep`."""
        return HandedOn(sweep, self._network.architecture.features, self._dtype)

    def sweep_steps(
        self, image: Tensor, piece: Piece, handed_on: HandedOn
    ) -> Generator[float, None, Tensor]:
        """See `napari_semnet.restoration.prepared.Sweeping.sweep_steps`."""
        room = handed_on.room_for(piece)
        pixels = yield from self._run(piece.kind, image, handed_on.to(piece), room)
        handed_on.keep(piece, room)
        return pixels

    def _run(
        self, kind: _Kind, image: Tensor, given: list[Any], room: list[Any]
    ) -> Generator[float, None, Tensor]:
        """Compute pixels from an image and maps, and further maps in the room that is there."""
        rounded = image.bfloat16().float()
        pair = torch.cat((rounded, image - rounded), 1).numpy()
        try:
            # A request of its own for each run: several may go on at a time.
            ready = yield from self._ready_for(kind)
            request = ready.create_infer_request()
            for place, tensor in enumerate(given, 1):
                request.set_input_tensor(place, tensor)
            for place, tensor in enumerate(room, 1):
                request.set_output_tensor(place, tensor)
            request.start_async({0: pair}, share_inputs=True)
            try:
                while not request.wait_for(_POLL_MILLISECONDS):
                    yield 0.0
            except GeneratorExit:
                request.cancel()
                with suppress(RuntimeError):  # It says that it was cancelled.
                    request.wait()
                raise
            return functional.pixel_shuffle(torch.from_numpy(request.get_output_tensor(0).data), 2)
        except RuntimeError as error:
            raise ArrangementError(f"OpenVINO failed: {_first_line(error)}") from error

    def expect(self, kinds: Sequence[_Kind]) -> None:
        """See `napari_semnet.restoration.prepared.Prepared.expect`."""
        with self._lock:
            self._compile_ahead(kinds[:_KEPT_KINDS])

    def _ready_for(self, kind: _Kind) -> Generator[float, None, Any]:
        """Give the network compiled for a kind of tile, as soon as it is."""
        with self._lock:
            self._compile_ahead([kind])
            compiled = self._compiled[kind]
        while not wait([compiled], _POLL_MILLISECONDS / 1000).done:
            yield 0.0
        try:
            ready = compiled.result()
        except BaseException:
            with self._lock:
                # To be tried again, unless somebody does that already.
                if self._compiled.get(kind) is compiled:
                    del self._compiled[kind]
            raise
        self._keep_maps(kind, ready)
        return ready

    def _compile_ahead(self, kinds: Sequence[_Kind]) -> None:
        """Have kinds compiled that are not, and let go what was not used for long."""
        new = [kind for kind in kinds if kind not in self._compiled]
        if new:
            threads = torch.get_num_threads()
            pool = ThreadPoolExecutor(min(threads, len(new)), "semnet-compile")
            self._compiled |= {kind: pool.submit(self._compile, kind, threads) for kind in new}
            pool.shutdown(wait=False)
        for kind in kinds:
            self._compiled.move_to_end(kind)
        while len(self._compiled) > _KEPT_KINDS:
            self._with_maps.pop(self._compiled.popitem(last=False)[0], None)

    def _keep_maps(self, kind: _Kind, compiled: Any) -> None:
        """Release the maps of the kinds that were used before the last ones."""
        with self._lock:
            self._with_maps.pop(kind, None)
            self._with_maps[kind] = compiled
            pixels = 0
            for other in reversed(list(self._with_maps)):
                pixels += _pixels_of(other)
                if other != kind and pixels > _KEPT_PIXELS:
                    # One that computes just now keeps them until another tile is begun.
                    with suppress(RuntimeError):
                        self._with_maps[other].release_memory()
                        del self._with_maps[other]

    def _compile(self, kind: _Kind, threads: int) -> Any:
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self._dtype == torch.bfloat16 else "f32",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Each model would choose the same first cores, and two at once share one of them.
            "ENABLE_CPU_PINNING": False,
        }
        if isinstance(kind, PieceKind):
            graph = piece_graph(self._network, self._tail, kind, self._dtype)
        else:
            graph = tile_graph(self._network, self._tail, kind)
        return self._core.compile_model(graph, "CPU", settings)


def kept_bytes(weights: int) -> int:
    """Say what all kinds of tiles take that stay compiled, without their maps.

    Parameters
    ----------
    weights : int
        Of the network.
    """
    return _KEPT_KINDS * _BYTES_PER_WEIGHT * weights


def _pixels_of(kind: _Kind) -> int:
    return math.prod(kind.parts[0].seen if isinstance(kind, PieceKind) else kind[:2])


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
