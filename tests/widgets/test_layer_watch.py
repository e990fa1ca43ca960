"""What is known of a layer's pixels is not taken for true of others."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.gui


def _layer(data: Any) -> Any:
    from napari.layers import Image

    return Image(data)


def _new_at(address: int) -> np.ndarray[Any, Any] | None:
    """An array that lies where another one was; None where the system gives none."""
    others = []
    for _ in range(10_000):
        others.append(np.ones((8, 8), np.uint8))
        if id(others[-1]) == address:
            return others[-1]
    return None


def test_an_array_at_the_address_of_a_former_one_is_another_one() -> None:
    from napari_semnet.widgets.layer_watch import PixelsOf

    layer = _layer(np.zeros((8, 8), np.uint8))
    before, address = PixelsOf(layer), id(layer.data)
    assert before.are_in(layer)
    assert before == PixelsOf(layer)
    layer.data = np.full((9, 9), 3, np.uint8)
    assert not before.are_in(layer)
    gc.collect()
    again = _new_at(address)
    if again is None:
        pytest.skip("no array came to lie at that address")
    layer.data = again
    assert id(layer.data) == address
    assert not before.are_in(layer)
    assert before != PixelsOf(layer)


def test_pixels_are_not_kept_in_memory_for_being_known() -> None:
    from napari_semnet.widgets.layer_watch import PixelsOf

    layer = _layer(np.zeros((8, 8), np.uint8))
    known, data = PixelsOf(layer), weakref.ref(layer.data)
    layer.data = np.ones((8, 8), np.uint8)
    gc.collect()
    assert data() is None
    assert known != PixelsOf(layer)
