"""Model files: what is in them comes back, and what is wrong with them is said in a sentence."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_semnet import model as model_module
from napari_semnet.errors import ModelFileError
from napari_semnet.model import (
    Card,
    Halo,
    load_model,
    model_paths,
    read_card,
    resolve_model,
    rewrite_card,
    save_model,
)
from napari_semnet.network import Architecture, SEMNet

SMALL = Architecture(features=6, growth=3, blocks=1, rdb_per_block=1, conv_per_rdb=3)
ONE_BLOCK = {"blocks": 1, "rdb_per_block": 1}
CARD = Card(name="small", architecture=SMALL, halo=Halo(pixels=3, bound=0.05))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_model(path, SEMNet(SMALL), CARD, torch.float32)
    return path


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own models"
    monkeypatch.setattr(model_module, "user_models_folder", lambda: folder)
    return folder


def with_header(path: Path, change) -> Path:
    """The same file with another header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = change(json.loads(content[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return path


def with_card(path: Path, **values) -> Path:
    def change(header: dict) -> dict:
        card = json.loads(header["__metadata__"]["card"]) | values
        header["__metadata__"]["card"] = json.dumps(card)
        return header

    return with_header(path, change)


# ----- what is in them comes back ------------------------------------------------------------


def test_weights_and_card_come_back(file: Path) -> None:
    torch.manual_seed(0)
    network, loaded = SEMNet(SMALL), load_model(file)
    assert loaded.card == CARD == read_card(file)
    expected = network.state_dict()
    found = loaded.network.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert not loaded.network.training
    assert len(loaded.sha256) == 64


def test_the_many_weights_are_stored_in_half_precision_and_the_few_that_matter_are_not(
    file: Path,
) -> None:
    network = load_model(file).network
    small = file.with_name("half.safetensors")
    save_model(small, network, CARD)
    stored = load_file(small)
    halved = {key for key, weight in stored.items() if weight.dtype == torch.float16}
    assert halved == {key for key in stored if key.startswith("body") and key.endswith("weight")}
    loaded = load_model(small).network
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    for key, weight in network.state_dict().items():
        near = {"rtol": 1e-3, "atol": 1e-4} if key in halved else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(loaded.state_dict()[key], weight, **near)


def test_a_file_of_the_posters_network_has_little_more_than_two_bytes_a_weight(
    tmp_path: Path,
) -> None:
    network = SEMNet()
    path = tmp_path / "large.safetensors"
    save_model(path, network, Card(name="large", architecture=Architecture()))
    assert path.stat().st_size < 2.1 * sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", ["semnet-x2", "semnet-x2-poster"])
def test_a_bundled_model_is_a_poster_network_that_says_what_it_is(name: str) -> None:
    assert resolve_model(name).is_relative_to(Path(model_module.__file__).parent)
    assert resolve_model(name).stat().st_size < 10e6
    card = read_card(name)
    assert card.name == name
    assert card.architecture == Architecture()
    for said in (card.description, card.limits, card.licence, card.training.data, card.metrics):
        assert said
    assert card.noise_range is not None
    assert card.halo is not None
    assert card.halo.pixels < card.architecture.exact_halo


def test_reading_a_card_does_not_read_the_weights(file: Path) -> None:
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    broken = content[: 8 + length] + bytes(len(content) - 8 - length)
    file.write_bytes(broken)
    assert read_card(file) == CARD
    opened = []
    real = Path.open

    def watched(path, *arguments):
        opened.append(real(path, *arguments))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda p, *a: _Counting(watched(p, *a)))
        read_card(file)
        assert _Counting.read_bytes == 8 + length


class _Counting:
    read_bytes = 0

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        _Counting.read_bytes = 0

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, *size: int) -> bytes:
        part = self._file.read(*size)
        _Counting.read_bytes += len(part)
        return part


# ----- names ---------------------------------------------------------------------------------


def test_names_mean_the_users_model_before_the_bundled_one(file, own_folder) -> None:
    bundled = resolve_model(model_module.DEFAULT_MODEL)
    own_folder.mkdir()
    own = own_folder / bundled.name
    shutil.copy(file, own)
    assert resolve_model(model_module.DEFAULT_MODEL) == own
    assert model_paths()[model_module.DEFAULT_MODEL] == own
    assert resolve_model(file) == resolve_model(str(file)) == file


def test_a_name_that_is_none_lists_those_there_are() -> None:
    with pytest.raises(ModelFileError, match=model_module.DEFAULT_MODEL):
        load_model("nonesuch")


# ----- what is wrong with them ---------------------------------------------------------------


class _Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl", ".safetensors", ".bin"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_under_any_name_is_refused_and_never_run(tmp_path, suffix, protocol) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(_Evil(), protocol))
    for load in (load_model, read_card):
        with pytest.raises(ModelFileError, match="is a pickle, which can run any code"):
            load(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_of_pytorch_is_refused_as_a_pickle(tmp_path, suffix) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="is a pickle"):
        load_model(path)


def test_a_header_whose_length_looks_like_a_pickle_is_none(file: Path) -> None:
    def padded(header: dict) -> bytes:
        text = json.dumps(header).encode()
        return text + b" " * ((0x80 - len(text)) % 256)

    with_header(file, padded)
    assert file.read_bytes()[0] == 0x80
    assert load_model(file).card == CARD


@pytest.mark.parametrize("part", [0, 3, 8, 9, 100, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(file: Path, part: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: part if isinstance(part, int) else int(part * len(content))])
    with pytest.raises(ModelFileError, match=r"cut off|no model card"):
        load_model(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"This is no model at all, but a text of some length.")
    with pytest.raises(ModelFileError, match=r"not a \.safetensors file"):
        load_model(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="no model card"):
        load_model(path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"format_version": 2}, "Update napari-semnet"),
        ({"format_version": "new"}, "no model card"),
        ({"name": None}, "not valid: name"),
        ({"architecture": {"blocks": 0}}, "not valid: architecture"),
        ({"architecture": {"blocks": 10**9}}, "another architecture"),
        ({"architecture": {"conv_per_rdb": 3, **ONE_BLOCK, "features": 10**9}}, "larger network"),
        ({"architecture": {"conv_per_rdb": 3, **ONE_BLOCK, "growth": 10**30}}, "larger network"),
        ({"architecture": {"in_channels": 2, **ONE_BLOCK}}, "cannot restore grey images"),
        ({"architecture": {"residual_scaling": float("inf")}}, "not valid: architecture"),
        ({"architecture": {"features": 7, "growth": 3, "blocks": 1}}, "another architecture"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused(file: Path, values: dict, sentence: str) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        load_model(with_card(file, **values))


def test_a_card_cannot_steer_the_terminal_that_shows_it(file: Path) -> None:
    card = load_model(with_card(file, description="\x1b]0;mine\x07 a\tb\nµ \x9b2J")).card
    assert card.description == "\ufffd]0;mine\ufffd a\tb\nµ \ufffd2J"


def test_unknown_fields_of_a_card_do_no_harm(file: Path) -> None:
    assert load_model(with_card(file, mood="good")).card == CARD


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(file: Path, value: float) -> None:
    network = load_model(file).network
    with torch.no_grad():
        network.trunk.weight[0, 0, 0, 0] = value
    before = file.read_bytes()
    with pytest.raises(ModelFileError, match="not finite"):
        save_model(file, network, CARD)
    assert file.read_bytes() == before
    save_file(network.state_dict(), file, metadata={"card": CARD.model_dump_json()})
    with pytest.raises(ModelFileError, match="not finite"):
        load_model(file)


def test_a_weight_too_large_for_half_precision_is_not_written(file: Path) -> None:
    network = load_model(file).network
    with torch.no_grad():
        network.body[0].rdb[0].conv[0].weight[0, 0, 0, 0] = 1e6
    other = file.with_name("other.safetensors")
    with pytest.raises(ModelFileError, match=r"body\.0\.rdb\.0\.conv\.0\.weight"):
        save_model(other, network, CARD)
    assert not other.exists()


# ----- another card --------------------------------------------------------------------------


def test_a_card_is_rewritten_and_the_weights_are_not(file: Path) -> None:
    before = load_model(file)
    card = CARD.model_copy(update={"halo": Halo(pixels=5, bound=0.05), "description": "å" * 77})
    rewrite_card(file, card, file)
    after = load_model(file)
    assert after.card == card
    expected, found = before.network.state_dict(), after.network.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_card_can_be_rewritten_into_another_file(file: Path) -> None:
    before = file.read_bytes()
    other = file.with_name("other.safetensors")
    rewrite_card(file, CARD.model_copy(update={"name": "other"}), other)
    assert read_card(other).name == "other"
    assert file.read_bytes() == before


def test_a_card_for_another_network_or_suffix_is_refused(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(ModelFileError, match="another architecture"):
        rewrite_card(file, Card(name="other"), file)
    with pytest.raises(ModelFileError, match="must end in"):
        rewrite_card(file, CARD, file.with_suffix(".pt"))
    assert file.read_bytes() == before
