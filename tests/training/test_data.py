from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.errors import TrainingError
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.data import Data, Pool, not_used, prepare_data
from napari_semnet.training.events import Notice
from napari_semnet.training.pictures import Rejected
from napari_semnet.training.split import Split
from tests.training.runs import scene, small_config, write_doubtful, write_png, write_scenes


def prepared(config: TrainingConfig, before: Split | None = None) -> tuple[Data, list[str]]:
    """The data, and what was said about them."""
    said = []
    steps: Generator[Any, None, Data] = prepare_data(config, before)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value, said
        if isinstance(event, Notice):
            said.append(event.text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Bright and dark pictures in two sources, of which the small one is drawn three times."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(5):
        write_png(folder / "dark" / f"{number}.png", 0.4 * scene(number))
    write_png(folder / "bright" / "0.png", 0.6 + 0.4 * scene(9))
    sources = [
        {"images": str(folder / "dark"), "weight": 1},
        {"images": str(folder / "bright"), "weight": 3},
    ]
    return prepared(small_config(folder, data=sources, validation={"crops": 0}))[0]


@given(
    seed=st.integers(0, 2**40),
    step=st.integers(0, 10**6),
    split=st.integers(1, 7),
)
@settings(max_examples=25, deadline=None)
def test_a_batch_is_a_function_of_seed_step_and_sample(
    data: Data, seed: int, step: int, split: int
) -> None:
    whole = data.patches(seed=seed, step=step, first_sample=0, count=8, side=10)
    first = data.patches(seed=seed, step=step, first_sample=0, count=split, side=10)
    rest = data.patches(seed=seed, step=step, first_sample=split, count=8 - split, side=10)
    assert np.array_equal(whole.targets, np.concatenate([first.targets, rest.targets]))
    other = data.patches(seed=seed, step=step + 1, first_sample=0, count=8, side=10)
    assert not np.array_equal(whole.targets, other.targets)


def test_sources_are_mixed_by_weight_whatever_the_number_of_files(data: Data) -> None:
    patches = data.patches(seed=1, step=0, first_sample=0, count=2000, side=4)
    bright = (patches.targets.mean(axis=(1, 2, 3)) > 0.5).mean()
    assert bright == pytest.approx(0.75, abs=0.04)


def test_patches_come_from_everywhere_and_in_all_symmetries(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:80, 0:96]
    write_png(tmp_path / "pictures" / "ramp.png", (rows * 1.0 + columns / 128) / 128)
    config = small_config(tmp_path, validation={"crops": 0})
    data, _ = prepared(config)
    patches = data.patches(seed=1, step=0, first_sample=0, count=1500, side=8).targets[:, 0]
    steep_y = np.abs(np.diff(patches, axis=1)).mean(axis=(1, 2))
    steep_x = np.abs(np.diff(patches, axis=2)).mean(axis=(1, 2))
    turned = steep_x > steep_y
    assert turned.mean() == pytest.approx(0.5, abs=0.05)
    upright = patches[~turned]
    flipped = upright[:, 0].mean(axis=1) > upright[:, -1].mean(axis=1)
    assert flipped.mean() == pytest.approx(0.5, abs=0.06)
    tops = np.minimum(upright[:, 0].min(axis=1), upright[:, -1].min(axis=1)) * 128
    # Corners lie on even rows of the good picture: 0, 2, ... 80 - 16.
    assert len(np.unique(np.rint(tops / 2))) == 33


def test_pairs_are_turned_alike_and_keep_their_scan_lines_horizontal(tmp_path: Path) -> None:
    rows = np.repeat(np.random.default_rng(0).uniform(size=(64, 1)), 2, axis=0)
    for number in range(2):
        high = 0.5 * scene(number, 128, 128) + 0.5 * rows
        write_png(tmp_path / "high" / f"{number}.png", high)
        small = high.reshape(64, 2, 64, 2).mean(axis=(1, 3))
        write_png(tmp_path / "low" / f"{number}.png", small)
    source = {"kind": "pairs", "low": str(tmp_path / "low"), "high": str(tmp_path / "high")}
    data, _ = prepared(small_config(tmp_path, data=[source], validation={"crops": 0}))
    patches = data.patches(seed=0, step=0, first_sample=0, count=64, side=16)
    assert patches.has_low.all()
    small = patches.targets.reshape(64, 16, 2, 16, 2).mean(axis=(2, 4))
    assert np.abs(small - patches.lows[:, 0]).max() < 0.03
    down = np.abs(np.diff(patches.lows[:, 0], axis=1)).mean(axis=(1, 2))
    across = np.abs(np.diff(patches.lows[:, 0], axis=2)).mean(axis=(1, 2))
    assert (down > across).all()


def test_whole_groups_are_held_out_and_never_trained_on(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 8)
    rows = "".join(f"scene-{n}.png,specimen-{n // 2}\n" for n in range(8))
    (tmp_path / "table.csv").write_text("file,group\n" + rows)
    source = {"images": str(folder), "table": str(tmp_path / "table.csv")}
    validation = {"crops": 2, "crop": 16, "share": 0.25}
    data, _ = prepared(small_config(tmp_path, data=[source], validation=validation))
    apart = {field.group for pool in data.validation for field in pool.fields}
    kept = {field.group for pool in data.training for field in pool.fields}
    assert len(apart) == 1
    assert len(kept) == 3
    assert not apart & kept


def test_a_validation_picture_among_the_training_pictures_is_left_out(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 3)
    write_png(tmp_path / "held" / "renamed.png", scene(1))
    validation = {"crops": 1, "crop": 16, "sources": [{"images": str(tmp_path / "held")}]}
    data, said = prepared(small_config(tmp_path, validation=validation))
    assert data.images == 2
    assert any("scene-1.png: it is a validation picture" in text for text in said)


def named(pools: tuple[Pool, ...]) -> set[str]:
    return {Path(field.path).name for pool in pools for field in pool.fields}


def test_a_source_of_no_use_is_refused_with_a_reason_of_its_own(tmp_path: Path) -> None:
    good = write_scenes(tmp_path / "good", 2)
    write_png(good / "tiny.png", scene(0, 9, 9))
    write_png(tmp_path / "bad" / "black.png", np.zeros((80, 96)))
    sources = [{"images": str(tmp_path / "bad")}, {"images": str(good)}]
    with pytest.raises(TrainingError, match=r"'bad' has no picture .* black\.png: constant"):
        prepared(small_config(tmp_path, data=sources))


@pytest.mark.parametrize("seed", range(4))
def test_a_held_out_picture_is_trained_on_from_no_source(tmp_path: Path, seed: int) -> None:
    folder = write_scenes(tmp_path / "pictures", 4, rows=128, columns=128)
    sources = [
        {"images": str(folder), "name": "all"},
        {"images": [str(folder / f"scene-{n}.png") for n in (0, 1)], "name": "rare"},
        {"images": str(folder), "reference": "binned", "name": "binned"},
    ]
    data, _ = prepared(small_config(tmp_path, data=sources, seed=seed))
    assert named(data.validation)
    assert not named(data.validation) & named(data.training)
    assert all(pool.fields for pool in data.training)


def test_a_picture_under_two_groups_joins_them(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 4)
    write_png(tmp_path / "copies" / "copy.png", scene(0))
    write_png(tmp_path / "copies" / "next.png", scene(20))
    write_png(tmp_path / "copies" / "steel.png", scene(30))
    (tmp_path / "table.csv").write_text("file,group\ncopy.png,wood\nnext.png,wood\n")
    table = str(tmp_path / "table.csv")
    held = {"images": str(tmp_path / "pictures" / "scene-0.png")}
    validation = {"crops": 1, "crop": 16, "sources": [held]}
    sources = [
        {"images": str(tmp_path / "pictures")},
        {"images": str(tmp_path / "copies"), "table": table},
    ]
    data, _ = prepared(small_config(tmp_path, data=sources, validation=validation))
    assert named(data.training) == {"scene-1.png", "scene-2.png", "scene-3.png", "steel.png"}
    reasons = {Path(entry.path).name: entry.reason for entry in data.rejected}
    assert reasons["copy.png"] == "it is a validation picture"
    assert "held out for validation (wood)" in reasons["next.png"]


def test_a_specimen_of_the_validation_sources_is_not_trained_on(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 4)
    (tmp_path / "table.csv").write_text(
        "file,group\n"
        + "".join(f"scene-{n}.png,{'wood' if n < 3 else 'steel'}\n" for n in range(4))
    )
    table = str(tmp_path / "table.csv")
    held = {"images": str(folder / "scene-2.png"), "table": table}
    data, _ = prepared(
        small_config(
            tmp_path,
            data=[{"images": str(folder), "table": table}],
            validation={"crops": 1, "crop": 16, "sources": [held]},
        )
    )
    assert named(data.training) == {"scene-3.png"}
    reasons = {Path(entry.path).name: entry.reason for entry in data.rejected}
    assert reasons["scene-2.png"] == "it is a validation picture"
    assert "held out for validation (wood)" in reasons["scene-0.png"]


def test_noisy_frames_of_a_held_out_field_are_left_out_both_ways_round(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        clean = scene(number, 96, 96)
        for frame in ("one", "two"):
            noisy = clean + rng.normal(0, 0.03, clean.shape)
            write_png(tmp_path / frame / f"{number}.png", noisy)
    frames = {"kind": "noise2noise", "low": str(tmp_path / "one"), "high": str(tmp_path / "two")}
    held = {"images": str(tmp_path / "two" / "1.png")}
    validation = {"crops": 1, "crop": 16, "sources": [held]}
    data, _ = prepared(small_config(tmp_path, data=[frames], validation=validation))
    assert named(data.training) == {"0.png", "2.png"}
    assert len(data.rejected) == 2


def test_small_and_noisy_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 2)
    write_png(tmp_path / "pictures" / "small.png", scene(5, 40, 200))
    noise = np.random.default_rng(0).normal(0, 0.1, (80, 96))
    write_png(tmp_path / "pictures" / "noisy.png", 0.5 + 0.1 * scene(6) + noise)
    source = {"images": str(tmp_path / "pictures"), "largest_noise": 10}
    config = small_config(tmp_path, data=[source], patch=24, validation={"crops": 0})
    data, said = prepared(config)
    assert data.images == 2
    (text,) = said
    assert "small.png: too small: 200 x 40 pixels for a patch of 48" in text
    assert "noisy.png: too noisy" in text


def test_a_source_without_a_usable_picture_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "pictures" / "a.png", scene(1, 40, 40))
    with pytest.raises(TrainingError, match=r"'pictures' has no picture .* a\.png: too small"):
        prepared(small_config(tmp_path, patch=64))


