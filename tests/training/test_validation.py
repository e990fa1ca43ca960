from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_semnet.imaging.quality import psnr
from napari_semnet.training.degradation import PROFILES
from napari_semnet.training.validation import Crop, fixed_crops, measure, triplets
from tests.training.runs import scene, small_config, write_png, write_scenes
from tests.training.test_data import prepared

CPU = torch.device("cpu")


class Enlarge(nn.Module):
    def forward(self, low: Tensor) -> Tensor:
        return functional.interpolate(low, scale_factor=2, mode="bicubic", align_corners=False)


class Broken(nn.Module):
    def forward(self, low: Tensor) -> Tensor:
        return functional.interpolate(low, scale_factor=2, mode="nearest") * torch.nan


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Crop, ...]:
    folder = tmp_path_factory.mktemp("validation")
    write_scenes(folder / "pictures", 8)
    config = small_config(folder, validation={"crops": 6, "crop": 24, "share": 0.5})
    return fixed_crops(prepared(config)[0], config, PROFILES["poster"], CPU)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_crops_have_names_that_a_card_can_hold(tmp_path: Path) -> None:
    for number in range(2):
        write_png(tmp_path / "pictures" / os.fsdecode(b"%d\xe4.png" % number), scene(number))
    config = small_config(tmp_path)
    (first, *_) = fixed_crops(prepared(config)[0], config, PROFILES["poster"], CPU)
    assert first.name.encode("utf-8")
    assert r"\udce4.png (poster)" in first.name


def test_crops_are_the_same_for_every_seed_of_a_run(tmp_path: Path) -> None:
    held = write_scenes(tmp_path / "held", 3, first_seed=50)
    wanted = {"crops": 4, "crop": 24, "sources": [{"images": str(held)}]}
    made = [
        fixed_crops(prepared(config)[0], config, PROFILES["poster"], CPU)
        for config in (small_config(tmp_path, validation=wanted, seed=seed) for seed in (0, 7))
    ]
    for one, other in zip(*made, strict=True):
        assert torch.equal(one.low, other.low)
        assert torch.equal(one.target, other.target)


def test_crops_visit_every_picture_before_one_twice(crops: tuple[Crop, ...]) -> None:
    names = [crop.name for crop in crops]
    assert len(names) == 6
    assert len(set(names[:4])) == 4
    assert all(name.endswith("(poster)") for name in names)


def test_without_a_network_bicubic_is_measured(crops: tuple[Crop, ...]) -> None:
    measured = measure(None, crops)
    assert measured == measure(Enlarge(), crops)
    by_hand = [
        psnr(
            Enlarge()(crop.low)[0, 0].clamp(0, 1).numpy() * 255.0,
            crop.target[0, 0].numpy() * 255.0,
            255.0,
        )
        for crop in crops
    ]
    assert measured.psnr == pytest.approx(np.mean(by_hand), abs=1e-3)
    assert 0 < measured.ssim < 1


def test_a_network_that_gives_no_numbers_is_no_good_and_no_error(crops: tuple[Crop, ...]) -> None:
    measured = measure(Broken(), crops)
    assert math.isnan(measured.psnr)
    assert not measured.is_finite
    assert triplets(Broken(), crops).shape == (4 * 48, 3 * 48)


def test_previews_show_input_output_and_target(crops: tuple[Crop, ...]) -> None:
    picture = triplets(Enlarge(), crops)
    assert picture.dtype == np.uint8
    low = np.rint(crops[0].low[0, 0].numpy() * 255)
    assert np.array_equal(picture[0:48:2, 0:48:2], low)
    target = np.rint(crops[0].target[0, 0].numpy() * 255)
    assert np.array_equal(picture[:48, 96:], target)
