from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_semnet.imaging.patterns import Pattern
from napari_semnet.training.cases import Plan, Skipped
from napari_semnet.training.report import Report, choose_examples
from napari_semnet.training.report_figure import draw_examples, draw_figure
from napari_semnet.training.scores import CROP, Example, Method, ModelFacts, Score
from napari_semnet.training.soundness import EdgeCheck, FlatCheck, PatternCheck, Soundness

PICTURES = {"a.png": "lab one", "b.png": "lab one", "c.png": "lab two"}
METHODS = (
    Method("bicubic", "baseline", "bicubic interpolation"),
    Method("Gaussian best PSNR + bicubic", "oracle", "the best Gaussian"),
    Method("noise-free input, bicubic", "mark", "no noise"),
    Method("net", "model", "SEMNet"),
)
GAIN = {"a.png": 3.0, "b.png": 1.0, "c.png": 2.0}


def _score(picture: str, draw: int, method: str, psnr: float) -> Score:
    patterns = (Pattern(2, 1.5, 0.01), Pattern(8, 2.0, 0.02)) if method != "mark" else ()
    return Score(
        picture, PICTURES[picture], draw, method, psnr, psnr / 40, 0.1, 0, 0.8, patterns, 2
    )


def _report(**changes: object) -> Report:
    base = {"bicubic": 25.0, "Gaussian best PSNR + bicubic": 26.0, "noise-free input, bicubic": 30}
    scores = [
        _score(picture, draw, method.name, base.get(method.name, 25.0 + GAIN[picture]) + draw)
        for picture in PICTURES
        for draw in (0, 1)
        for method in METHODS
    ]
    still = Pattern(2, 1.1, 0.001)
    values: dict[str, object] = {
        "plan": Plan(Path("pictures")),
        "methods": METHODS,
        "models": (ModelFacts("net", "net", "ab" * 32, "CPU", "fp32"),),
        "scores": tuple(scores),
        "soundness": (
            Soundness(
                "net",
                (FlatCheck(128, 1.25, -0.1),),
                (EdgeCheck(100, 1.5, 1.7, 0.6),),
                (PatternCheck(Pattern(2, 9.0, 0.05), still, False),),
            ),
        ),
        "skipped": (Skipped(Path("pictures/d.png"), "it is too small"),),
        "notices": ("BM3D is left out.",),
        "notes": {"a.png": ("its databar was cut off",), "b.png": (), "c.png": ()},
        "examples": (),
        "seconds": 12.0,
    }
    return Report(**(values | changes))  # type: ignore[arg-type]


def _examples() -> list[Example]:
    panels = {name: np.full((40, 50), 9, np.uint8) for name in ("bicubic", "net")}
    low, high = np.zeros((20, 25), np.uint8), np.ones((40, 50), np.uint8)
    return [Example.cut(p, draw, low, high, panels) for p in PICTURES for draw in (0, 1)]


def test_the_table_has_every_method_with_figures_and_definitions() -> None:
    text = _report().as_text()
    for method in METHODS:
        assert f"{method.name}: {method.definition}." in text
    assert "27.50 [26.50, 28.50]" in text
    assert "told the reference" in text
    assert "data range 255" in text
    assert "percentile bootstrap" in text
    assert "3 pictures, 6 cases: degraded by profile 'poster', 2 fixed draws" in text


def test_gains_stand_beside_the_number_of_pictures_won() -> None:
    line = next(
        line for line in _report().as_text().splitlines() if line.startswith("net  ")
        and "Gaussian best" in line
    )  # fmt: skip
    assert "+1.00 [+0.00, +2.00]" in line
    assert "2 of 3" in line


def test_sources_have_their_own_table_only_where_there_are_several() -> None:
    report = _report()
    assert "lab two" in report.as_text()
    alone = report.of_source("lab two")
    assert alone.pictures == ("c.png",)
    assert "net by source" not in alone.as_text()


def test_checks_and_everything_that_was_left_out_are_said() -> None:
    text = _report().as_text()
    assert "deviation 1.25" in text
    assert "20-80 % width 1.50 px (bicubic 1.70, truth 0.60)" in text
    assert "0.050 grey levels, peak 9.0" in text
    assert "Skipped d.png: it is too small." in text
    assert "BM3D is left out." in text
    assert "a.png: its databar was cut off." in text


def test_json_says_the_same_and_is_valid_with_infinite_figures() -> None:
    equal = _score("a.png", 0, "net", math.inf)
    report = _report()
    scores = tuple(
        equal if (s.picture, s.draw, s.method) == ("a.png", 0, "net") else s for s in report.scores
    )
    content = json.loads(_report(scores=scores).as_json())
    assert content["scores"][3]["psnr"] is None
    content = json.loads(report.as_json())
    (net,) = (m for m in content["methods"] if m["name"] == "net")
    assert net["psnr"]["mean"] == pytest.approx(27.5)
    assert content["sources"]["lab two"]["gains"][0]["psnr"]["mean"] == pytest.approx(2)
    assert content["definitions"]["PSNR"]
    assert content["plan"]["profile"]["name"] == "poster"


