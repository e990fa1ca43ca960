"""Damaged and hostile files: a clear error or an honest picture, at once and in little memory."""

from __future__ import annotations

import io
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import napari_semnet
from napari_semnet.errors import FileFormatError
from napari_semnet.files.reader import SemImage, read_image
from napari_semnet.files.writer import write_tiff
from tests.files.fuzzing import Fuzzer
from tests.files.making import (
    databar,
    fei_header,
    fibics_header,
    orion_header,
    phenom_header,
    specimen,
    tescan_header,
    write,
    zeiss_header,
)

SECONDS = 20.0
"""Time box of each campaign."""
TRIES = 500
LONGEST = 20.0
"""Seconds after which a file counts as one that hangs; each takes a few milliseconds."""
MOST_GROWTH = 512 * 2**20

WITH_BAR = np.vstack([specimen(), databar()])
HEADERS: dict[str, tuple[int, str | bytes]] = {
    "fei": (34682, fei_header()),
    "zeiss": (
        34118,
        zeiss_header(1e-9, 256, {"AP_WIDTH": "1.024 um", "AP_HEIGHT": "0.896 um", "AP_WD": "3 mm"}),
    ),
    "tescan": (
        50431,
        tescan_header(
            {"PixelSizeX": "4e-9", "PixelSizeY": "4e-9", "ImageStripSize": 24},
            {"TiltCorrection": "0.0", "HV": "5e3"},
        ),
    ),
    "fibics": (51023, fibics_header(0.004, 256, 224)),
    "phenom": (34683, phenom_header(0.004, 24)),
    "orion": (65000, orion_header(4e-9, 256)),
}


