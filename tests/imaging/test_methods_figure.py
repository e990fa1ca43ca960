"""The figure of a methods section: three panels on one scale."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semnet.imaging.methods_figure import draw_figure

RAW = np.random.default_rng(0).uniform(50, 200, (40, 60)).astype(np.float32)
RESTORED = RAW.repeat(2, axis=0).repeat(2, axis=1)
RESTORED[:, :60] += 5
RESTORED[:, 60:] -= 5


def figure(raw: NDArray[np.float32], restored: NDArray[np.float32]) -> NDArray[np.uint8]:
    sheet = draw_figure(
        raw, restored, pixel_size_nm=None, limits=(0.0, 255.0), statement="Restored."
    )
    return np.asarray(sheet)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_pixel_without_a_value_is_grey_and_leaves_all_else_as_it_was(missing: float) -> None:
    raw, restored = RAW.copy(), RESTORED.copy()
    raw[10, 20] = missing
    restored[20:22, 40:42] = np.nan
    known, found = figure(RAW, RESTORED), figure(raw, restored)
    changed = (known != found).any(axis=2)
    # Four pixels of the figure in each of three panels.
    assert changed.sum() == 12
    assert (found[changed] == 128).all()


def test_a_picture_without_any_value_can_be_drawn() -> None:
    missing = np.full_like(RAW, np.nan), np.full_like(RESTORED, np.nan)
    assert figure(*missing).shape == figure(RAW, RESTORED).shape
