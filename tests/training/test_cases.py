from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.quality import noise_sigma
from napari_semnet.training.cases import Case, Found, Plan, Skipped, find_cases, without_noise
from napari_semnet.training.degradation import PROFILES
from tests.training.copying import references
from tests.training.runs import scene, write_doubtful


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, pixels in references().items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def _cases(plan: Plan) -> list[Case]:
    return [case for found in _found(plan) for case in found.cases()]


def _found(plan: Plan) -> list[Found]:
    return [entry for entry in find_cases(plan) if isinstance(entry, Found)]


def _reason(plan: Plan, name: str) -> str:
    (found,) = (entry for entry in _found(plan) if entry.path.stem == name)
    with pytest.raises(SemnetError) as refused:
        list(found.cases())
    return str(refused.value)


def _save(path: Path, pixels: NDArray[np.generic]) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_each_picture_gives_fixed_draws_of_half_its_size(folder: Path) -> None:
    first, again = _cases(Plan(folder)), _cases(Plan(folder))
    assert [(c.picture, c.draw) for c in first] == [
        (name, draw) for name in ("film.png", "gold.png", "mat.png") for draw in (0, 1)
    ]
    for one, other in zip(first, again, strict=True):
        assert one.low.tobytes() == other.low.tobytes()
        assert one.high.shape == (2 * one.low.shape[0], 2 * one.low.shape[1])
    assert not np.array_equal(first[0].low, first[1].low)


def test_other_pictures_do_not_change_a_draw_but_the_seed_does(folder: Path) -> None:
    alone = _cases(Plan(folder / "mat.png"))
    among = [case for case in _cases(Plan(folder)) if case.picture == "mat.png"]
    assert [c.low.tobytes() for c in alone] == [c.low.tobytes() for c in among]
    reseeded = _cases(Plan(folder / "mat.png", seed=1))
    assert reseeded[0].low.tobytes() != alone[0].low.tobytes()


def test_the_quiet_input_is_the_same_degradation_without_noise(folder: Path) -> None:
    for case in _cases(Plan(folder, draws=3)):
        assert case.quiet is not None
        noise = case.low.astype(float) - case.quiet
        assert noise_sigma(case.quiet) < 1.2
        assert noise.std() > noise_sigma(case.low) / 2
        # Only noise differs: what is left after smoothing is next to nothing.
        smooth = ndimage.gaussian_filter(noise, 4)
        assert np.abs(smooth).mean() < 0.15 * noise.std()


def test_a_profile_without_noise_keeps_its_other_stages() -> None:
    for profile in PROFILES.values():
        for chain, quiet in zip(profile.chains, without_noise(profile).chains, strict=True):
            assert (quiet.shot, quiet.gaussian, quiet.row_noise) == (None, None, None)
            assert quiet.blur == chain.blur
            assert quiet.row_jitter == chain.row_jitter
            assert quiet.levels == chain.levels


def test_odd_sides_are_cut_and_wide_grey_levels_are_mapped_with_a_note(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 9000, 65 * 80).reshape(65, 80).astype(np.uint16)
    _save(tmp_path / "ramp.png", ramp)
    case = _cases(Plan(tmp_path, draws=1))[0]
    assert case.high.shape == (64, 80)
    assert case.high.dtype == np.uint8
    assert (int(case.high.min()), int(case.high[-1, -1])) == (0, 251)
    assert any("odd" in note for note in case.notes)
    assert any("1000 to 9000 became 0 to 255" in note for note in case.notes)


