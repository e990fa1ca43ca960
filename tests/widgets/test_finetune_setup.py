"""The choices of a fine-tuning run besides its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_semnet.library import import_model
from napari_semnet.widgets.catalogue import load_catalogue
from napari_semnet.widgets.finetune_choices import FinetuneChoices
from tests.widgets.patience import until

pytestmark = pytest.mark.gui


def test_a_model_that_is_imported_meanwhile_can_be_started_from(
    reduced_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    from napari_semnet.widgets.finetune_setup import SetupForm

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    form = SetupForm(FinetuneChoices())
    qtbot.addWidget(form)
    form.offer(load_catalogue())
    chosen = form.model.key
    name = import_model(reduced_model).name
    until(qtbot, lambda: form.model.combo.findText(name) >= 0)
    assert form.model.key == chosen


def test_runs_lie_where_they_are_meant_from_whatever_folder_their_process_begins_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert FinetuneChoices(runs_folder="our/runs").runs == tmp_path / "our" / "runs"
    assert FinetuneChoices(runs_folder="~/runs").runs == Path.home() / "runs"


def test_a_file_keeps_its_name_where_it_is_why_a_run_failed() -> None:
    from napari_semnet.training.following import Story
    from napari_semnet.widgets.finetune_progress import headline

    story = Story()
    story.fail("config.toml is not valid TOML.")
    assert headline(story) == "Failed. config.toml is not valid TOML."
