"""The fine-tune dialog in a real viewer, with real training processes of a reduced network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from napari_semnet.imaging.plane import block_mean
from napari_semnet.model import load_model
from napari_semnet.training.config import load_config
from napari_semnet.training.process import process_of
from napari_semnet.training.run_folder import RunFolder
from napari_semnet.widgets.preview_layers import PREVIEW_KEY
from tests.training.runs import as_8bit, scene, write_scenes
from tests.widgets.patience import until

pytestmark = pytest.mark.gui

NM = ("nm", "nm")
Open = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of a user of their own; no process may be left that trains in them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def runs(home: Path) -> Iterator[Path]:
    """Where runs are kept; whatever still trains there at the end is ended."""
    folder = home / "data" / "napari-semnet" / "runs"
    yield folder
    for one in folder.iterdir() if folder.is_dir() else ():
        process = process_of(one)
        if process is not None:
            process.kill()


@pytest.fixture
def open_dialog(viewer: Any, reduced_model: Path, runs: Path, qtbot: Any) -> Iterator[Open]:
    """Open the dialog from the menu's command, with the reduced model to start from."""
    from napari.qt.threading import WorkerBase

    def open_it(**choices: Any) -> Any:
        from napari_semnet.widgets.finetune_choices import (
            load_finetune_choices,
            save_finetune_choices,
        )

        wanted = {"start_from": str(reduced_model), "device": "cpu", "steps": 12, **choices}
        save_finetune_choices(replace(load_finetune_choices(), **wanted))
        _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Fine-tune")
        until(qtbot, lambda: widget.is_ready)
        return widget

    yield open_it
    with suppress(RuntimeError):  # of a viewer that is closed
        if "Fine-tune (napari-semnet)" in viewer.window.dock_widgets:
            viewer.window.remove_dock_widget(
                viewer.window.dock_widgets["Fine-tune (napari-semnet)"]
            )
    until(qtbot, lambda: not WorkerBase._worker_set)


@pytest.fixture
def three(viewer: Any) -> list[Any]:
    """Three good images."""
    return [
        viewer.add_image(as_8bit(scene(n, 220, 200)), name=f"slow {n}", scale=(5, 5), units=NM)
        for n in range(3)
    ]


def begin(widget: Any, layers: list[Any], qtbot: Any) -> None:
    widget.images.first.layers.choose(layers)
    widget.training.start_button.click()
    until(
        qtbot,
        lambda: (
            widget.run.folder is not None or (widget.status.text() and not widget.task.is_running)
        ),
    )
    assert widget.run.folder is not None, widget.status.text()


def test_no_layer_is_picked_but_by_the_user(viewer: Any, open_dialog: Open, home: Path) -> None:
    picker = open_dialog().images.first
    layer = viewer.add_image(as_8bit(scene(0, 64, 64)), name="fast scan")
    layer.name = "fast scan, 5 us"
    viewer.add_image(as_8bit(scene(1, 64, 64)), name="another")
    assert picker.slot().opened == ()
    picker.layers.choose([layer])
    assert [one.name for one in picker.slot().opened] == ["fast scan, 5 us"]
    viewer.layers.remove(layer)
    assert picker.slot().opened == ()


