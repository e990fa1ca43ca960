"""Files that are the old one or the new one, as readable as any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_semnet.files.atomic import replacing

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
from napari_semnet.files.atomic import replacing
with replacing(Path({str(tmp_path / "a")!r})) as temporary:
    temporary.touch()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