def peak_memory() -> int:
    """Largest memory that this process ever held, in bytes."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak


def read_within_reason(path: Path, truth: tuple[float, float] | None) -> SemImage | None:
    """Read a file that may be damaged; it must be quick and must not make up a pixel size."""
    start = time.monotonic()
    try:
        image = read_image(path)
        np.asarray(image.pixels).sum()
    except FileFormatError:
        return None
    finally:
        assert time.monotonic() - start < LONGEST
    if image.pixel_size is not None:
        assert truth is not None
        assert image.pixel_size.yx == pytest.approx(truth, rel=2e-3)
    if image.specimen_rows is not None:
        first, stop = image.specimen_rows
        assert 0 <= first < stop <= image.pixels.shape[image.axes.index("Y")]
    return image


def campaign(origins: dict[str, bytes], folder: Path, seed: int) -> None:
    """Damage files for a while, guided by the lines of this package that they reach."""
    truths: dict[str, tuple[float, float] | None] = {}
    for name, content in origins.items():
        (folder / "a.tif").write_bytes(content)
        size = read_image(folder / "a.tif").pixel_size
        truths[name] = None if size is None else size.yx

    def try_it(name: str, content: bytes) -> None:
        (folder / "a.tif").write_bytes(content)
        read_within_reason(folder / "a.tif", truths[name])

    before = peak_memory()
    package = str(Path(napari_semnet.__file__).parent / "files")
    tried = Fuzzer(origins, package, seed).run(try_it, TRIES, SECONDS)
    assert tried > 0
    assert peak_memory() - before < MOST_GROWTH


def test_damaged_made_up_files(tmp_path: Path) -> None:
    origins = {}
    for name, (code, header) in HEADERS.items():
        for compression in (None, "lzw"):
            path = write(tmp_path / "s.tif", WITH_BAR, {code: header}, compression=compression)
            origins[f"{name} {compression}"] = path.read_bytes()
    stack = np.stack([WITH_BAR[:64, :64]] * 3)
    origins["own"] = write_tiff(tmp_path / "s.tif", stack, pixel_size_nm=(4, 4)).read_bytes()
    campaign(origins, tmp_path, seed=1)


def test_damaged_genuine_files(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "vendor-samples").glob("*.tif"))
    campaign({file.name: file.read_bytes() for file in files}, tmp_path, seed=2)


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=400), head=st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*", b""]))
def test_any_bytes_at_all(content: bytes, head: bytes, tmp_path_factory: object) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "any.tif"  # type: ignore[attr-defined]
    path.write_bytes(head + content)
    read_within_reason(path, None)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_pictures(suffix: str, data: st.DataObject, tmp_path_factory: object) -> None:
    buffer = io.BytesIO()
    Image.fromarray(specimen((40, 50))).save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = Path(tmp_path_factory.getbasetemp()) / f"any.{suffix}"  # type: ignore[attr-defined]
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    read_within_reason(path, None)


def bomb(root: str) -> str:
    """XML whose entities would expand to gigabytes."""
    levels = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 11))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "boom">{levels}]>{root}'


class TestXml:
    @pytest.mark.parametrize(
        ("code", "root"),
        [
            (270, '<OME><Pixels PhysicalSizeX="4" PhysicalSizeY="4" Name="&a10;"/></OME>'),
            (51023, "<Fibics><Scan><Ux>&a10;</Ux><Vy>0.004</Vy></Scan></Fibics>"),
            (34683, '<FeiImage><pixelWidth unit="um">&a10;</pixelWidth></FeiImage>'),
        ],
    )
    def test_entities_do_not_expand(self, code: int, root: str, tmp_path: Path) -> None:
        before = peak_memory()
        image = read_within_reason(write(tmp_path / "a.tif", specimen(), {code: bomb(root)}), None)
        assert image is not None
        assert image.pixel_size is None
        assert np.array_equal(image.pixels, specimen())
        assert peak_memory() - before < MOST_GROWTH

    def test_files_are_not_pulled_in(self, tmp_path: Path) -> None:
        (tmp_path / "secret.txt").write_text("0.004")
        uri = (tmp_path / "secret.txt").as_uri()
        header = (
            f'<!DOCTYPE x [<!ENTITY s SYSTEM "{uri}">]><Fibics><Scan><Ux>&s;</Ux></Scan></Fibics>'
        )
        image = read_image(write(tmp_path / "a.tif", specimen(), {51023: header}))
        assert image.pixel_size is None

    def test_an_ome_header_does_not_open_other_files(self, tmp_path: Path) -> None:
        other = write(tmp_path / "b.tif", 255 - specimen())
        header = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
            '<Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8" SizeX="256" SizeY="200" '
            'SizeC="1" SizeZ="2" SizeT="1"><TiffData IFD="0" FirstZ="1"><UUID '
            f'FileName="{other.name}">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
        )
        path = write(tmp_path / "a.tif", specimen(), description=header)
        image = read_within_reason(path, None)
        assert image is not None
        assert not np.any(np.all(np.asarray(image.pixels) == 255 - specimen(), axis=(-2, -1)))

    def test_more_planes_than_there_are_are_not_made(self, tmp_path: Path) -> None:
        header = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
            '<Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8" SizeX="256" SizeY="200" '
            'SizeC="1" SizeZ="999999999" SizeT="999999"><TiffData/></Pixels></Image></OME>'
        )
        before = peak_memory()
        image = read_within_reason(write(tmp_path / "a.tif", specimen(), description=header), None)
        assert image is not None
        assert np.array_equal(image.pixels, specimen())
        assert peak_memory() - before < MOST_GROWTH


class TestClaims:
    def test_pages_that_lead_to_each_other_end(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for _ in range(2):
                writer.write(specimen(), metadata=None)
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            first, second = tiff.pages[0].offset, tiff.pages[1].offset
        content = bytearray((tmp_path / "a.tif").read_bytes())
        (count,) = struct.unpack_from("<H", content, second)
        struct.pack_into("<I", content, second + 2 + 12 * count, first)
        (tmp_path / "a.tif").write_bytes(content)
        read_within_reason(tmp_path / "a.tif", None)

    def test_a_tag_larger_than_the_file_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", specimen(), {34682: fei_header()})
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as tiff:
            at = tiff.pages[0].tags[34682].offset
        struct.pack_into("<I", content, at + 4, 0xFFFFFFF0)
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="34682"):
            read_image(path)

    @pytest.mark.parametrize("kind", ["<", ">"])
    def test_bigtiff_with_counts_of_2_to_the_62_is_refused(self, kind: str, tmp_path: Path) -> None:
        head = {"<": b"II", ">": b"MM"}[kind] + struct.pack(kind + "HHHQ", 43, 8, 0, 16)
        tag = struct.pack(kind + "HHQQ", 256, 4, 2**62, 40)
        (tmp_path / "a.tif").write_bytes(head + struct.pack(kind + "Q", 1) + tag + b"\0" * 64)
        with pytest.raises(FileFormatError):
            read_image(tmp_path / "a.tif")

    def test_a_tile_far_larger_than_its_picture_is_not_filled_up(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, specimen(), tile=(32, 32), bigtiff=True)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as tiff:
            at = tiff.pages[0].tags["TileWidth"].offset
        struct.pack_into("<HQQ", content, at + 2, 4, 1, 0x10000020)
        path.write_bytes(content)
        before = peak_memory()
        read_within_reason(path, None)
        assert peak_memory() - before < MOST_GROWTH

    def test_a_strip_that_unpacks_to_far_more_than_a_picture_is_bounded(
        self, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "a.tif", specimen(), compression="zlib", rowsperstrip=200)
        content = bytearray(path.read_bytes())
        packing = zlib.compressobj(1)
        packed = b"".join(packing.compress(b"\0" * 2**20) for _ in range(2**10)) + packing.flush()
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages[0].tags
            for name, value in (("StripOffsets", len(content)), ("StripByteCounts", len(packed))):
                at = tags[name].offset
                struct.pack_into("<HI", content, at + 2, 4, 1)
                struct.pack_into("<I", content, at + 8, value)
        path.write_bytes(bytes(content) + packed)
        before = peak_memory()
        read_within_reason(path, None)
        assert peak_memory() - before < MOST_GROWTH

    def test_a_png_that_claims_gigapixels_is_refused(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        Image.fromarray(specimen((8, 8))).save(buffer, "png")
        content = bytearray(buffer.getvalue())
        struct.pack_into(">II", content, 16, 60_000, 60_000)
        struct.pack_into(">I", content, 29, zlib.crc32(bytes(content[12:29])))
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(FileFormatError, match="more pixels"):
            read_image(tmp_path / "a.png")

    def test_a_description_of_nested_json_is_survived(self, tmp_path: Path) -> None:
        deep = '{"shape":' + "[" * 100_000
        image = read_within_reason(write(tmp_path / "a.tif", specimen(), description=deep), None)
        assert image is not None
        assert np.array_equal(image.pixels, specimen())

    @pytest.mark.parametrize(
        "description",
        [
            '{"shape": [1099511627776, 200, 256]}',
            "ImageJ=1.54f\nimages=999999999\nslices=999999999\nunit=nm\n",
        ],
    )
    def test_stacks_that_are_not_there_are_not_made(self, description: str, tmp_path: Path) -> None:
        before = peak_memory()
        path = write(tmp_path / "a.tif", specimen(), description=description, resolutionunit="NONE")
        read_within_reason(path, (1 / 96, 1 / 96))
        assert peak_memory() - before < MOST_GROWTH

    def test_a_sidecar_of_any_size_is_not_read_whole(self, tmp_path: Path) -> None:
        write(tmp_path / "a.tif", specimen())
        with (tmp_path / "a.txt").open("wb") as file:
            file.truncate(2**34)
        image = read_within_reason(tmp_path / "a.tif", None)
        assert image is not None
        assert image.pixel_size is None
