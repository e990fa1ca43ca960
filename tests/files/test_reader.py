"""Files come in with the right pixels, the right size, and nothing invented."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet.errors import FileFormatError
from napari_semnet.files import tiff_pixels
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from tests.files.making import (
    databar,
    fei_header,
    fibics_header,
    phenom_header,
    specimen,
    tescan_header,
    write,
    zeiss_header,
)

WITH_BAR = np.vstack([specimen(), databar()])
TESCAN = {"PixelSizeX": "4e-9", "PixelSizeY": "4e-9", "ImageStripSize": 24}
VENDORS: dict[str, tuple[int, str | bytes]] = {
    "FEI": (34682, fei_header()),
    "Zeiss": (34118, zeiss_header(1e-9, 256, {"AP_WIDTH": "1.024 um"})),
    "TESCAN": (50431, tescan_header(TESCAN)),
    "Fibics": (51023, fibics_header(0.004, 256, 224)),
    "Phenom": (34683, phenom_header(0.004, 24)),
}


def expected_rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "vendor-samples" / "expected.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_genuine_file_gives_what_it_must(shared: Path) -> None:
    for row in expected_rows(shared):
        image = read_image(shared / "vendor-samples" / row["file"])
        assert image.pixels.shape == (int(row["height"]), int(row["width"])), row["file"]
        assert str(image.pixels.dtype) == row["dtype"], row["file"]
        if row["pixel_nm"]:
            assert image.pixel_size is not None, row["file"]
            assert image.pixel_size.yx == pytest.approx([float(row["pixel_nm"])] * 2, rel=1e-4)
        else:
            assert image.pixel_size is None, row["file"]
        rows = row["specimen_rows"]
        if not rows:
            assert image.specimen_rows is None, row["file"]
        else:
            stop = int(rows.split("-")[1]) + 1 if "-" in rows else int(rows)
            assert image.specimen_rows == (0, stop), row["file"]


def test_genuine_files_without_their_tags_are_not_calibrated(shared: Path, tmp_path: Path) -> None:
    for row in expected_rows(shared):
        if row["vendor"].startswith(("Thermo", "TESCAN")) and row["specimen_rows"]:
            with tifffile.TiffFile(shared / "vendor-samples" / row["file"]) as tiff:
                page = tiff.pages[0]
                pixels, resolution = page.asarray(), page.get_resolution()
            path = write(tmp_path / row["file"], pixels, resolution=resolution)
            image = read_image(path)
            assert image.pixel_size is None, row["file"]
            stated = (0, int(row["specimen_rows"]))
            assert image.specimen_rows in (stated, None), row["file"]
            if image.specimen_rows is None:
                assert any("check which rows" in text for text in image.warnings), row["file"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_vendor_tags_calibrate_whatever_the_resolution_says(vendor: str, tmp_path: Path) -> None:
    code, header = VENDORS[vendor]
    image = read_image(write(tmp_path / "a.tif", WITH_BAR, {code: header}))
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx((4.0, 4.0), rel=1e-6)
    assert image.specimen_rows == (0, 200)
    assert np.array_equal(image.pixels, WITH_BAR)
    assert np.array_equal(image.specimen, WITH_BAR[:200])


@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER", "NONE"])
def test_resolution_is_never_a_pixel_size(unit: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", specimen(), resolution=(118, 118), resolutionunit=unit)
    image = read_image(path)
    assert image.pixel_size is None
    assert any("enter it" in text for text in image.warnings)


def test_a_databar_that_the_header_denies_is_asked_about(tmp_path: Path) -> None:
    header = fei_header(columns=256, rows=len(WITH_BAR))
    image = read_image(write(tmp_path / "a.tif", WITH_BAR, {34682: header}))
    assert (image.specimen_rows, image.specimen_rows_from) == (None, "uncertain")
    assert any("check which rows" in text for text in image.warnings)
    plain = read_image(write(tmp_path / "b.tif", specimen(), {34682: fei_header()}))
    assert (plain.specimen_rows, plain.specimen_rows_from) == ((0, 200), "header")


def test_two_sizes_that_differ_are_both_named(tmp_path: Path) -> None:
    tags = {34682: fei_header(), 51023: fibics_header(0.008, 256, 200)}
    image = read_image(write(tmp_path / "a.tif", specimen(), tags))
    assert image.pixel_size is not None
    assert (image.pixel_size.x_nm, image.pixel_size.confidence) == (pytest.approx(4.0), "low")
    assert any("two pixel sizes" in text for text in image.warnings)


@pytest.mark.parametrize(
    ("name", "text", "nm"),
    [
        ("a.txt", "[SemImageFile]\nPixelSize=24.8\n", 24.8),
        ("a.txt", "$CM_PIXEL_SIZE 12.5nm\n", 12.5),
        ("a.hdr", "[MAIN]\nPixelSizeX=4e-9\nPixelSizeY=4e-9\n", 4.0),
        ("a-png.hdr", "[MAIN]\nPixelSizeX=4e-9\nPixelSizeY=4e-9\n", 4.0),
    ],
)
def test_a_sidecar_calibrates_a_plain_picture(
    name: str, text: str, nm: float, tmp_path: Path
) -> None:
    Image.fromarray(specimen()).save(tmp_path / "a.png")
    (tmp_path / name).write_text(text)
    image = read_image(tmp_path / "a.png")
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx((nm, nm))


def test_a_unit_in_latin_1_is_read(tmp_path: Path) -> None:
    said = b"ImageJ=1.43u\nimages=1\nunit=\xb5m\n"
    tifffile.imwrite(
        tmp_path / "a.tif", specimen(), description=said, metadata=None, resolution=(250, 250)
    )
    image = read_image(tmp_path / "a.tif")
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx((4.0, 4.0))


@pytest.mark.parametrize(("picture", "beside"), [("A.TIF", "A-tif.hdr"), ("A.TIF", "A.HDR")])
def test_a_sidecar_is_found_whatever_the_case_of_endings(
    picture: str, beside: str, tmp_path: Path
) -> None:
    write(tmp_path / picture, specimen())
    (tmp_path / beside).write_text("[MAIN]\nPixelSizeX=5e-9\nPixelSizeY=5e-9\n")
    image = read_image(tmp_path / picture)
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx((5, 5))


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg"])
def test_a_picture_without_a_sidecar_is_not_calibrated(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(specimen()).save(tmp_path / f"a.{suffix}", dpi=(300, 300))
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.pixel_size is None
    assert image.pixels.shape == (200, 256)
    if suffix != "jpg":
        assert np.array_equal(image.pixels, specimen())


@pytest.mark.parametrize(("channels", "lost"), [((), False), ((3,), True), ((2,), True)])
def test_a_png_of_16_bits_says_where_it_comes_as_8(
    channels: tuple[int, ...], lost: bool, tmp_path: Path
) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (20, 24), np.uint16)
    pixels = grey if not channels else np.repeat(grey[..., None], channels[0], axis=-1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    image = read_image(tmp_path / "a.png")
    assert image.axes == "YX"
    assert image.pixels.dtype == (np.uint8 if lost else np.uint16)
    assert any("lower 8 are lost" in text for text in image.warnings) is lost


def test_phenom_s_jpeg_is_calibrated(tmp_path: Path) -> None:
    Image.fromarray(WITH_BAR).save(tmp_path / "a.jpg", quality=95)
    content = (tmp_path / "a.jpg").read_bytes() + phenom_header(0.694952, 24).encode()
    (tmp_path / "a.jpg").write_bytes(content)
    image = read_image(tmp_path / "a.jpg")
    assert image.pixel_size is not None
    assert image.pixel_size.x_nm == pytest.approx(694.952)
    assert image.specimen_rows == (0, 200)


def test_detectors_that_share_a_frame_come_apart(tmp_path: Path) -> None:
    left, right = specimen((200, 128), 1), specimen((200, 128), 2)
    frame = np.vstack([np.hstack([left, right]), databar()])
    header = tescan_header(TESCAN | {"ViewFieldsCountX": 2}, {"Detector0": "SE", "Detector1": "BE"})
    image = read_image(write(tmp_path / "a.tif", frame, {50431: header}))
    assert image.axes == "CYX"
    assert np.array_equal(image.pixels, np.stack([left, right]))
    assert image.specimen_rows == (0, 200)
    assert image.metadata["detector"] == "SE, BE"


class TestPixels:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
    def test_either_byte_order_and_any_type(self, dtype: str, order: str, tmp_path: Path) -> None:
        pixels = (specimen().astype(float) - 100).astype(dtype)
        path = write(tmp_path / "a.tif", pixels, byteorder=order)
        image = read_image(path)
        assert image.pixels.dtype == np.dtype(dtype)
        assert image.pixels.dtype.isnative
        assert np.array_equal(image.pixels, pixels)

    @pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits"])
    def test_compressions(self, compression: str, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", specimen(), compression=compression)
        assert np.array_equal(read_image(path).pixels, specimen())

    def test_inverted_grey_is_turned(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", 255 - specimen(), photometric="miniswhite")
        assert np.array_equal(read_image(path).pixels, specimen())

    def test_an_identity_palette_changes_nothing(self, tmp_path: Path) -> None:
        palette = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
        path = write(tmp_path / "a.tif", specimen(), photometric="palette", colormap=palette)
        image = read_image(path)
        assert np.array_equal(image.pixels, specimen())
        assert not any("coloured" in text for text in image.warnings)

    def test_coloured_palette_entries_are_counted(self, tmp_path: Path) -> None:
        palette = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
        palette[:, 9] = (65535, 0, 0)
        pixels = specimen()
        pixels[pixels == 9] = 10
        pixels[3, :5] = 9
        path = write(tmp_path / "a.tif", pixels, photometric="palette", colormap=palette)
        image = read_image(path)
        assert any(text.startswith("5 pixels") for text in image.warnings)
        assert set(image.pixels[3, :5]) == {76}
        assert np.array_equal(image.pixels[4:], pixels[4:])

    def test_grey_stored_as_colour_becomes_grey(self, tmp_path: Path) -> None:
        for channels, name in ((3, "rgb.tif"), (4, "rgba.tif")):
            pixels = np.repeat(specimen()[..., None], channels, axis=-1)
            path = write(tmp_path / name, pixels, photometric="rgb")
            image = read_image(path)
            assert (image.axes, image.pixels.shape) == ("YX", (200, 256))
            assert np.array_equal(image.pixels, specimen())

    def test_real_colour_stays_and_warns(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
        image = read_image(write(tmp_path / "a.tif", pixels, photometric="rgb"))
        assert image.axes == "YXS"
        assert np.array_equal(image.pixels, pixels)
        assert any("colour" in text for text in image.warnings)

    def test_pages_become_a_stack(self, tmp_path: Path) -> None:
        pages = np.stack([specimen(seed=i) for i in range(3)])
        image = read_image(write(tmp_path / "a.tif", pages, photometric="minisblack"))
        assert image.axes == "IYX"
        assert np.array_equal(image.pixels, pages)

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize(
        ("shape", "axes", "options"),
        [
            ((3, 1, 20, 24), "QYX", {}),
            ((1, 3, 20, 24), "QYX", {}),
            ((1, 3, 1, 24), "QYX", {}),
            ((2, 1, 3, 20, 24), "QQYX", {}),
            ((3, 1, 20, 24), "ZYX", {"metadata": {"axes": "ZCYX"}}),
            ((1, 1, 20, 24), "YX", {"metadata": {"axes": "ZCYX"}}),
            ((1, 3, 20, 24), "QYX", {"compression": "zlib"}),
        ],
    )
    def test_axes_of_length_one_are_left_out(
        self,
        shape: tuple[int, ...],
        axes: str,
        options: dict[str, Any],
        lazy: bool,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if lazy:
            pytest.importorskip("zarr")
            monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 10)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", **options)
        image = read_image(tmp_path / "a.tif")
        assert image.axes == axes
        kept = [n for n in shape[:-2] if n > 1] + list(shape[-2:])
        assert np.array_equal(np.asarray(image.pixels), pixels.reshape(kept))

    def test_a_small_second_page_is_not_taken_for_a_slice(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(specimen(), metadata=None)
            writer.write(specimen()[::8, ::8], metadata=None)
        image = read_image(tmp_path / "a.tif")
        assert image.axes == "YX"
        assert np.array_equal(image.pixels, specimen())
        assert any("1 further picture" in text for text in image.warnings)

    @pytest.mark.parametrize("ome", [False, True])
    def test_pictures_that_are_no_slices_are_counted(self, ome: bool, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        with tifffile.TiffWriter(path, ome=ome) as writer:
            for seed in range(3):
                writer.write(specimen(seed=seed), photometric="minisblack")
        image = read_image(path)
        assert np.array_equal(image.pixels, specimen(seed=0))
        assert any("2 further pictures are left out" in text for text in image.warnings)

    def test_a_reduced_copy_is_not_counted(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(specimen(), metadata=None)
            writer.write(specimen()[::8, ::8], metadata=None, subfiletype=1)
        assert not any("further" in text for text in read_image(tmp_path / "a.tif").warnings)

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_of_too_many_pages_the_first_is_read(
        self, compression: str | None, lazy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("zarr")
        monkeypatch.setattr("napari_semnet.files.tiff_pixels.MOST_PAGES", 2)
        if lazy:
            monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 10)
        pages = np.stack([specimen(seed=i) for i in range(3)])
        path = write(tmp_path / "a.tif", pages, photometric="minisblack", compression=compression)
        image = read_image(path)
        assert image.axes == "YX"
        assert np.array_equal(np.asarray(image.pixels), pages[0])
        assert any("2 further pictures are left out" in text for text in image.warnings)

    def test_a_large_picture_is_grouped_as_a_small_one_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("zarr")
        monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 10)
        untrue = '<OME xmlns="a"><Image><Pixels SizeZ="9999"/></Image></OME>'
        path = write(tmp_path / "a.tif", specimen(), description=untrue, compression="zlib")
        assert np.array_equal(np.asarray(read_image(path).pixels), specimen())

    def test_two_that_read_at_once_leave_the_log_as_it_was(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, other = tiff_pixels._quiet(), tiff_pixels._quiet()
        log = logging.getLogger("tifffile")
        with one as first:
            other.__enter__()
        log.error("while the other still reads")
        other.__exit__(None, None, None)
        assert (first.records, caplog.records) == ([], [])
        log.error("when both are done")
        assert [record.message for record in caplog.records] == ["when both are done"]

    def test_black_and_white_bits_become_grey(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", specimen() > 100, photometric="minisblack")
        pixels = read_image(tmp_path / "a.tif").pixels
        assert np.array_equal(pixels, (specimen() > 100).astype(np.uint8) * 255)

    def test_a_large_picture_stays_on_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 1000)
        path = write(tmp_path / "a.tif", WITH_BAR, {34682: fei_header()})
        image = read_image(path)
        assert isinstance(image.pixels, np.memmap)
        assert np.array_equal(image.specimen, WITH_BAR[:200])

    def test_a_large_compressed_picture_is_read_piece_by_piece(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dask = pytest.importorskip("dask.array")
        pytest.importorskip("zarr")
        monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", 1000)
        path = write_tiff(tmp_path / "a.ome.tif", np.stack([WITH_BAR] * 2), pixel_size_nm=(4, 4))
        image = read_image(path)
        assert isinstance(image.pixels, dask.Array)
        assert image.axes == "ZYX"
        assert np.array_equal(np.asarray(image.specimen), np.stack([WITH_BAR[:200]] * 2))


class TestOwnFiles:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
    def test_round_trip_is_exact(self, dtype: str, tmp_path: Path) -> None:
        pixels = specimen().astype(dtype)
        path = write_tiff(tmp_path / "a.ome.tif", pixels, pixel_size_nm=(6.1631125, 5.4321))
        image = read_image(path)
        assert image.pixel_size is not None
        assert image.pixel_size.yx == pytest.approx((6.1631125, 5.4321), rel=1e-12)
        assert image.pixels.dtype == pixels.dtype
        assert np.array_equal(image.pixels, pixels)

    def test_stack_keeps_axes_and_z_step(self, tmp_path: Path) -> None:
        pixels = np.stack([specimen(seed=i) for i in range(4)]).reshape(2, 2, 200, 256)
        path = write_tiff(
            tmp_path / "a.tif", pixels, pixel_size_nm=(4, 4), axes="TZYX", z_step_nm=30
        )
        image = read_image(path)
        assert (image.axes, image.z_step_nm) == ("TZYX", 30.0)
        assert np.array_equal(image.pixels, pixels)

    @pytest.mark.parametrize("width", [128, 512])
    def test_another_program_s_copy_of_another_width_is_not_calibrated(
        self, width: int, tmp_path: Path
    ) -> None:
        write_tiff(tmp_path / "a.tif", specimen(), pixel_size_nm=(4, 4), origin_nm=(8, 8))
        with tifffile.TiffFile(tmp_path / "a.tif") as own:
            tags = own.pages.first.tags
            kept = [(code, tags[code].dtype, 1, tags[code].value) for code in (65009, 65010)]
            units = [(code, 2, 3, tags[code].value) for code in (65003, 65004)]
            said = tags[270].value
        # As programs write that know nothing of the tags, and keep them all.
        tifffile.imwrite(
            tmp_path / "b.tif",
            np.asarray(Image.fromarray(specimen()).resize((width, width))),
            description=said,
            metadata=None,
            extratags=[*kept, *units],
        )
        image = read_image(tmp_path / "b.tif")
        assert image.pixels.shape == (width, width)
        assert (image.pixel_size, image.origin_nm) == (None, None)
        assert any("256 pixels wide" in text for text in image.warnings)

    def test_uncalibrated_stays_uncalibrated(self, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "a.tif", specimen(), pixel_size_nm=None)
        assert read_image(path).pixel_size is None


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="no file"):
            read_image(tmp_path / "a.tif")

    def test_a_folder_is_called_one(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"is a folder\. Give one"):
            read_image(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"hello world"])
    def test_what_is_no_picture(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(FileFormatError):
            read_image(tmp_path / "a.tif")

    def test_a_truncated_file_shows_what_there_is_and_says_so(self, tmp_path: Path) -> None:
        # Header first, as microscopes write it, so that only pixels are lost.
        path = write(tmp_path / "a.tif", specimen(), {34682: fei_header()}, rowsperstrip=10)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1280])
        image = read_image(path)
        assert np.array_equal(image.pixels[:190], specimen()[:190])
        assert any("cannot be read whole" in text for text in image.warnings)

    def test_a_claim_of_absurd_size_is_refused_at_once(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), compression="zlib")
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages[0].tags
            for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                at = tags[name].valueoffset
                content[at : at + 2] = b"\xff\xff"
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="cannot be"):
            read_image(path)
