from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_semnet.errors import ImageError
from napari_semnet.imaging.patterns import periodic_pattern


def _noise(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("pitch", [2, 8, 32])
def test_a_grid_too_weak_to_see_stands_out_at_its_own_pitch_only(pitch: int) -> None:
    plain = 2 * _noise((260, 300))
    grid = plain.copy()
    grid[::pitch] += 1.0
    assert periodic_pattern(plain, pitch).peak < 8
    assert periodic_pattern(grid, pitch).peak > 2.5 * periodic_pattern(plain, pitch).peak
    other = 11
    assert periodic_pattern(grid, other).peak < 8


@pytest.mark.parametrize("pitch", [2, 8, 10])
@pytest.mark.parametrize("angle", ["rows", "columns", "diagonal"])
def test_the_amplitude_of_a_wave_is_its_root_mean_square(pitch: int, angle: str) -> None:
    y, x = np.mgrid[:200, :240]
    along = {"rows": y, "columns": x, "diagonal": y + x}[angle]
    wave = np.cos(2 * np.pi * along / pitch)
    root_mean_square = float(wave.std())
    found = periodic_pattern(0.2 * wave + 0.5 * _noise(wave.shape), pitch)
    assert found.amplitude == pytest.approx(0.2 * root_mean_square, rel=0.1)
    assert found.pitch == pitch
    assert periodic_pattern(0.5 * _noise(wave.shape), pitch).amplitude < 0.02


def test_a_checkerboard_stands_out() -> None:
    board = _noise((128, 128))
    board[::2, ::2] += 0.5
    board[1::2, 1::2] += 0.5
    assert periodic_pattern(board, 2).peak > 100


def test_the_contents_of_a_real_picture_are_no_grid(shared: Path) -> None:
    for path in sorted((shared / "sem-images" / "val").glob("*.png"))[:3]:
        image = np.asarray(Image.open(path))[:400, :400].astype(np.float64)
        grid = image.copy()
        grid[::8] += 1
        assert periodic_pattern(image, 8).peak < 5
        assert periodic_pattern(grid, 8).peak > 2 * periodic_pattern(image, 8).peak


def test_too_few_periods_are_refused() -> None:
    with pytest.raises(ImageError, match="256 x 256"):
        periodic_pattern(np.zeros((255, 400)), 32)
    with pytest.raises(ValueError, match="2 pixels"):
        periodic_pattern(np.zeros((255, 400)), 1)


def test_a_checkerboard_is_no_pattern_of_8_pixels() -> None:
    y, x = np.mgrid[:128, :128]
    board = (y + x) % 2 + 0.1 * _noise((128, 128))
    assert periodic_pattern(board, 2).peak > 1000
    assert periodic_pattern(board, 8).peak < 8
