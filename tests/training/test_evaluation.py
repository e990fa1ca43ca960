from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semnet.errors import ModelFileError, SemnetError
from napari_semnet.imaging.quality import psnr, ssim
from napari_semnet.restoration.restorer import Settings
from napari_semnet.training import baselines
from napari_semnet.training.cases import Plan, find_cases
from napari_semnet.training.evaluation import (
    Finished,
    Measured,
    Notice,
    Restoring,
    Searching,
    Skipped,
    Started,
    evaluate,
    run_evaluation,
)
from napari_semnet.training.report import Report, Score
from tests.training.copying import copied, references, write_copying_model

EXACT = Settings(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "hq").mkdir()
    for name, pixels in references().items():
        Image.fromarray(pixels).save(folder / "hq" / f"{name}.png")
    (folder / "hq" / "broken.png").write_bytes(b"not a picture")
    (folder / "hq" / "sources.csv").write_text(
        "file,source\ngold.png,metal\nmat.png,fibre\nfilm.png,metal\n"
    )
    write_copying_model(folder / "copy.safetensors")
    return folder


@pytest.fixture(scope="module")
def events(place: Path) -> list[object]:
    plan = Plan(place / "hq", baselines=("gaussian", "nlm"))
    return list(run_evaluation(plan, [place / "copy.safetensors"], EXACT))


@pytest.fixture(scope="module")
def report(events: list[object]) -> Report:
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished.report


def _scores(report: Report, method: str) -> list[Score]:
    return [score for score in report.scores if score.method == method]


def test_events_tell_everything_in_order(events: list[object]) -> None:
    kinds = [type(event) for event in events]
    assert kinds.index(Skipped) < kinds.index(Started)
    assert kinds.index(Searching) < kinds.index(Started) < kinds.index(Restoring)
    assert kinds[-1] is Finished
    measured = [event for event in events if isinstance(event, Measured)]
    assert [(event.done, event.total) for event in measured] == [(n, 6) for n in range(1, 7)]
    (started,) = (event for event in events if isinstance(event, Started))
    assert (started.pictures, started.cases) == (3, 6)
    assert all(len(event.scores) == len(started.methods) for event in measured)


def test_figures_are_those_of_the_pictures(place: Path, report: Report) -> None:
    plan = Plan(place / "hq")
    pairs = [
        case
        for found in find_cases(plan)
        if not isinstance(found, Skipped) and found.path.stem != "broken"
        for case in found.cases()
    ]
    for case, copy, plain in zip(
        pairs, _scores(report, "copy"), _scores(report, "bicubic"), strict=True
    ):
        assert (copy.picture, copy.draw) == (case.picture, case.draw)
        restored = copied(case.low)
        assert copy.psnr == pytest.approx(psnr(restored, case.high, 255))
        assert copy.ssim == pytest.approx(ssim(restored, case.high, 255))
        assert copy.bias == pytest.approx(restored.mean() - case.high.mean())
        assert copy.bias_to_input == pytest.approx(0)
        enlarged = baselines.bicubic(case.low)
        assert plain.psnr == pytest.approx(psnr(enlarged, case.high, 255))


def test_oracles_are_the_best_of_their_kind_in_every_case(report: Report) -> None:
    fixed = [f"Gaussian {sigma:g} px + bicubic" for sigma in baselines.FIXED_SIGMAS]
    rivals = [_scores(report, name) for name in (*fixed, "bicubic", "Gaussian one sigma + bicubic")]
    for number, best in enumerate(_scores(report, "Gaussian best PSNR + bicubic")):
        assert best.sigma is not None
        assert best.psnr > max(rival[number].psnr for rival in rivals) - 0.01
    for number, best in enumerate(_scores(report, "Gaussian best SSIM + bicubic")):
        assert best.ssim > max(rival[number].ssim for rival in rivals) - 0.004


def test_one_sigma_for_all_is_the_best_common_one(place: Path, report: Report) -> None:
    common = {score.sigma for score in _scores(report, "Gaussian one sigma + bicubic")}
    assert len(common) == 1
    mean = report.summary("Gaussian one sigma + bicubic").psnr.mean
    rivals = [
        report.summary(f"Gaussian {s:g} px + bicubic").psnr.mean for s in baselines.FIXED_SIGMAS
    ]
    assert mean > max(rivals) - 0.01
    assert mean <= report.summary("Gaussian best PSNR + bicubic").psnr.mean


