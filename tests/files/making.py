"""Small files as the vendors' programs write them, made up for the tests."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

ASCII, BYTE = 2, 1

FEI_INI = """[User]
Date=11/20/2024
[System]
SystemType=Apreo
[Beam]
Beam=EBeam
Scan=EScan
[EBeam]
HV=2000
HFW={field}
WD=0.005
[Scan]
PixelWidth={x}
PixelHeight={y}
[EScan]
Dwell=1e-006
PixelWidth={x}
PixelHeight={y}
[Image]
ResolutionX={columns}
ResolutionY={rows}
Integrate=4
PostProcessing=None
[PrivateFei]
DatabarHeight=0
"""


def specimen(shape: tuple[int, int] = (200, 256), seed: int = 1) -> np.ndarray:
    """Noise on a slope, as specimen is; uint8."""
    slope = np.linspace(60, 160, shape[1])[None, :]
    noise = np.random.default_rng(seed).normal(0, 12, shape)
    return np.clip(slope + noise, 0, 255).astype(np.uint8)


def databar(width: int = 256, height: int = 24, background: int = 0, ink: int = 255) -> np.ndarray:
    """A flat strip with something like text in it."""
    bar = np.full((height, width), background, np.uint8)
    bar[6:-6, 20:-60:7] = ink
    bar[8:-8, 21:-60:14] = ink
    return bar


def fei_header(x: float = 4e-9, y: float = 4e-9, columns: int = 256, rows: int = 200) -> str:
    return FEI_INI.format(x=x, y=y, columns=columns, rows=rows, field=x * columns)


def zeiss_header(display: float, width: int, pairs: dict[str, str] | None = None) -> str:
    lines = ["0", "0", "0", f"{display:e}", "5.0e+004", "6"]
    for name, value in (pairs or {}).items():
        lines += [name, f"Label = {value}"]
    return "\r\n".join(lines)


def tescan_header(main: dict[str, Any], sem: dict[str, Any] | None = None) -> bytes:
    content = b""
    for kind, values in ((1, None), (2, main), (3, sem or {})):
        text = "\r\n".join(f"{key}={value}" for key, value in (values or {}).items())
        block = b"\x00\x0cjP  " if values is None else text.encode("latin-1")
        content += struct.pack("<IH", len(block) + 2, kind) + block
    return content


def fibics_header(step: float, width: int, height: int, rotation: float = 0.0) -> str:
    cos, sin = float(np.cos(rotation) * step), float(np.sin(rotation) * step)
    return (
        '<?xml version="1.0" encoding="iso-8859-1"?><Fibics version="1.2">'
        f"<Image><Width>{width}</Width><Height>{height}</Height></Image>"
        f'<Scan><FOV_X units="um">{step * width}</FOV_X><Ux>{cos!r}</Ux><Uy>{sin!r}</Uy>'
        f"<Vx>{sin!r}</Vx><Vy>{-cos!r}</Vy></Scan></Fibics>"
    )


def orion_header(pixel: float, width: int, unit: str = "m", field: float | None = None) -> str:
    fov = pixel * width * 1e6 if field is None else field
    return (
        f"<ImageTags><ScalingX><Value>{pixel}</Value><Units>{unit}</Units></ScalingX><ScalingY>"
        f"<Value>{pixel}</Value><Units>{unit}</Units></ScalingY><ImageWidth><Value>{width}</Value>"
        f"</ImageWidth><Fov><Value>{fov}</Value></Fov><AccelerationVoltage><Value>30000</Value>"
        "<Units>V</Units></AccelerationVoltage></ImageTags>"
    )


def phenom_header(pixel: float, bar: int, unit: str = "um") -> str:
    return (
        '<?xml version="1.0"?><FeiImage><databarHeight>'
        f'{bar}</databarHeight><pixelWidth unit="{unit}">{pixel}</pixelWidth>'
        f'<pixelHeight unit="{unit}">{pixel}</pixelHeight>'
        "<instrument><edition>Phenom ProX</edition></instrument></FeiImage>"
    )


def dm3(pixels: np.ndarray, step: float, unit: str) -> bytes:
    """Write the few tags of a DM3 file that a picture needs."""

    def name(text: str) -> bytes:
        return struct.pack(">H", len(text)) + text.encode()

    def group(text: str, *entries: bytes) -> bytes:
        return b"\x14" + name(text) + struct.pack(">BBi", 1, 0, len(entries)) + b"".join(entries)

    def value(text: str, kind: int, content: bytes) -> bytes:
        return b"\x15" + name(text) + b"%%%%" + struct.pack(">ii", 1, kind) + content

    def array(text: str, kind: int, count: int, content: bytes) -> bytes:
        return b"\x15" + name(text) + b"%%%%" + struct.pack(">iiii", 3, 20, kind, count) + content

    def dimension() -> bytes:
        return group(
            "",
            value("Origin", 6, struct.pack("<f", 0)),
            value("Scale", 6, struct.pack("<f", step)),
            array("Units", 4, len(unit), unit.encode("utf-16-le")),
        )

    rows, columns = pixels.shape
    image = group(
        "",
        group(
            "ImageData",
            group("Calibrations", group("Dimension", dimension(), dimension())),
            array("Data", 10, pixels.size, pixels.tobytes()),
            value("DataType", 3, struct.pack("<i", 6)),
            group(
                "Dimensions",
                value("", 5, struct.pack("<I", columns)),
                value("", 5, struct.pack("<I", rows)),
            ),
            value("PixelDepth", 5, struct.pack("<I", 1)),
        ),
        array("Name", 4, 1, "a".encode("utf-16-le")),
        group("ImageTags", value("Any", 3, struct.pack("<i", 0))),
    )
    root = struct.pack(">BBi", 1, 0, 1) + group("ImageList", image)
    return struct.pack(">iii", 3, len(root) + 4, 1) + root + b"\0" * 8


def write(
    path: Path, pixels: np.ndarray, tags: dict[int, str | bytes] | None = None, **options: Any
) -> Path:
    """Write a TIFF with private tags and, as vendors do, a resolution in dots per inch."""
    extra = [
        (code, ASCII, 0, value, True)
        if isinstance(value, str)
        else (code, BYTE, len(value), value, True)
        for code, value in (tags or {}).items()
    ]
    defaults = {"resolution": (96, 96), "resolutionunit": "INCH", "metadata": None}
    tifffile.imwrite(path, pixels, extratags=extra, **(defaults | options))
    return path
