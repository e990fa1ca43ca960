"""What a model file claims is checked before memory is taken for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_semnet.errors import ModelFileError
from napari_semnet.model import load_model, read_card, save_model
from napari_semnet.network import Architecture, SEMNet
from tests.test_model import CARD, SMALL

MOST = 64 * 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_model(path, SEMNet(SMALL), CARD, torch.float32)
    return path


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(path: Path, header: dict[str, Any] | bytes, weights: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + weights)
    return path


def header_for(architecture: Architecture) -> dict[str, Any]:
    """A true header of a network of any size, without its weights."""
    header: dict[str, Any] = {}
    at = 0
    with torch.device("meta"):
        shapes = {key: list(v.shape) for key, v in SEMNet(architecture).state_dict().items()}
    for key, shape in shapes.items():
        size = 4 * torch.Size(shape).numel()
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    card = CARD.model_copy(update={"architecture": architecture})
    return {"__metadata__": {"card": card.model_dump_json()}} | header


@pytest.mark.parametrize("features", [2_000, 60_000, 3_000_000])
def test_ten_kilobytes_cannot_claim_gigabytes(tmp_path: Path, features: int) -> None:
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    huge = Architecture(features=features, growth=1, blocks=1, rdb_per_block=1, conv_per_rdb=2)
    path = join(tmp_path / "huge.safetensors", header_for(huge), bytes(10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    with pytest.raises(ModelFileError, match="larger network than the file can hold"):
        load_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < MOST


def test_a_header_for_more_weights_than_there_are_is_refused_as_cut_off(tmp_path: Path) -> None:
    deep = Architecture(features=16, growth=16, blocks=20, rdb_per_block=2, conv_per_rdb=5)
    path = join(tmp_path / "deep.safetensors", header_for(deep), bytes(10_000))
    with pytest.raises(ModelFileError, match="is damaged or cut off: its weights take"):
        load_model(path)


def test_bytes_that_belong_to_no_weight_are_refused_before_they_are_read(file: Path) -> None:
    with file.open("rb+") as stream:
        stream.truncate(2**29)  # without taking room on the disk
    with pytest.raises(ModelFileError, match="is damaged or cut off: its weights take"):
        load_model(file)


def test_a_header_longer_than_any_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    with path.open("wb") as stream:
        stream.write((2**40).to_bytes(8, "little") + b"{")
        stream.truncate(2**29)
    for load in (load_model, read_card):
        with pytest.raises(ModelFileError, match=r"is not a \.safetensors file"):
            load(path)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_deeply_nested_header_is_refused(tmp_path: Path, opening: bytes) -> None:
    path = join(tmp_path / "deep.safetensors", b'{"a":' + opening * 200_000, b"")
    for load in (load_model, read_card):
        with pytest.raises(ModelFileError, match="carries no model card"):
            load(path)


@pytest.mark.parametrize("version", ["Infinity", "1e999", "-1e999", "NaN", "9" * 5000])
def test_a_version_that_is_no_number_is_refused(file: Path, version: str) -> None:
    header, weights = parts(file)
    header["__metadata__"]["card"] = f'{{"name": "x", "format_version": {version}}}'
    with pytest.raises(ModelFileError, match="carries no model card"):
        read_card(join(file, header, weights))


def test_a_key_that_stands_twice_is_refused(file: Path) -> None:
    header, weights = parts(file)
    text = json.dumps(header).encode()
    again = json.dumps({"__metadata__": header["__metadata__"]}).encode()
    join(file, text[:-1] + b"," + again[1:], weights)
    with pytest.raises(ModelFileError, match="carries no model card"):
        load_model(file)


def test_tensors_that_share_their_bytes_are_refused(file: Path) -> None:
    header, weights = parts(file)
    header["up.weight"]["data_offsets"] = header["trunk.weight"]["data_offsets"]
    with pytest.raises(ModelFileError, match="is damaged or cut off"):
        load_model(join(file, header, weights))


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [6]},
        {"shape": "6"},
        {"shape": [6.0]},
        {"shape": [-6]},
        {"dtype": "I64"},
        {"dtype": "F8_E4M3"},
        {"dtype": ["F32"]},
        {"data_offsets": [-4, 4]},
        {"data_offsets": [2**70, 2**70]},
        {"data_offsets": None},
    ],
)
def test_a_tensor_that_is_listed_otherwise_than_it_must_be_is_refused(
    file: Path, entry: dict[str, Any]
) -> None:
    header, weights = parts(file)
    header["trunk.weight"] |= entry
    with pytest.raises(ModelFileError):
        load_model(join(file, header, weights))


def test_a_tensor_listed_as_something_else_than_an_object_is_refused(file: Path) -> None:
    header, weights = parts(file)
    header["trunk.weight"] = ["F32", [6, 6, 3, 3]]
    with pytest.raises(ModelFileError, match=r"of another shape \(such as 'trunk\.weight'\)"):
        load_model(join(file, header, weights))


def test_double_precision_weights_are_loaded_as_float32(file: Path, tmp_path: Path) -> None:
    network = load_model(file).network
    save_model(tmp_path / "double.safetensors", network, CARD, torch.float64)
    loaded = load_model(tmp_path / "double.safetensors").network
    assert torch.equal(loaded.trunk.weight, network.trunk.weight)
