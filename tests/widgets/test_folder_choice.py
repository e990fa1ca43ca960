"""A folder is typed or chosen; what is chosen under Advanced is where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.gui


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the dialog for folders gives, one after the other; nothing where it is cancelled."""
    from qtpy.QtWidgets import QFileDialog

    answers: list[str] = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: answers.pop(0))
    return answers


def test_a_folder_is_chosen_typed_and_kept_when_the_dialog_is_cancelled(
    qtbot: Any, answers: list[str]
) -> None:
    from napari_semnet.widgets.folder_choice import FolderChoice

    folder = FolderChoice("Folder for the results")
    qtbot.addWidget(folder)
    assert folder.path is None
    answers += ["/data/one", ""]
    with qtbot.waitSignal(folder.changed):
        folder.browse.click()
    assert folder.path == Path("/data/one")
    folder.browse.click()
    assert folder.path == Path("/data/one")
    folder.line.setText(" ~/two ")
    assert folder.path == Path.home() / "two"


def test_results_on_disk_go_to_the_folder_that_is_chosen(
    viewer: Any, open_widget: Any, finish: Any, answers: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("zarr")
    viewer.add_image(np.zeros((3, 20, 30), np.uint8), name="stack")
    widget = open_widget(region="viewed")
    answers.append(str(tmp_path))
    widget.advanced.folder.browse.click()
    widget.start()
    finish(widget)
    assert (tmp_path / "stack_semnet-x2.zarr").is_dir()