def test_the_input_without_noise_stands_above_the_noisy_one(report: Report) -> None:
    quiet = report.summary("noise-free input, bicubic")
    assert quiet.psnr.mean > report.summary("bicubic").psnr.mean + 1
    assert quiet.ssim.mean > report.summary("bicubic").ssim.mean


def test_sources_are_told_apart(report: Report) -> None:
    assert set(report.sources()) == {"metal", "fibre"}
    assert set(report.of_source("metal").pictures) == {"gold.png", "film.png"}
    assert report.of_source("fibre").summary("copy").pictures == 1


def test_a_broken_picture_is_skipped_and_reported(report: Report) -> None:
    assert [skip.path.name for skip in report.skipped] == ["broken.png"]


def test_an_evaluation_is_repeatable(place: Path, report: Report) -> None:
    plan = Plan(place / "hq", baselines=("gaussian", "nlm"))
    again = evaluate(plan, [place / "copy.safetensors"], EXACT)
    for one, other in zip(report.scores, again.scores, strict=True):
        assert (one.picture, one.method, one.psnr, one.ssim) == (
            other.picture,
            other.method,
            other.psnr,
            other.ssim,
        )
    assert report.soundness == again.soundness


def test_closing_stops_at_once(place: Path) -> None:
    run = run_evaluation(Plan(place / "hq"), [place / "copy.safetensors"], EXACT)
    seen = []
    for event in run:
        seen.append(event)
        if isinstance(event, Restoring):
            run.close()
    assert not any(isinstance(event, Measured) for event in seen)


def test_real_pairs_have_no_noise_free_mark(place: Path, tmp_path: Path) -> None:
    Image.fromarray(references()["gold"][::2, ::2]).save(tmp_path / "gold.png")
    plan = Plan(place / "hq", lq=tmp_path, pairing="as is", baselines=())
    seen: list[object] = []
    report = evaluate(plan, [place / "copy.safetensors"], EXACT, callback=seen.append)
    assert [method.name for method in report.methods] == ["bicubic", "copy"]
    assert {score.picture for score in report.scores} == {"gold.png"}
    assert {skip.path.stem for skip in report.skipped} == {"film", "mat", "broken"}
    assert isinstance(seen[-1], Finished)


def test_two_models_of_one_name_are_told_apart(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    shutil.copy(place / "copy.safetensors", other)
    plan = Plan(place / "hq" / "gold.png", draws=1, baselines=())
    report = evaluate(plan, [place / "copy.safetensors", other], EXACT)
    assert [model.name for model in report.models] == ["copy", "copy (other)"]


def test_an_absent_bm3d_is_said_and_left_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = dict(baselines.BASELINES)
    bm3d = without["bm3d"]
    without["bm3d"] = baselines.Baseline(
        bm3d.name, bm3d.definition, bm3d.restore, lambda: False, bm3d.unavailable
    )
    for module in ("baselines", "contenders", "evaluation"):
        monkeypatch.setattr(f"napari_semnet.training.{module}.BASELINES", without)
    plan = Plan(place / "hq" / "gold.png", draws=1, baselines=("bm3d",))
    seen = list(run_evaluation(plan, [place / "copy.safetensors"], EXACT))
    assert any(isinstance(e, Notice) and "non-commercial" in e.text for e in seen)
    assert isinstance(seen[-1], Finished)
    assert "BM3D + bicubic" not in [method.name for method in seen[-1].report.methods]
    assert "non-commercial" in seen[-1].report.as_text()


def test_nothing_to_measure_is_an_error_that_says_why(place: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(SemnetError, match=r"black\.png: all its pixels have the same value"):
        evaluate(tmp_path, [place / "copy.safetensors"], EXACT)
    with pytest.raises(ModelFileError, match="no model"):
        evaluate(place / "hq", ["semnet-x9"], EXACT)


def test_a_table_that_tells_of_no_picture_is_told_of(place: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for name, is_told in (("other.png", True), ("gold.png", False)):
        table.write_text(f"file,source\n{name},metal\n")
        plan = Plan(place / "hq", table=table, baselines=("bicubic",))
        said = run_evaluation(plan, [place / "copy.safetensors"], EXACT)
        early = [event for event, _ in zip(said, range(4), strict=False)]
        notices = [event.text for event in early if isinstance(event, Notice)]
        assert any("says nothing in its column 'source'" in text for text in notices) == is_told
