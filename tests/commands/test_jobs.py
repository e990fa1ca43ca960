from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.commands.jobs import (
    FileFailed,
    FileSkipped,
    Job,
    find_jobs,
    result_name,
    share_files,
    skip_existing,
)
from napari_semnet.errors import FileFormatError
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.writer import write_tiff


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.PNG", "notes.txt", "old_semnet-x2.ome.tif", "deep/c.tiff"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def sources(entries: list[object]) -> list[str]:
    return [entry.source.name for entry in entries if isinstance(entry, Job)]


def test_a_folder_means_its_images_but_not_earlier_results(folder: Path) -> None:
    entries = find_jobs([str(folder)], "out")
    assert sources(entries) == ["a.PNG", "b.tif"]
    assert [type(e) for e in entries if not isinstance(e, Job)] == [FileSkipped]


def test_patterns_are_expanded_also_into_subfolders(folder: Path) -> None:
    assert sources(find_jobs([str(folder / "*.tif")], "out")) == ["b.tif"]
    assert sources(find_jobs([str(folder / "**" / "*.tif*")], "out")) == ["b.tif", "c.tiff"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "grid[1].tif"
    odd.touch()
    assert sources(find_jobs([str(odd)], "out")) == ["grid[1].tif"]


def test_a_result_that_is_named_is_restored_like_any_image(folder: Path) -> None:
    assert sources(find_jobs([str(folder / "old_semnet-x2.ome.tif")], "out")) == [
        "old_semnet-x2.ome.tif"
    ]


@pytest.mark.parametrize("missing", ["nothing.tif", "no*such", "empty"])
def test_an_input_that_means_no_file_is_a_failure_beside_the_others(
    folder: Path, missing: str
) -> None:
    (folder / "empty").mkdir()
    entries = find_jobs([str(folder / missing), str(folder / "b.tif")], "out")
    assert isinstance(entries[0], FileFailed)
    assert entries[0].source == str(folder / missing)
    assert sources(entries) == ["b.tif"]


def test_a_file_named_twice_is_restored_once(folder: Path) -> None:
    entries = find_jobs([str(folder / "b.tif"), str(folder / "*.tif"), str(folder)], "out")
    assert sources(entries) == ["b.tif", "a.PNG"]


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("a.tif", "a_semnet-x2.ome.tif"),
        ("a.b.PNG", "a.b_semnet-x2.ome.tif"),
        ("a.ome.tif", "a_semnet-x2.ome.tif"),
    ],
)
def test_results_are_named_after_their_sources(source: str, result: str) -> None:
    assert result_name(Path(source)) == result


def test_one_image_may_be_given_the_name_of_its_result(folder: Path, tmp_path: Path) -> None:
    (job,) = find_jobs([str(folder / "b.tif")], str(tmp_path / "restored.tif"))
    assert job == Job(folder / "b.tif", tmp_path / "restored.tif")


def test_several_images_cannot_go_into_one_file(folder: Path) -> None:
    with pytest.raises(FileFormatError, match="Give a folder"):
        find_jobs([str(folder)], "restored.tif")


