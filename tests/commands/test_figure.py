from __future__ import annotations

import numpy as np

from napari_semnet.commands.figure import Panel, bicubic, nearest, side_by_side


def test_nearest_and_bicubic_keep_corners_upon_corners() -> None:
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (8, 1))
    assert nearest(ramp).shape == bicubic(ramp).shape == (16, 40)
    # Centres of the fine pixels lie a quarter of a coarse pixel from those of the coarse ones.
    fine = bicubic(ramp)[8].astype(float)
    np.testing.assert_allclose(fine[10:30], np.arange(20) * 5 + 47.5, atol=0.6)


def test_panels_stand_in_a_row_with_their_own_pixels() -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (120, 150), dtype=np.uint8) for _ in range(3)]
    sheet = np.asarray(side_by_side([Panel("a", "b", p) for p in pictures], 2.0))
    assert sheet.shape[1] > 3 * 150
    top = sheet.shape[0] - 8 - 120
    for number, picture in enumerate(pictures[1:], 1):
        left = 8 + number * 158
        np.testing.assert_array_equal(sheet[top : top + 120, left : left + 150], picture)


def test_the_scale_bar_has_the_length_it_says() -> None:
    grey = np.full((120, 400), 100, np.uint8)
    sheet = np.asarray(side_by_side([Panel("", "", grey)], 0.5))
    # 0.3 of 200 nm gives 50 nm, which are 100 pixels.
    rows = (sheet[-60:] == 255).sum(axis=1)
    assert rows.max() == 100