def test_the_poster_without_natural_images_is_said(tmp_path: Path) -> None:
    poster = {"preset": "poster"}
    _, said = prepared(small_config(tmp_path, **poster))
    assert any("half and half" in text for text in said)
    folder = write_scenes(tmp_path / "more", 1, first_seed=50)
    both = [
        {"images": str(tmp_path / "pictures")},
        {"images": str(folder), "content": "natural"},
    ]
    _, said = prepared(small_config(tmp_path, data=both, **poster))
    assert not any("half and half" in text for text in said)


@pytest.mark.parametrize(("by", "share"), [("image", 2 / 3), ("group", 0.5), ("area", 0.2)])
def test_pictures_are_drawn_by_image_area_or_group(tmp_path: Path, by: str, share: float) -> None:
    for number in range(2):
        write_png(tmp_path / "pictures" / f"dark-{number}.png", 0.3 * scene(number, 32, 32))
    write_png(tmp_path / "pictures" / "bright.png", 0.7 + 0.3 * scene(5, 64, 128))
    table = "file,group\ndark-0.png,dark\ndark-1.png,dark\nbright.png,bright\n"
    (tmp_path / "table.csv").write_text(table)
    source = {
        "images": str(tmp_path / "pictures"),
        "table": str(tmp_path / "table.csv"),
        "draw_by": by,
    }
    data, _ = prepared(small_config(tmp_path, data=[source], validation={"crops": 0}))
    patches = data.patches(seed=3, step=0, first_sample=0, count=1500, side=8).targets
    assert (patches.mean(axis=(1, 2, 3)) < 0.5).mean() == pytest.approx(share, abs=0.04)


