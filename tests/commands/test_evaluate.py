from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semnet.cli import build_parser, main
from napari_semnet.commands.evaluate import plan_from
from napari_semnet.errors import SemnetError
from napari_semnet.imaging.phantom import particles


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    for seed in (1, 2):
        truth = particles((36, 40), seed).truth
        Image.fromarray(np.rint(255 * truth).astype(np.uint8)).save(folder / f"{seed}.png")
    (folder / "3.png").write_bytes(b"nothing")
    return folder


def _evaluate(pictures: Path, model: Path, *more: str) -> int:
    command = ["evaluate", "--hq", str(pictures), "--model", str(model), "--draws", "1"]
    return main([*command, "--device", "cpu", "--baselines", "bicubic", *more])


def test_a_report_is_written_and_shown(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert _evaluate(pictures, tiny_model, "-o", str(out)) == 0
    said = capsys.readouterr()
    names = {"report.txt", "report.json", "scores.csv", "figure.png", "examples.png"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "report.txt").read_text(encoding="utf-8") in said.out
    (skipped,) = [line for line in said.err.splitlines() if "3.png skipped: " in line]
    assert skipped.endswith(".")
    assert not skipped.endswith("..")
    assert "2/2 2.png, draw 0: bicubic" in said.err
    assert "PSNR, dB" in said.out


def test_json_tells_every_event_on_a_line_of_its_own(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "\xfc.png").write_bytes(b"nothing")
    assert _evaluate(pictures, tiny_model, "-o", str(tmp_path / "report"), "--json") == 0
    told = capsys.readouterr().out
    assert told.isascii()  # a terminal may lack any other letter
    events = [json.loads(line) for line in told.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "finished"
    assert {"skipped", "started", "restoring", "measured", "checking"} <= set(kinds)
    measured = [event for event in events if event["event"] == "measured"]
    assert measured[-1]["done"] == measured[-1]["total"] == 2
    assert all(Path(name).is_file() for name in events[-1]["files"])


def test_quiet_says_nothing_and_writes_all(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert _evaluate(pictures, tiny_model, "-o", str(out), "--quiet") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert (out / "report.json").is_file()


def test_what_cannot_be_done_is_said_and_ends_with_1(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert _evaluate(tmp_path / "none", tiny_model, "-o", str(out)) == 1
    assert "There is no file or folder" in capsys.readouterr().err
    assert not out.exists()


def test_no_folder_is_left_where_no_picture_can_be_measured_on(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    (tmp_path / "poor").mkdir()
    (pictures / "1.png").rename(tmp_path / "poor" / "a.png")
    command = ["evaluate", "--hq", str(pictures), "--lq", str(tmp_path / "poor"), "-o", str(out)]
    assert main([*command, "--model", str(tiny_model), "--baselines", "bicubic"]) == 1
    assert "No picture in" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_cannot_be_made_is_found_out_before_anything_is_measured(
    pictures: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for output in (blocked, blocked / "report"):
        assert _evaluate(pictures / "1.png", tiny_model, "-o", str(output)) == 1
        said = capsys.readouterr().err
        assert "cannot be written" in said
        assert "draw 0" not in said


def test_the_poster_asks_for_its_size_and_profile() -> None:
    arguments = build_parser().parse_args(["evaluate", "--hq", "p", "-o", "r", "--poster"])
    plan = plan_from(arguments)
    assert plan.reference_shape == (960, 1280)
    assert plan.profile.name == "poster"
    assert plan.baselines == ("bicubic", "gaussian", "nlm", "bm3d")


def test_a_profile_may_be_a_file_and_must_be_valid(tmp_path: Path) -> None:
    def plan(name: str) -> object:
        parser = build_parser()
        return plan_from(parser.parse_args(["evaluate", "--hq", "p", "-o", "r", "--profile", name]))

    good = tmp_path / "mine.toml"
    good.write_text('name = "mine"\n[[chains]]\ngaussian = { sigma = [5, 5] }\n')
    assert plan(str(good)).profile.name == "mine"  # type: ignore[attr-defined]
    good.write_text(good.read_text(), encoding="utf-8-sig")
    assert plan(str(good)).profile.name == "mine"  # type: ignore[attr-defined]
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "bad"\n[[chains]]\ngaussian = { sigma = [9, 5] }\n')
    said = r"bad\.toml is not valid: 'chains\[1\]\.gaussian\.sigma': the low end 9"
    with pytest.raises(SemnetError, match=said):
        plan(str(bad))
    bad.write_text('name = "bad"\n[[chains]]\ngaussian = { sigmas = [5, 9] }\n')
    with pytest.raises(SemnetError, match="did you mean 'sigma'"):
        plan(str(bad))
    with pytest.raises(SemnetError, match="no degradation profile 'zoom'"):
        plan("zoom")