def test_useless_pictures_are_refused_with_the_reason(folder: Path) -> None:
    grey = references()["gold"]
    _save(folder / "tiny.png", grey[:20])
    _save(folder / "flat.png", np.full((64, 64), 9, np.uint8))
    _save(folder / "colour.png", np.stack([grey, grey // 2, grey // 3], axis=-1))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    plan = Plan(folder)
    assert "too small: 96 x 20 pixels" in _reason(plan, "tiny")
    assert "same value" in _reason(plan, "flat")
    assert "colour" in _reason(plan, "colour")
    assert "broken.png" in _reason(plan, "broken")


def test_references_are_cut_around_the_middle_and_smaller_ones_refused(folder: Path) -> None:
    plan = Plan(folder, reference_shape=(80, 90))
    assert "80 x 80 pixels, fewer than the 90 x 80" in _reason(plan, "film")
    (gold,) = (f for f in _found(plan) if f.path.stem == "gold")
    assert np.array_equal(next(gold.cases()).high, references()["gold"][:, 3:93])


def test_the_table_beside_the_pictures_tells_their_source(folder: Path) -> None:
    table = folder.parent / "table.csv"
    table.write_text(f"file,source,licence\n{folder.name}/gold.png,au,MIT\nmat.png,silk,MIT\n")
    assert {f.name: f.source for f in _found(Plan(folder, table=table))} == {
        "gold.png": "au",
        "mat.png": "silk",
        "film.png": "",
    }
    (folder / "sources.csv").write_text(table.read_text())
    by_licence = Plan(folder, column="licence")
    assert {f.source for f in _found(by_licence)} == {"MIT", ""}
    with pytest.raises(SemnetError, match=r"no column 'microscope'.*file, source, licence"):
        find_cases(Plan(folder, table=table, column="microscope"))


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(SemnetError, match="no file or folder"):
        find_cases(Plan(tmp_path / "nowhere"))
    with pytest.raises(SemnetError, match="no picture in"):
        find_cases(Plan(tmp_path))
    with pytest.raises(SemnetError, match="At least one draw"):
        Plan(tmp_path, draws=0)


def test_real_pairs_are_joined_by_name_and_taken_as_they_are(folder: Path, tmp_path: Path) -> None:
    poor = tmp_path / "poor"
    low = references()["gold"][::2, ::2]
    _save(poor / "GOLD.png", low)
    plan = Plan(folder, lq=poor, pairing="as is")
    found = find_cases(plan)
    skipped = [entry for entry in found if isinstance(entry, Skipped)]
    assert {s.path.stem for s in skipped} >= {"film", "mat"}
    (case,) = _cases(plan)
    assert np.array_equal(case.low, low)
    assert np.array_equal(case.high, references()["gold"])
    assert case.quiet is None
    _save(poor / "GOLD.png", low[:-2])
    assert "96 x 80" in _reason(plan, "gold")


def test_two_files_are_a_pair_whatever_they_are_called(folder: Path, tmp_path: Path) -> None:
    low = references()["gold"][::2, ::2]
    _save(tmp_path / "fast" / "scan 7.png", low)
    plan = Plan(folder / "gold.png", lq=tmp_path / "fast" / "scan 7.png", pairing="as is")
    (case,) = _cases(plan)
    assert case.picture == "gold.png"
    assert np.array_equal(case.low, low)


def test_real_pairs_are_registered_and_matched_in_grey_levels(tmp_path: Path) -> None:
    scene = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(300, 300)), 3)
    scene = (scene - scene.min()) / np.ptp(scene) * 180 + 20
    high = scene[20:276, 20:276]
    low = scene[24:280, 16:272].reshape(128, 2, 128, 2).mean(axis=(1, 3))
    _save(tmp_path / "good" / "a.png", np.rint(0.8 * high + 10).astype(np.uint8))
    _save(tmp_path / "poor" / "a.png", np.rint(low).astype(np.uint8))
    (case,) = _cases(Plan(tmp_path / "good", lq=tmp_path / "poor"))
    halved = case.high.reshape(len(case.low), 2, -1, 2).mean(axis=(1, 3))
    assert np.abs(halved - case.low)[8:-8, 8:-8].mean() < 1.5
    assert any("registered" in note and "-2.0" in note for note in case.notes)


def test_a_real_pair_the_wrong_way_round_has_a_note(tmp_path: Path) -> None:
    good = np.rint(20 + 200 * scene(2, 256, 256)).astype(np.uint8)
    noise = np.random.default_rng(1).normal(0, 15, good.shape)
    _save(tmp_path / "slow" / "a.png", good)
    _save(tmp_path / "fast" / "a.png", np.rint(good + noise).clip(0, 255).astype(np.uint8))
    (right,) = _cases(Plan(tmp_path / "slow", lq=tmp_path / "fast"))
    (wrong,) = _cases(Plan(tmp_path / "fast", lq=tmp_path / "slow"))
    assert not any("swapped" in note for note in right.notes)
    assert any("look whether the two are swapped" in note for note in wrong.notes)


def test_real_pairs_in_subfolders_are_joined_by_their_place(tmp_path: Path) -> None:
    grey = references()["gold"]
    for field in ("f1", "f2"):
        (tmp_path / "good" / field).mkdir(parents=True)
        (tmp_path / "poor" / field).mkdir(parents=True)
        _save(tmp_path / "good" / field / "frame.png", grey)
        _save(tmp_path / "poor" / field / "frame.png", grey[::2, ::2])
    _save(tmp_path / "poor" / "lonely.png", grey[::2, ::2])
    plan = Plan(tmp_path / "good", lq=tmp_path / "poor", pairing="as is")
    joined = {f.path.parent.name: f.low_path for f in _found(plan)}
    assert joined == {name: tmp_path / "poor" / name / "frame.png" for name in ("f1", "f2")}
    (alone,) = (entry for entry in find_cases(plan) if isinstance(entry, Skipped))
    assert alone.path.name == "lonely.png"


def test_poor_pictures_may_lie_among_the_good_ones(folder: Path) -> None:
    _save(folder / "poor" / "gold.png", references()["gold"][::2, ::2])
    for plan in (Plan(folder, lq=folder / "poor"), Plan(folder / "poor", lq=folder)):
        (found,) = _found(plan)
        assert {found.path, found.low_path} == {folder / "gold.png", folder / "poor" / "gold.png"}


def test_sixteen_bit_pairs_as_they_are_keep_one_grey_scale(tmp_path: Path) -> None:
    scene = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 4)
    high = 20000 + 10000 * (scene - scene.min()) / np.ptp(scene)
    low = high.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    # A single bright particle of the poor picture must not darken everything else of it alone.
    low[20:30, 20:30] += 20000
    _save(tmp_path / "good" / "a.png", high.astype(np.uint16))
    _save(tmp_path / "poor" / "a.png", low.astype(np.uint16))
    (case,) = _cases(Plan(tmp_path / "good", lq=tmp_path / "poor", pairing="as is"))
    halved = case.high.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert np.abs(halved - case.low)[40:].max() < 1.5


