"""From what somebody picked to a configuration that the command line takes."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.errors import ImageError, TrainingError
from napari_semnet.training.adjustment import AS_IT_IS, Adjustment, adjusted
from napari_semnet.training.config import load_config
from napari_semnet.training.draft import Picked, Slot, write_pictures
from napari_semnet.training.pictures import read_planes
from napari_semnet.training.pieces import Opened
from napari_semnet.training.presets import POSTER, SEM
from napari_semnet.training.profile_choice import degraded_examples, named_profile
from napari_semnet.training.project import Pictures, Project, free_folder, runs_in
from napari_semnet.training.survey import example_patches, measure_noise, survey
from tests.training.runs import as_8bit, scene, write_png, write_scenes


def result(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def picture(seed: int, rows: int = 120, columns: int = 100) -> np.ndarray:
    return as_8bit(scene(seed, rows, columns))


def looked(picked: Picked, folder: Path, **choices: Any) -> Any:
    pictures = result(write_pictures(picked, folder))
    return result(survey(Project(pictures, **choices).config(folder)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_an_open_picture_is_written_without_loss_and_without_its_databar(
    tmp_path: Path, dtype: str
) -> None:
    pixels = (picture(1).astype(np.float64) * 100).astype(dtype)
    opened = Opened("a/b: µ", pixels, specimen_rows=(0, 110), pixel_size_nm=(4.0, 5.0))
    other = Opened("b", picture(2))
    pictures = result(write_pictures(Picked("hq", Slot((opened, other))), tmp_path))
    assert pictures.first == (Path("pictures"),)
    first, _ = sorted((tmp_path / "pictures").iterdir())
    np.testing.assert_array_equal(tifffile.imread(first), pixels[:110])
    (plane,) = read_planes(first)
    assert plane.pixel_nm == pytest.approx(20**0.5)


def test_colour_becomes_a_file_too_and_what_is_no_grey_level_is_refused(tmp_path: Path) -> None:
    colour = np.stack([picture(1)] * 3, axis=-1)
    result(
        write_pictures(Picked("hq", Slot((Opened("c", colour, in_colour=True),))), tmp_path / "one")
    )
    (path,) = (tmp_path / "one" / "pictures").iterdir()
    (plane,) = read_planes(path)
    np.testing.assert_array_equal(plane.pixels, colour[..., 0])
    with pytest.raises(ImageError, match="no grey levels"):
        result(write_pictures(Picked("hq", Slot((Opened("m", picture(1) > 9),))), tmp_path))


def test_a_part_of_an_only_picture_is_held_out(tmp_path: Path) -> None:
    pixels = picture(1, 480, 200)
    found = looked(Picked("hq", Slot((Opened("only", pixels),))), tmp_path)
    assert [(one.rows, one.is_held_out) for one in found.found] == [(360, False), (120, True)]
    assert found.summary().startswith("1 picture of 0.1 megapixels to train on, 1 held out")


def test_blocks_of_a_stack_are_held_out(tmp_path: Path) -> None:
    stack = np.stack([picture(n) for n in range(25)])
    found = looked(Picked("hq", Slot((Opened("stack", stack),))), tmp_path)
    assert (found.trained_on, found.held_out) in {(22, 3), (23, 2)}
    assert len(list((tmp_path / "pictures").iterdir())) == 10


def test_an_axis_of_one_entry_does_not_keep_slices_from_being_held_out(tmp_path: Path) -> None:
    stack = np.stack([picture(n) for n in range(12)])[None]
    found = looked(Picked("hq", Slot((Opened("stack", stack),))), tmp_path / "stack")
    assert len(found.found) == 12
    assert found.held_out > 0
    single = Opened("single", picture(1, 480, 200)[None, None])
    found = looked(Picked("hq", Slot((single,))), tmp_path / "single")
    assert [(one.rows, one.is_held_out) for one in found.found] == [(360, False), (120, True)]


@pytest.mark.parametrize("kind", ["pairs", "noise2noise"])
def test_one_picture_in_both_places_is_no_pair(tmp_path: Path, kind: Any) -> None:
    slots = [Slot((Opened(name, picture(1)),)) for name in ("a", "b")]
    with pytest.raises(TrainingError, match="both have the same pixels"):
        looked(Picked(kind, *slots), tmp_path)


@pytest.mark.parametrize("factor", [1, 2])
def test_pairs_of_layers_belong_together_from_top_to_bottom(tmp_path: Path, factor: int) -> None:
    good = [scene(n, 160, 160) for n in (1, 2)]
    rng = np.random.default_rng(0)
    small = [g.reshape(80, 2, 80, 2).mean((1, 3)) if factor == 2 else g for g in good]
    poor = [as_8bit(p + rng.normal(0, 0.03, p.shape)) for p in small]
    low = Slot(tuple(Opened(f"fast {n}", p) for n, p in zip("ab", poor, strict=True)))
    high = Slot(tuple(Opened(f"slow {n}", as_8bit(g)) for n, g in zip("xy", good, strict=True)))
    found = looked(Picked("pairs", low, high), tmp_path)
    assert found.rejected == ()
    assert (found.trained_on, found.held_out) == (1, 1)
    examples = example_patches(found.data, 64)
    assert examples.poor is not None
    assert examples.good.shape[-1] == 2 * examples.poor.shape[-1]


def test_pairs_of_layers_are_joined_in_their_order_whatever_is_called_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = [scene(n, 160, 160) for n in range(4)]
    poor = [as_8bit(g + rng.normal(0, 0.03, g.shape)) for g in good]
    low = tuple(Opened(name, p) for name, p in zip(("a", "b"), poor[:2], strict=True))
    high = tuple(Opened(name, as_8bit(g)) for name, g in zip(("a", "y"), good[:2], strict=True))
    beside = {"fast": poor[2:], "slow": [as_8bit(g) for g in good[2:]]}
    for name, pictures in beside.items():
        for number, pixels in enumerate(pictures):
            write_png(tmp_path / name / f"{number}.png", pixels / 255)
    places = [(tmp_path / name,) for name in beside]
    run = tmp_path / "run"
    found = looked(Picked("pairs", Slot(low, places[0]), Slot(high, places[1])), run)
    assert found.rejected == ()
    assert found.notices == ()
    assert {one.name for one in found.found} == {"a", "b - y", "0", "1"}


@pytest.mark.parametrize("rows", [481, 482, 483, 484])
def test_both_pictures_of_an_only_pair_are_cut_at_the_same_place(tmp_path: Path, rows: int) -> None:
    good = scene(1, 2 * rows, 160)
    poor = good.reshape(rows, 2, 80, 2).mean((1, 3))
    low, high = Slot((Opened("l", as_8bit(poor)),)), Slot((Opened("h", as_8bit(good)),))
    found = looked(Picked("pairs", low, high), tmp_path)
    assert found.rejected == ()
    assert (found.trained_on, found.held_out) == (1, 1)


def test_two_noisy_frames_are_used_both_ways(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [as_8bit(scene(1, 160, 160) + rng.normal(0, 0.03, (160, 160))) for _ in range(2)]
    slots = [Slot((Opened(f"frame {n}", frame),)) for n, frame in enumerate(frames)]
    found = looked(Picked("noise2noise", *slots), tmp_path)
    assert (found.trained_on, found.held_out) == (2, 0)
    assert any("progress is not measured" in notice for notice in found.notices)


OPEN = Slot((Opened("a", picture(1)),))
STACK = Slot((Opened("stack", np.stack([picture(1)] * 3)),))


@pytest.mark.parametrize(
    ("picked", "reason"),
    [
        (Picked("hq", Slot()), "Choose at least one good image"),
        (Picked("pairs", OPEN, Slot()), "two pictures of each field"),
        (Picked("pairs", OPEN, Slot((*OPEN.opened, *OPEN.opened))), "1 and 2 layers"),
        (Picked("pairs", OPEN, Slot(OPEN.opened, (Path("x"),))), "for both pictures"),
        (Picked("pairs", OPEN, STACK), "'a' and 'stack' have 1 and 3 slices, so they are no pair"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_at_once(
    picked: Picked, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=reason):
        result(write_pictures(picked, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_no_use_are_refused_with_the_reason(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "mine", 4, rows=120, columns=120)
    (folder / "broken.tif").write_bytes(b"no picture")
    shutil.copy(folder / "scene-0.png", folder / "twice.png")
    found = looked(Picked("hq", Slot((), (folder,))), tmp_path / "run")
    reasons = {Path(one.path).name: one.reason for one in found.rejected}
    assert set(reasons) == {"broken.tif", "twice.png"}
    assert "the same pixels as scene-0.png" in reasons["twice.png"]
    assert "2 refused" in found.summary()
    assert not any("not used" in notice for notice in found.notices)
    assert {one.name for one in found.found} == {f"scene-{n}" for n in range(4)}


def test_the_file_is_what_the_command_line_takes(tmp_path: Path) -> None:
    profile = adjusted(POSTER, Adjustment(noise=2))
    project = Project(
        Pictures("hq", (Path("pictures"), tmp_path / "mine")),
        name="Lab 3 / our SEM",
        profile=profile,
        steps=60,
    )
    path = project.write(tmp_path / "run")
    config = load_config(path)
    assert config == project.config(tmp_path / "run")
    assert config.data[0].images == (tmp_path / "run" / "pictures", tmp_path / "mine")
    assert config.store == tmp_path / "run" / "store"
    assert config.degradation == profile
    assert config.model.name == "Lab-3-our-SEM"
    assert (config.steps, config.intervals.evaluate, config.intervals.log) == (60, 10, 1)


@given(name=st.text(max_size=80))
def test_any_name_gives_a_file_name(name: str) -> None:
    project = Project(Pictures("hq", (Path("pictures"),)), name=name)
    assert project.config(Path()).model.name == project.file_name


def test_pictures_that_lie_elsewhere_are_decoded_into_the_users_cache(tmp_path: Path) -> None:
    project = Project(Pictures("hq", (tmp_path,)))
    assert project.config(tmp_path).store is None


def test_a_new_run_never_takes_the_folder_of_another(tmp_path: Path) -> None:
    assert free_folder(tmp_path / "none", "a") == tmp_path / "none" / "a"
    for expected in ("a", "a-2", "a-3"):
        folder = free_folder(tmp_path, "a")
        assert folder.name == expected
        folder.mkdir()
        Project(Pictures("hq", (tmp_path,))).write(folder)
    assert {path.name for path in runs_in(tmp_path)} == {"a", "a-2", "a-3"}
    assert runs_in(tmp_path / "none") == []


def test_a_name_that_differs_in_case_alone_is_taken(tmp_path: Path) -> None:
    (tmp_path / "Alpha").mkdir()
    assert free_folder(tmp_path, "alpha") == tmp_path / "alpha-2"


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be written to"):
        Project(Pictures("hq", (tmp_path,))).write(tmp_path / "run")


def test_a_profile_is_left_alone_by_factors_of_one() -> None:
    assert adjusted(SEM, AS_IT_IS) is SEM


@given(factor=st.floats(0.25, 4))
def test_noise_grows_by_its_factor_in_standard_deviation(factor: float) -> None:
    chain, before = adjusted(SEM, Adjustment(noise=factor)).chains[1], SEM.chains[1]
    assert chain.shot is not None
    assert before.shot is not None
    assert chain.shot.electrons == pytest.approx(
        [value / factor**2 for value in before.shot.electrons], rel=1e-5
    )
    assert chain.gaussian is not None
    assert chain.gaussian.sigma == pytest.approx((0, 25 * factor), rel=1e-5)
    assert chain.blur == before.blur
    rows = adjusted(SEM, Adjustment(lines=factor)).chains[1].row_noise
    assert rows is not None
    assert rows.sigma == pytest.approx((0, 4 * factor), rel=1e-5)


def test_more_noise_is_seen_in_the_same_draw() -> None:
    good = np.full((2, 1, 128, 128), 0.5, np.float32)
    noise = []
    for factor in (0.5, 1.0, 2.0):
        poor, limits = degraded_examples(good, adjusted(POSTER, Adjustment(factor)), [3])
        assert poor[0].shape == (2, 1, 64, 64)
        assert limits[0] < limits[1]
        noise.append(poor[0].std())
    assert noise == sorted(noise)
    again, _ = degraded_examples(good, adjusted(POSTER, Adjustment(2.0)), [3])
    np.testing.assert_array_equal(again[0], poor[0])


def test_a_profile_is_found_by_name_or_file(tmp_path: Path) -> None:
    assert named_profile("sem") is SEM
    path = tmp_path / "mine.toml"
    with pytest.raises(TrainingError, match="cannot be read"):
        named_profile(str(path))
    path.write_text('name = "mine"\n[[chains]]\ngaussian = { sigma = [4, 5] }\n')
    assert named_profile(str(path)).name == "mine"
    path.write_text('name = "mine"\n[[chains]]\ngauss = { sigma = [4, 5] }\n')
    with pytest.raises(TrainingError, match=r"mine\.toml: There is no setting 'gauss'"):
        named_profile(str(path))


def test_the_noise_of_a_fast_scan_is_measured_in_its_own_grey_levels() -> None:
    rng = np.random.default_rng(0)
    flat = np.linspace(0.3, 0.7, 256)[None].repeat(256, 0)
    noisy = as_8bit(flat + rng.normal(0, 10 / 255, flat.shape))
    calibration = result(measure_noise([noisy]))
    assert calibration.read_noise.value == pytest.approx(10, rel=0.1)
    with pytest.raises(ImageError):
        result(measure_noise([noisy[:8]]))
