"""OME-Zarr: pyramid, units and provenance out, and in again."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zarr")
pytest.importorskip("dask.array")

from napari_semnet.errors import FileFormatError
from napari_semnet.files.ome_zarr import read_levels, write_ome_zarr
from napari_semnet.files.provenance import Provenance, named, read_sidecar
from napari_semnet.files.reader import read_image

SIZE = (6.1631125, 5.4321)


def picture(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_picture_comes_back_exactly_with_its_size(tmp_path: Path, dtype: str) -> None:
    pixels = picture((1030, 1100), dtype)
    record = Provenance(model="m", model_sha256="ab" * 32)
    path = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        pixels,
        pixel_size_nm=SIZE,
        provenance=record,
        origin_nm=(-1.5, -1.4),
    )
    image = read_image(path)
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx(SIZE, rel=1e-12)
    assert image.origin_nm == pytest.approx((-1.5, -1.4))
    assert image.pixels.dtype == pixels.dtype
    assert np.array_equal(np.asarray(image.pixels), pixels)
    assert image.provenance == named(record, path)
    assert read_sidecar(tmp_path / "a.semnet.json") == named(record, path)


def test_a_record_does_not_outlive_the_picture_that_it_describes(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, picture((8, 8)), pixel_size_nm=SIZE, provenance=Provenance(model="m"))
    write_ome_zarr(path, picture((8, 8)), pixel_size_nm=SIZE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_levels_are_means_with_their_centres_in_place(tmp_path: Path) -> None:
    pixels = picture((2, 1031, 1102))
    path = write_ome_zarr(tmp_path / "a.zarr", pixels, pixel_size_nm=SIZE, z_step_nm=30)
    levels = read_levels(path)
    assert levels.axes == "ZYX"
    assert [a.shape for a in levels.arrays] == [(2, 1031, 1102), (2, 515, 551)]
    expected = pixels[:, :1030].reshape(2, 515, 2, 551, 2).mean(axis=(2, 4))
    assert np.array_equal(np.asarray(levels.arrays[1]), np.rint(expected))
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    multiscale = ome["multiscales"][0]
    assert [axis.get("unit") for axis in multiscale["axes"]] == ["nanometer"] * 3
    scale, shift = multiscale["datasets"][1]["coordinateTransformations"]
    assert scale["scale"] == [30, 2 * SIZE[0], 2 * SIZE[1]]
    assert shift["translation"] == [0, SIZE[0] / 2, SIZE[1] / 2]


def test_a_part_of_a_volume_keeps_its_place_along_z_at_every_level(tmp_path: Path) -> None:
    path = write_ome_zarr(
        tmp_path / "a.zarr",
        picture((3, 1030, 1100)),
        pixel_size_nm=SIZE,
        z_step_nm=10,
        origin_nm=(200, 100),
        origin_z_nm=300,
    )
    image = read_image(path)
    assert (image.origin_z_nm, image.origin_nm) == (300, (200, 100))
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    for level in ome["multiscales"][0]["datasets"]:
        assert level["coordinateTransformations"][1]["translation"][0] == 300


def test_slices_at_an_unknown_distance_have_no_place(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, picture((3, 8, 8)), pixel_size_nm=SIZE, origin_z_nm=300)
    assert read_image(path).origin_z_nm is None


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("axes", "stored"), [("ZCYX", "CZYX"), ("TZCYX", "TCZYX")])
def test_axes_are_stored_in_the_order_of_the_format_under_their_own_names(
    tmp_path: Path, axes: str, stored: str, lazy: bool
) -> None:
    models = pytest.importorskip("ome_zarr_models.v05")
    zarr, dask = pytest.importorskip("zarr"), pytest.importorskip("dask.array")
    lengths = dict(zip("TZCYX", (2, 4, 3, 1030, 1100), strict=True))
    pixels = picture(tuple(lengths[axis] for axis in axes))
    given = dask.from_array(pixels, chunks=500) if lazy else pixels
    path = write_ome_zarr(tmp_path / "a.zarr", given, pixel_size_nm=SIZE, axes=axes, z_step_nm=10)
    levels = read_levels(path)
    assert (levels.axes, levels.findings.z_step_nm) == (stored, 10)
    expected = pixels.transpose([axes.index(axis) for axis in stored])
    assert np.array_equal(np.asarray(levels.arrays[0]), expected)
    assert levels.arrays[1].shape[:-2] == expected.shape[:-2]
    models.Image.from_zarr(zarr.open_group(str(path), mode="r"))


def test_axes_that_the_format_does_not_know_get_its_usual_letters(tmp_path: Path) -> None:
    for axes, stored in (("QQYX", "CZYX"), ("IZYX", "CZYX"), (None, "CZYX"), ("ZZYX", "CZYX")):
        path = write_ome_zarr(
            tmp_path / "a.zarr", picture((2, 3, 8, 8)), pixel_size_nm=SIZE, axes=axes
        )
        assert read_levels(path).axes == stored
        assert read_levels(path).arrays[0].shape == (2, 3, 8, 8)


def test_without_a_size_there_is_no_unit(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=None)
    image = read_image(path)
    assert image.pixel_size is None
    assert image.origin_nm == (0.0, 0.0)


def test_the_format_s_own_library_finds_it_valid(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models.v05")
    zarr = pytest.importorskip("zarr")
    path = write_ome_zarr(tmp_path / "a.zarr", picture((2, 1030, 1030)), pixel_size_nm=SIZE)
    image = models.Image.from_zarr(zarr.open_group(str(path), mode="r"))
    assert len(image.ome_attributes.multiscales[0].datasets) == 2


def test_the_old_folder_stays_when_writing_fails(tmp_path: Path) -> None:
    class Failing:
        shape = (2, 100, 100)
        dtype = np.dtype("uint8")

        def __getitem__(self, index: Any) -> np.ndarray:
            if index[0] == 1:
                raise OSError(28, "No space left on device")
            return np.zeros((100, 100), np.uint8)

    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=SIZE)
    with pytest.raises(FileFormatError, match="unchanged"):
        write_ome_zarr(path, Failing(), pixel_size_nm=SIZE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert np.array_equal(np.asarray(read_image(path).pixels), picture((64, 64)))


def test_replacing_leaves_only_the_new_one(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=SIZE)
    write_ome_zarr(path, picture((32, 40)), pixel_size_nm=SIZE)
    assert read_image(path).pixels.shape == (32, 40)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_what_was_kept_of_an_old_picture_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    """Caches know a dask array by its name."""
    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=SIZE)
    before = read_image(path).pixels.name
    write_ome_zarr(path, picture((64, 64)) + 1, pixel_size_nm=SIZE)
    assert read_image(path).pixels.name != before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot exchange names")
def test_an_old_folder_is_never_missing_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=SIZE)
    moved = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: (moved.append(self), rename(self, to))[1])
    write_ome_zarr(path, picture((32, 40)), pixel_size_nm=SIZE)
    assert path not in moved
    assert read_image(path).pixels.shape == (32, 40)


def test_where_names_cannot_be_exchanged_the_folder_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_semnet.files.ome_zarr.exchange", lambda *_: False)
    path = write_ome_zarr(tmp_path / "a.zarr", picture((64, 64)), pixel_size_nm=SIZE)
    write_ome_zarr(path, picture((32, 40)), pixel_size_nm=SIZE)
    assert read_image(path).pixels.shape == (32, 40)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(
    ("step", "start", "found"),
    [
        (0.0, 7.0, (None, None)),
        (math.nan, 7.0, (None, None)),
        (math.inf, 7.0, (None, None)),
        (-30.0, 7.0, (30.0, None)),
        (30.0, math.nan, (30.0, None)),
        (30.0, 7.0, (30.0, 7.0)),
    ],
)
def test_distances_and_places_along_z_are_such_as_slices_can_have(
    tmp_path: Path, step: float, start: float, found: tuple[float | None, float | None]
) -> None:
    path = write_ome_zarr(
        tmp_path / "a.zarr", picture((3, 8, 8)), pixel_size_nm=SIZE, z_step_nm=1, origin_z_nm=1
    )
    values = json.loads((path / "zarr.json").read_text())
    (level,) = values["attributes"]["ome"]["multiscales"][0]["datasets"]
    scale, translation = level["coordinateTransformations"]
    scale["scale"][0], translation["translation"][0] = step, start
    (path / "zarr.json").write_text(json.dumps(values))
    image = read_image(path)
    assert (image.z_step_nm, image.origin_z_nm) == found


def test_a_place_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, picture((8, 8)), pixel_size_nm=SIZE, origin_nm=(math.inf, 7.0))
    image = read_image(path)
    assert (image.pixel_size is not None, image.origin_nm) == (True, (0.0, 0.0))


@pytest.mark.parametrize(
    "attributes",
    ["", "[]", "{}", '{"multiscales": []}', '{"multiscales": [{"axes": 3, "datasets": []}]}'],
)
def test_damaged_groups_are_refused(tmp_path: Path, attributes: str) -> None:
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / ".zattrs").write_text(attributes)
    with pytest.raises(FileFormatError):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ((), "and holds no array."),
        (("raw",), r"Give what it holds: g.zarr/raw\."),
        (("b", "a"), "g.zarr/a or another of its arrays"),
    ],
)
def test_a_group_that_describes_no_picture_is_told_from_a_damaged_one(
    tmp_path: Path, held: tuple[str, ...], said: str
) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    for name in held:
        group.create_array(name, data=picture((8, 8)))
    with pytest.raises(FileFormatError, match=said):
        read_image(tmp_path / "g.zarr")
    for name in held:
        assert read_image(tmp_path / "g.zarr" / name).pixels.shape == (8, 8)


@pytest.mark.parametrize("shape", [(0, 8, 8), (8, 0)])
def test_an_array_without_pixels_is_refused_in_a_sentence(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=shape, dtype="u1", chunks=tuple(8 for _ in shape))
    with pytest.raises(FileFormatError, match=r"a\.zarr is empty: its shape is \("):
        read_image(tmp_path / "a.zarr")


def test_a_dot_within_a_name_stays_in_the_picture_s(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "2.5kV.ome.zarr", picture((8, 8)), pixel_size_nm=SIZE)
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["multiscales"][0]["name"] == "2.5kV"


@pytest.mark.skipif(sys.platform == "win32", reason="no name has a colon there")
def test_a_name_that_looks_like_an_address_is_a_name(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "memory::a.zarr", picture((8, 8)), pixel_size_nm=SIZE)
    assert np.array_equal(np.asarray(read_image(path).pixels), picture((8, 8)))


class TestSeveralPictures:
    """The layout of bioformats2raw: a group with a picture in each of 0, 1, 2..."""

    @staticmethod
    def written(path: Path, count: int) -> Path:
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
        group.create_group("OME")
        for number in range(count):
            pixels = picture((8, 8)) + number
            write_ome_zarr(path / f"{number}.zarr", pixels, pixel_size_nm=SIZE)
            (path / f"{number}.zarr").rename(path / str(number))
        return path

    def test_the_only_one_is_opened(self, tmp_path: Path) -> None:
        image = read_image(self.written(tmp_path / "a.zarr", 1))
        assert np.array_equal(np.asarray(image.pixels), picture((8, 8)))
        assert image.pixel_size is not None

    def test_of_several_one_must_be_chosen(self, tmp_path: Path) -> None:
        path = self.written(tmp_path / "a.zarr", 2)
        with pytest.raises(FileFormatError, match=r"2 pictures.*a\.zarr/0"):
            read_image(path)
        assert np.array_equal(np.asarray(read_image(path / "1").pixels), picture((8, 8)) + 1)

    def test_none_is_no_picture(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="describes no OME-Zarr picture"):
            read_image(self.written(tmp_path / "a.zarr", 0))


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "other chunks"])
def test_a_damaged_chunk_is_said_when_it_is_read(tmp_path: Path, damage: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8)
    path = write_ome_zarr(tmp_path / "a.ome.zarr", pixels, pixel_size_nm=(4, 4))
    chunk = next(
        p for p in sorted((path / "0").rglob("*")) if p.is_file() and p.name != "zarr.json"
    )
    content = chunk.read_bytes()
    if damage == "other chunks":
        described = (path / "0" / "zarr.json").read_text(encoding="utf-8")
        assert '"chunk_shape"' in described
        changed = re.sub(r'("chunk_shape": \[\s*)\d+', r"\g<1>16", described)
        (path / "0" / "zarr.json").write_text(changed, encoding="utf-8")
    else:
        chunk.write_bytes(content[:-40] if damage == "cut off" else bytes(len(content)))
    levels = read_levels(path).arrays
    with pytest.raises(FileFormatError, match=r"part of a\.ome\.zarr cannot be read"):
        np.asarray(levels[0])