def test_tones_are_varied_within_what_was_asked(tmp_path: Path) -> None:
    def drawn(**augmentation: object) -> np.ndarray:
        config = small_config(tmp_path, augmentation=augmentation, validation={"crops": 0})
        data, _ = prepared(config)
        return data.patches(seed=3, step=0, first_sample=0, count=200, side=12).targets

    plain, gamma = drawn(), drawn(gamma=[0.5, 2.0])
    inside = (plain > 0.1) & (plain < 0.9)
    exponents = np.log(gamma[inside]) / np.log(plain[inside])
    assert exponents.min() + 1e-3 >= 0.5
    assert exponents.max() - 1e-3 <= 2.0
    assert np.log(exponents).mean() == pytest.approx(0, abs=0.15)
    inverted = drawn(invert=0.5)
    turned = (inverted != plain).any(axis=(1, 2, 3))
    assert np.allclose(inverted[turned], 1 - plain[turned])
    assert turned.mean() == pytest.approx(0.5, abs=0.1)
    flat = drawn(contrast=[0.5, 0.5])
    assert flat.std() < 0.75 * plain.std()
    assert np.allclose(flat.mean(axis=(1, 2, 3)), plain.mean(axis=(1, 2, 3)), atol=1e-6)


def test_a_table_about_other_pictures_is_told_of(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 4)
    table = tmp_path / "table.csv"
    source = {"images": str(folder), "table": str(table)}
    for name, is_told in (("other.png", True), ("scene-1.png", False)):
        table.write_text(f"file,group\n{name},wood\n")
        for _ in range(2):  # also where the pictures were decoded before
            _, said = prepared(small_config(tmp_path, data=[source]))
            assert any("names none of the pictures" in text for text in said) == is_told