def test_an_existing_folder_is_a_folder_whatever_its_name(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "results.tif"
    odd.mkdir()
    jobs = [e for e in find_jobs([str(folder)], str(odd)) if isinstance(e, Job)]
    assert {job.target.parent for job in jobs} == {odd}


@pytest.mark.parametrize("name", ["result.png", "result.JPG", "result.mrc"])
def test_no_folder_is_named_like_a_picture_that_is_not_written(
    folder: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(FileFormatError, match=r"\.tif or \.zarr, or give a folder"):
        find_jobs([str(folder / "b.tif")], str(tmp_path / name))
    (tmp_path / name).mkdir()
    (job,) = find_jobs([str(folder / "b.tif")], str(tmp_path / name))
    assert isinstance(job, Job)


def test_a_folder_may_have_a_dot_in_its_name(folder: Path) -> None:
    (job,) = find_jobs([str(folder / "b.tif")], "2024.01.15")
    assert isinstance(job, Job)
    assert job.target.parent == Path("2024.01.15")


def test_two_images_of_one_name_do_not_overwrite_each_other(folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / "b.png"
    twin.parent.mkdir()
    twin.touch()
    first, second = find_jobs([str(folder / "b.tif"), str(twin)], str(tmp_path / "out"))
    assert isinstance(first, Job)
    assert isinstance(second, FileFailed)
    assert f"as that of {folder / 'b.tif'}" in second.reason


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_a_link_of_another_ending_does_not_keep_an_image_from_being_restored(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.tif").touch()
    (folder / "a.jpg").symlink_to(folder / "a.tif")
    (job,) = find_jobs([str(folder)], str(tmp_path / "out"))
    assert isinstance(job, Job)


def test_of_several_files_of_one_scan_the_one_that_lost_least_is_restored(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.JPG", "a.png", "a.tif", "b.jpg", "b.png", "c.jpg"):
        (folder / name).touch()
    entries = find_jobs([str(folder)], str(tmp_path / "out"))
    restored = [entry.source.name for entry in entries if isinstance(entry, Job)]
    refused = [Path(entry.source).name for entry in entries if isinstance(entry, FileFailed)]
    assert restored == ["a.tif", "b.png", "c.jpg"]
    assert refused == ["a.JPG", "a.png", "b.jpg"]


def test_an_image_is_never_overwritten_by_its_own_result(folder: Path) -> None:
    (entry,) = find_jobs([str(folder / "b.tif")], str(folder / "b.tif"))
    assert isinstance(entry, FileFailed)


def test_an_image_is_known_by_any_of_its_names(folder: Path) -> None:
    """As of two that differ in case, on a disk for which they are one."""
    other = folder / "B.tif"
    other.hardlink_to(folder / "b.tif")
    (entry,) = find_jobs([str(folder / "b.tif")], str(other))
    assert isinstance(entry, FileFailed)
    assert "overwrite the image itself" in entry.reason


def test_existing_results_are_skipped_and_missing_ones_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b_semnet-x2.ome.tif").touch()
    inputs = [str(folder / "a.PNG"), str(folder / "b.tif"), "missing.tif"]
    entries = skip_existing(find_jobs(inputs, str(tmp_path)))
    assert [type(entry) for entry in entries] == [Job, FileSkipped, FileFailed]


@pytest.mark.parametrize("output", ["v.zarr/restored", "v.zarr/restored.zarr", "v.zarr/r.tif"])
def test_a_result_never_lies_within_its_own_source(tmp_path: Path, output: str) -> None:
    source = tmp_path / "v.zarr"
    source.mkdir()
    (source / "zarr.json").touch()
    (failed,) = find_jobs([str(source)], str(tmp_path / output))
    assert isinstance(failed, FileFailed)
    assert "within the image itself" in failed.reason


def test_a_name_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("~nobody.tif", "~nobodys/a.tif", "home/b.tif"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    inputs = ["~nobody.tif", "~nobodys", "~/b.tif"]
    assert sources(find_jobs(inputs, "out")) == ["~nobody.tif", "a.tif", "b.tif"]
    (failed,) = find_jobs(["~nothing.tif"], "out")
    assert failed == FileFailed("~nothing.tif", "There is no such file or folder.")


def test_a_result_of_another_image_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    # A JPEG was restored before the microscope had saved its TIFF.
    source = tmp_path / "in" / "a.tif"
    source.parent.mkdir()
    source.touch()
    record = Provenance(source="a.jpg", source_path="in/a.jpg")
    pixels = np.zeros((4, 4), np.uint8)
    for output in (str(tmp_path), str(tmp_path / "named.tif")):
        (job,) = find_jobs([str(source)], output)
        assert isinstance(job, Job)
        write_tiff(job.target, pixels, pixel_size_nm=None, provenance=record)
        (failed,) = skip_existing([job])
        assert isinstance(failed, FileFailed)
        assert f"{job.target.name} is the result of another image, a.jpg." in failed.reason
        assert "Remove it" in failed.reason


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.tif", "raw/a.tif"),
        ("A.TIF", "raw/A.TIF"),
        ("grains", r"D:\raw\a.tif"),  # a layer in napari that had another name
        ("grains", ""),
    ],
)
def test_a_result_of_this_image_is_skipped_wherever_it_lay(
    tmp_path: Path, name: str, path: str
) -> None:
    source = tmp_path / "in" / "a.tif"
    source.parent.mkdir()
    source.touch()
    (job,) = find_jobs([str(source)], str(tmp_path))
    assert isinstance(job, Job)
    record = Provenance(source=name, source_path=path)
    write_tiff(job.target, np.zeros((4, 4), np.uint8), pixel_size_nm=None, provenance=record)
    assert [type(entry) for entry in skip_existing([job])] == [FileSkipped]


def test_files_are_shared_out_and_each_falls_to_one_part(tmp_path: Path) -> None:
    jobs = [Job(tmp_path / f"{n}.tif", tmp_path / f"{n}.out.tif") for n in range(5)]
    volume = Job(tmp_path / "v.zarr", tmp_path / "v.out.zarr")
    shares = [share_files([*jobs, volume], number, 2) for number in (1, 2)]
    mine = [[entry for entry in share if isinstance(entry, Job)] for share in shares]
    assert mine == [[jobs[0], jobs[2], jobs[4], volume], [jobs[1], jobs[3], volume]]


def test_a_zarr_is_an_image_not_a_folder_of_images(tmp_path: Path) -> None:
    for name in ("a.zarr/zarr.json", "b_semnet-x2.ome.zarr/zarr.json", "c.zarr/other.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).touch()
    assert sources(find_jobs([str(tmp_path / "in" / "a.zarr")], "out")) == ["a.zarr"]
    assert sources(find_jobs([str(tmp_path / "in")], "out")) == ["a.zarr"]
    assert result_name(tmp_path / "a.ome.zarr") == "a_semnet-x2.ome.zarr"


@pytest.mark.parametrize(
    "name",
    [
        "a_semnet-x2.residual.ome.tif",
        "a_semnet-x2.sensitivity.ome.tif",
        "a_semnet-x2_again.ome.tif",
        "a_semnet-x2_methods.png",
        "named.consistent.ome.tif",
    ],
)
def test_what_was_made_of_a_result_is_no_picture_to_restore(folder: Path, name: str) -> None:
    (folder / name).touch()
    assert sources(find_jobs([str(folder)], "out")) == ["a.PNG", "b.tif"]


@pytest.mark.parametrize("name", ["._b.tif", ".hidden.tif"])
def test_what_is_hidden_in_a_folder_is_left_out_as_by_a_pattern(folder: Path, name: str) -> None:
    (folder / name).touch()
    for inputs in (str(folder), str(folder / "*.*")):
        assert "b.tif" in sources(find_jobs([inputs], "out"))
        assert name not in sources(find_jobs([inputs], "out"))


def test_a_name_that_is_too_long_is_found_before_its_folder_is_made(
    folder: Path, tmp_path: Path
) -> None:
    long = folder / f"{'n' * 245}.tif"
    long.touch()
    (entry,) = find_jobs([str(long)], str(tmp_path / "not" / "there"))
    assert isinstance(entry, FileFailed)
    assert "cannot be written" in entry.reason
    (entry,) = find_jobs([str(folder / "b.tif")], str(tmp_path / ("d" * 300) / "there"))
    assert isinstance(entry, FileFailed)


def test_a_relative_folder_that_is_not_there_yet_can_be_written(folder: Path) -> None:
    (entry,) = find_jobs([str(folder / "b.tif")], "not/there/yet")
    assert isinstance(entry, Job)


def test_a_folder_that_takes_no_files_is_found_before_anything_is_computed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the system's answer is given here.
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    (failed,) = find_jobs([str(folder / "b.tif")], str(tmp_path / "out"))
    assert isinstance(failed, FileFailed)
    assert f"in the folder {tmp_path}. Give another name or folder." in failed.reason
    done = tmp_path / "b_semnet-x2.ome.tif"
    done.touch()
    entries = skip_existing(find_jobs([str(folder / "b.tif")], str(tmp_path)))
    assert [type(entry) for entry in entries] == [FileSkipped]


def test_a_link_that_leads_to_itself_is_no_place_for_results(folder: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(FileFormatError, match="leads back to itself"):
        find_jobs([str(folder / "b.tif")], str(loop))
