"""Results larger than memory, in a real viewer: on disk, and what is looked at first."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_semnet import restore
from napari_semnet.widgets import jobs
from napari_semnet.widgets.disk_job import folder_for
from napari_semnet.widgets.layers import NO_DATA
from tests.widgets.patience import until

pytest.importorskip("zarr")
pytestmark = pytest.mark.gui

NM = ("nanometer", "nanometer")


def picture(*shape: int) -> np.ndarray:
    # Signed: what a network that has learnt nothing makes of bytes would all be cut off at 0.
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.int16)


def messages() -> list[str]:
    from napari.utils.notifications import notification_manager

    return [record.message for record in notification_manager.records]


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield
    notification_manager.records.clear()


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fits the memory that the viewer's results may take."""
    little = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(jobs, "psutil", little)


class Blocks:
    """The blocks that the order in use has given, and how many it gives before it is let go on.

    Threads work blocks off as fast as they can, and the window hears of it when it gets to it. So
    what a test does between two blocks would come too late at times, did the others not wait.
    """

    def __init__(self) -> None:
        self.given: list[int] = []
        """Their numbers, in the order in which they were begun."""
        self.most: float = math.inf

    def follow(self, widget: Any, then: Callable[[int], None]) -> list[tuple[slice, ...]]:
        """Start, and call `then` with how many blocks came, after each; give their places."""
        from napari_semnet.restoration.events import BlockWritten

        places: list[tuple[slice, ...]] = []

        def hear(news: Any) -> None:
            if isinstance(getattr(news, "event", None), BlockWritten):
                places.append(news.event.where)
                then(len(places))

        most, self.most = self.most, 0
        widget.start()
        widget.run._worker.yielded.connect(hear)
        self.most = most
        return places


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    from napari_semnet.restoration import viewing

    blocks = Blocks()

    class Noted(viewing.ViewedFirst):
        def __next__(self) -> Any:
            if len(blocks.given) >= blocks.most:
                time.sleep(0.005)
                return None  # Nothing to do for the moment.
            number = super().__next__()
            blocks.given.append(number)
            return number

    monkeypatch.setattr(viewing, "ViewedFirst", Noted)
    return blocks


def test_a_result_that_no_memory_holds_goes_to_disk_and_lies_over_its_source(
    viewer: Any,
    open_widget: Any,
    finish: Any,
    small_memory: None,
    tmp_path: Path,
    reduced_model: Path,
    blocks: Blocks,
) -> None:
    image = picture(600, 1100)
    source = viewer.add_image(
        image, name="gold", scale=(4, 3), translate=(7, 9), rotate=20, units=NM
    )
    widget = open_widget(folder=str(tmp_path), halo="exact")
    seen: list[Any] = []

    def look(count: int) -> None:
        layer = viewer.layers["gold [SEMNet 2x]"]
        if count == 1:
            half = np.asarray(layer.data[0])
            seen.extend((np.isnan(half).mean(), layer.colormap.nan_color))
            blocks.most = math.inf

    blocks.most = 1
    blocks.follow(widget, look)
    finish(widget)
    result = viewer.layers["gold [SEMNet 2x]"]
    assert viewer.layers.index(result) == viewer.layers.index(source) + 1
    for corner in ((-0.5, -0.5), (599.5, 1099.5), (599.5, -0.5)):
        theirs = tuple(2 * (place + 0.5) - 0.5 for place in corner)
        np.testing.assert_allclose(
            result.data_to_world(theirs), source.data_to_world(corner), rtol=0, atol=1e-9
        )
    missing, colour = seen
    assert 0 < missing < 1
    np.testing.assert_allclose(colour, NO_DATA)
    whole = np.asarray(result.data[0])
    assert whole.dtype == np.int16
    wanted = restore(image, reduced_model, precision="fp32", halo="exact")
    assert wanted.std() > 1
    assert np.abs(whole.astype(int) - wanted).max() <= 1
    assert result.metadata["semnet"]["source"] == "gold"
    kept = tmp_path / "gold_semnet-x2.zarr"
    assert kept.is_dir()
    assert any(str(kept) in message for message in messages())

    from napari_semnet.files.reader import read_image

    saved = read_image(kept)
    np.testing.assert_array_equal(saved.pixels, whole)
    np.testing.assert_allclose(saved.pixel_size.yx, (2, 1.5))
    assert saved.provenance is not None
    assert saved.provenance.model == "reduced"