def test_three_layers_become_a_model_that_the_restore_widget_uses(
    viewer: Any,
    open_dialog: Open,
    three: list[Any],
    qtbot: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qtpy.QtWidgets import QMessageBox

    before = [np.array(layer.data) for layer in three]
    widget = open_dialog(name="our SEM")
    widget.images.first.layers.choose(three)
    widget.images.look_button.click()
    until(qtbot, lambda: not widget.task.is_running)
    assert widget.images.summary.text().startswith("2 pictures of 0.1 megapixels to train on, 1")
    table = widget.images.table
    texts = [[table.item(row, column).text() for column in range(5)] for row in range(3)]
    assert sorted(row[0] for row in texts) == ["slow 0", "slow 1", "slow 2"]
    assert {row[1] for row in texts} == {"200 × 220"}
    assert {row[2] for row in texts} == {"5 nm"}
    assert sorted(row[4] for row in texts) == ["held out", "training", "training"]

    begin(widget, three, qtbot)
    folder = widget.run.folder
    assert folder == home / "data" / "napari-semnet" / "runs" / "our-SEM"
    assert load_config(RunFolder(folder).config).steps == 12
    assert not widget.training.setup.isVisibleTo(widget)
    until(qtbot, lambda: not widget.run.is_running)
    story = widget.run.story
    assert story.phase == "finished", story.detail
    assert widget.run.process is not None
    assert not widget.run.process.is_alive
    assert [one.step for one in story.evaluations][:2] == [0, 2]
    progress = widget.training.progress
    assert [curve.name for curve in progress.psnr.curves] == [
        "fine-tuned",
        "model it started from",
        "bicubic",
    ]
    assert [curve.name for curve in progress.loss.curves] == ["loss", "L1"]
    assert progress.status.text().startswith("Finished: step 12 of 12")
    assert "finished after 12 steps" in progress.log.toPlainText()
    previews = [layer for layer in viewer.layers if PREVIEW_KEY in layer.metadata]
    assert [layer.name for layer in previews] == [
        "fine-tune: input",
        "fine-tune: output",
        "fine-tune: target",
    ]
    assert {layer.units for layer in viewer.layers} == {three[0].units}
    right = float(np.max([layer.extent.world[1, 1] for layer in three]))
    assert all(layer.extent.world[0, 1] > right for layer in previews)

    until(qtbot, lambda: widget.result.judgement is not None)
    judgement = widget.result.judgement
    assert judgement.base == "reduced"
    assert judgement.tuned == "our-SEM"
    assert len(judgement.fields) == 6
    assert widget.result.verdict.text().startswith("Fine-tuning ")
    assert widget.result.table.rowCount() == 7
    widget.result.layers_button.click()
    assert "held out: fine-tuned" in viewer.layers

    widget.result.use_button.click()
    assert widget.status.text().startswith("Kept as 'our-SEM'")
    kept = home / "data" / "napari-semnet" / "models" / "our-SEM.safetensors"
    assert kept.read_bytes() == RunFolder(folder).model("our-SEM").read_bytes()
    restore = viewer.window.dock_widgets["Restore (napari-semnet)"]
    until(qtbot, lambda: restore.is_ready)
    assert restore.model.key == "our-SEM"
    widget.result.keep_button.click()
    assert [path.name for path in kept.parent.iterdir()] == ["our-SEM.safetensors"]
    for layer, pixels in zip(three, before, strict=True):
        np.testing.assert_array_equal(layer.data, pixels)

    no, yes = QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes
    answers = iter([no, yes, yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *_: next(answers))
    widget.result.discard_button.click()
    assert folder.is_dir()
    config = RunFolder(folder).config
    config.rename(home / "moved away")
    widget.result.discard_button.click()
    assert widget.status.text().endswith("left alone.")
    (home / "moved away").rename(config)
    assert "config.toml" in widget.result.verdict.text(), "What is left is told of."
    widget.result.discard_button.click()
    assert not folder.exists()
    assert widget.run.folder is None
    assert viewer.layers == three
    assert kept.is_file()


@pytest.fixture
def fields(shared: Path) -> list[np.ndarray]:
    """Parts of three real pictures."""
    paths = sorted((shared / "sem-images" / "val").glob("*.png"))[:3]
    return [np.asarray(Image.open(path).convert("L"))[100:340, 100:340] for path in paths]


def noisy(pixels: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 15, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["pairs", "noise2noise"])
def test_two_pictures_of_each_field_become_a_model(
    viewer: Any, open_dialog: Open, fields: list[np.ndarray], qtbot: Any, kind: str
) -> None:
    def add(name: str, pictures: list[np.ndarray], nm: float) -> list[Any]:
        return [
            viewer.add_image(one, name=f"{name} {number}", scale=(nm, nm), units=NM)
            for number, one in enumerate(pictures)
        ]

    if kind == "pairs":
        poor = [noisy(block_mean(field), seed) for seed, field in enumerate(fields)]
        first, second = add("fast", poor, 10), add("slow", fields, 5)
    else:
        frames = [[noisy(field, 2 * n + k) for n, field in enumerate(fields)] for k in (0, 1)]
        first, second = add("frame 1 of", frames[0], 5), add("frame 2 of", frames[1], 5)
    widget = open_dialog(name=kind)
    images = widget.images
    images.kind.setCurrentIndex(images.kind.findData(kind))
    images.kind.activated.emit(images.kind.currentIndex())
    assert images.second.isVisibleTo(images)
    images.first.layers.choose(first)
    images.second.layers.choose(second[:2])
    images.look_button.click()
    until(qtbot, lambda: not widget.task.is_running)
    assert "3 and 2 layers cannot be joined to pairs" in widget.status.text()

    images.second.layers.choose(second)
    images.look_button.click()
    until(qtbot, lambda: not widget.task.is_running)
    # Each of two frames is the other's target once.
    assert images.table.rowCount() == {"pairs": 3, "noise2noise": 6}[kind], widget.status.text()
    (headings, (shown, other)), *_ = widget.noise.grid.rows
    called = {"pairs": ("poor", "good"), "noise2noise": ("one frame, halved", "the other")}
    assert headings == called[kind]
    assert other.size == 4 * shown.size
    assert not widget.noise.sliders["Noise"].isEnabled(), "nothing is made poor"
    widget.training.start_button.click()
    until(qtbot, lambda: widget.run.folder is not None)
    folder = widget.run.folder
    (source,) = load_config(RunFolder(folder).config).data
    assert source.kind == kind
    until(qtbot, lambda: not widget.run.is_running)
    assert widget.run.story.phase == "finished", widget.run.story.detail
    assert widget.run.story.step == 12
    learnt_from = load_model(RunFolder(folder).model(kind)).card.training.data[0]
    assert {"pairs": "poor and good", "noise2noise": "noisy"}[kind] in learnt_from
    until(qtbot, lambda: not widget.result.task.is_running)
    if kind == "pairs":
        assert widget.result.judgement is not None, widget.result.verdict.text()
        assert widget.result.verdict.text().startswith("Fine-tuning ")
    else:
        assert "No picture was held out" in widget.result.verdict.text()


def test_layers_that_go_stop_neither_the_look_nor_the_run(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    widget = open_dialog()
    widget.images.first.layers.choose(three)
    widget.look()
    viewer.layers.remove(three[2])
    until(qtbot, lambda: not widget.task.is_running)
    assert widget.images.table.rowCount() == 3
    widget.look()
    widget.images.first.layers.item(0).setSelected(False)  # by hand: another choice
    assert not widget.task.is_running
    assert widget.status.text().startswith("Other images were chosen meanwhile")
    begin(widget, three[:2], qtbot)
    viewer.layers.clear()
    until(qtbot, lambda: not widget.run.is_running)
    assert widget.run.story.phase == "finished", widget.run.story.detail
    until(qtbot, lambda: not widget.result.task.is_running)


def test_looks_that_were_cancelled_take_no_picture_from_the_run_that_follows(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    widget = open_dialog()
    widget.images.first.layers.choose(three)
    widget.look()
    until(qtbot, lambda: not widget.task.is_running)
    for _ in range(12):
        widget.look()  # cancels the one before
    widget.cancel_button.click()
    assert widget.status.text() == "Cancelled"
    begin(widget, three, qtbot)
    written = {path.stem[4:] for path in (widget.run.folder / "pictures").iterdir()}
    assert written == {one.name for one in three}
    until(qtbot, lambda: not widget.run.is_running)
    assert widget.run.story.phase == "finished", widget.run.story.detail


def test_a_run_that_is_opened_during_the_look_stays_the_only_one(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any, runs: Path
) -> None:
    widget = open_dialog(steps=2)
    begin(widget, three, qtbot)
    first = widget.run.folder
    until(qtbot, lambda: not widget.run.is_running)
    shown = [layer for layer in viewer.layers if PREVIEW_KEY in layer.metadata]
    assert len(shown) == 3
    widget.training.new_button.click()
    for layer in shown:
        viewer.layers.remove(layer)
    widget.images.first.layers.choose(three)
    widget.images.changed.emit()  # so that they are looked through anew
    widget.training.start_button.click()
    widget.training.open_run(first)
    assert widget.task.is_running
    until(qtbot, lambda: not widget.task.is_running)
    assert widget.run.folder == first
    assert list(runs.iterdir()) == [first]
    assert "none was begun" in widget.status.text()
    assert sum(PREVIEW_KEY in layer.metadata for layer in viewer.layers) == 3


LONG = 100_000


def training(widget: Any) -> bool:
    return bool(widget.run.story.phase == "training" and widget.run.story.steps)


def test_a_run_is_paused_stopped_and_resumed_by_buttons(
    open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    widget = open_dialog(steps=LONG)
    page = widget.training
    begin(widget, three, qtbot)
    until(qtbot, lambda: training(widget))
    assert " left" in page.progress.status.text()
    page.pause_button.click()
    until(qtbot, lambda: widget.run.story.phase == "paused")
    assert page.pause_button.text() == "Go on"
    assert psutil.Process(widget.run.process.pid).status() == psutil.STATUS_STOPPED
    page.pause_button.click()
    until(qtbot, lambda: training(widget))
    page.stop_button.click()
    until(qtbot, lambda: not widget.run.is_running)
    assert widget.run.story.phase == "stopped"
    assert not widget.run.process.is_alive
    stopped_at = widget.run.story.step
    assert page.progress.status.text().endswith("Press Resume to go on.")
    until(qtbot, lambda: widget.result.judgement is not None)

    page.resume_button.click()
    assert widget.result.judgement is None
    until(qtbot, lambda: widget.run.story.step > stopped_at)
    widget.run.process.kill()
    until(qtbot, lambda: not widget.run.is_running)
    assert "ended from outside" in page.progress.status.text()
    assert page.resume_button.isVisibleTo(page)
    assert RunFolder(widget.run.folder).last.is_file()
    page.new_button.click()
    assert page.setup.isVisibleTo(page)
    assert page.start_button.isVisibleTo(page)


@pytest.mark.parametrize("button", ["resume_button", "discard_button"])
def test_a_run_that_was_gone_on_with_elsewhere_is_kept_and_can_be_stopped_here(
    button: str,
    open_dialog: Open,
    three: list[Any],
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qtpy.QtWidgets import QMessageBox

    from napari_semnet.widgets.training_run import TrainingRun

    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)
    widget = open_dialog(steps=LONG)
    begin(widget, three, qtbot)
    folder = widget.run.folder
    until(qtbot, lambda: training(widget))
    widget.training.stop_button.click()
    until(qtbot, lambda: not widget.run.is_running)

    other = TrainingRun()  # as of a second viewer's dialog
    other.start(folder, resume=True)
    until(qtbot, lambda: other.story.phase == "training")
    page = widget.training if button == "resume_button" else widget.result
    getattr(page, button).click()
    assert folder.is_dir()
    assert other.process.is_alive
    assert widget.status.text().startswith(f"A process is training in {folder}")
    assert widget.training.stop_button.isVisibleTo(widget.training)
    widget.training.stop_button.click()
    until(qtbot, lambda: not widget.run.is_running)
    assert not other.process.is_alive
    other.forget()


@pytest.mark.parametrize(
    ("what", "goes_on"),
    [
        ("dock", False),
        ("dock", True),
        ("viewer", False),
        pytest.param("viewer", True, marks=pytest.mark.slow),
    ],
)
def test_closing_the_window_stops_the_run_unless_it_is_to_go_on(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any, goes_on: bool, what: str
) -> None:
    widget = open_dialog(steps=LONG)
    widget.training.goes_on.setChecked(goes_on)
    begin(widget, three, qtbot)
    until(qtbot, lambda: training(widget))
    folder, process = widget.run.folder, widget.run.process
    if what == "viewer":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(widget)
    if not goes_on:
        until(qtbot, lambda: not process.is_alive)
        assert RunFolder(folder).last.is_file()
        return
    qtbot.wait(500)
    assert process.is_alive
    if what == "dock":
        again = open_dialog(steps=LONG)
        assert again.run.folder == folder
        assert again.run.is_running
        assert again.training.goes_on.isChecked()
        step = again.run.story.step
        assert step > 0
        until(qtbot, lambda: again.run.story.step > step)
        again.training.stop_button.click()
        until(qtbot, lambda: not process.is_alive and not again.run.is_running)
        assert again.run.story.phase == "stopped"
    process.kill()


def test_closing_the_dock_during_every_other_job_leaves_nothing(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    from napari.qt.threading import WorkerBase

    def children() -> list[Any]:
        found = []
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # of one that ends meanwhile
                found += [child] if "napari_semnet" in " ".join(child.cmdline()) else []
        return found

    others = children()  # of tests before this one, which may end by themselves
    widget = open_dialog()
    draft = widget._draft.folder
    widget.images.first.layers.choose(three)
    widget.estimate()
    until(qtbot, lambda: set(children()).difference(others))
    viewer.window.remove_dock_widget(widget)
    until(qtbot, lambda: set(children()).issubset(others))
    until(qtbot, lambda: not WorkerBase._worker_set)
    assert not draft.exists()

    widget = open_dialog()
    widget.noise.noisy.choose(three[0])
    widget.noise.measure()
    widget.look()
    viewer.window.remove_dock_widget(widget)
    until(qtbot, lambda: not WorkerBase._worker_set)
    del viewer.layers[0]  # nothing may listen any more


def test_the_cost_is_measured_by_a_few_steps(
    open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    widget = open_dialog(steps=600)
    widget.images.first.layers.choose(three)
    setup = widget.training.setup
    assert "not measured yet" in setup.cost.text()
    setup.estimate_button.click()
    until(qtbot, lambda: "About" in setup.cost.text())
    assert "on CPU" in setup.cost.text()
    assert "GB free" in setup.cost.text()
    first = setup.cost.text()
    setup.steps.setValue(600_000)
    assert setup.cost.text() != first
    assert widget.run.folder is None
    looked = widget._looked.folder
    assert list(widget._draft.folder.iterdir()) == [looked]  # nothing of the steps is left


def test_a_refused_image_is_listed_by_its_name_with_the_whole_reason(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    white = viewer.add_image(np.full((220, 200), 255, np.uint8), name="white")
    widget = open_dialog()
    images = widget.images
    images.first.layers.choose([*three, white])
    widget.tabs.setCurrentIndex(0)
    images.look_button.click()
    until(qtbot, lambda: not widget.task.is_running)
    assert images.summary.text().endswith("; 1 refused.")
    table = images.table
    assert table.item(3, 0).text().startswith("white refused: ")
    assert table.columnSpan(3, 0) == 5
    assert table.rowHeight(3) > table.rowHeight(0), "the reason takes more than a line"
    widths = [table.columnWidth(column) for column in range(5)]
    images.first.layers.choose(three)
    images.look_button.click()
    until(qtbot, lambda: table.rowCount() == 3)
    assert {table.columnSpan(row, 0) for row in range(3)} == {1}
    assert widths == [table.columnWidth(column) for column in range(5)], "it took no more width"
    mask = viewer.add_image(np.ones((220, 200), bool), name="mask")
    images.first.layers.choose([mask])
    images.look_button.click()
    until(qtbot, lambda: "'mask' holds no grey levels" in widget.status.text())
    assert table.rowCount() == 0, "Nothing of a former look stays."
    assert "to train on" not in images.summary.text()
    assert widget.noise.grid.rows == ()


def test_patches_follow_the_sliders(open_dialog: Open, three: list[Any], qtbot: Any) -> None:
    widget = open_dialog()
    page = widget.noise
    assert "Look through the images" in page.grid.message
    widget.images.first.layers.choose(three)
    widget.look()
    until(qtbot, lambda: page.grid.rows)
    (headings, first), *_ = page.grid.rows
    assert headings == ("good", "made poor", "made poor")
    assert first[0].shape == (128, 128)
    assert first[1].shape == (64, 64)
    before = page.range.text()
    page.sliders["Noise"].setValue(40)
    until(qtbot, lambda: page.range.text() != before)
    (_, second), *_ = page.grid.rows
    np.testing.assert_array_equal(second[0], first[0])
    assert not np.array_equal(second[1], first[1])
    page.again_button.click()
    until(qtbot, lambda: not np.array_equal(page.grid.rows[0][1][1], second[1]))
    assert page.profile().name == "sem (adjusted)"
    assert page.profile().chains[1].gaussian.sigma == (0.0, 100.0)


def test_a_profile_that_cannot_be_used_takes_the_patches_of_the_former_one_away(
    open_dialog: Open, three: list[Any], qtbot: Any, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("nothing of use")
    widget = open_dialog(profile=str(bad))
    page = widget.noise
    page.profile_list.setCurrentIndex(page.profile_list.findData("sem"))
    widget.images.first.layers.choose(three)
    widget.look()
    until(qtbot, lambda: page.grid.rows)
    page.again_button.click()
    assert page.task.is_running
    page.profile_list.setCurrentIndex(page.profile_list.findData("file"))
    page.update_patches()
    assert not page.task.is_running
    assert "bad.toml" in page.range.text()
    assert not page.grid.rows


def test_a_measurement_that_is_cancelled_is_not_said_to_go_on(
    open_dialog: Open, three: list[Any]
) -> None:
    widget = open_dialog()
    page = widget.noise
    before = page.measured_text.text()
    page.noisy.choose(three[0])
    page.measure_button.click()
    assert page.measured_text.text() == "Measuring 'slow 0'"
    widget.cancel_button.click()
    assert page.measured_text.text() == before


def test_pictures_that_were_looked_through_go_with_the_program(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(home))
    ended = subprocess.run(
        [sys.executable, "-c", CLOSED_WITH_ITS_DOCK],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "looked" in ended.stdout
    assert not list(home.glob("napari-semnet-*"))


CLOSED_WITH_ITS_DOCK = """
import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=False)
_, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Fine-tune")
(widget._draft.folder / "000000").mkdir()
print("looked")
QTimer.singleShot(0, viewer.close)
QTimer.singleShot(500, QApplication.instance().quit)
napari.run(force=True)
"""


def test_a_tag_in_the_name_of_a_fast_scan_is_shown_as_it_is(viewer: Any, open_dialog: Open) -> None:
    from qtpy.QtCore import Qt

    page = open_dialog().noise
    page.noisy.choose(viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="<b>s</b>"))
    page.measure_button.click()
    assert page.measured_text.text() == "'<b>s</b>' is in colour. Convert it to grey first."
    assert page.measured_text.textFormat() == Qt.TextFormat.PlainText


def test_the_noise_of_a_fast_scan_becomes_the_profile(
    viewer: Any, open_dialog: Open, qtbot: Any
) -> None:
    rng = np.random.default_rng(0)
    flat = np.linspace(0.3, 0.7, 256)[None].repeat(256, 0)
    fast = viewer.add_image(as_8bit(flat + rng.normal(0, 12 / 255, flat.shape)), name="fast")
    widget = open_dialog()
    page = widget.noise
    page.measure()
    assert page.measured_text.text().startswith("Choose a layer first")
    page.noisy.choose(fast)
    page.measure_button.click()
    until(qtbot, lambda: not page.measuring.is_running)
    assert "noise of the electronics" in page.measured_text.text()
    assert page.profile_list.currentData() == "measured"
    low, high = page.profile().chains[0].gaussian.sigma
    assert low < 12 < high
    assert page.key == "sem", "a measurement is not there the next time"


def test_what_goes_wrong_is_a_sentence_and_nothing_begins(
    viewer: Any, open_dialog: Open, three: list[Any], qtbot: Any, home: Path
) -> None:
    widget = open_dialog(first_folder=str(home / "none"))
    widget.images.first.layers.choose([])

    def said(words: str) -> None:
        widget.training.start_button.click()
        until(qtbot, lambda: not widget.task.is_running and words in widget.status.text())
        assert widget.run.folder is None
        assert widget.training.start_button.isEnabled()

    said("There is no file or folder")
    widget.images.first.folder.setText("")
    widget.images.first.folder.editingFinished.emit()
    said("Choose at least one good image")
    small = viewer.add_image(as_8bit(scene(9, 20, 20)), name="small")
    widget.images.first.layers.choose([small])
    said("too small")
    widget.images.first.layers.choose(three)
    blocked = home / "blocked"
    blocked.write_bytes(b"")
    widget.training.setup.folder.setText(str(blocked))
    said("could not be prepared")


def test_no_run_begins_from_a_model_that_is_gone(
    open_dialog: Open, three: list[Any], reduced_model: Path, runs: Path, qtbot: Any, home: Path
) -> None:
    copy = home / "ours.safetensors"
    copy.write_bytes(reduced_model.read_bytes())
    widget = open_dialog(start_from=str(copy))
    widget.images.first.layers.choose(three)
    copy.unlink()
    widget.training.start_button.click()
    until(qtbot, lambda: not widget.task.is_running and bool(widget.status.text()))
    until(qtbot, lambda: "There is no model" in widget.status.text())
    assert widget.run.folder is None
    assert not list(runs.glob("*"))


@pytest.mark.slow
def test_a_device_that_is_not_there_and_a_folder_that_vanishes_are_told_of(
    open_dialog: Open, three: list[Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = open_dialog()
    monkeypatch.setattr(type(widget.training.setup), "device_key", "cuda:7")
    begin(widget, three, qtbot)
    until(qtbot, lambda: not widget.run.is_running)
    text = widget.training.progress.status.text()
    assert text.startswith("Failed")
    assert "cuda:7" in text
    assert not widget.training.resume_button.isVisibleTo(widget)
    assert RunFolder(widget.run.folder).config.is_file()
    monkeypatch.undo()


@pytest.mark.slow
def test_a_folder_that_vanishes_under_a_run_is_told_of(
    open_dialog: Open, three: list[Any], qtbot: Any, home: Path
) -> None:
    widget = open_dialog(steps=LONG)
    begin(widget, three, qtbot)
    until(qtbot, lambda: training(widget))
    process = widget.run.process
    widget.run.folder.rename(home / "elsewhere")
    until(qtbot, lambda: not widget.run.is_running)
    assert "no longer there" in widget.training.progress.status.text()
    process.kill()


def test_a_run_that_is_stopped_before_its_first_step_is_begun_anew(
    open_dialog: Open, three: list[Any], qtbot: Any
) -> None:
    widget = open_dialog(steps=LONG)
    page = widget.training
    begin(widget, three, qtbot)
    page.stop_button.click()
    until(qtbot, lambda: not widget.run.is_running)
    assert page.progress.status.text().endswith("Press New run, then Start, to begin again.")
    assert not page.resume_button.isVisibleTo(page)
    assert page.new_button.isVisibleTo(page)


@pytest.mark.parametrize("button", ["keep_button", "use_button"])
def test_a_model_that_vanished_is_told_of_when_it_is_to_be_kept(
    button: str, open_dialog: Open, three: list[Any], qtbot: Any, home: Path
) -> None:
    widget = open_dialog(steps=2)
    begin(widget, three, qtbot)
    until(qtbot, lambda: not widget.run.is_running)
    until(qtbot, lambda: widget.result.judgement is not None)
    widget.run.folder.rename(home / "elsewhere")
    getattr(widget.result, button).click()
    assert "model is no longer there" in widget.status.text()
    assert not widget.result.keep_button.isEnabled()


def test_choices_come_back(viewer: Any, open_dialog: Open, qtbot: Any, home: Path) -> None:
    from napari_semnet.widgets.finetune_choices import load_finetune_choices

    folder = write_scenes(home / "mine", 4, rows=220, columns=200)
    widget = open_dialog()
    widget.images.kind.setCurrentIndex(1)
    widget.images.first.folder.setText(str(folder))
    widget.training.setup.name.setText("next")
    widget.training.setup.steps.setValue(77)
    widget.noise.sliders["Blur"].setValue(-20)
    widget.training.previews.setChecked(False)
    viewer.window.remove_dock_widget(widget)
    choices = load_finetune_choices()
    assert (choices.kind, choices.first_folder) == ("pairs", str(folder))
    assert (choices.name, choices.steps, choices.blur) == ("next", 77, 0.5)
    assert not choices.shows_previews
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Fine-tune")
    until(qtbot, lambda: widget.is_ready)
    assert widget.choices() == choices
    assert widget.images.second.isVisibleTo(widget.images)
