"""A record is enough to find the source and the choices again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_semnet.errors import FileFormatError
from napari_semnet.files.methods import methods_paragraph
from napari_semnet.files.provenance import Provenance, sha256_of
from napari_semnet.files.replay import find_result, read_record, replay_arguments
from napari_semnet.files.writer import write_tiff
from tests.files.making import specimen, write


def a_record(source: Path, **changes: object) -> Provenance:
    values = {
        "model": "m",
        "model_sha256": "ab" * 32,
        "parameters": {"device": "auto", "tile": "auto", "non_finite": "mask"},
        "source": source.name,
        "source_path": str(source),
        "source_sha256": sha256_of(source),
        "source_shape": (200, 256),
        "source_dtype": "uint8",
        "intensity_range": (3.0, 250.0),
        "tile": (128, 256),
        "halo": 12,
        "device": "CPU (AVX2)",
        "precision": "fp32",
    }
    return Provenance.model_validate(values | changes)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write(tmp_path / "in" / "a.tif", specimen())


def test_what_was_settled_stands_in_the_place_of_auto(source: Path, tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "b.ome.tif", specimen(), pixel_size_nm=None, provenance=a_record(source)
    )
    for place in (path, tmp_path / "b.semnet.json"):
        again = replay_arguments(place)
        assert again.source == source
        assert again.settings == {
            "device": "cpu",
            "precision": "fp32",
            "backend": "torch",
            "tile": (128, 256),
            "halo": 12,
            "intensity": (3.0, 250.0),
            "non_finite": "mask",
            "strength": 1.0,
        }
        assert (again.model, again.model_sha256) == ("m", "ab" * 32)
        assert find_result(again.record, place) == path


def test_a_source_that_moved_is_found_beside_the_record(source: Path, tmp_path: Path) -> None:
    record = a_record(source, source_path="/gone/a.tif")
    write_tiff(tmp_path / "b.tif", specimen(), pixel_size_nm=None, provenance=record)
    with pytest.raises(FileFormatError, match="beside the record"):
        replay_arguments(tmp_path / "b.tif")
    source.rename(tmp_path / "a.tif")
    assert replay_arguments(tmp_path / "b.tif").source == tmp_path / "a.tif"


def test_another_image_of_the_source_s_name_beside_the_record_is_passed_over(
    source: Path, tmp_path: Path
) -> None:
    write(tmp_path / "a.tif", specimen(seed=2))
    write_tiff(tmp_path / "b.tif", specimen(), pixel_size_nm=None, provenance=a_record(source))
    assert replay_arguments(tmp_path / "b.tif").source == source


def test_a_place_that_cannot_be_looked_at_holds_no_source(source: Path, tmp_path: Path) -> None:
    """As a folder of somebody else, in which the record says that the source was."""
    record = a_record(source).model_copy(update={"source": "c" * 300, "result": "d" * 300})
    place = tmp_path / "b.semnet.json"
    place.write_text(record.to_json())
    assert replay_arguments(place).source == source
    write_tiff(tmp_path / "b.tif", specimen(), pixel_size_nm=None)
    assert find_result(record, place) == tmp_path / "b.tif"


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_a_source_whose_name_is_no_text_is_found_by_its_record(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"proben \xe4")
    folder.mkdir()
    odd = source.rename(folder / os.fsdecode(b"gr\xfcn.tif"))
    write_tiff(tmp_path / "b.tif", specimen(), pixel_size_nm=None, provenance=a_record(odd))
    assert replay_arguments(tmp_path / "b.tif").source == odd
    moved = odd.rename(tmp_path / odd.name)
    assert replay_arguments(tmp_path / "b.tif").source == moved


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source_sha256": "00" * 32}, "changed"),
        ({"tile": None}, "enough"),
        ({"parameters": {"region_start": [0, 0]}}, "part of a layer"),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    source: Path, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    record = a_record(source, **changes)
    (tmp_path / "b.semnet.json").write_text(record.to_json())
    with pytest.raises(FileFormatError, match=reason):
        replay_arguments(tmp_path / "b.semnet.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"format_version": 99}',
        b'{"format_version": Infinity}',
        b"[" * 100_000,
        b'{"format_version": 1, "halo": -3}',
        b'{"format_version": 1, "pixel_size_nm": [0, 1]}',
    ],
)
def test_records_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.semnet.json").write_bytes(content)
    with pytest.raises(FileFormatError):
        read_record(tmp_path / "b.semnet.json")


def test_the_paragraph_names_all_that_a_reader_needs() -> None:
    record = Provenance(
        version="1.2.3",
        model="semnet-x2",
        model_sha256="ab" * 32,
        source_shape=(224, 256),
        source_dtype="uint8",
        source_path="/data/cells.tif",
        source_sha256="cd" * 32,
        source_pixel_size_nm=(2500.0, 2500.0),
        pixel_size_nm=(1250.0, 1250.0),
        specimen_rows=(0, 200),
        intensity_range=(0, 255),
        tile=(96, 256),
        halo=12,
        device="CPU",
        precision="bf16",
    )
    conditions = {"acceleration voltage": "5 kV", "detector": "InLens", "date": "today"}
    assert methods_paragraph(record, conditions, "Zeiss Ultra") == (
        "The scanning electron micrograph was acquired on a Zeiss Ultra with an acceleration "
        "voltage of 5 kV and the InLens detector. The image (256 x 224 pixels, uint8, pixel size "
        "2.5 µm) was denoised and its number of pixels doubled along both axes with napari-semnet "
        f"1.2.3 (model semnet-x2, SHA-256 of the model file {'ab' * 32}), a convolutional neural "
        "network. Rows 0 to 199, which show the specimen, were processed; the databar was left "
        "out. Grey levels from 0 to 255 were mapped linearly to the network's input range, with "
        "one range for the whole image; computation was done in bf16 precision in tiles of about "
        "256 x 96 pixels with a margin of 12 pixels on CPU. The restored image has a pixel size "
        "of 1.25 µm. The restored image is the output of a neural network: its pixels are "
        "estimates, not measurements. The unprocessed image file has the SHA-256 "
        f"{'cd' * 32}."
    )


def test_the_paragraph_speaks_of_no_file_where_a_layer_never_was_one() -> None:
    text = methods_paragraph(Provenance(model="m", source="layer", source_sha256="cd" * 32))
    assert text.endswith(f"The pixels of the unprocessed image have the SHA-256 {'cd' * 32}.")


def test_the_paragraph_leaves_out_what_is_not_known() -> None:
    text = methods_paragraph(Provenance(model="m"))
    assert "None" not in text
    assert "()" not in text
    assert text.startswith("The image was denoised")


@pytest.mark.parametrize("shape", [(224, 256), (3, 224, 256), (224, 256, 3)])
def test_the_paragraph_names_no_tiles_where_one_held_all_rows_of_the_specimen(
    shape: tuple[int, ...],
) -> None:
    record = Provenance(
        source_shape=shape,
        specimen_rows=(0, 200),
        tile=(200, 256),
        halo=12,
        device="CPU",
        precision="bf16",
    )
    assert "Computation was done in bf16 precision on CPU." in methods_paragraph(record)


def test_the_paragraph_says_of_a_swept_picture_that_it_has_no_margins() -> None:
    record = Provenance(
        model="m", tile=(377, 224), halo=29, swept=True, device="CPU", precision="bf16"
    )
    text = methods_paragraph(record)
    assert (
        "in bf16 precision in pieces of about 224 x 377 pixels, each of which took over from its "
        "neighbours what it needed of them, on CPU." in text
    )
    assert "margin" not in text
