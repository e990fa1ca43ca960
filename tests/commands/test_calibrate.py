"""The command that measures a lab's noise."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semnet.cli import main
from napari_semnet.imaging.phantom import acquire, grating, particles, step_edge
from napari_semnet.training.profile import Profile

SHAPE = (300, 400)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in (1, 2):
        Image.fromarray(acquire(step_edge(SHAPE, seed), 300, 6, seed)).save(
            folder / f"edge-{seed}.png"
        )
    return folder


def test_profile_is_written_and_can_be_read(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "lab.toml"
    assert main(["calibrate", str(pictures), "-o", str(output)]) == 0
    profile = Profile.model_validate(tomllib.loads(output.read_text(encoding="utf-8")))
    assert profile.name == "lab"
    assert profile.chains[0].shot is not None
    low, high = profile.chains[0].shot.electrons
    assert low < 300 < high
    told = capsys.readouterr().out
    assert "Noise of 2 pictures" in told
    assert "grey levels of 255" in told
    assert "pixels (sigma)" in told


def test_figures_are_told_as_json(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(pictures / "edge-1.png"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["electrons"]["value"] == pytest.approx(300, rel=0.1)
    assert told["pictures"] == 1


def test_an_existing_profile_is_kept_unless_asked(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "lab.toml"
    output.write_text("mine")
    picture = str(pictures / "edge-1.png")
    assert main(["calibrate", picture, "-o", str(output)]) == 1
    assert output.read_text() == "mine"
    assert main(["calibrate", picture, "-o", str(output), "--overwrite"]) == 0
    assert output.read_text().startswith("# Noise of 1 picture")


def test_a_rough_picture_is_left_out_and_named(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rough = tmp_path / "rough.png"
    Image.fromarray(acquire(grating(SHAPE, 1), 2000, 2)).save(rough)
    assert main(["calibrate", str(rough), str(pictures / "edge-1.png")]) == 0
    told = capsys.readouterr()
    assert "rough.png is left out" in told.err
    assert "Noise of 1 picture," in told.out
    assert main(["calibrate", str(rough)]) == 1


def test_a_picture_without_any_noise_is_left_out_and_named(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each row is of one grey level, as in a drawn gradient.
    rows = np.tile(np.linspace(26, 230, 400).round().astype(np.uint8)[:, None], (1, 512))
    Image.fromarray(rows).save(tmp_path / "drawn.png")
    assert main(["calibrate", str(pictures), str(tmp_path / "drawn.png")]) == 0
    assert "drawn.png is left out. The picture has no noise" in capsys.readouterr().err


def test_repeats_are_laid_over_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specimen = particles(SHAPE, 4)
    for seed in range(2):
        Image.fromarray(acquire(specimen, 200, 8, seed)).save(tmp_path / f"frame-{seed}.png")
    assert main(["calibrate", str(tmp_path), "--repeats", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["electrons"]["value"] == pytest.approx(200, rel=0.15)


def test_one_frame_is_no_repeat(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--repeats", str(pictures / "edge-1.png")]) == 1
    assert "at least two frames" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["calibrate", "inspect", "trust", "train", "evaluate --hq"])
def test_an_empty_name_means_no_folder(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*command.split(), ""])
    assert "'' names nothing" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_missing_and_damaged_files_end_with_a_sentence(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "lab.toml"
    assert main(["calibrate", str(path), "-o", str(output)]) == 1
    assert not output.exists()
    assert "a.png" in capsys.readouterr().err


def test_a_rough_slice_of_a_stack_is_left_out_and_the_others_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tifffile

    rough = acquire(grating(SHAPE, 1), 2000, 2)
    good = [acquire(step_edge(SHAPE, seed), 300, 6, seed) for seed in (1, 2)]
    stack = np.stack([good[0], rough, good[1]])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    assert main(["calibrate", str(tmp_path / "stack.tif"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pictures"] == 2
    assert said.err.startswith("Picture 2 of stack.tif is left out. ")


def test_a_folder_without_pictures_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    assert main(["calibrate", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path} holds no picture. Give a folder with" in said
    assert "configuration" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_profile_may_have_a_name_that_is_no_text(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / os.fsdecode(b"lab_\xe4.toml")
    assert main(["calibrate", str(pictures / "edge-1.png"), "-o", str(output)]) == 0
    settings = tomllib.loads(output.read_text(encoding="utf-8"))
    assert Profile.model_validate(settings).name == r"lab_\udce4"


def test_pages_of_a_stack_are_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tifffile

    specimen = particles(SHAPE, 4)
    frames = np.stack([acquire(specimen, 200, 8, seed) for seed in range(2)])
    tifffile.imwrite(tmp_path / "frames.tif", frames, photometric="minisblack")
    assert main(["calibrate", str(tmp_path / "frames.tif"), "--repeats"]) == 0
    assert "electrons a pixel at white" in capsys.readouterr().out


def test_frames_that_do_not_fit_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = acquire(particles(SHAPE, 4), 200, 8, 0)
    Image.fromarray(frame).save(tmp_path / "first.png")
    Image.fromarray(frame[:-8]).save(tmp_path / "second.png")
    assert main(["calibrate", "--repeats", str(tmp_path)]) == 1
    assert "first.png and second.png: Frames of one field must be alike" in capsys.readouterr().err


def test_a_picture_some_of_whose_pixels_are_lost_is_left_out_and_named(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tifffile

    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, acquire(step_edge(SHAPE, 1), 300, 6, 1))
    path.write_bytes(path.read_bytes()[:-40_000])
    assert main(["calibrate", str(path), str(pictures / "edge-1.png")]) == 0
    said = capsys.readouterr()
    assert "cut.tif is left out. cut.tif is damaged: some of its pixels" in said.err
    assert "Noise of 1 picture," in said.out


@pytest.mark.parametrize("repeats", [[], ["--repeats"]])
def test_a_picture_whose_pixels_are_no_grey_levels_is_named_in_a_sentence(
    repeats: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tifffile

    frames = np.stack([acquire(particles(SHAPE, 4), 200, 8, seed) for seed in range(2)]) / 255
    frames[0, 0, 0] = np.nan
    tifffile.imwrite(tmp_path / "gap.tif", frames, photometric="minisblack")
    assert main(["calibrate", *repeats, str(tmp_path / "gap.tif")]) == 1
    said = capsys.readouterr().err
    assert "gap.tif cannot be measured: it has pixels that are not numbers. Save it" in said


@pytest.mark.parametrize("name", ["lab.csv", "edge-1.png", "edge-1.png/lab.toml"])
def test_a_profile_goes_nowhere_but_into_a_toml_file(
    pictures: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (pictures / "edge-1.png").read_bytes()
    command = ["calibrate", str(pictures / "edge-1.png"), "--overwrite", "-o"]
    assert main([*command, str(pictures / name)]) == 1
    said = capsys.readouterr().err
    assert "ends in .toml" in said or "could not be written" in said
    assert (pictures / "edge-1.png").read_bytes() == before
    assert not (pictures / "lab.csv").exists()