def test_a_part_of_a_volume_keeps_its_place_along_z_on_disk(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, small_memory: None
) -> None:
    from napari_semnet.files.reader import read_image

    place = {"scale": (10, 4, 4), "translate": (300, 200, 100), "units": ("nm",) * 3}
    viewer.add_image(picture(3, 60, 80), name="part", axis_labels=("z", "y", "x"), **place)
    widget = open_widget(region="layer", folder=str(tmp_path))
    widget.start()
    finish(widget)
    saved = read_image(tmp_path / "part_semnet-x2.zarr")
    assert (saved.origin_z_nm, saved.origin_nm) == (300, (199, 99))


def test_the_slice_in_view_comes_first_and_a_new_one_is_followed(
    viewer: Any, open_widget: Any, finish: Any, qtbot: Any, tmp_path: Path, blocks: Blocks
) -> None:
    viewer.add_image(picture(40, 360, 380), name="stack")
    viewer.dims.set_point(0, 30)
    widget = open_widget(region="viewed", folder=str(tmp_path))
    blocks.most = 3
    places = blocks.follow(widget, lambda count: None)
    until(qtbot, lambda: len(blocks.given) == 3)
    viewer.dims.set_point(0, 3)
    # The window looks from time to time where the user looks.
    looks: list[None] = []
    widget.run._looks.timeout.connect(lambda: looks.append(None))
    until(qtbot, lambda: looks)
    blocks.most = math.inf
    finish(widget)
    # Each slice is one block.
    assert blocks.given[0] == 30
    assert set(blocks.given[1:3]) == {29, 31}
    assert blocks.given[3] == 3
    assert set(blocks.given[4:6]) == {2, 4}
    assert sorted(where[0].start for where in places) == list(range(40))


def test_the_part_in_view_comes_before_the_rest(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, blocks: Blocks
) -> None:
    viewer.add_image(picture(1100, 2100), name="wide")
    viewer.scene.camera.zoom = 32
    viewer.scene.camera.center = (0, 1090, 2090)
    widget = open_widget(region="viewed", folder=str(tmp_path))
    places = blocks.follow(widget, lambda count: None)
    finish(widget)
    corners = sorted((where[0].start, where[1].start) for where in places)
    assert len(corners) == len(set(corners)) == len(blocks.given)
    # Blocks are numbered in reading order, and only that at the bottom right is in view.
    assert blocks.given[0] == len(corners) - 1
    assert blocks.given[-1] == 0


def test_cancelled_and_restored_again_it_goes_on(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, blocks: Blocks
) -> None:
    from napari_semnet.files.tile_store import TileStore

    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed", folder=str(tmp_path))

    def cancel(count: int) -> None:
        if count == 3:
            widget.cancel()
            blocks.most += 2  # It is heard with the next news.

    blocks.most = 3
    blocks.follow(widget, cancel)
    finish(widget)
    path = tmp_path / "stack_semnet-x2.zarr"
    assert [layer.name for layer in viewer.layers] == ["stack"]
    assert widget.status.text().startswith("Cancelled. What is finished is kept in")
    before = TileStore.open(path).finished()
    assert 3 <= len(before) <= 5
    blocks.most = math.inf
    places = blocks.follow(widget, lambda count: None)
    finish(widget)
    assert {where[0].start for where in places} == set(range(60)) - before
    assert widget.status.text().startswith("Restored 1 layer in")
    assert sorted(p.name for p in tmp_path.glob("*.zarr")) == [path.name]
    assert np.asarray(viewer.layers[-1].data[0]).std() > 0


def test_a_result_that_another_program_is_writing_is_left_to_it(
    viewer: Any, open_widget: Any, finish: Any, small_memory: None, tmp_path: Path
) -> None:
    from napari_semnet.files.lock import lock_of

    viewer.add_image(picture(60, 80), name="gold")
    widget = open_widget(folder=str(tmp_path))
    kept = tmp_path / "gold_semnet-x2.zarr"
    with lock_of(kept, AssertionError()):
        widget.start()
        finish(widget)
    assert any("Another window or program is restoring to" in message for message in messages())
    assert not kept.exists()
    assert [layer.name for layer in viewer.layers] == ["gold"]
    widget.start()
    finish(widget)
    assert kept.is_dir()


