from __future__ import annotations

from pathlib import Path

from napari_semnet.training.cases import Found, Plan, find_cases
from napari_semnet.training.own_results import without_results
from napari_semnet.training.pictures import find_files
from tests.training.runs import scene, write_png


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_pictures_in_a_run_folder_below_the_place_are_left_out(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    _touch(run / "config.toml", run / "environment.json")
    kept = [tmp_path / "a.png", tmp_path / "deep" / "b.png", tmp_path / "previews" / "c.png"]
    drawn = [run / "previews" / "1.png", run / "d.png"]
    assert without_results(tmp_path, [*drawn, *kept]) == kept


def test_of_a_place_that_is_a_run_folder_only_the_previews_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path / "config.toml", tmp_path / "environment.json")
    kept = [tmp_path / "a.png", tmp_path / "good" / "b.png"]
    assert without_results(tmp_path, [*kept, tmp_path / "previews" / "1.png"]) == kept


def test_a_folder_of_pictures_with_a_configuration_is_no_run_folder(tmp_path: Path) -> None:
    _touch(tmp_path / "good" / "config.toml")
    kept = [tmp_path / "good" / "a.png", tmp_path / "good" / "figure.png"]
    assert without_results(tmp_path, kept) == kept


def test_figures_of_a_report_are_left_out(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "report"):
        _touch(folder / "report.json", folder / "scores.csv")
        kept = [folder / "a.png", tmp_path / "other" / "figure.png"]
        drawn = [folder / "figure.png", folder / "examples.png"]
        assert without_results(tmp_path, [*kept, *drawn]) == kept


def test_a_run_beside_its_pictures_is_not_learnt_from(tmp_path: Path) -> None:
    one = write_png(tmp_path / "scene.png", scene(0))
    write_png(tmp_path / "mine" / "previews" / "0000006.png", scene(1))
    _touch(tmp_path / "mine" / "config.toml", tmp_path / "mine" / "environment.json")
    assert find_files([tmp_path]) == [one]
    assert find_files([tmp_path / "*.png", tmp_path]) == [one]


def test_a_report_among_the_references_is_not_measured_on(tmp_path: Path) -> None:
    one = write_png(tmp_path / "scene.png", scene(0))
    write_png(tmp_path / "report" / "figure.png", scene(1))
    _touch(tmp_path / "report" / "report.json", tmp_path / "report" / "scores.csv")
    found = [entry.path for entry in find_cases(Plan(tmp_path)) if isinstance(entry, Found)]
    assert found == [one]