def test_csv_has_one_line_for_each_case_and_method() -> None:
    rows = list(csv.DictReader(io.StringIO(_report().as_csv())))
    assert len(rows) == 3 * 2 * len(METHODS)
    assert rows[0]["picture"] == "a.png"
    assert rows[0]["source"] == "lab one"
    assert float(rows[3]["psnr_db"]) == 28.0
    assert float(rows[0]["pattern_8px_grey_levels"]) == 0.02


def test_written_files_can_be_opened(tmp_path: Path) -> None:
    report = _report().with_examples(_examples())
    written = report.write(tmp_path / "new" / "folder")
    assert {path.name for path in written} == {p.name for p in (tmp_path / "new/folder").iterdir()}
    assert (tmp_path / "new/folder/report.txt").read_text(encoding="utf-8") == report.as_text()
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_picture_whose_name_is_no_text_is_reported(tmp_path: Path) -> None:
    path = Path(os.fsdecode(b"Probe_\xe4.png"))
    report = _report(skipped=(Skipped(path, "it is too small"),))
    report.write(tmp_path)
    assert r"Skipped Probe_\udce4.png" in (tmp_path / "report.txt").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["skipped"]


def test_the_figure_shows_every_method_in_its_colour() -> None:
    figure = np.asarray(draw_figure(_report()))
    for colour in ((0, 114, 178), (68, 68, 68), (213, 94, 0), (153, 153, 153)):
        # In the panels, away from names and legend.
        drawn = (figure[70:-90, 372:] == colour).all(axis=-1)
        assert drawn.sum() > 100


def test_the_best_method_stands_lowest_and_furthest_right() -> None:
    figure = np.asarray(draw_figure(_report()))[70:-90, 372:780]
    rows, columns = np.nonzero((figure == (153, 153, 153)).all(axis=-1))
    others = np.nonzero((figure == (68, 68, 68)).all(axis=-1))
    assert rows.mean() > others[0].mean()
    assert columns.mean() > others[1].mean()


def test_the_legend_names_the_kinds_that_are_drawn() -> None:
    whole = draw_figure(_report())
    fewer = tuple(method for method in METHODS if method.kind in ("model", "baseline"))
    scores = tuple(_score("a.png", 0, method.name, 20.0) for method in fewer)
    part = draw_figure(_report(methods=fewer, scores=scores))
    for figure, drawn in ((whole, True), (part, False)):
        legend = np.asarray(figure)[-40:]
        assert (legend == (0, 114, 178)).all(axis=-1).any()
        assert bool((legend == (213, 94, 0)).all(axis=-1).any()) is drawn


def test_one_picture_is_counted_as_one() -> None:
    scores = tuple(_score("a.png", 0, method.name, 20.0) for method in METHODS)
    assert _report(scores=scores).counts == "1 picture, 1 case"
    assert _report().as_text().startswith("3 pictures, 6 cases: ")


@pytest.mark.parametrize("figure", [20.0, math.inf])
def test_a_figure_can_be_drawn_of_equal_methods(figure: float) -> None:
    scores = tuple(_score("a.png", 0, method.name, figure) for method in METHODS)
    assert draw_figure(_report(scores=scores)).size[0] > 1000


def test_examples_are_the_least_middling_and_greatest_gain() -> None:
    chosen = choose_examples(_report(), _examples())
    assert [example.picture for example in chosen] == ["b.png", "c.png", "a.png"]


def test_examples_show_pixels_as_they_are() -> None:
    report = _report().with_examples(_examples()[:1])
    sheet = np.asarray(draw_examples(report))
    # Input, bicubic, net, reference: 0, 9, 9, 1.
    counts = {value: int((sheet == value).sum()) for value in (9, 1)}
    assert counts[9] >= 2 * 40 * 50
    assert counts[1] >= 40 * 50


def test_a_crop_lies_where_the_detail_is_and_on_the_same_place_of_the_input() -> None:
    high = np.full((2 * CROP + 10, 3 * CROP), 100, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (CROP, CROP), np.uint8)
    high[CROP : 2 * CROP, CROP : 2 * CROP] = noise
    low = high[::2, ::2]
    example = Example.cut("p", 0, low, high, {})
    assert np.array_equal(example.panels["reference"], noise)
    assert np.array_equal(example.panels["input"][::2, ::2], noise[::2, ::2])


def test_an_edge_that_is_lost_has_no_width() -> None:
    report = _report()
    (check,) = report.soundness
    lost = replace(check, edges=(replace(check.edges[0], width=math.nan),))
    text = replace(report, soundness=(lost,)).as_text()
    assert "20-80 % width not measurable (bicubic 1.70, truth 0.60)" in text
    assert "nan" not in text
