from __future__ import annotations

import numpy as np
import pytest

from napari_semnet.imaging.geometry import Region
from napari_semnet.restoration.part import PartOf

IMAGE = np.arange(10 * 4 * 5).reshape(10, 4, 5)
PART = PartOf(IMAGE, Region((2, 1, 0), (5, 3, 5)))


def test_a_loop_over_a_part_ends_with_it() -> None:
    np.testing.assert_array_equal(list(PART), IMAGE[2:5, 1:3])


@pytest.mark.parametrize("place", [-4, 3])
def test_what_lies_beyond_a_part_is_not_given(place: int) -> None:
    with pytest.raises(IndexError, match="along an axis of 3"):
        PART[place]
    np.testing.assert_array_equal(PART[-1], IMAGE[4, 1:3])
