"""Targets for what the package itself wrote: a stranger's run, an unfinished volume, a layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from napari_semnet.errors import SemnetError
from napari_semnet.files.layers import write_layers
from napari_semnet.model import Card, save_model
from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.training.checkpoint import Best, Progress, load_checkpoint, save_checkpoint
from napari_semnet.training.event_log import as_json
from napari_semnet.training.events import Event
from napari_semnet.training.following import Follower
from napari_semnet.training.run_folder import RunFolder

TINY = Architecture(features=2, growth=1, blocks=1, rdb_per_block=1, conv_per_rdb=2)
BEST = Best(2, 20.0, 0.5, 18.0, 0.4)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 64), np.uint8)


# ----- a run to go on with ---------------------------------------------------------------------


def _parts() -> tuple[SEMNet, SEMNet, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = SEMNet(TINY)
    return network, SEMNet(TINY), torch.optim.Adam(network.parameters())


def checkpoint_seeds(folder: Path) -> dict[str, bytes]:
    """A state before the first step, and one with moments and a best model."""
    seeds = {}
    path = folder / "seed.safetensors"
    network, average, optimiser = _parts()
    for updates in (0, 1):
        if updates:
            network(torch.rand(1, 1, 8, 8)).sum().backward()
            optimiser.step()
        progress = Progress(updates, updates, best=BEST if updates else None, hardware=["CPU"])
        save_checkpoint(path, network, average, optimiser, progress)
        seeds[str(updates)] = path.read_bytes()
    return seeds


def feed_checkpoint(content: bytes, folder: Path) -> None:
    """Resume from any bytes, and go on by one step."""
    path = folder / "a.safetensors"
    path.write_bytes(content)
    network, average, optimiser = _parts()
    with suppress(SemnetError):
        progress = load_checkpoint(path, network, average, optimiser)
        f"{progress.seconds:.1f} {progress.best.psnr if progress.best else 0.0:.2f}"
        ", ".join(progress.hardware)


def progress_seeds(folder: Path) -> dict[str, bytes]:
    """The header of a state."""
    progress = Progress(3, 3, seconds=1.5, best=BEST, latest=BEST, hardware=["CPU"])
    return {"progress": json.dumps(asdict(progress)).encode()}


def feed_progress(content: bytes, folder: Path) -> None:
    """Put any text as the counts into a state that is sound otherwise."""
    whole = _kept(folder, "state", lambda: checkpoint_seeds(folder)["1"])
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"]["progress"] = content.decode("utf-8", "replace")
    text = json.dumps(header).encode()
    feed_checkpoint(len(text).to_bytes(8, "little") + text + whole[8 + length :], folder)


def event_seeds(folder: Path) -> dict[str, bytes]:
    """What a run says of itself, line by line."""
    made = {"int": 3, "float": 0.5, "str": "word", "bool": True, "Path": folder / "a.png"}
    events = [kind(**{f.name: made[str(f.type)] for f in fields(kind)}) for kind in get_args(Event)]
    return {"events": "".join(json.dumps(as_json(each)) + "\n" for each in events).encode()}


def feed_events(content: bytes, folder: Path) -> None:
    """Open a run as the dialog does, and ask for what it shows."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    RunFolder(run).events.parent.mkdir(exist_ok=True)
    RunFolder(run).events.write_bytes(content)
    with suppress(SemnetError):
        follower = Follower(run)
        follower.poll()
        story = follower.story
        f"{story.step:,} of {story.total:,}, {story.steps_per_second:.1f} {story.seconds_left}"
        f"{story.best.psnr if story.best else 0.0:.2f}, saved {story.saved:,}"


# ----- a volume to go on with ------------------------------------------------------------------


def _kept(folder: Path, name: str, make: Any) -> Any:
    if (folder, name) not in _MADE:
        _MADE[folder, name] = make()
    return _MADE[folder, name]


_MADE: dict[tuple[Path, str], Any] = {}


def _restorer(folder: Path) -> Restorer:
    torch.manual_seed(0)
    path = folder / "model.safetensors"
    save_model(path, SEMNet(TINY), Card(name="tiny", architecture=TINY))
    return Restorer(path, Settings(device="cpu", precision="fp32", backend="torch"))


def volume_seeds(folder: Path) -> dict[str, bytes]:
    """What an unfinished volume says of itself."""
    from napari_semnet.restoration.volumes import begin_volume

    restorer = _kept(folder, "restorer", lambda: _restorer(folder))
    path = folder / "a.ome.zarr"
    if not path.exists():
        begin_volume(restorer, PIXELS, path, at_once=1)
    return {"unfinished": (path / "zarr.json").read_bytes()}


def feed_volume(content: bytes, folder: Path) -> None:
    """Go on with a volume whose description is any bytes."""
    from napari_semnet.restoration.volumes import begin_volume

    volume_seeds(folder)
    (folder / "a.ome.zarr" / "zarr.json").write_bytes(content)
    with suppress(SemnetError):
        begin_volume(_MADE[folder, "restorer"], PIXELS, folder / "a.ome.zarr", at_once=1)


# ----- layers of napari ------------------------------------------------------------------------


def layer_seeds(folder: Path) -> dict[str, bytes]:
    """What napari says of a layer."""
    layer = {
        "name": "a",
        "scale": [4.0, 4.0],
        "units": ["nm", "nm"],
        "axis_labels": ["y", "x"],
        "translate": [0.0, 1.0],
        "metadata": {"napari_semnet": {"model": "m", "model_sha256": "0" * 64}},
    }
    return {"layer": json.dumps(layer).encode()}


def feed_layer(content: bytes, folder: Path) -> None:
    """Save two layers with any attributes, whose names and units other plugins may have chosen."""
    try:
        attributes = json.loads(content)
    except (ValueError, RecursionError):
        return
    if not isinstance(attributes, Mapping):
        return
    known = _as_napari_has_them(attributes)
    for path in folder.glob("*.tif"):
        path.unlink()
    layers = [(PIXELS, known, "image"), (PIXELS, {"name": "b"}, "image")]
    with suppress(SemnetError):
        write_layers(str(folder / "saved.ome.tif"), layers)
    assert all(path.parent == folder for path in folder.rglob("*.tif")), "written elsewhere"


def _as_napari_has_them(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Keep texts, numbers and metadata, which are free, and nothing that napari would refuse."""

    def some(key: str, kind: type) -> list[Any]:
        values = attributes.get(key)
        found = values if isinstance(values, list) else []
        return [value for value in found if isinstance(value, kind)][:2]

    numbers = {key: some(key, float) for key in ("scale", "translate")}
    texts = {key: some(key, str) for key in ("units", "axis_labels")}
    metadata = attributes.get("metadata")
    return {
        "name": str(attributes.get("name")),
        "metadata": metadata if isinstance(metadata, dict) else {},
        **{key: values for key, values in (numbers | texts).items() if len(values) == 2},
    }
