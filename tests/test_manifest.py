"""What `npe2 validate` does not look at: it calls a manifest valid that napari mostly ignores."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

npe2 = pytest.importorskip("npe2")
MenuId = pytest.importorskip("napari._app_model.constants").MenuId

PATH = Path(str(files("napari_semnet"))) / "napari.yaml"


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """The file as it stands."""
    content: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return content


@pytest.fixture(scope="module")
def manifest() -> Any:
    """The file as npe2 understands it."""
    return npe2.PluginManifest.from_file(PATH)


def test_npe2_finds_the_manifest_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(PATH)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_package_announces_the_manifest() -> None:
    announced = importlib.metadata.entry_points(group="napari.manifest", name="napari-semnet")
    assert [point.value for point in announced] == ["napari_semnet:napari.yaml"]


def test_npe2_knows_every_key_that_is_written(written: dict[str, Any]) -> None:
    assert set(written) <= set(npe2.PluginManifest.model_fields)
    known = type(npe2.PluginManifest(name="some-plugin").contributions).model_fields
    assert set(written["contributions"]) <= set(known)


def test_every_menu_can_be_contributed_to(manifest: Any) -> None:
    ours = {submenu.id for submenu in manifest.contributions.submenus}
    allowed = {menu.value for menu in MenuId.contributables()} | ours
    menus = manifest.contributions.menus
    assert set(menus) <= allowed
    assert "napari/layers/filter" in menus
    shown = {item.submenu for items in menus.values() for item in items if hasattr(item, "submenu")}
    assert shown == ours


def test_every_command_can_be_imported(manifest: Any) -> None:
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_every_command_is_used_and_every_use_is_a_command(manifest: Any) -> None:
    contributions = manifest.contributions
    used = {
        item.command
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in getattr(contributions, kind) or []
    }
    used |= {
        item.command
        for items in contributions.menus.values()
        for item in items
        if hasattr(item, "command")
    }
    assert used == {command.id for command in contributions.commands}


def test_every_kept_choice_has_a_preference_with_the_same_default(written: dict[str, Any]) -> None:
    from napari_semnet.widgets.choices import NON_FINITE, PRECISIONS, REGIONS, Choices
    from napari_semnet.widgets.preferences import KEPT

    configurations = written["contributions"]["configurations"]
    properties = configurations["restoration"]["properties"]
    assert set(properties) == set(KEPT)
    defaults = {field.name: field.default for field in fields(Choices)}
    for key, declared in properties.items():
        assert declared["default"] == defaults[key], key
    for key, options in (
        ("precision", PRECISIONS),
        ("non_finite", NON_FINITE),
        ("region", REGIONS),
    ):
        assert properties[key]["enum"] == list(options), key


def test_there_is_a_sample_for_every_specimen(manifest: Any) -> None:
    from napari_semnet.imaging.phantom import SPECIMENS

    assert {sample.key for sample in manifest.contributions.sample_data} == set(SPECIMENS)


@pytest.mark.parametrize("name", ["particles", "fibres", "grating", "step_edge"])
def test_a_sample_is_calibrated_and_lies_over_its_truth(name: str) -> None:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_semnet.widgets.samples import sample_layers

    viewer = ViewerModel()
    for data in sample_layers(name, shape=(30, 40)):
        viewer.add_layer(Layer.create(*data))
    truth, noisy = viewer.layers
    assert not truth.visible
    assert noisy.visible
    assert noisy.data.shape == (30, 40)
    assert [str(unit) for unit in noisy.units] == ["nanometer", "nanometer"]
    assert viewer.layers.extent.units == noisy.units
    for share in (0, 1):
        np.testing.assert_allclose(
            truth.data_to_world([60 * share - 0.5, 80 * share - 0.5]),
            noisy.data_to_world([30 * share - 0.5, 40 * share - 0.5]),
            atol=1e-9,
        )
    assert noisy.metadata["specimen"] == name
