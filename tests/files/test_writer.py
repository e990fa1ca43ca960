"""Calibrated TIFF: written once, read right by every program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_semnet.errors import FileFormatError
from napari_semnet.files.provenance import Provenance, named, read_sidecar, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff

SIZE = (6.1631125, 5.4321)


def picture(dtype: str = "uint8", shape: tuple[int, ...] = (300, 270)) -> np.ndarray:
    values = np.random.default_rng(3).integers(0, 200, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "uint32"])
def test_pixels_come_back_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    pixels = picture(dtype)
    path = write_tiff(tmp_path / "a.ome.tif", pixels, pixel_size_nm=SIZE)
    back = tifffile.imread(path)
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels)


def test_the_size_stands_in_every_place_where_programs_look(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(), pixel_size_nm=SIZE)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert 'PhysicalSizeX="5.4321" PhysicalSizeXUnit="nm"' in tiff.ome_metadata
        assert 'PhysicalSizeY="6.1631125"' in tiff.ome_metadata
        for code, expected in (("XResolution", SIZE[1]), ("YResolution", SIZE[0])):
            above, below = tags[code].value
            assert 1e7 / (above / below) == pytest.approx(expected, rel=1e-6)
        assert tags["ResolutionUnit"].value == 3
        assert (tags[65003].value, tags[65009].value) == ("nm", SIZE[1])
        assert (tags[65004].value, tags[65010].value) == ("nm", SIZE[0])
        assert tiff.pages[0].is_tiled
        assert tiff.pages[0].compression == 8


def test_without_a_size_nothing_is_claimed(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(), pixel_size_nm=None)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert "PhysicalSize" not in tiff.ome_metadata
        assert tags["ResolutionUnit"].value == 1
        assert 65009 not in tags


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 40, 50), "ZYX"), ((3, 40, 50), "TYX"), ((2, 3, 40, 50), "TZYX"), ((2, 40, 50), "CYX")],
)
def test_stacks_keep_their_axes(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    pixels = picture(shape=shape)
    path = write_tiff(tmp_path / "a.ome.tif", pixels, pixel_size_nm=SIZE, axes=axes, z_step_nm=30)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == axes
        assert np.array_equal(tiff.asarray(), pixels)
        assert ('PhysicalSizeZ="30.0"' in tiff.ome_metadata) == ("Z" in axes)


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "ZCYX"])
def test_every_plane_has_its_place_along_z(tmp_path: Path, axes: str) -> None:
    lengths = {"C": 2, "Z": 3, "Y": 40, "X": 50}
    pixels = picture(shape=tuple(lengths[axis] for axis in axes))
    path = write_tiff(
        tmp_path / "a.ome.tif",
        pixels,
        pixel_size_nm=SIZE,
        axes=axes,
        z_step_nm=10,
        origin_nm=(200, 100),
        origin_z_nm=300,
    )
    image = read_image(path)
    assert (image.origin_z_nm, image.origin_nm) == (300, (200, 100))
    with tifffile.TiffFile(path) as tiff:
        planes = [dict(e.attrib) for e in ElementTree.fromstring(tiff.ome_metadata).iter()]
    placed = [plane for plane in planes if "PositionZ" in plane]
    assert len(placed) == pixels[..., 0, 0].size
    for plane in placed:
        assert float(plane["PositionZ"]) == 300 + 10 * int(plane["TheZ"])


def test_a_single_picture_claims_no_place_along_z(tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "a.tif", picture(), pixel_size_nm=SIZE, z_step_nm=10, origin_z_nm=300
    )
    assert read_image(path).origin_z_nm is None


def test_pages_of_unknown_meaning_become_an_axis(tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "a.tif", picture(shape=(3, 20, 30)), pixel_size_nm=None, axes="IYX"
    )
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TYX"


@pytest.mark.parametrize(
    ("axes", "written"),
    [("QQYX", "TZYX"), ("IZYX", "TZYX"), ("ZQYX", "ZTYX"), ("QQQYX", "TCZYX"), ("QTIYX", "CTZYX")],
)
def test_what_read_image_calls_axes_of_unknown_meaning_can_be_written(
    tmp_path: Path, axes: str, written: str
) -> None:
    pixels = picture(shape=(2, 3, 4, 20, 30)[-len(axes) :])
    path = write_tiff(tmp_path / "a.tif", pixels, pixel_size_nm=None, axes=axes)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == written
        assert np.array_equal(tiff.asarray(), pixels)


@pytest.mark.parametrize("text", ["a\x01b", "a\x1bb", "a\ud800b", "a\ufffeb"])
def test_text_that_xml_cannot_hold_is_escaped(tmp_path: Path, text: str) -> None:
    record = Provenance(source=text, source_path=f"/{text}")
    path = write_tiff(
        tmp_path / "a.tif",
        picture(),
        pixel_size_nm=SIZE,
        provenance=record,
        name=text,
        description=text,
    )
    image = read_image(path)
    assert image.pixel_size is not None
    assert image.pixel_size.source.startswith("OME")
    assert image.provenance is not None
    with tifffile.TiffFile(path) as tiff:
        escaped = text.encode("unicode_escape").decode()
        assert f'Name="{escaped}"' in tiff.ome_metadata


def test_a_lazy_array_gives_the_same_file_as_its_values(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask.array")
    pixels = picture("uint16", (2, 300, 270))
    lazy = dask.from_array(pixels, chunks=(1, 100, 90))
    path = write_tiff(tmp_path / "a.ome.tif", lazy, pixel_size_nm=SIZE)
    assert np.array_equal(tifffile.imread(path), pixels)


@pytest.mark.parametrize("is_big", [False, True])
def test_a_file_is_a_bigtiff_from_the_size_on_that_needs_it(
    tmp_path: Path, is_big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Made small here; 46,400 x 46,400 pixels of 8 bits were tried by hand.
    limit = picture().nbytes + (0 if is_big else 1)
    monkeypatch.setattr("napari_semnet.files.writer._BIGTIFF_BYTES", limit)
    path = write_tiff(tmp_path / "a.ome.tif", picture(), pixel_size_nm=SIZE)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff is is_big
        assert np.array_equal(tiff.asarray(), picture())
    image = read_image(path)
    assert image.pixel_size is not None
    assert image.pixel_size.yx == SIZE


def test_provenance_travels_in_the_file_and_beside_it(tmp_path: Path) -> None:
    record = Provenance(model="µ-model", model_sha256="ab" * 32, source="grains <1>.tif", halo=12)
    path = write_tiff(tmp_path / "a.ome.tif", picture(), pixel_size_nm=SIZE, provenance=record)
    assert sidecar_path(path).name == "a.semnet.json"
    assert read_sidecar(sidecar_path(path)) == named(record, path)
    with tifffile.TiffFile(path) as tiff:
        assert 'K="model_sha256"' in tiff.ome_metadata
        assert "estimates, not measurements" in tiff.ome_metadata


def test_a_record_does_not_outlive_the_picture_that_it_describes(tmp_path: Path) -> None:
    path, other = tmp_path / "a.tif", tmp_path / "a.ome.tif"
    record = sidecar_path(path)
    write_tiff(path, picture(), pixel_size_nm=SIZE, provenance=Provenance(model="m"))
    write_tiff(other, picture(), pixel_size_nm=SIZE)
    assert read_sidecar(record).result == "a.tif"
    write_tiff(path, picture(), pixel_size_nm=SIZE)
    assert not record.exists()


def test_what_is_no_record_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "a.semnet.json").write_text("mine")
    write_tiff(tmp_path / "a.tif", picture(), pixel_size_nm=SIZE)
    assert (tmp_path / "a.semnet.json").read_text() == "mine"


class Failing:
    """Array-like whose second slice cannot be read."""

    shape = (2, 300, 300)
    dtype = np.dtype("uint8")

    def __getitem__(self, index: Any) -> np.ndarray:
        if index[0] == 1:
            raise OSError(28, "No space left on device")
        return np.zeros((300, 300), np.uint8)[index[1:]]


def test_a_failure_half_way_leaves_the_old_file_and_no_remains(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(), pixel_size_nm=SIZE)
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match="unchanged"):
        write_tiff(path, Failing(), pixel_size_nm=SIZE)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    ("name", "pixels", "size", "axes"),
    [
        ("a.png", picture(), SIZE, None),
        ("a.tif", picture().astype(complex), SIZE, None),
        ("a.tif", np.zeros((0, 5), np.uint8), SIZE, None),
        ("a.tif", picture(), (0.0, 1.0), None),
        ("a.tif", picture(), (float("nan"), 1.0), None),
        ("a.tif", picture(), SIZE, "ZYX"),
        ("a.tif", picture(shape=(2, 5, 5)), SIZE, "YXZ"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(
    tmp_path: Path, name: str, pixels: np.ndarray, size: tuple[float, float], axes: str | None
) -> None:
    with pytest.raises(FileFormatError):
        write_tiff(tmp_path / name, pixels, pixel_size_nm=size, axes=axes)
    assert list(tmp_path.iterdir()) == []


def test_hyperspy_s_reader_sees_size_and_unit(tmp_path: Path) -> None:
    rsciio = pytest.importorskip("rsciio.tiff")
    path = write_tiff(tmp_path / "a.ome.tif", picture("uint16"), pixel_size_nm=SIZE)
    (read,) = rsciio.file_reader(str(path))
    assert np.array_equal(read["data"], picture("uint16"))
    for axis, expected in zip(read["axes"], SIZE, strict=True):
        assert axis["units"] == "nm"
        assert axis["scale"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL.")
def test_a_kill_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(), pixel_size_nm=SIZE)
    before = path.read_bytes()
    program = f"""
import os, signal
import numpy as np
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
class Deadly:
    shape, dtype = (2, 300, 300), np.dtype("uint8")
    def __getitem__(self, index):
        if index[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((300, 300), np.uint8)[index[1:]]
write_tiff({str(path)!r}, Deadly(), pixel_size_nm=(1, 1))
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -9
    assert path.read_bytes() == before
