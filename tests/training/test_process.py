"""The process of a run, and what it keeps from being discarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.errors import TrainingError
from napari_semnet.training.process import discard_run, this_process
from napari_semnet.training.run_folder import RunFolder


def test_only_the_folder_of_a_run_is_discarded(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    for folder in (run, other):
        folder.mkdir()
        (folder / "log.csv").write_text("step\n")
    RunFolder(run).config.write_text("")
    discard_run(run)
    assert not run.exists()
    with pytest.raises(TrainingError, match="not the folder of a run"):
        discard_run(other)
    assert (other / "log.csv").exists()


def test_a_run_that_a_process_trains_in_is_not_discarded(tmp_path: Path) -> None:
    RunFolder(tmp_path).config.write_text("")
    this_process().write(tmp_path)
    with pytest.raises(TrainingError, match=r"A process is training in .* Stop it before"):
        discard_run(tmp_path)
    assert RunFolder(tmp_path).config.exists()
