from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet.errors import TrainingError
from napari_semnet.training.sections import Source
from napari_semnet.training.split import specimens_of
from napari_semnet.training.store import Store, open_store, prepare_source
from tests.training.runs import as_8bit, scene, write_doubtful, write_png, write_scenes


def hq(folder: Path, **more: object) -> Source:
    return Source.model_validate({"images": folder, **more})


def test_pictures_of_both_depths_come_back_pixel_by_pixel(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    deep = (scene(5) * 65535).astype(np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    tifffile.imwrite(folder / "deep.tif", deep)
    store = open_store(hq(folder), tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["deep.tif", "scene-0.png", "scene-1.png"]
    assert np.array_equal(store.pixels(store.fields[1].target), as_8bit(scene(0)))
    assert np.array_equal(store.pixels(store.fields[2].target), as_8bit(scene(1)))
    assert np.allclose(store.pixels(store.fields[0].target), deep, atol=1)
    assert store.fields[0].target.dtype == "uint16"


def test_a_store_is_made_once_and_made_again_when_a_file_changes(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    root = tmp_path / "store"
    assert len(list(prepare_source(hq(folder), root))) == 2
    assert list(prepare_source(hq(folder), root)) == []
    write_png(folder / "scene-1.png", scene(50, 90, 90))
    assert len(list(prepare_source(hq(folder), root))) == 2
    assert [p for p in root.iterdir() if p.name.startswith(".")] == []


def test_an_interrupted_preparation_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 3)
    steps = prepare_source(hq(folder), tmp_path / "store")
    next(steps)
    steps.close()
    assert list((tmp_path / "store").iterdir()) == []


def test_useless_pictures_are_listed_and_the_others_used(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    shutil.copy(folder / "scene-0.png", folder / "twin.png")
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(folder / "flat.png")
    Image.fromarray(as_8bit(scene(0, 20, 64))).save(folder / "tiny.png")
    (folder / "broken.png").write_bytes((folder / "scene-0.png").read_bytes()[:200])
    (folder / "empty.tif").write_bytes(b"")
    white = as_8bit(scene(0))
    white[:60] = 255
    Image.fromarray(white).save(folder / "white.png")
    holes = scene(1).astype(np.float32)
    holes[3, 3] = np.nan
    tifffile.imwrite(folder / "holes.tif", holes)
    store = open_store(hq(folder), tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["scene-0.png", "scene-1.png"]
    reasons = {entry.path: entry.reason for entry in store.rejected}
    useless = "broken.png empty.tif flat.png holes.tif tiny.png twin.png white.png"
    assert sorted(reasons) == useless.split()
    assert reasons["white.png"].startswith("saturated: 7")
    assert reasons["holes.tif"] == "it has pixels that are not numbers"
    assert reasons["twin.png"] == "the same pixels as scene-0.png"
    assert reasons["flat.png"].startswith("constant")
    assert reasons["tiny.png"].startswith("too small: 64 x 20")
    assert all(reasons.values())


def test_binned_references_have_half_the_pixels_and_half_the_noise(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 8 / 255, (200, 200))
    write_png(tmp_path / "p" / "a.png", 0.5 + 0.2 * scene(0, 200, 200) + noise)
    (plain,) = open_store(hq(tmp_path / "p"), tmp_path / "store").fields
    (binned,) = open_store(hq(tmp_path / "p", reference="binned"), tmp_path / "store").fields
    assert plain.noise == pytest.approx(8, rel=0.1)
    assert binned.noise == pytest.approx(plain.noise / 2)
    assert (binned.target.rows, binned.target.columns) == (100, 100)


def test_a_table_gives_groups_licences_and_noise(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    table = tmp_path / "table.csv"
    table.write_text("file,group,licence,noise_sigma\npictures/scene-1.png,wood,MIT,2.5\n")
    first, second = open_store(hq(folder, table=table, licence="CC0"), tmp_path / "store").fields
    assert (second.group, second.licence, second.noise) == ("wood", "MIT", 2.5)
    assert (first.group, first.licence) == (first.path, "CC0")


def test_two_noisy_frames_give_a_field_each_way_round(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = scene(4, 160, 160)
    for name in ("one", "two"):
        write_png(tmp_path / name / "a.png", clean + rng.normal(0, 0.03, clean.shape))
    source = Source.model_validate(
        {"kind": "noise2noise", "low": tmp_path / "one", "high": tmp_path / "two"}
    )
    store = open_store(source, tmp_path / "store")
    first, second = store.fields
    assert (Path(first.path).parent.name, Path(second.path).parent.name) == ("two", "one")
    for field in store.fields:
        assert field.low is not None
        assert field.target.rows == 2 * field.low.rows
        low, target = (store.pixels(place) / 65535 for place in (field.low, field.target))
        small = target.reshape(field.low.rows, 2, field.low.columns, 2).mean(axis=(1, 3))
        # Noise of the two frames is independent: both halves of it are in the difference.
        assert (low - small)[3:-3, 3:-3].std() == pytest.approx(0.03 / 2 * 2**0.5, rel=0.1)


def test_pairs_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    for name, size in (("good", (128, 128)), ("bad", (100, 128))):
        write_png(tmp_path / "low" / f"{name}.png", scene(7, 64, 64))
        write_png(tmp_path / "high" / f"{name}.png", scene(7, *size))
    small = scene(7, 128, 128).reshape(64, 2, 64, 2).mean(axis=(1, 3))
    write_png(tmp_path / "low" / "good.png", small)
    source = Source.model_validate(
        {"kind": "pairs", "low": tmp_path / "low", "high": tmp_path / "high"}
    )
    store = open_store(source, tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["good.png"]
    (entry,) = store.rejected
    assert entry.path == "bad.png"
    assert "the sizes do not fit" in entry.reason


def test_a_store_can_be_taken_to_another_machine(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    made = open_store(hq(folder), tmp_path / "store")
    (inside,) = (tmp_path / "store").iterdir()
    moved = inside.rename(tmp_path / "moved")
    shutil.rmtree(folder)
    taken = open_store(hq(moved), tmp_path / "other")
    assert taken.fields == made.fields
    assert np.array_equal(taken.pixels(taken.fields[1].target), as_8bit(scene(1)))
    assert not (tmp_path / "other").exists()


def test_a_folder_of_pictures_may_have_an_index_of_its_own(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    # As data sets have; it was taken for a damaged store, which one is told to delete.
    (folder / "index.json").write_text('{"name": "my data set"}')
    assert len(open_store(hq(folder), tmp_path / "store").fields) == 2


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    open_store(hq(folder), tmp_path / "store")
    (made,) = (tmp_path / "store").iterdir()
    (made / "index.json").write_text(json.dumps({"fields": [{}]}))
    with pytest.raises(TrainingError, match="is damaged"):
        Store(made)


def test_a_root_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="cannot be stored in"):
        open_store(hq(folder), tmp_path / "file" / "store")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    with pytest.raises(TrainingError, match="There is no table"):
        open_store(hq(folder, table=tmp_path / "no.csv"), tmp_path / "store")


def test_pictures_without_a_partner_are_listed(tmp_path: Path) -> None:
    small = scene(7, 128, 128).reshape(64, 2, 64, 2).mean(axis=(1, 3))
    for name in ("a", "lonely"):
        write_png(tmp_path / "low" / f"{name}.png", small)
    write_png(tmp_path / "high" / "a.png", scene(7, 128, 128))
    source = Source.model_validate(
        {"kind": "pairs", "low": tmp_path / "low", "high": tmp_path / "high"}
    )
    store = open_store(source, tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["a.png"]
    (alone,) = store.rejected
    assert Path(alone.path) == tmp_path / "low" / "lonely.png"
    assert alone.reason == "no picture in the other folder has this name"


def test_each_fast_scan_of_one_slow_scan_is_a_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = scene(7, 128, 128).reshape(64, 2, 64, 2).mean(axis=(1, 3))
    for name in ("first", "second", "third"):
        write_png(tmp_path / "low" / f"{name}.png", small + rng.normal(0, 0.03, small.shape))
        write_png(tmp_path / "high" / f"{name}.png", scene(7, 128, 128))
    for side in ("low", "high"):
        shutil.copy(tmp_path / side / "first.png", tmp_path / side / "fourth.png")
    source = Source.model_validate(
        {"kind": "pairs", "low": tmp_path / "low", "high": tmp_path / "high"}
    )
    store = open_store(source, tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["first.png", "second.png", "third.png"]
    assert len(set(specimens_of(store.fields).values())) == 1
    (copied,) = store.rejected
    assert copied.reason == "the same pixels as first.png"


def test_two_equal_frames_are_no_noisy_frames_of_one_field(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for frame in ("one", "two"):
        noisy = scene(4, 160, 160) + rng.normal(0, 0.03, (160, 160))
        write_png(tmp_path / frame / "good.png", noisy)
        write_png(tmp_path / frame / "copy.png", scene(5, 160, 160))
    source = Source.model_validate(
        {"kind": "noise2noise", "low": tmp_path / "one", "high": tmp_path / "two"}
    )
    store = open_store(source, tmp_path / "store")
    assert {Path(f.path).name for f in store.fields} == {"good.png"}
    (copied,) = store.rejected
    assert "same pixels" in copied.reason


def test_noisy_frames_of_little_contrast_keep_it_as_targets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = scene(4, 256, 256)
    for frame in ("one", "two"):
        noisy = 0.5 + 0.03 * (clean - clean.mean()) / clean.std() + rng.normal(0, 0.1, clean.shape)
        write_png(tmp_path / frame / "a.png", noisy)
    source = Source.model_validate(
        {"kind": "noise2noise", "low": tmp_path / "one", "high": tmp_path / "two"}
    )
    store = open_store(source, tmp_path / "store")
    for field in store.fields:
        recorded = np.asarray(Image.open(field.path)) / 255
        target = store.pixels(field.target) / 65535
        # A shift of part of a pixel smooths the noise a little.
        assert target.std() / recorded.std() == pytest.approx(1, abs=0.07)


def test_a_picture_whose_noise_cannot_be_seen_is_listed(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    white = 0.1 + 0.8 * scene(5, 1500, 1500)
    white[230:1270, 230:1270] = 1
    write_png(folder / "white.png", white)
    store = open_store(hq(folder), tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["scene-0.png"]
    (entry,) = store.rejected
    assert (entry.path, "its noise cannot be seen" in entry.reason) == ("white.png", True)


def test_a_licence_that_is_changed_is_told_without_decoding_anew(tmp_path: Path) -> None:
    folder, root = write_scenes(tmp_path / "pictures", 2), tmp_path / "store"
    open_store(hq(folder), root)
    assert list(prepare_source(hq(folder, licence="CC0"), root)) == []
    assert {f.licence for f in open_store(hq(folder, licence="CC0"), root).fields} == {"CC0"}
    assert {f.licence for f in open_store(hq(folder), root).fields} == {""}


def test_absolute_paths_in_a_table_name_their_pictures(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 2)
    table = tmp_path / "table.csv"
    table.write_text(f"file,group,licence\n{(folder / 'scene-1.png').as_posix()},wood,MIT\n")
    store = open_store(hq(folder, table=table), tmp_path / "store")
    assert (store.fields[1].group, store.fields[1].licence) == ("wood", "MIT")
    assert store.named == 1


def pairs(folder: Path) -> Source:
    return Source.model_validate({"kind": "pairs", "low": folder / "low", "high": folder / "high"})


def test_a_good_pair_is_not_refused_for_one_that_is_not_used(tmp_path: Path) -> None:
    high = scene(7, 192, 200)
    small = high.reshape(96, 2, 100, 2).mean(axis=(1, 3))
    for name, low in (("a", scene(99, 96, 100)), ("b", small)):
        write_png(tmp_path / "high" / f"{name}.png", high)
        write_png(tmp_path / "low" / f"{name}.png", low)
    store = open_store(pairs(tmp_path), tmp_path / "store")
    assert [Path(f.path).name for f in store.fields] == ["b.png"]
    assert [entry.path for entry in store.rejected] == ["a.png"]


def test_stacks_of_different_lengths_are_refused_with_their_pages(tmp_path: Path) -> None:
    for name, count in (("low", 2), ("high", 3)):
        (tmp_path / name).mkdir()
        stack = np.stack([as_8bit(scene(seed)) for seed in range(count)])
        tifffile.imwrite(tmp_path / name / "a.tif", stack, photometric="minisblack")
    store = open_store(pairs(tmp_path), tmp_path / "store")
    (entry,) = store.rejected
    assert entry.reason == "it has 2 pages and its partner 3"


def test_pictures_that_may_have_a_databar_are_used_and_told(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    write_doubtful(folder / "doubtful.png")
    for _ in range(2):  # also where the pictures were decoded before
        store = open_store(hq(folder), tmp_path / "store")
        assert len(store.fields) == 2
        assert store.databars == ("doubtful.png",)


def test_the_group_of_a_copy_is_kept_with_what_it_copies(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    shutil.copy(folder / "scene-0.png", folder / "twin.png")
    table = tmp_path / "table.csv"
    table.write_text("file,group\ntwin.png,wood\n")
    store = open_store(hq(folder, table=table), tmp_path / "store")
    (copy,) = store.copies
    assert (copy.group, copy.digests) == ("wood", store.fields[0].digests)


def test_a_column_that_a_source_names_must_be_in_its_table(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 1)
    table = tmp_path / "table.csv"
    table.write_text("file,Specimen\nscene-0.png,wood\n")
    with pytest.raises(TrainingError, match="no column 'specimen'; it has: file, Specimen"):
        open_store(hq(folder, table=table, group_column="specimen"), tmp_path / "store")
    # A configuration that a run wrote says the defaults, which need not be there.
    open_store(hq(folder, table=table, group_column="group"), tmp_path / "store")
