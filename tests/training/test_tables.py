from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.errors import TrainingError
from napari_semnet.training.tables import Facts, facts_about, read_rows, read_table

NAMES = {"file": "file", "group": "group", "licence": "licence", "noise": "noise_sigma"}


def test_a_table_says_what_it_knows_about_a_picture(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "file,group,licence,noise_sigma\ntrain/a.png,wood,MIT,2.5\na.png,steel,,n/a\n",
        encoding="utf-8",
    )
    read = read_table(table, **NAMES)
    assert facts_about(Path("/x/train/a.png"), read) == Facts("wood", "MIT", 2.5)
    assert facts_about(Path("/x/val/a.png"), read) == Facts("steel", "", None)
    assert facts_about(Path("/x/b.png"), read) == Facts()
    with pytest.raises(TrainingError, match="has no column 'path'; it has: file, group"):
        read_table(table, **{**NAMES, "file": "path"})


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_blanks_around_names_and_cells_do_not_count(tmp_path: Path) -> None:
    path = written(tmp_path, "file, group ,noise_sigma\n a.png, wood, 2.5\n")
    assert read_table(path, **NAMES) == {"a.png": Facts("wood", "", 2.5)}


def test_a_column_that_somebody_named_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, "file,Specimen\na.png,wood\n")
    assert read_table(path, **NAMES) == {"a.png": Facts()}
    named = {**NAMES, "group": "specimen"}
    with pytest.raises(TrainingError, match="no column 'specimen'; it has: file, Specimen"):
        read_table(path, **named, needed=["specimen"])


def test_a_noise_with_a_decimal_comma_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, 'file,noise_sigma\na.png,"9,5"\nb.png,n/a\n')
    table = read_table(path, **NAMES)
    assert (table["a.png"].noise, table["b.png"].noise) == (9.5, None)


@pytest.mark.parametrize("text", ["9.5 GL", "-3", "1e999"])
def test_a_noise_that_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, f"file,noise_sigma\na.png,{text}\n")
    with pytest.raises(TrainingError, match=rf"says '{text}' as the noise of a\.png"):
        read_table(path, **NAMES)


def test_a_table_names_pictures_by_paths_from_here_and_in_either_kind_of_accent(
    tmp_path: Path,
) -> None:
    apart, composed = "Mu\u0308ller", "M\u00fcller"
    table = read_table(written(tmp_path, f"file,group\n./{apart}/a.png,wood\n"), **NAMES)
    for name in (apart, composed):
        assert facts_about(Path("/x") / name / "a.png", table).group == "wood"


def test_rows_may_be_too_short_or_too_long(tmp_path: Path) -> None:
    path = written(tmp_path, "file,group\na.png,wood,more\nb.png\n\n")
    assert read_table(path, **NAMES) == {"a.png": Facts("wood"), "b.png": Facts()}


def test_a_table_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("file,group\na.tif,Präparat\n".encode("latin-1"))
    with pytest.raises(TrainingError, match="Save it as CSV in UTF-8"):
        read_rows(path)
