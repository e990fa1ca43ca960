"""A model's card says of its training what is true, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_semnet.card import Card
from napari_semnet.model import load_model, read_card
from napari_semnet.training.trainer import train
from tests.training.runs import scene, small_config, write_png, write_scenes


@pytest.fixture(scope="module")
def of_pairs(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """Card of a run on pairs of 160 x 160 pixels, measured on crops that were to be larger."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for number in range(4):
        clean = scene(number, 160, 160)
        write_png(folder / "slow" / f"{number}.png", clean)
        write_png(folder / "fast" / f"{number}.png", clean + rng.normal(0, 0.03, clean.shape))
    source = {"kind": "pairs", "low": str(folder / "fast"), "high": str(folder / "slow")}
    config = small_config(
        folder, steps=1, data=[source], validation={"crops": 2, "crop": 128, "share": 0.25}
    )
    return load_model(train(config, folder / "run")).card


def test_the_sides_of_validation_crops_are_the_true_ones(of_pairs: Card) -> None:
    said = {metric.data for metric in of_pairs.metrics}
    assert said == {"2 fixed crops of 80 x 80 poor pixels from 1 held-out picture"}


def test_no_degradation_is_named_where_nothing_was_degraded(of_pairs: Card) -> None:
    assert "profile" not in of_pairs.training.recipe
    assert of_pairs.halo is not None
    assert "poster" not in of_pairs.halo.measured_on


def test_two_noisy_pictures_are_one_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        for frame in ("first", "second"):
            noisy = scene(number) + rng.normal(0, 0.02, (80, 96))
            write_png(tmp_path / frame / f"{number}.png", noisy)
    frames = {"low": str(tmp_path / "first"), "high": str(tmp_path / "second"), "name": "frames"}
    config = small_config(
        tmp_path,
        steps=1,
        data=[{"kind": "noise2noise", **frames}],
        model={"halo_pictures": 0},
    )
    (said,) = load_model(train(config, tmp_path / "run")).card.training.data
    assert said.startswith("frames (sem): 2 pairs of noisy pictures, 0.0 megapixels")


def test_crops_of_several_sizes_are_told_from_the_smallest_to_the_largest(tmp_path: Path) -> None:
    write_scenes(tmp_path / "pictures", 2)
    write_png(tmp_path / "held" / "large.png", scene(8, 120, 120))
    write_png(tmp_path / "held" / "small.png", scene(9, 80, 80))
    held = {"crops": 2, "crop": 128, "sources": [{"images": str(tmp_path / "held")}]}
    card = load_model(train(small_config(tmp_path, steps=1, validation=held), tmp_path / "r")).card
    assert card.metrics[0].data == (
        "2 fixed crops of 40 x 40 to 60 x 60 poor pixels from 2 held-out pictures, "
        "degradation profile poster"
    )


def test_the_licence_is_that_of_the_configuration_whatever_was_decoded_before(
    tmp_path: Path,
) -> None:
    for number, licence in enumerate(("", "our own")):
        data = [{"images": str(tmp_path / "pictures"), "licence": licence}]
        config = small_config(tmp_path, steps=1, data=data)
        card = load_model(train(config, tmp_path / f"run-{number}")).card
        assert card.training.data[0].endswith(f"licence: {licence or 'not stated'}")


def test_what_a_run_learnt_from_before_stays_in_its_card(tmp_path: Path) -> None:
    sources = [
        {"images": str(write_scenes(tmp_path / name, 3, first_seed=seed)), "licence": licence}
        for name, seed, licence in (("ours", 0, "CC0"), ("theirs", 50, "CC BY-NC"))
    ]
    run, no_halo = tmp_path / "run", {"halo_pictures": 0}
    train(small_config(tmp_path, steps=4, data=sources, model=no_halo), run)
    config = small_config(tmp_path, steps=6, data=sources[:1], model=no_halo)
    ours, theirs = read_card(train(config, run, resume=True)).training.data
    assert "CC0" in ours
    assert "until" not in ours
    assert "licence: CC BY-NC, until step 4" in theirs


def test_a_licence_that_is_put_right_on_resuming_is_the_only_one(tmp_path: Path) -> None:
    for resume, licence in ((False, "CCO"), (True, "CC0")):
        data = [{"images": str(tmp_path / "pictures"), "licence": licence}]
        config = small_config(tmp_path, steps=4, data=data, model={"halo_pictures": 0})
        (said,) = read_card(train(config, tmp_path / "run", resume=resume)).training.data
        assert said.endswith(f"licence: {licence}")
