"""A databar is found where it is clear, and never where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.files.databar import find_databar
from tests.files.making import databar, specimen


@pytest.mark.parametrize(("background", "ink"), [(0, 255), (255, 0), (128, 255)])
@given(height=st.integers(14, 50), seed=st.integers(0, 1000))
def test_a_drawn_strip_is_found_to_the_row(
    background: int, ink: int, height: int, seed: int
) -> None:
    picture = np.vstack([specimen(seed=seed), databar(256, height, background, ink)])
    assert find_databar(picture).first == 200


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_the_type_of_the_pixels_does_not_matter(dtype: type) -> None:
    picture = np.vstack([specimen(), databar()]).astype(dtype) * 100
    assert find_databar(picture).first == 200


def test_a_frame_below_the_databar_is_skipped() -> None:
    frame = specimen((2, 256), seed=9)
    assert find_databar(np.vstack([specimen(), databar(), frame])).first == 200


@given(seed=st.integers(0, 1000))
def test_plain_specimen_has_none_and_asks_nothing(seed: int) -> None:
    found = find_databar(specimen(seed=seed))
    assert (found.first, found.warning) == (None, "")


def test_a_black_strip_without_text_is_not_taken_for_one() -> None:
    found = find_databar(np.vstack([specimen(), np.zeros((24, 256), np.uint8)]))
    assert found.first is None
    assert found.warning


def test_a_label_inside_the_picture_asks() -> None:
    picture = specimen((240, 256))
    picture[190:214, 10:220] = databar(210)
    found = find_databar(picture)
    assert found.first is None
    assert found.warning


def test_specimen_as_uniform_as_a_databar_asks() -> None:
    picture = np.vstack([np.full((200, 256), 7, np.uint8), databar()])
    found = find_databar(picture)
    assert found.first is None
    assert found.warning


def test_dark_specimen_that_runs_into_the_databar_asks() -> None:
    picture = np.vstack([specimen(), databar()])
    rows, columns = np.mgrid[:200, :256]
    picture[:200][rows > 195 - columns // 6] = 0
    found = find_databar(picture)
    assert found.first is None
    assert found.warning


@pytest.mark.parametrize("shape", [(1, 1), (10, 500), (500, 10), (47, 64)])
def test_pictures_too_small_for_one_have_none(shape: tuple[int, int]) -> None:
    assert find_databar(np.zeros(shape, np.uint8)).first is None


def test_values_that_are_not_finite_are_survived() -> None:
    picture = np.vstack([specimen(), databar()]).astype(np.float32)
    picture[50, 50], picture[60, 60] = np.nan, np.inf
    assert find_databar(picture).first == 200
