"""The models widget in a real viewer: the user's own models by mouse and keys."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from napari_semnet import model as models
from napari_semnet.model import DEFAULT_MODEL, load_model

pytestmark = pytest.mark.gui

BUNDLED = [DEFAULT_MODEL, "semnet-x2-poster"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models folder, which does not exist yet."""
    folder = tmp_path / "own" / "models"
    monkeypatch.setattr(models, "user_models_folder", lambda: folder)
    return folder


@pytest.fixture
def widget(viewer: Any, own: Path, qtbot: Any) -> Any:
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Models")
    with qtbot.waitSignal(widget.listed, timeout=60_000):
        pass
    return widget


@pytest.fixture
def click(qtbot: Any) -> Any:
    from qtpy.QtCore import Qt

    def press(button: Any) -> None:
        assert button.isEnabled()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    return press


@pytest.fixture
def imported(widget: Any, reduced_model: Path, qtbot: Any) -> Any:
    widget.import_file(reduced_model)
    qtbot.waitUntil(lambda: not widget.task.is_running, timeout=20_000)
    assert widget.chosen.name == "reduced"
    return widget


def names(widget: Any) -> list[str]:
    return [widget.list.topLevelItem(row).text(0) for row in range(widget.list.topLevelItemCount())]


def type_name(widget: Any, text: str, qtbot: Any) -> None:
    """Type into the editor that renaming opens."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QLineEdit

    qtbot.waitUntil(lambda: widget.list.findChild(QLineEdit) is not None, timeout=30_000)
    editor = widget.list.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)


def test_the_bundled_model_is_listed_with_its_card_and_cannot_be_changed(widget: Any) -> None:
    widget.choose(DEFAULT_MODEL)
    card = models.read_card(DEFAULT_MODEL)
    shown = widget.card.toPlainText()
    for fact in (DEFAULT_MODEL, card.description, card.limits, card.licence):
        assert fact in shown
    assert not widget.rename_button.isEnabled()
    assert not widget.delete_button.isEnabled()
    assert widget.use_button.isEnabled()
    assert widget.export.button.isEnabled()


def test_a_model_is_imported_renamed_deleted_and_put_back(
    imported: Any, own: Path, reduced_model: Path, click: Any, qtbot: Any
) -> None:
    widget = imported
    assert widget.status.text() == "Imported as 'reduced'"
    widget.import_file(reduced_model)
    qtbot.waitUntil(lambda: widget.status.text() == "Already there as 'reduced'", timeout=20_000)
    sha256 = load_model(reduced_model).sha256
    click(widget.rename_button)
    type_name(widget, "FIB lab", qtbot)
    qtbot.waitUntil(lambda: "FIB lab" in names(widget), timeout=30_000)
    assert load_model(own / "FIB lab.safetensors").sha256 == sha256
    qtbot.waitUntil(lambda: widget.chosen.name == "FIB lab", timeout=30_000)
    assert "Name on its card: reduced" in widget.card.toPlainText()

    click(widget.delete_button)
    assert names(widget) == BUNDLED
    assert "can be put back" in widget.status.text()
    click(widget.undo_button)
    assert widget.chosen.name == "FIB lab"
    assert not widget.undo_button.isEnabled()
    assert load_model("FIB lab").sha256 == sha256


def test_del_and_f2_do_what_they_do_elsewhere(imported: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    widget = imported
    qtbot.keyClick(widget.list, Qt.Key.Key_F2)
    type_name(widget, "mine", qtbot)
    qtbot.waitUntil(lambda: widget.chosen.name == "mine", timeout=30_000)
    qtbot.keyClick(widget.list, Qt.Key.Key_Delete)
    assert names(widget) == BUNDLED
    qtbot.keyClick(widget.list, Qt.Key.Key_Delete)
    assert names(widget) == BUNDLED


def test_del_elsewhere_deletes_no_model(imported: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    widget = imported
    for elsewhere in (widget.export.kind, widget.card, widget.use_button):
        qtbot.keyClick(elsewhere, Qt.Key.Key_Delete)
    assert "reduced" in names(widget)


def test_a_name_that_cannot_be_is_refused_and_the_old_one_stays(
    imported: Any, own: Path, click: Any, qtbot: Any
) -> None:
    click(imported.rename_button)
    type_name(imported, "../up", qtbot)
    qtbot.waitUntil(lambda: "cannot be the name" in imported.status.text(), timeout=30_000)
    qtbot.waitUntil(lambda: "reduced" in names(imported), timeout=30_000)
    assert [path.name for path in own.iterdir()] == ["reduced.safetensors"]


def test_what_cannot_be_loaded_is_refused_in_a_sentence(
    widget: Any, own: Path, reduced_model: Path, tmp_path: Path, qtbot: Any
) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(reduced_model.read_bytes()[:-20])
    pickled = tmp_path / "weights.pt"
    pickled.write_bytes(b"\x80\x02}q\x00.")
    for path, reason in ((cut, "cut off"), (pickled, "is a pickle")):
        widget.import_file(path)
        qtbot.waitUntil(lambda reason=reason: reason in widget.status.text(), timeout=20_000)
    assert names(widget) == BUNDLED
    assert not own.exists()


def test_the_list_follows_the_folder_and_says_what_is_damaged(
    widget: Any, own: Path, reduced_model: Path, qtbot: Any
) -> None:
    own.mkdir(parents=True)
    shutil.copy(reduced_model, own / "by hand.safetensors")
    qtbot.waitUntil(lambda: "by hand" in names(widget), timeout=30_000)
    (own / "bad.safetensors").write_bytes(b"no model")
    qtbot.waitUntil(lambda: "bad" in names(widget), timeout=30_000)
    widget.choose("bad")
    assert "Cannot be used." in widget.card.toPlainText()
    assert not widget.use_button.isEnabled()
    assert not widget.export.button.isEnabled()
    assert widget.delete_button.isEnabled()


def test_a_card_cannot_bring_markup_along(widget: Any, own: Path, qtbot: Any) -> None:
    import torch

    from napari_semnet.card import Card
    from napari_semnet.network import SEMNet
    from tests.widgets.conftest import REDUCED

    own.mkdir(parents=True)
    torch.manual_seed(0)
    text = "<img src='file:///etc/hostname'><b>x</b>"
    card = Card(name=text, description=text, limits=text, architecture=REDUCED)
    models.save_model(own / "odd.safetensors", SEMNet(REDUCED), card)
    qtbot.waitUntil(lambda: "odd" in names(widget), timeout=30_000)
    widget.choose("odd")
    assert widget.card.toPlainText().count(text) == 3


def test_a_model_is_chosen_for_restoring_and_stays_so_when_renamed(
    viewer: Any, imported: Any, click: Any, qtbot: Any
) -> None:
    from napari_semnet.widgets.preferences import load_choices

    click(imported.use_button)
    assert load_choices().model == "reduced"
    _, restore = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    qtbot.waitUntil(lambda: restore.is_ready, timeout=60_000)
    assert restore.model.key == "reduced"
    click(imported.rename_button)
    type_name(imported, "mine", qtbot)
    qtbot.waitUntil(lambda: load_choices().model == "mine", timeout=30_000)


def test_the_restore_widget_lists_a_new_model_and_tells_of_one_that_went(
    viewer: Any, imported: Any, click: Any, qtbot: Any
) -> None:
    _, restore = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    qtbot.waitUntil(lambda: restore.is_ready, timeout=60_000)
    restore.use_model("reduced")
    click(imported.delete_button)
    qtbot.waitUntil(lambda: "There is no model 'reduced'" in restore.model.summary.text())
    assert restore.model.key == "reduced"
    click(imported.undo_button)
    qtbot.waitUntil(lambda: "There is no model" not in restore.model.summary.text())


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_a_model_is_exported(imported: Any, tmp_path: Path, qtbot: Any, suffix: str) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    path = tmp_path / f"out{suffix}"
    imported.export.export(path)
    qtbot.waitUntil(lambda: f"Saved {path}" in imported.status.text(), timeout=30_000)
    assert path.stat().st_size > 1000


def test_an_export_that_fails_says_why(imported: Any, tmp_path: Path, qtbot: Any) -> None:
    imported.export.export(tmp_path / "out.pt")
    qtbot.waitUntil(lambda: "A model is exported as" in imported.status.text(), timeout=30_000)
    assert imported.export.button.isEnabled()


def test_an_export_that_is_cancelled_may_have_been_complete_and_says_so(
    imported: Any, tmp_path: Path, click: Any
) -> None:
    imported.export.export(tmp_path / "out.safetensors")
    assert imported.export.button.text() == "Cancel"
    click(imported.export.button)
    assert "unless it was complete already, nothing was written" in imported.status.text()
    assert imported.export.button.text() == "Export..."
    assert imported.rename_button.isEnabled()


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_the_window_can_be_closed_in_the_midst_of_an_export(
    viewer: Any, imported: Any, tmp_path: Path, qtbot: Any, what: str
) -> None:
    from napari.qt.threading import WorkerBase

    imported.export.export(tmp_path / "out.safetensors")
    assert imported.task.is_running
    if what == "dock":
        viewer.window.remove_dock_widget(imported)
    else:
        viewer.close()
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=30_000)
    # It is there whole or not at all, and nothing lies beside it.
    assert {path.name for path in tmp_path.glob("*out*")} <= {"out.safetensors"}


def test_the_viewer_can_be_closed_while_models_are_looked_for(viewer: Any, own: Path) -> None:
    viewer.window.add_plugin_dock_widget("napari-semnet", "Models")
