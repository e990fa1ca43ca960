from __future__ import annotations

import numpy as np
import pytest

from napari_semnet.imaging.slices import telling_index, telling_slice

STACK = np.arange(5 * 4 * 6).reshape(5, 4, 6)


def test_the_middle_of_a_stack_stands_for_it() -> None:
    assert telling_index(STACK) == (2,)
    assert np.array_equal(telling_slice(STACK), STACK[2])


@pytest.mark.parametrize("nothing", [0.0, 7.0, np.nan, np.inf])
def test_a_slice_that_shows_nothing_is_left_for_its_neighbour(nothing: float) -> None:
    stack = STACK.astype(np.float32)
    stack[2] = nothing
    assert telling_index(stack) == (1,)
    stack[1] = nothing
    assert telling_index(stack) == (3,)


def test_a_slice_with_some_missing_values_still_tells() -> None:
    stack = STACK.astype(np.float32)
    stack[2, 0] = np.nan
    assert telling_index(stack) == (2,)


def test_the_nearest_slice_is_found_along_all_leading_axes() -> None:
    stack = np.zeros((3, 5, 4, 6), np.uint8)
    stack[0, 2] = stack[1, 4] = stack[1, 1] = STACK[0]
    assert telling_index(stack) == (0, 2)


def test_where_nothing_is_shown_it_is_the_middle_and_a_picture_is_itself() -> None:
    assert telling_index(np.zeros((4, 4, 6))) == (2,)
    assert telling_index(np.zeros((4, 6))) == ()
    assert np.array_equal(telling_slice(STACK[0]), STACK[0])