@pytest.mark.parametrize("which", [0, 1])
def test_removing_source_or_result_ends_it_and_keeps_what_is_finished(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, which: int, blocks: Blocks
) -> None:
    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed", folder=str(tmp_path))

    def remove(count: int) -> None:
        if count == 3:
            viewer.layers.pop(which)
            blocks.most += 2

    blocks.most = 3
    blocks.follow(widget, remove)
    finish(widget)
    assert len(viewer.layers) == (0 if which == 0 else 1)
    assert widget.status.text() == "Stopped: the layer was removed"
    assert (tmp_path / "stack_semnet-x2.zarr").is_dir()


def test_a_source_that_is_deleted_meanwhile_is_said_in_a_sentence(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, blocks: Blocks
) -> None:
    from napari_semnet.files.ome_zarr import write_ome_zarr

    file = tmp_path / "source.ome.zarr"
    write_ome_zarr(file, picture(60, 70, 80), pixel_size_nm=(4, 4), axes="ZYX")
    viewer.open(str(file), plugin="napari-semnet")
    widget = open_widget(region="viewed")

    def delete(count: int) -> None:
        if count == 2:
            shutil.rmtree(file)
            blocks.most = math.inf

    blocks.most = 2
    blocks.follow(widget, delete)
    finish(widget)
    assert any("is no longer where it was" in message for message in messages())
    assert widget.status.text() == "Not restored: see the notification"
    assert len(viewer.layers) == 1
    assert len(list(tmp_path.glob("*semnet-x2.zarr"))) == 1


def test_what_was_cut_short_in_the_viewer_is_finished_on_the_command_line(
    viewer: Any,
    open_widget: Any,
    finish: Any,
    tmp_path: Path,
    reduced_model: Path,
    blocks: Blocks,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_semnet.cli import main
    from napari_semnet.files.ome_zarr import write_ome_zarr
    from napari_semnet.files.reader import read_image
    from napari_semnet.files.tile_store import TileStore

    file, pixels = tmp_path / "source.ome.zarr", picture(6, 70, 80)
    write_ome_zarr(file, pixels, pixel_size_nm=(4, 4), axes="ZYX", z_step_nm=20)
    viewer.open(str(file), plugin="napari-semnet")
    widget = open_widget(region="viewed")

    def cancel(count: int) -> None:
        if count == 3:
            widget.cancel()
            blocks.most += 1

    blocks.most = 3
    blocks.follow(widget, cancel)
    finish(widget)
    (path,) = tmp_path.glob("*semnet-x2.zarr")
    before = TileStore.open(path).finished()
    capsys.readouterr()
    command = ["restore", str(file), "-o", str(path), "--model", str(reduced_model), "--json"]
    assert main([*command, "--precision", "fp32"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(event["event"] == "block_written" for event in told) == 6 - len(before)
    result = read_image(path)
    np.testing.assert_array_equal(
        result.pixels, restore(pixels, reduced_model, precision="fp32", tile=512)
    )
    assert (result.pixel_size.yx, result.z_step_nm) == ((2, 2), 20)


def test_closing_the_widget_stops_it(
    viewer: Any, open_widget: Any, qtbot: Any, blocks: Blocks
) -> None:
    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed")
    worker: list[Any] = []

    def close(count: int) -> None:
        if count == 2:
            viewer.window.remove_dock_widget(widget)
            blocks.most += 2

    blocks.most = 2
    blocks.follow(widget, close)
    worker.append(widget.run._worker)
    until(qtbot, lambda: not worker[0].is_running)
    assert [layer.name for layer in viewer.layers] == ["stack"]


def test_a_result_goes_where_the_user_says_or_beside_its_source_or_into_the_cache(
    tmp_path: Path,
) -> None:
    file = tmp_path / "scan.tif"
    file.touch()
    assert folder_for(f" {tmp_path / 'here'} ", str(file)) == tmp_path / "here"
    assert folder_for("", str(file)) == tmp_path
    for source in ("", str(tmp_path / "gone.tif")):
        assert folder_for("", source).name == "results"
