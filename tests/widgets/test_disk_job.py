"""Results larger than memory, in a real viewer: on disk, and what is looked at first."""

from __future__ import annotations

import shutil
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


def follow(widget: Any, then: Callable[[int], None]) -> list[tuple[slice, ...]]:
    """Start, and call `then` with how many blocks came, after each; give their places."""
    from napari_semnet.restoration.events import BlockWritten

    places: list[tuple[slice, ...]] = []
    widget.start()

    def hear(news: Any) -> None:
        if isinstance(getattr(news, "event", None), BlockWritten):
            places.append(news.event.where)
            then(len(places))

    widget.run._worker.yielded.connect(hear)
    return places


def test_a_result_that_no_memory_holds_goes_to_disk_and_lies_over_its_source(
    viewer: Any,
    open_widget: Any,
    finish: Any,
    small_memory: None,
    tmp_path: Path,
    reduced_model: Path,
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

    follow(widget, look)
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


def test_the_slice_in_view_comes_first_and_a_new_one_is_followed(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path
) -> None:
    viewer.add_image(picture(40, 360, 380), name="stack")
    viewer.dims.set_point(0, 30)
    widget = open_widget(region="viewed", folder=str(tmp_path))
    places = follow(widget, lambda count: viewer.dims.set_point(0, 3) if count == 2 else None)
    finish(widget)
    slices = [where[0].start for where in places]
    assert sorted(slices) == list(range(40))
    under_way = widget_threads()
    assert 30 in slices[:under_way]
    assert all(abs(z - 30) <= under_way for z in slices[:2])
    # The way from 30 down to 3 would lead past 15.
    assert slices.index(3) < slices.index(15)


def widget_threads() -> int:
    """Blocks that may be under way at a time."""
    import torch

    return torch.get_num_threads() + 2


def test_the_part_in_view_comes_before_the_rest(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path
) -> None:
    viewer.add_image(picture(1100, 2100), name="wide")
    viewer.scene.camera.zoom = 4
    viewer.scene.camera.center = (0, 1050, 2050)
    widget = open_widget(region="viewed", folder=str(tmp_path))
    places = follow(widget, lambda count: None)
    finish(widget)
    corners = [(where[0].start, where[1].start) for where in places]
    assert len(corners) == len(set(corners))
    bottom, right = max(corners)
    assert (bottom, right) in corners[: widget_threads()]
    assert corners.index((0, 0)) >= len(corners) - widget_threads()


def test_cancelled_and_restored_again_it_goes_on(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path
) -> None:
    from napari_semnet.files.tile_store import TileStore

    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed", folder=str(tmp_path))
    follow(widget, lambda count: widget.cancel() if count == 3 else None)
    finish(widget)
    path = tmp_path / "stack_semnet-x2.zarr"
    assert [layer.name for layer in viewer.layers] == ["stack"]
    assert widget.status.text().startswith("Cancelled. What is finished is kept in")
    before = TileStore.open(path).finished()
    assert 3 <= len(before) < 60
    places = follow(widget, lambda count: None)
    finish(widget)
    assert {where[0].start for where in places} == set(range(60)) - before
    assert widget.status.text().startswith("Restored 1 layer in")
    assert sorted(p.name for p in tmp_path.glob("*.zarr")) == [path.name]
    assert np.asarray(viewer.layers[-1].data[0]).std() > 0


@pytest.mark.parametrize("which", [0, 1])
def test_removing_source_or_result_ends_it_and_keeps_what_is_finished(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path, which: int
) -> None:
    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed", folder=str(tmp_path))
    follow(widget, lambda n: viewer.layers.pop(which) if n == 3 else None)
    finish(widget)
    assert len(viewer.layers) == (0 if which == 0 else 1)
    assert widget.status.text() == "Stopped: the layer was removed"
    assert (tmp_path / "stack_semnet-x2.zarr").is_dir()


def test_a_source_that_is_deleted_meanwhile_is_said_in_a_sentence(
    viewer: Any, open_widget: Any, finish: Any, tmp_path: Path
) -> None:
    from napari_semnet.files.ome_zarr import write_ome_zarr

    file = tmp_path / "source.ome.zarr"
    write_ome_zarr(file, picture(60, 70, 80), pixel_size_nm=(4, 4), axes="ZYX")
    viewer.open(str(file), plugin="napari-semnet")
    widget = open_widget(region="viewed")
    follow(widget, lambda n: shutil.rmtree(file) if n == 2 else None)
    finish(widget)
    assert any("is no longer where it was" in message for message in messages())
    assert widget.status.text() == "Not restored: see the notification"
    assert len(viewer.layers) == 1
    assert len(list(tmp_path.glob("*semnet-x2.zarr"))) == 1


def test_closing_the_widget_stops_it(viewer: Any, open_widget: Any, qtbot: Any) -> None:
    viewer.add_image(picture(60, 70, 80), name="stack")
    widget = open_widget(region="viewed")
    worker: list[Any] = []

    def close(count: int) -> None:
        if count == 2:
            viewer.window.remove_dock_widget(widget)

    follow(widget, close)
    worker.append(widget.run._worker)
    qtbot.waitUntil(lambda: not worker[0].is_running, timeout=60_000)
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
