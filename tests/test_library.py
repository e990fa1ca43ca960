"""The user's own models: what is put in, renamed and deleted, and what is refused."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_semnet import library
from napari_semnet import model as models
from napari_semnet.errors import ModelFileError
from napari_semnet.library import (
    KEPT_DAYS,
    delete_model,
    deleted_models,
    find_by_sha256,
    import_model,
    list_models,
    load_recorded,
    put_back,
    rename_model,
)
from napari_semnet.model import Card, load_model, save_model
from napari_semnet.network import Architecture, SEMNet

SMALL = Architecture(features=4, growth=2, blocks=1, rdb_per_block=1, conv_per_rdb=2)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models folder, which does not exist yet."""
    folder = tmp_path / "own models"
    monkeypatch.setattr(models, "user_models_folder", lambda: folder)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return made(tmp_path / "from elsewhere.safetensors", 0)


def made(path: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_model(path, SEMNet(SMALL), Card(name="small", architecture=SMALL))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_an_imported_model_is_a_copy_that_is_found_by_its_name(own: Path, file: Path) -> None:
    entry = import_model(file)
    assert entry.name == "from elsewhere"
    assert entry.is_own
    assert entry.card is not None
    assert load_model(entry.name).sha256 == load_model(file).sha256
    assert entry in list_models()
    assert file.is_file()


def test_the_same_model_is_imported_once_and_another_gets_a_name_of_its_own(
    own: Path, file: Path, tmp_path: Path
) -> None:
    first = import_model(file)
    copy = tmp_path / "copy.safetensors"
    shutil.copy(file, copy)
    assert import_model(copy) == first
    (tmp_path / "later").mkdir()
    other = made(tmp_path / "later" / file.name, 1)
    assert import_model(other).name == "from elsewhere-2"
    assert import_model(other, "second").name == "second"
    with pytest.raises(ModelFileError, match="a model 'second' already"):
        import_model(file, "second")
    with pytest.raises(ModelFileError, match="a model 'SECOND' already"):
        import_model(file, "SECOND")


def test_a_bundled_models_name_cannot_be_taken(own: Path, file: Path) -> None:
    with pytest.raises(ModelFileError, match="already"):
        import_model(file, models.DEFAULT_MODEL)
    entry = import_model(file)
    with pytest.raises(ModelFileError, match="already"):
        rename_model(entry.name, models.DEFAULT_MODEL)


def test_what_cannot_be_loaded_is_not_imported(own: Path, file: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps({"a": 1}))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-10])
    foreign = tmp_path / "foreign.safetensors"
    bigger = Architecture(features=4, growth=2, blocks=1, rdb_per_block=2, conv_per_rdb=2)
    card = Card(name="small", architecture=SMALL).model_dump_json()
    save_file(SEMNet(bigger).state_dict(), foreign, metadata={"card": card})
    models.rewrite_card(file, Card(name="n", architecture=SMALL, format_version=2), file)
    for path, reason in (
        (evil, "is a pickle"),
        (cut, "damaged or cut off"),
        (foreign, "another architecture"),
        (file, "Update napari-semnet"),
        (tmp_path / "none.safetensors", "There is no file"),
    ):
        with pytest.raises(ModelFileError, match=reason):
            import_model(path)
    assert names(own) == set()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../up", "a\\b", "con", "x.safetensors", "-x", " x", "x" * 81]
)
def test_names_that_are_no_file_names_are_refused(own: Path, file: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="cannot be the name of a model"):
        import_model(file, name)
    assert names(own) == set()


def test_a_file_name_that_is_no_model_name_is_made_one(own: Path, tmp_path: Path) -> None:
    entry = import_model(made(tmp_path / "-weights, best (2)!.safetensors", 0))
    library.check_name(entry.name)
    assert load_model(entry.name)


def test_renaming_changes_the_name_and_not_a_byte(own: Path, file: Path) -> None:
    sha256 = load_model(import_model(file).path).sha256
    entry = rename_model("from elsewhere", "Zürich FIB")
    assert load_model("Zürich FIB").sha256 == sha256
    assert names(own) == {"Zürich FIB.safetensors"}
    found = find_by_sha256(sha256)
    assert found == entry
    assert rename_model("Zürich FIB", "zürich fib").name == "zürich fib"


def test_a_deleted_model_comes_back_as_it_was(own: Path, file: Path) -> None:
    entry = import_model(file)
    content = entry.path.read_bytes()
    aside = delete_model(entry.name)
    assert entry.name not in models.model_paths()
    assert deleted_models() == (aside.stem,)
    assert put_back(aside.stem) == entry
    assert entry.path.read_bytes() == content
    assert deleted_models() == ()


def test_two_deleted_models_of_one_name_both_come_back(own: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        import_model(made(tmp_path / "a.safetensors", seed))
        delete_model("a")
    assert set(deleted_models()) == {"a", "a-2"}
    put_back("a-2")
    import_model(made(tmp_path / "a.safetensors", 2))
    with pytest.raises(ModelFileError, match="called 'a' by now"):
        put_back("a")
    with pytest.raises(ModelFileError, match="no deleted model 'b'"):
        put_back("b")


def test_what_was_deleted_long_ago_goes_with_the_next_deletion(own: Path, tmp_path: Path) -> None:
    import_model(made(tmp_path / "old.safetensors", 0))
    aside = delete_model("old")
    long_ago = time.time() - (KEPT_DAYS + 1) * 24 * 3600
    os.utime(aside, (long_ago, long_ago))
    import_model(made(tmp_path / "new.safetensors", 1))
    delete_model("new")
    assert deleted_models() == ("new",)


def test_bundled_and_unknown_models_are_neither_renamed_nor_deleted(own: Path) -> None:
    for act in (delete_model, lambda name: rename_model(name, "mine")):
        with pytest.raises(ModelFileError, match="comes with the package"):
            act(models.DEFAULT_MODEL)
        with pytest.raises(ModelFileError, match="no model 'nonesuch'"):
            act("nonesuch")


def test_an_own_model_that_replaces_a_bundled_one_gives_way_when_it_is_deleted(
    own: Path, file: Path
) -> None:
    bundled = models.resolve_model(models.DEFAULT_MODEL)
    own.mkdir()
    shutil.copy(file, own / bundled.name)
    assert next(m for m in list_models() if m.is_default).is_own
    delete_model(models.DEFAULT_MODEL)
    assert models.resolve_model(models.DEFAULT_MODEL) == bundled


def test_a_damaged_own_model_is_listed_with_the_reason_and_can_be_deleted(own: Path) -> None:
    own.mkdir()
    (own / "bad.safetensors").write_bytes(b"no model")
    entry = next(m for m in list_models() if m.name == "bad")
    assert entry.card is None
    assert "cut off" in entry.refused
    delete_model("bad")
    assert "bad" not in models.model_paths()


def test_a_record_leads_to_its_model_under_another_name_and_to_no_other(
    own: Path, file: Path, tmp_path: Path
) -> None:
    sha256 = load_model(import_model(file).path).sha256
    rename_model("from elsewhere", "renamed")
    assert load_recorded("small", sha256).path == own / "renamed.safetensors"
    another = made(tmp_path / "another.safetensors", 1)
    with pytest.raises(ModelFileError, match="is not the one of the record"):
        load_recorded("small", sha256, given=str(another))


def test_a_record_without_a_hash_leads_to_the_model_of_its_name(own: Path, file: Path) -> None:
    import_model(file, "mine")
    assert load_recorded("mine", "").path == own / "mine.safetensors"