def test_frames_of_a_validation_pair_are_trained_on_from_no_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        clean = scene(number, 96, 96)
        for frame, sigma in (("fast", 0.03), ("again", 0.03), ("slow", 0.003)):
            if frame != "slow" or number == 0:
                noisy = clean + rng.normal(0, sigma, clean.shape)
                write_png(tmp_path / frame / f"{number}.png", noisy)
    fast, again, slow = (str(tmp_path / frame) for frame in ("fast", "again", "slow"))
    frames = {"kind": "noise2noise", "low": fast, "high": again}
    pair = {"kind": "pairs", "low": fast, "high": slow}
    validation = {"crops": 1, "crop": 16, "sources": [pair]}
    data, _ = prepared(small_config(tmp_path, data=[frames], validation=validation))
    assert named(data.validation) == {"0.png"}
    assert named(data.training) == {"1.png", "2.png"}


def test_no_picture_is_held_out_that_cannot_be_measured_on(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "pictures", 5)
    noise = np.random.default_rng(0).normal(0, 0.1, (80, 96))
    write_png(folder / "scene-3.png", scene(3) + noise)
    source = {"images": str(folder), "largest_noise": 8}
    for seed in range(12):
        data, _ = prepared(small_config(tmp_path, data=[source], seed=seed))
        assert len(named(data.validation)) == 1
        assert "scene-3.png" not in named(data.validation) | named(data.training)


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_within_a_source_joins_the_groups_of_both(tmp_path: Path, seed: int) -> None:
    folder = write_scenes(tmp_path / "pictures", 4)
    shutil.copy(folder / "scene-0.png", folder / "scene-9.png")
    groups = {0: "A", 1: "A", 9: "B", 2: "B", 3: "C"}
    rows = "".join(f"scene-{n}.png,{group}\n" for n, group in groups.items())
    (tmp_path / "table.csv").write_text("file,group\n" + rows)
    source = {"images": str(folder), "table": str(tmp_path / "table.csv")}
    data, _ = prepared(small_config(tmp_path, data=[source], seed=seed))
    one_specimen = {"scene-0.png", "scene-1.png", "scene-2.png"}
    assert named(data.training) in (one_specimen, {"scene-3.png"})


