"""Files that are the old one or the new one, as readable as any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_semnet.files.atomic import replacing, replacing_together

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions.")


@posix
def test_a_file_is_as_readable_as_any_other_and_the_process_s_mask_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usual").touch()

    def touched(mask: int) -> int:
        raise AssertionError("Other threads would write files open to all.")

    monkeypatch.setattr(os, "umask", touched)
    with replacing(tmp_path / "a") as temporary:
        temporary.touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix
def test_a_process_that_keeps_its_files_to_itself_does_so(tmp_path: Path) -> None:
    program = f"""
import os
from pathlib import Path
os.umask(0o077)
from napari_semnet.files.atomic import replacing, replacing_together
with replacing(Path({str(tmp_path / "a")!r})) as temporary:
    temporary.touch()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def write_anew(*paths: Path) -> None:
    with replacing_together(*paths) as parts:
        for part in parts:
            part.write_text("new")


@pytest.mark.parametrize("before", ["old", ""])
def test_of_files_that_belong_together_none_is_new_where_one_is_refused(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows refuses to replace a picture that a viewer has open."""
    record, picture = tmp_path / "a.semnet.json", tmp_path / "a.tif"
    if before:
        record.write_text(before)
    picture.write_text("old")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target == picture:
            raise PermissionError("is open")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_anew(record, picture)
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {"a.tif": "old"} | ({"a.semnet.json": "old"} if before else {})


def test_a_record_stays_whole_where_there_is_no_room_to_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, picture = tmp_path / "a.semnet.json", tmp_path / "a.tif"
    for path in (record, picture):
        path.write_text("old")

    def fill(source: Path, target: Path) -> None:
        target.write_text("o")
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copy2", fill)
    with pytest.raises(OSError, match="space"):
        write_anew(record, picture)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.tif": "old",
        "a.semnet.json": "old",
    }
