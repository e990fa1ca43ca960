"""What is fed with hostile bytes, and the sound files that the hostile ones are made from.

A target takes bytes and a folder to work in. Whatever it is given, it may refuse them with a
`SemnetError` or accept them; anything else that it raises is a fault.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from napari_semnet.errors import SemnetError
from napari_semnet.files.calibration import Findings
from napari_semnet.files.methods import methods_paragraph
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import Provenance, read_sidecar
from napari_semnet.files.reader import _assembled, read_image
from napari_semnet.files.replay import replay_arguments
from napari_semnet.files.tiff_pixels import Picture
from napari_semnet.files.vendors.fei import read_fei
from napari_semnet.files.vendors.fibics import read_fibics
from napari_semnet.files.vendors.general import read_imagej, read_ome, read_openfibsem
from napari_semnet.files.vendors.hitachi import read_hitachi
from napari_semnet.files.vendors.jeol import read_jeol
from napari_semnet.files.vendors.tescan import read_tescan_sidecar, read_tescan_tag
from napari_semnet.files.vendors.text import decode
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml
from napari_semnet.files.vendors.zeiss import read_zeiss
from napari_semnet.files.vendors.zeiss_orion import read_zeiss_orion
from napari_semnet.files.writer import write_tiff
from napari_semnet.model import Card, load_model, read_card, save_model
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.training.config import PRESETS, config_from, load_config, write_config
from tests.files.making import (
    databar,
    dm3,
    fei_header,
    fibics_header,
    orion_header,
    phenom_header,
    specimen,
    tescan_header,
    write,
    zeiss_header,
)
from tests.fuzz import ours

__all__ = ["TARGETS", "Target"]

PIXELS = np.vstack([specimen((40, 64)), databar(64, 24)])
TINY = Architecture(features=2, growth=1, blocks=1, rdb_per_block=1, conv_per_rdb=2)


@dataclass(frozen=True)
class Target:
    """A reader of files from strangers."""

    seeds: Callable[[Path], dict[str, bytes]]
    """Makes sound inputs, with a folder to make them in."""
    feed: Callable[[bytes, Path], None]
    """Reads an input; what it raises is a fault."""


# ----- files that are read whole ---------------------------------------------------------------


def _model_seeds(folder: Path) -> dict[str, bytes]:
    seeds = {}
    for dtype in (torch.float16, torch.float32):
        torch.manual_seed(0)
        path = folder / "seed.safetensors"
        save_model(path, SEMNet(TINY), Card(name="tiny", architecture=TINY), dtype)
        seeds[str(dtype)] = path.read_bytes()
    return seeds


def _feed_model(content: bytes, folder: Path) -> None:
    path = folder / "a.safetensors"
    path.write_bytes(content)
    for load in (read_card, load_model):
        with suppress(SemnetError):
            load(path)


def _card_seeds(folder: Path) -> dict[str, bytes]:
    card = Card(name="tiny", architecture=TINY, noise_range=(1, 2), pixel_size_range_nm=(1, 9))
    return {"card": card.model_dump_json().encode()}


def _feed_card(content: bytes, folder: Path) -> None:
    """Put any text as the card into a file that is sound otherwise."""
    whole = next(iter(_model_seeds(folder).values())) if not _BASE else _BASE[0]
    _BASE[:] = [whole]
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"]["card"] = content.decode("utf-8", "replace")
    text = json.dumps(header).encode()
    _feed_model(len(text).to_bytes(8, "little") + text + whole[8 + length :], folder)


_BASE: list[bytes] = []


def _read(path: Path) -> None:
    with suppress(SemnetError):
        image = read_image(path)
        np.asarray(image.specimen).sum()


def _tiff_seeds(folder: Path) -> dict[str, bytes]:
    path = folder / "seed.tif"
    seeds = {
        str(packing): write(path, PIXELS, compression=packing).read_bytes()
        for packing in (None, "lzw", "zlib", "packbits")
    }
    stack = np.stack([PIXELS.astype(np.uint16)] * 3)
    seeds["own"] = write_tiff(path, stack, pixel_size_nm=(4, 4)).read_bytes()
    seeds["big"] = write(path, PIXELS, bigtiff=True, tile=(32, 32)).read_bytes()
    for code, header in ((34682, fei_header(columns=64, rows=40)), (34118, zeiss_header(1e-9, 64))):
        seeds[str(code)] = write(path, PIXELS, {code: header}).read_bytes()
    seeds["colour"] = write(path, np.dstack([PIXELS] * 3), photometric="rgb").read_bytes()
    return seeds


def _feed_tiff(content: bytes, folder: Path) -> None:
    (folder / "a.tif").write_bytes(content)
    _read(folder / "a.tif")


def _picture_seeds(folder: Path) -> dict[str, bytes]:
    seeds = {}
    for kind in ("png", "jpeg", "bmp"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, kind)
        seeds[kind] = buffer.getvalue()
    return seeds


def _feed_picture(content: bytes, folder: Path) -> None:
    (folder / "a.png").write_bytes(content)
    _read(folder / "a.png")


def _mrc_seeds(folder: Path) -> dict[str, bytes]:
    import mrcfile

    with mrcfile.new(folder / "seed.mrc", np.stack([PIXELS] * 2), overwrite=True) as file:
        file.voxel_size = 40.0
    return {"stack": (folder / "seed.mrc").read_bytes()}


def _feed_mrc(content: bytes, folder: Path) -> None:
    (folder / "a.mrc").write_bytes(content)
    _read(folder / "a.mrc")


def _dm_seeds(folder: Path) -> dict[str, bytes]:
    return {unit: dm3(PIXELS, 2.5, unit) for unit in ("nm", "µm")}


def _feed_dm(content: bytes, folder: Path) -> None:
    (folder / "a.dm3").write_bytes(content)
    _read(folder / "a.dm3")


def _zarr_seeds(folder: Path) -> dict[str, bytes]:
    path = write_ome_zarr(folder / "seed.zarr", PIXELS, pixel_size_nm=(4, 4))
    return {"group": (path / "zarr.json").read_bytes()}


def _feed_zarr(content: bytes, folder: Path) -> None:
    path = folder / "a.zarr"
    if not path.exists():
        write_ome_zarr(path, PIXELS, pixel_size_nm=(4, 4))
    (path / "zarr.json").write_bytes(content)
    _read(path)


def _array_seeds(folder: Path) -> dict[str, bytes]:
    path = write_ome_zarr(folder / "seed.zarr", PIXELS, pixel_size_nm=(4, 4))
    return {"array": (path / "0" / "zarr.json").read_bytes()}


def _feed_array(content: bytes, folder: Path) -> None:
    path = folder / "a.zarr"
    if not path.exists():
        write_ome_zarr(path, PIXELS, pixel_size_nm=(4, 4))
    (path / "0" / "zarr.json").write_bytes(content)
    _read(path)


# ----- vendors' headers with a sound picture ---------------------------------------------------


Header = Callable[[bytes, int, int], Findings | None]


def _assemble(findings: Findings | None) -> None:
    """Cut the picture as a header says, without the cost of a file around it."""
    found = [] if findings is None else [findings]
    image = _assembled(Path("a.tif"), Picture(PIXELS, "YX"), found)
    np.asarray(image.specimen).sum()


def _header(read: Header, *sound: str | bytes) -> Target:
    contents = [each.encode() if isinstance(each, str) else each for each in sound]

    def feed(header: bytes, folder: Path) -> None:
        _assemble(read(header, PIXELS.shape[1], PIXELS.shape[0]))

    return Target(lambda folder: {str(n): each for n, each in enumerate(contents)}, feed)


def _described(content: bytes, width: int, height: int) -> Findings | None:
    text = content.decode("latin-1")
    found = (read_openfibsem(text), read_ome(text, width), read_imagej(text, (2.0, 2.0)))
    return next((each for each in found if each is not None), None)


def _beside(read: Callable[[str, int, int], Findings | None], sound: str) -> Target:
    def as_bytes(content: bytes, width: int, height: int) -> Findings | None:
        return read(decode(content, "utf-8", "cp932", "cp1252"), width, height)

    return _header(as_bytes, sound)


_OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="1" '
    'SizeZ="1" SizeT="1" PhysicalSizeX="4" PhysicalSizeXUnit="nm" PhysicalSizeY="4" '
    'PhysicalSizeYUnit="nm"><TiffData/></Pixels></Image></OME>'
)
_IMAGEJ = "ImageJ=1.54f\nunit=nm\nspacing=5.0\nmin=0.0\nmax=255.0\n"
_OPENFIBSEM = '{"image": {"hfw": 2.56e-7}, "state": {"pixel_size": {"x": 4e-9, "y": 4e-9}}}'
_JEOL = (
    "$CM_FORMAT JSM\n$CM_INSTRUMENT JSM-7800F\n$CM_FULL_SIZE 64 64\n$CM_ACCEL_VOLT 5.0\n"
    "$CM_MAG 50000\n$$SM_MICRON_BAR 25\n$$SM_MICRON_MARKER 100nm\n$$SM_WD 4.0\n"
)
_HITACHI = (
    "[SemImageFile]\nInstructName=SU8230\nDataSize=64x64\nPixelSize=4.0\nMagnification=50000\n"
    "AcceleratingVoltage=5000 Volt\nWorkingDistance=4000 um\n"
)
_TESCAN_HDR = "[MAIN]\nPixelSizeX=4e-9\nPixelSizeY=4e-9\nImageStripSize=24\n[SEM]\nHV=5e3\n"


# ----- text files ------------------------------------------------------------------------------


def _config_seeds(folder: Path) -> dict[str, bytes]:
    data = [{"images": "pictures", "licence": "CC0"}]
    seeds = {
        name: write_config(config_from({"preset": name, "data": data}, folder)).encode()
        for name in PRESETS
    }
    muon = {"kind": "muon", "learning_rate": 3e-4, "momentum": 0.9}
    with_muon = {"preset": "poster", "data": data, "optimiser": muon}
    seeds["muon"] = write_config(config_from(with_muon, folder)).encode()
    seeds["short"] = b'preset = "finetune"\nsteps = 10\n[[data]]\nimages = ["a", "b"]\n'
    return seeds


def _feed_config(content: bytes, folder: Path) -> None:
    (folder / "a.toml").write_bytes(content)
    with suppress(SemnetError):
        write_config(load_config(folder / "a.toml"))


def _record_seeds(folder: Path) -> dict[str, bytes]:
    record = Provenance(
        model="m",
        model_sha256="0" * 64,
        source="a.tif",
        source_path="/pictures/a.tif",
        source_shape=(64, 64),
        parameters={"device": "cpu", "non_finite": "refuse"},
        pixel_size_nm=(2, 2),
        specimen_rows=(0, 40),
        intensity_range=(0, 255),
        tile=(64, 64),
        halo=3,
        device="CPU",
        precision="fp32",
        seconds=1.5,
    )
    return {"record": record.to_json().encode()}


def _feed_record(content: bytes, folder: Path) -> None:
    if not (folder / "a.tif").exists():
        write(folder / "a.tif", PIXELS)
    path = folder / "r.semnet.json"
    path.write_bytes(content)
    for read in (replay_arguments, lambda p: methods_paragraph(read_sidecar(p))):
        with suppress(SemnetError):
            read(path)


TARGETS: dict[str, Target] = {
    "model": Target(_model_seeds, _feed_model),
    "card": Target(_card_seeds, _feed_card),
    "tiff": Target(_tiff_seeds, _feed_tiff),
    "picture": Target(_picture_seeds, _feed_picture),
    "fei": _header(read_fei, fei_header()),
    "zeiss": _header(
        read_zeiss,
        zeiss_header(1e-9, 64, {"AP_WIDTH": "1 um", "AP_WD": "3 mm"}),
        zeiss_header(1e-9, 64, {"AP_IMAGE_PIXEL_SIZE": "1,25 nm", "AP_PIXEL_SIZE": "1250 pm"}),
    ),
    "tescan": _header(read_tescan_tag, tescan_header({"PixelSizeX": "4e-9", "ImageStripSize": 24})),
    "fibics": _header(read_fibics, fibics_header(0.004, 64, 64)),
    "orion": _header(
        read_zeiss_orion, orion_header(4e-9, 64), orion_header(0.004, 64, "um", field=0.5)
    ),
    "thermo": _header(read_thermo_xml, phenom_header(0.004, 24)),
    "description": _header(_described, _OME, _IMAGEJ, _OPENFIBSEM),
    "jeol": _beside(read_jeol, _JEOL),
    "hitachi": _beside(read_hitachi, _HITACHI),
    "tescan-hdr": _beside(read_tescan_sidecar, _TESCAN_HDR),
    "config": Target(_config_seeds, _feed_config),
    "record": Target(_record_seeds, _feed_record),
    "checkpoint": Target(ours.checkpoint_seeds, ours.feed_checkpoint),
    "progress": Target(ours.progress_seeds, ours.feed_progress),
    "events": Target(ours.event_seeds, ours.feed_events),
    "layer": Target(ours.layer_seeds, ours.feed_layer),
}
with suppress(ImportError):
    import mrcfile as _

    TARGETS["mrc"] = Target(_mrc_seeds, _feed_mrc)
with suppress(ImportError):
    import rsciio.digitalmicrograph as _

    TARGETS["dm"] = Target(_dm_seeds, _feed_dm)
with suppress(ImportError):
    import zarr as _  # noqa: F401

    TARGETS["zarr"] = Target(_zarr_seeds, _feed_zarr)
    TARGETS["zarr-array"] = Target(_array_seeds, _feed_array)
    TARGETS["volume"] = Target(ours.volume_seeds, ours.feed_volume)


def empty(folder: Path) -> None:
    """Remove what a target left in its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