@pytest.mark.parametrize("by", ["other pictures", "no validation"])
def test_what_was_held_out_is_not_trained_on_when_measuring_changes(
    tmp_path: Path, by: str
) -> None:
    before, _ = prepared(small_config(tmp_path))
    write_scenes(tmp_path / "other", 1, first_seed=90)
    others = {"crops": 2, "crop": 24, "sources": [{"images": str(tmp_path / "other")}]}
    validation = others if by == "other pictures" else {"crops": 0}
    now, said = prepared(small_config(tmp_path, validation=validation), before.split)
    assert named(before.validation)
    assert named(now.training) == named(before.training)
    assert any("the run held it out before, to be measured on" in text for text in said)


def test_pictures_that_may_have_a_databar_are_told_of(tmp_path: Path) -> None:
    write_doubtful(write_scenes(tmp_path / "pictures", 2) / "doubtful.png")
    data, said = prepared(small_config(tmp_path, validation={"crops": 0}))
    assert data.images == 3
    (text,) = said
    assert text.startswith("There may be a databar or a label in doubtful.png, which")


def test_a_share_of_nothing_is_not_called_too_few_groups(tmp_path: Path) -> None:
    _, said = prepared(small_config(tmp_path, validation={"crops": 2, "crop": 24, "share": 0}))
    (text,) = said
    assert text.startswith("No share of the pictures is to be held out (validation.share is 0), so")


def test_pairs_that_were_joined_in_order_are_told_of(tmp_path: Path) -> None:
    for number in range(2):
        high = scene(number, 128, 128)
        write_png(tmp_path / "high" / f"{number}-slow.png", high)
        small = high.reshape(64, 2, 64, 2).mean(axis=(1, 3))
        write_png(tmp_path / "low" / f"{number}-fast.png", small)
    source = {"kind": "pairs", "low": str(tmp_path / "low"), "high": str(tmp_path / "high")}
    config = small_config(tmp_path, data=[source], validation={"crops": 0})
    for _ in range(2):  # also where the pictures were decoded before
        data, said = prepared(config)
        assert data.images == 2
        (text,) = said
        assert "'low' agree, so their pictures were joined in order" in text
    for number in range(2):
        (tmp_path / "low" / f"{number}-fast.png").rename(tmp_path / "low" / f"{number}-slow.png")
    assert prepared(config)[1] == []


def test_folders_of_pairs_the_wrong_way_round_are_told_of(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    for number in range(3):
        good = scene(number, 128, 128)
        write_png(tmp_path / "slow" / f"{number}.png", good)
        write_png(
            tmp_path / "fast" / f"{number}.png",
            (good + generator.normal(0, 0.08, good.shape)).clip(0, 1),
        )

    def said_of(low: str, high: str) -> list[str]:
        source = {"kind": "pairs", "low": str(tmp_path / low), "high": str(tmp_path / high)}
        return prepared(small_config(tmp_path, data=[source], validation={"crops": 0}))[1]

    assert said_of("fast", "slow") == []
    (text,) = said_of("slow", "fast")
    assert text.startswith("In 3 of 3 measured pairs of ")
    assert text.endswith("swap them.")


@pytest.mark.parametrize(("names", "said"), [("a", "1 picture is"), ("ab", "2 pictures are")])
def test_pictures_that_are_not_used_are_counted_and_named(names: str, said: str) -> None:
    rejected = [Rejected(f"folder/{name}.png", "too small") for name in names]
    text = not_used(rejected)
    assert text.startswith(f"{said} not used (a.png: too small")
