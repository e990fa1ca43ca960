"""Exported models run in the programs they are for, and give what the network gives."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_semnet.card import Card, Halo, Metric
from napari_semnet.errors import ModelFileError
from napari_semnet.export import onnx_file
from napari_semnet.export.bioimage import quiet
from napari_semnet.export.exporting import Exported, Step, export_model
from napari_semnet.export.packages import INSTALL, check_bioimageio
from napari_semnet.model import load_model, save_model
from napari_semnet.network import Architecture, SEMNet

REDUCED = Architecture(
    features=6, growth=3, blocks=2, rdb_per_block=2, conv_per_rdb=3, residual_scaling=0.7
)
CARD = Card(
    name="lab/1",
    architecture=REDUCED,
    licence="BSD-3-Clause",
    noise_range=(2, 25),
    limits="For tests only.",
    metrics=(Metric(name="PSNR", value=30, unit="dB"),),
    halo=Halo(pixels=5, bound=0.05),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("models") / "lab.safetensors", CARD)


def made(path: Path, card: Card) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_model(path, SEMNet(card.architecture), card)
    return path


def exported(name: str | Path, path: Path, **options: Any) -> Exported:
    *steps, last = export_model(name, path, **options)
    assert all(isinstance(step, Step) and step.text for step in steps)
    assert isinstance(last, Exported)
    return last


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason=f"exporting needs it: {INSTALL}")


def test_a_copy_is_the_same_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    assert exported(file, path).difference == 0
    assert path.read_bytes() == file.read_bytes()
    with pytest.raises(ModelFileError, match="is the model itself"):
        exported(path, path)
    assert path.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (3, 1, 2), (17, 40)], ids=str)
def test_onnx_runtime_gives_what_the_network_gives_at_any_size(
    file: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    needs("onnx", "onnxruntime")
    import onnxruntime

    path = tmp_path / "lab.onnx"
    assert exported(file, path).difference < 1e-5
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    count, rows, columns = (1, *shape)[-3:]
    image = np.random.default_rng(1).random((count, 1, rows, columns), dtype=np.float32)
    (found,) = session.run(None, {"image": image})
    expected = load_model(file).network(torch.from_numpy(image)).numpy()
    assert found.shape == (count, 1, 2 * rows, 2 * columns)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    carried = session.get_modelmeta().custom_metadata_map
    assert Card.model_validate_json(carried["card"]) == CARD
    assert carried["semnet_sha256"] == load_model(file).sha256


def test_the_graph_has_the_networks_own_convolutions_and_weights(file: Path) -> None:
    needs("onnx")
    import onnx

    model = load_model(file)
    proto = onnx.load_from_string(onnx_file.onnx_bytes(model))
    state = model.network.state_dict()
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    assert state.keys() <= weights.keys()
    assert all(np.array_equal(weights[name], value) for name, value in state.items())
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    modules = [m for m in model.network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == len(modules)


def test_a_model_that_differs_from_its_network_is_not_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("onnx", "onnxruntime")
    honest = onnx_file.onnx_bytes

    def forged(model: Any) -> bytes:
        with torch.no_grad():
            model.network.last.bias += 0.01
        content = honest(model)
        with torch.no_grad():
            model.network.last.bias -= 0.01
        return content

    monkeypatch.setattr(onnx_file, "onnx_bytes", forged)
    path = tmp_path / "lab.onnx"
    path.write_bytes(b"an older one")
    with pytest.raises(ModelFileError, match=r"differs from the network by 0\.01"):
        exported(file, path)
    assert path.read_bytes() == b"an older one"
    assert [p.name for p in tmp_path.iterdir()] == ["lab.onnx"]


# bioimageio leaves the packages open that it has read.
leaves_files_open = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def needs_bioimageio() -> None:
    needs("onnx", "onnxruntime")
    try:
        check_bioimageio()
    except ModelFileError as error:
        pytest.skip(str(error))


@leaves_files_open
def test_bioimageio_core_accepts_a_package_and_reproduces_its_picture(
    file: Path, tmp_path: Path
) -> None:
    needs_bioimageio()
    path = tmp_path / "lab.zip"
    exported(file, path, authors=["A. Microscopist"])
    model = load_model(file)
    with zipfile.ZipFile(path) as packed:
        names = set(packed.namelist())
        picture = np.load(packed.open("test_input.npy"))
        stated = np.load(packed.open("test_output.npy"))
        text = packed.read("README.md").decode()
        assert Card.model_validate_json(packed.read("card.json")) == CARD
    assert {"rdf.yaml", "weights.onnx", "README.md", "card.json"} <= names
    expected = model.network(torch.from_numpy(picture / 255)).numpy()
    np.testing.assert_allclose(stated, 255 * expected.clip(0, 1), atol=1e-3)
    assert "For tests only." in text
    assert "PSNR: 30 dB" in text

    with quiet():
        from bioimageio.core import test_model
        from bioimageio.spec import load_model_description

        description = load_model_description(path)
        summary = test_model(path, weight_format="onnx")
    assert summary.status == "passed", summary.format()
    assert [author.name for author in description.authors] == ["A. Microscopist"]
    assert str(description.license) == "BSD-3-Clause"
    (tolerance,) = description.config.bioimageio.reproducibility_tolerance
    assert tolerance.absolute_tolerance <= 1e-3
    assert tolerance.relative_tolerance <= 1e-3
    assert tolerance.mismatched_elements_per_million == 0
    assert [axis.scale for axis in description.outputs[0].axes[-2:]] == [0.5, 0.5]
    assert [axis.halo for axis in description.outputs[0].axes[-2:]] == [10, 10]


@leaves_files_open
def test_terms_that_are_no_known_licence_travel_in_a_file(tmp_path: Path) -> None:
    needs_bioimageio()
    card = CARD.model_copy(update={"licence": "ours alone", "halo": Halo(pixels=2, bound=0.05)})
    path = tmp_path / "lab.zip"
    exported(made(tmp_path / "lab.safetensors", card), path)
    with zipfile.ZipFile(path) as packed:
        assert packed.read("LICENSE.txt").decode() == "ours alone\n"


def test_other_endings_and_folders_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"\.safetensors, \.onnx, \.zip, not '\.pt'"):
        exported(file, tmp_path / "lab.pt")
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(ModelFileError, match="could not be written"):
        exported(file, tmp_path / "taken" / "lab.safetensors")


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelFileError, match=r"needs the package onnx.*napari-semnet\[export\]"):
        exported(file, tmp_path / "lab.onnx")
    assert not (tmp_path / "lab.onnx").exists()
