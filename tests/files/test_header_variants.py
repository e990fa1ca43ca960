"""Headers in every dress: line endings, cases, encodings, units, places in the file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.files.calibration import Findings
from napari_semnet.files.reader import read_image
from napari_semnet.files.vendors.fei import read_fei
from napari_semnet.files.vendors.fibics import read_fibics
from napari_semnet.files.vendors.hitachi import read_hitachi
from napari_semnet.files.vendors.jeol import read_jeol
from napari_semnet.files.vendors.tescan import read_tescan_sidecar, read_tescan_tag
from napari_semnet.files.vendors.text import decode
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml
from napari_semnet.files.vendors.zeiss import read_zeiss
from tests.files.making import (
    databar,
    fei_header,
    fibics_header,
    specimen,
    tescan_header,
    zeiss_header,
)

ZEISS = {"AP_IMAGE_PIXEL_SIZE": "4.000 nm", "AP_WIDTH": "1.024 µm"}
TESCAN = "[MAIN]\nPixelSizeX=4e-9\nPixelSizeY=4e-9\nImageStripSize=24\n[SEM]\nHV=1e4\n"
JEOL = (
    "$CM_FORMAT JEOL-SEM\n$CM_FULL_SIZE 256 200\n$$SM_MICRON_BAR 50\n$$SM_MICRON_MARKER 200nm\n"
    "$CM_ACCEL_VOLT 10.00\n"
)
HITACHI = (
    "[SemImageFile]\nDataSize=256x200\nPixelSize=4.0\nAcceleratingVoltage=10000 Volt\n"
    "WorkingDistance=8100 um\nEmissionCurrent=10000 nA\n"
)

READERS: dict[str, tuple[str, Callable[[str], Findings | None]]] = {
    "fei": (
        fei_header().replace("HV=2000", "HV=10000"),
        lambda text: read_fei(text.encode(), 256, 224),
    ),
    "tescan": (TESCAN, lambda text: read_tescan_sidecar(text, 256, 224)),
    "jeol": (JEOL, lambda text: read_jeol(text, 256, 224)),
    "hitachi": (HITACHI, lambda text: read_hitachi(text, 256, 224)),
}
DRESSES: dict[str, Callable[[str], str]] = {
    "Windows lines": lambda text: text.replace("\n", "\r\n"),
    "old Macintosh lines": lambda text: text.replace("\n", "\r"),
    "lower case": str.lower,
    "upper case": str.upper,
    "spaced": lambda text: text.replace("=", " = ").replace(" ", "  "),
    "tabs": lambda text: text.replace("=", "\t=\t").replace("$CM_FULL_SIZE ", "$CM_FULL_SIZE\t"),
    "indented": lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
    "empty lines": lambda text: text.replace("\n", "\n\n"),
    "said twice": lambda text: text + text.replace("4e-09", "9e-09").replace("=4", "=9"),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("vendor", READERS)
def test_the_dress_of_a_header_changes_nothing(vendor: str, dress: str) -> None:
    text, read = READERS[vendor]
    found = read(DRESSES[dress](text))
    assert found is not None
    assert found.pixel_size is not None
    assert found.pixel_size.yx == pytest.approx((4, 4), rel=1e-9)
    assert found.specimen_rows == (0, 200)
    assert found.metadata["acceleration voltage"] == "10 kV"


@pytest.mark.parametrize("size", ["1280,960", "1280x960", "1280 X 960", "1280*960", "1280;960"])
def test_the_size_of_the_picture_may_be_written_in_many_ways(size: str) -> None:
    jeol = read_jeol(f"$CM_FORMAT J\n$CM_FULL_SIZE {size}\n$CM_PIXEL_SIZE 2nm\n", 1280, 1024)
    hitachi = read_hitachi(f"[SemImageFile]\nDataSize={size}\nPixelSize=2\n", 1280, 1024)
    assert jeol is not None
    assert hitachi is not None
    assert jeol.specimen_rows == hitachi.specimen_rows == (0, 960)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("AcceleratingVoltage=15 kV", "15 kV"),
        ("AcceleratingVoltage=15.0kV", "15 kV"),
        ("AcceleratingVoltage=15000,0 Volt", "15 kV"),
        ("AcceleratingVoltage=500", "500 V"),
        ("AcceleratingVoltage=15 furlongs", None),
        ("WorkingDistance=8.1 mm", "8.1 mm"),
        ("WorkingDistance=8100", "8.1 mm"),
        ("EmissionCurrent=10 uA", "10 µA"),
        ("EmissionCurrent=10 µA", "10 µA"),
    ],
)
def test_hitachi_quantities_are_read_in_the_unit_that_is_written(
    stated: str, said: str | None
) -> None:
    found = read_hitachi(f"[SemImageFile]\n{stated}\n", 256, 224)
    assert found is not None
    assert next(iter(found.metadata.values()), None) == said


def test_zeiss_lines_that_a_transfer_doubled_are_read() -> None:
    header = zeiss_header(1e-9, 256, ZEISS).replace("\r\n", "\r\r\n").encode("cp1252")
    found = read_zeiss(header, 256, 224)
    assert found is not None
    assert found.pixel_size is not None
    assert found.pixel_size.x_nm == pytest.approx(4)


@pytest.mark.parametrize(
    ("step", "nm"),
    [
        ('<Ux units="nm">5</Ux><Vy units="nm">5</Vy>', 5),
        ("<Ux>5.0E-003</Ux><Vy>-5.0E-003</Vy>", 5),
        ("<Ux>0,005</Ux><Vy>0,005</Vy>", 5),
        ("<Ux>0.003</Ux><Uy>0.004</Uy><Vx>?</Vx><Vy>0.003</Vy>", None),
        ("<Ux>0.005</Ux><Vy>5 furlongs</Vy>", None),
        ("<Ux>1e99</Ux><Vy>1e99</Vy>", None),
    ],
)
def test_atlas_steps_count_in_their_unit_and_only_as_a_whole(step: str, nm: float | None) -> None:
    found = read_fibics(f"<Fibics><Scan>{step}</Scan></Fibics>".encode(), 300, 200)
    assert found is not None
    size = found.pixel_size
    assert size is None if nm is None else size is not None and size.yx == pytest.approx((nm, nm))


def test_a_power_of_ten_kept_apart_from_its_number_is_not_guessed_at() -> None:
    xml = '<Metadata><PixelSize><X unit="m" unitPrefixPower="{}">4e-9</X></PixelSize></Metadata>'
    plain, apart = (read_thermo_xml(xml.format(n).encode(), 256, 224) for n in (1, -3))
    assert plain is not None
    assert plain.pixel_size is not None
    assert apart is not None
    assert apart.pixel_size is None


@pytest.mark.parametrize("value", ["-4e-9", "4e300", "inf", "nan", "0", "4 nm", "0x4", "1_0e-9"])
def test_a_number_that_is_no_size_in_metres_gives_none(value: str) -> None:
    text = TESCAN.replace("4e-9", value)
    for found in (
        read_tescan_sidecar(text, 256, 224),
        read_tescan_tag(tescan_header({"PixelSizeX": value, "ImageStripSize": 24}), 256, 224),
    ):
        assert found is not None
        assert found.pixel_size is None
        assert found.specimen_rows == (0, 200)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16", "utf-16-be"])
def test_a_sidecar_s_micrometres_survive_its_encoding(encoding: str) -> None:
    text = JEOL.replace("200nm", "0.2μm")
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found = read_jeol(decode(mark + text.encode(encoding), "utf-8", "cp932", "cp1252"), 256, 224)
    assert found is not None
    assert found.pixel_size is not None
    assert found.pixel_size.x_nm == pytest.approx(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("comes_first", [False, True])
@pytest.mark.parametrize("kind", [1, 2, 7])
def test_a_header_may_stand_anywhere_and_be_of_any_type(
    tmp_path: Path, order: str, is_big: bool, comes_first: bool, kind: int
) -> None:
    pixels = np.concatenate([specimen(), databar()])
    headers = {
        34682: fei_header().encode() + b"\0",
        34118: zeiss_header(1e-9, 256, ZEISS).encode("cp1252"),
        50431: tescan_header({"PixelSizeX": "4e-9", "ImageStripSize": 24}),
        51023: fibics_header(0.004, 256, 224).encode() + b"\0",
    }
    for code, header in headers.items():
        path = tmp_path / f"{code}.tif"
        path.write_bytes(tiff(pixels, order, is_big, comes_first, code, kind, header))
        image = read_image(path)
        assert image.pixel_size is not None
        assert image.pixel_size.yx == pytest.approx((4, 4), rel=1e-4)
        assert image.specimen_rows == (0, 200)
        assert np.array_equal(image.pixels, pixels)


def tiff(
    pixels: np.ndarray,
    order: str,
    is_big: bool,
    comes_first: bool,
    code: int,
    kind: int,
    header: bytes,
) -> bytes:
    """Write a TIFF tag by tag, since no library puts a header where one likes."""
    rows, columns = pixels.shape
    start = 16 if is_big else 8
    parts = [header + b"\0" * (len(header) % 2), pixels.tobytes()][:: 1 if comes_first else -1]
    body = b"".join(parts) + b"\0" * (sum(map(len, parts)) % 2)
    second = start + len(parts[0])
    at, pixels_at = (start, second) if comes_first else (second, start)
    tags = [
        *((256, 4, 1, columns), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, 1, pixels.size)),
        (code, kind, len(header), at),
    ]
    first = struct.pack(f"{order}HHHQ", 43, 8, 0, start + len(body))
    if not is_big:
        first = struct.pack(f"{order}HI", 42, start + len(body))
    table = struct.pack(f"{order}{'Q' if is_big else 'H'}", len(tags))
    pointer = "Q" if is_big else "I"
    for number, type_, count, value in tags:
        written = struct.pack(f"{order}{'H' if type_ == 3 else 'I'}", value)
        if number == code:
            written = struct.pack(f"{order}{pointer}", value)
        table += struct.pack(f"{order}HH{pointer}", number, type_, count)
        table += written.ljust(struct.calcsize(pointer), b"\0")
    mark = b"II" if order == "<" else b"MM"
    return mark + first + body + table + struct.pack(f"{order}{pointer}", 0)