def test_pairs_of_different_depths_have_no_grey_scale_as_they_are(tmp_path: Path) -> None:
    grey = references()["gold"]
    _save(tmp_path / "good" / "a.png", grey.astype(np.uint16) * 100)
    _save(tmp_path / "poor" / "a.png", grey[::2, ::2])
    plan = Plan(tmp_path / "good", lq=tmp_path / "poor", pairing="as is")
    assert "no grey scale in common" in _reason(plan, "a")


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"reference_shape": (960, 1280)}, "--poster"),
        ({"profile": PROFILES["sem"]}, "--profile"),
        ({"draws": 3}, "--draws"),
        ({"seed": 1}, "--seed"),
    ],
)
def test_what_degrades_is_refused_beside_real_pairs(option: dict[str, Any], word: str) -> None:
    with pytest.raises(SemnetError, match=f"neither degraded nor cut.*: {word}\\."):
        Plan(Path("good"), lq=Path("poor"), **option)


def test_rows_of_a_table_may_be_too_short_or_too_long(folder: Path) -> None:
    table = folder / "table.csv"
    table.write_text("source,file\nau,gold.png,more\nsilk\n")
    assert {f.source for f in _found(Plan(folder, table=table))} == {"au", ""}
    with pytest.raises(SemnetError, match=r"no column 'microscope'.*source, file"):
        find_cases(Plan(folder, table=table, column="microscope"))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_gives_cases(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"Probe_\xe4.png")
    _save(path, references()["gold"])
    (case,) = _cases(Plan(tmp_path, draws=1))
    assert case.picture == path.name


