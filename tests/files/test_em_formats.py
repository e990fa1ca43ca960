"""MRC and DigitalMicrograph files, where their readers are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_semnet.errors import FileFormatError
from napari_semnet.files.reader import read_image
from tests.files.making import dm3, specimen


def write_mrc(path: Path, pixels: np.ndarray, angstrom: float) -> Path:
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(path) as file:
        file.set_data(pixels)
        file.voxel_size = angstrom
    return path


class TestMrc:
    @pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
    def test_pixels_and_size(self, dtype: str, tmp_path: Path) -> None:
        pixels = specimen().astype(dtype)
        image = read_image(write_mrc(tmp_path / "a.mrc", pixels, 42.5))
        assert image.pixel_size is not None
        assert image.pixel_size.yx == pytest.approx((4.25, 4.25))
        assert np.array_equal(image.pixels, pixels)

    def test_stacks_know_the_distance_of_their_slices(self, tmp_path: Path) -> None:
        pixels = np.stack([specimen(seed=i).astype(np.int16) for i in range(3)])
        image = read_image(write_mrc(tmp_path / "a.mrc", pixels, 100))
        assert (image.axes, image.z_step_nm) == ("ZYX", pytest.approx(10))

    def test_a_header_that_counts_no_slices_gives_them_no_distance(self, tmp_path: Path) -> None:
        mrcfile = pytest.importorskip("mrcfile")
        pixels = np.stack([specimen(seed=i).astype(np.int16) for i in range(3)])
        path = write_mrc(tmp_path / "a.mrc", pixels, 100)
        with mrcfile.open(path, mode="r+") as file:
            file.header.mz = 0
        image = read_image(path)
        assert (image.pixel_size is not None, image.z_step_nm) == (True, None)

    @pytest.mark.parametrize("unset", [0, 1])
    def test_unset_values_are_no_size(self, unset: int, tmp_path: Path) -> None:
        image = read_image(write_mrc(tmp_path / "a.mrc", specimen().astype(np.int16), unset))
        assert image.pixel_size is None

    @pytest.mark.parametrize("length", [0, 100, 1024, 2000])
    def test_cut_off_files_are_refused(self, length: int, tmp_path: Path) -> None:
        path = write_mrc(tmp_path / "a.mrc", specimen().astype(np.int16), 42.5)
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(FileFormatError):
            read_image(path)


class TestDm:
    @pytest.mark.parametrize(("unit", "nm"), [("nm", 2.5), ("µm", 2500.0), ("", None)])
    def test_pixels_and_size(self, unit: str, nm: float | None, tmp_path: Path) -> None:
        pytest.importorskip("rsciio.digitalmicrograph")
        (tmp_path / "a.dm3").write_bytes(dm3(specimen(), 2.5, unit))
        image = read_image(tmp_path / "a.dm3")
        assert np.array_equal(image.pixels, specimen())
        found = None if image.pixel_size is None else image.pixel_size.yx
        assert found == (None if nm is None else pytest.approx((nm, nm), rel=1e-6))

    @pytest.mark.parametrize("content", [b"", b"hello", b"\0\0\0\x03" + b"\xff" * 40])
    def test_what_is_no_dm_file_is_refused(self, content: bytes, tmp_path: Path) -> None:
        pytest.importorskip("rsciio.digitalmicrograph")
        (tmp_path / "a.dm3").write_bytes(content)
        with pytest.raises(FileFormatError):
            read_image(tmp_path / "a.dm3")
