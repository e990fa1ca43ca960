"""Out of memory, or a network that breaks, at any tile: that tile alone is computed again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_semnet.errors import ImageError, lacks_memory
from napari_semnet.restoration.events import Finished, Notice
from napari_semnet.restoration.restorer import Restorer, Settings
from tests.restoration.conftest import faulty, model  # noqa: F401

IMAGE = np.random.default_rng(0).integers(0, 256, (128, 140), np.uint8)
TILED: dict[str, Any] = {"tile": (36, 40), "halo": "exact", "intensity": (0.0, 255.0)}
TILES = 9


def whole_tiles(computed: list[Any]) -> int:
    return sum(call != "released" for call in computed)


def run(restorer: Restorer) -> tuple[np.ndarray, list[str]]:
    events = list(restorer.run(IMAGE))
    assert isinstance(events[-1], Finished)
    notices = [event.text for event in events if isinstance(event, Notice)]
    return events[-1].restored.pixels, notices


@pytest.mark.parametrize("tile", range(TILES))
def test_out_of_memory_at_any_tile(
    model: Any,  # noqa: F811
    faulty: Callable[..., Any],  # noqa: F811
    tile: int,
) -> None:
    def fault(image: Any, device: Any, precision: Any) -> None:
        if whole_tiles(computed) == tile + 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    make, computed = faulty(fault)
    pixels, notices = run(Restorer(model, Settings(precision="fp32", **TILED), make))
    expected = Restorer(model, Settings(precision="fp32", **TILED)).restore(IMAGE).pixels
    assert len(notices) == 1
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    # What was done before is not done again; later tiles of that size are cut at once.
    failed = [call[2] for call in computed if call != "released"][tile]
    before = [call[2] for call in computed if call != "released"][: tile + 1]
    assert len(before) == tile + 1
    after = [call[2] for call in computed if call != "released"][tile + 1 :]
    assert all(np.prod(shape) < np.prod(failed) for shape in after)
    assert len(after) <= 4 * (TILES - tile)


@pytest.mark.parametrize("tile", range(TILES))
def test_a_network_that_breaks_at_any_tile(
    model: Any,  # noqa: F811
    faulty: Callable[..., Any],  # noqa: F811
    tile: int,
) -> None:
    broken: list[int] = []

    def fault(image: Any, device: Any, precision: str) -> Any:
        if precision == "bf16" and whole_tiles(computed) - checks == tile + 1 and not broken:
            broken.append(1)
            return np.full([2 * n for n in image.shape], np.nan, np.float32)
        return None

    make, computed = faulty(fault)
    restorer = Restorer(model, Settings(precision="bf16", **TILED), make)
    checks = TILES + 1000  # no fault while the precision is checked
    restorer.restore(IMAGE)
    computed.clear()
    checks = 0
    pixels, notices = run(restorer)
    assert notices == [
        "bf16 gave values that are not finite; such tiles are computed again in fp32."
    ]
    assert [call[1] for call in computed].count("fp32") == 1
    assert len(computed) == TILES + 1
    expected = Restorer(model, Settings(precision="fp32", **TILED)).restore(IMAGE).pixels
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_a_model_that_gives_no_numbers_writes_no_file(tmp_path: Any) -> None:
    from napari_semnet.commands.batch import restore_files
    from napari_semnet.commands.jobs import FileFailed, Job
    from napari_semnet.model import load_model
    from tests.faults.conftest import write_picture, write_tiny

    broken = load_model(write_tiny(tmp_path / "tiny.safetensors", 0))
    with torch.no_grad():
        broken.network.last.bias.fill_(float("inf"))
    job = Job(write_picture(tmp_path / "a.tif"), tmp_path / "out" / "a.tif")
    settings = Settings(device="cpu", precision="fp32")
    events = list(restore_files([job], lambda: Restorer(broken, settings)))
    (failed,) = [event for event in events if isinstance(event, FileFailed)]
    assert "not finite" in failed.reason
    assert not job.target.parent.exists()
    with pytest.raises(ImageError):
        Restorer(broken, settings).restore(IMAGE)


def test_a_thread_for_whose_stack_there_is_no_room_is_lack_of_memory() -> None:
    before = threading.stack_size(2**46)  # half of what a process can address
    try:
        threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(4)]
        with pytest.raises(RuntimeError) as refused:
            any(thread.start() for thread in threads)
    finally:
        threading.stack_size(before)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    assert lacks_memory(refused.value)
    assert lacks_memory(MemoryError())
    assert not lacks_memory(RuntimeError("any other"))