def test_absolute_paths_in_a_table_name_their_pictures(folder: Path) -> None:
    table = folder.parent / "table.csv"
    table.write_text(f"file,source\n{(folder / 'gold.png').as_posix()},au\n")
    sources = {f.name: f.source for f in _found(Plan(folder, table=table))}
    assert sources == {"gold.png": "au", "mat.png": "", "film.png": ""}


@pytest.mark.parametrize("pairing", ["registered", "as is"])
def test_a_poor_picture_of_odd_sides_is_half_of_its_reference(
    tmp_path: Path, pairing: Literal["registered", "as is"]
) -> None:
    high = np.rint(255 * scene(1, 190, 202)).astype(np.uint8)
    _save(tmp_path / "good" / "a.png", high)
    low = high.reshape(95, 2, 101, 2).mean(axis=(1, 3))
    _save(tmp_path / "poor" / "a.png", np.rint(low).astype(np.uint8))
    plan = Plan(tmp_path / "good", lq=tmp_path / "poor", pairing=pairing)
    (case,) = _cases(plan)
    assert (case.low.shape, case.high.shape) == ((95, 101), (190, 202))


def test_pictures_of_as_many_pixels_on_odd_sides_are_both_cut(tmp_path: Path) -> None:
    grey = np.rint(255 * scene(1, 191, 203)).astype(np.uint8)
    _save(tmp_path / "good" / "a.png", grey)
    _save(tmp_path / "poor" / "a.png", grey)
    (case,) = _cases(Plan(tmp_path / "good", lq=tmp_path / "poor"))
    assert (case.low.shape, case.high.shape) == ((95, 101), (190, 202))
    assert "its odd last row or column was left out" in case.notes


def test_a_damaged_picture_is_refused_and_one_that_may_have_a_databar_noted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cut.tif"
    pixels = np.rint(255 * scene(1, 190, 202)).astype(np.uint8)
    tifffile.imwrite(path, pixels, rowsperstrip=16, compression="zlib")
    path.write_bytes(path.read_bytes()[:-2000])
    write_doubtful(tmp_path / "doubtful.png")
    plan = Plan(tmp_path, draws=1)
    assert "some of its pixels cannot be read" in _reason(plan, "cut")
    (doubtful,) = (found for found in _found(plan) if found.path.stem == "doubtful")
    (case,) = doubtful.cases()
    assert case.notes == ("it may have a databar or a label, which was measured on as well",)


def test_blanks_around_the_names_and_cells_of_a_table_do_not_count(folder: Path) -> None:
    (folder / "sources.csv").write_text("file, source\n./gold.png, au\n")
    sources = {f.name: f.source for f in _found(Plan(folder))}
    assert sources == {"gold.png": "au", "mat.png": "", "film.png": ""}


@pytest.mark.parametrize("pairing", ["registered", "as is"])
def test_what_stands_against_a_poor_picture_is_said_of_its_file(
    tmp_path: Path, pairing: Literal["registered", "as is"]
) -> None:
    high = (255 * scene(0, 96, 96)).astype(np.uint8)
    low = high[::2, ::2]
    spoilt = low.astype(np.float32)
    spoilt[5, 5] = np.nan
    poor = {
        "even": np.full_like(low, 80),
        "many": np.stack([low, low, low, low]),
        "nan": spoilt,
    }
    for folder in ("good", "poor"):
        (tmp_path / folder).mkdir()
    for name, pixels in poor.items():
        good = high.astype(np.float32) if name == "nan" else high
        tifffile.imwrite(tmp_path / "good" / f"{name}.tif", good, photometric="minisblack")
        tifffile.imwrite(tmp_path / "poor" / f"{name}.tif", pixels, photometric="minisblack")
    plan = Plan(tmp_path / "good", lq=tmp_path / "poor", pairing=pairing)
    for name, words in {"even": "same value", "many": "4 planes", "nan": "fill them"}.items():
        assert _reason(plan, name).startswith(f"its poor picture {name}.tif is of no use: ")
        assert words in _reason(plan, name)
    assert "--non-finite" not in _reason(plan, "nan")
