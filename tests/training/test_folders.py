from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.training.folders import files_below


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with a file, a hidden one, and links to a folder elsewhere, twice, and to itself."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, here / "inner", here / ".hidden", there / "deeper"):
        folder.mkdir(parents=True)
    for name in ("a.tif", ".b.tif", "inner/c.tif", ".hidden/d.tif"):
        (here / name).touch()
    (there / "deeper" / "e.tif").touch()
    try:
        (here / "other disk").symlink_to(there, target_is_directory=True)
        (here / "the same again").symlink_to(there, target_is_directory=True)
        (here / "inner" / "round").symlink_to(here, target_is_directory=True)
        (here / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    except OSError:
        pytest.skip("This user may not make links.")
    return here


def test_linked_folders_are_entered_once_and_circles_end(linked: Path) -> None:
    found = sorted(path.relative_to(linked).as_posix() for path in files_below(linked))
    assert found == ["a.tif", "inner/c.tif", "other disk/deeper/e.tif"]
