"""Profiles: what they refuse, how they are written, and what the packaged ones promise."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from pydantic import ValidationError

from napari_semnet.training.degradation import PROFILES
from napari_semnet.training.parameters import draw_parameters
from napari_semnet.training.profile import Chain, Gaussian, Profile, Shot
from napari_semnet.training.randomness import Draws, sample_keys
from napari_semnet.training.toml_text import to_toml

DRAWS = Draws(sample_keys(1, 0, 0, 20_000))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('name = "x"\nchians = []', "chians"),
        ('name = "x"\nchains = []', "at least 1"),
        ('name = "x"\n[[chains]]\n[chains.gaussian]\nsigma = [9, 2]', "lies above"),
        ('name = "x"\n[[chains]]\n[chains.gaussian]\nsigma = [-1, 2]', "greater than or equal"),
        ('name = "x"\n[[chains]]\n[chains.gaussian]\nsigma = [1, nan]', "finite"),
        ('name = "x"\n[[chains]]\n[chains.gaussian]\nsigma = [1, 2]\nprobability = 2', "less than"),
        ('name = "x"\n[[chains]]\n[chains.gaussian]\nsgima = [1, 2]', "sgima"),
        ('name = "x"\n[[chains]]\n[chains.shot]\nelectrons = [0, 100]', "greater than 0"),
        ('name = "x"\n[[chains]]\n[chains.correlation]\nlag_one = [0, 1]', "0.95"),
        ('name = "x"\n[[chains]]\nweight = 0', "weight"),
        ('name = "x"\n[[chains]]\nframes = [0]', "frames"),
        ('name = "x"\n[[chains]]\n[chains.sampling]\nkernels = ["nearest"]', "kernels"),
    ],
)
def test_impossible_settings_are_refused(text: str, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Profile.model_validate(tomllib.loads(text))


@pytest.mark.parametrize("name", ["poster", "sem"])
def test_a_profile_comes_back_from_its_toml(name: str) -> None:
    text = to_toml(PROFILES[name].model_dump(mode="json", exclude_none=True))
    assert Profile.model_validate(tomllib.loads(text)) == PROFILES[name]


def test_poster_draws_the_posters_ranges() -> None:
    drawn = draw_parameters(PROFILES["poster"], DRAWS)
    sigma = drawn.gaussian[drawn.gaussian > 0] * 255
    assert 2 <= sigma.min() < 2.1
    assert 24.9 < sigma.max() <= 25
    electrons = np.log10(drawn.electrons[drawn.counted > 0])
    assert 2 <= electrons.min() < 2.01
    assert 3.99 < electrons.max() <= 4
    assert electrons.mean() == pytest.approx(3, abs=0.02)
    isotropic = drawn.blur_major == drawn.blur_minor
    blurred = drawn.blur_major > 0
    assert 0.4 < isotropic[blurred].mean() < 0.6
    assert set(drawn.levels) == {255}
    for absent in (drawn.jitter, drawn.row_noise, drawn.lag_one, drawn.shading):
        assert not absent.any()


def test_sem_holds_the_posters_range_and_the_microscopes() -> None:
    drawn = draw_parameters(PROFILES["sem"], DRAWS)
    poster = draw_parameters(PROFILES["poster"], DRAWS)
    same = drawn.gaussian == poster.gaussian
    assert 0.4 < same.mean() < 0.75
    assert drawn.electrons[drawn.counted > 0].min() < 40
    for stage in (drawn.jitter, drawn.row_noise, drawn.lag_one, drawn.shading, drawn.vibration):
        assert 0 < (stage > 0).mean() < 0.5


def test_integrating_frames_multiplies_the_dose_and_averages_the_rest() -> None:
    shot, gaussian = Shot(electrons=(100, 100)), Gaussian(sigma=(12, 12))
    one, sixteen = (
        Profile(name="x", chains=(Chain(frames=(frames,), shot=shot, gaussian=gaussian),))
        for frames in (1, 16)
    )
    draws = Draws(sample_keys(1, 0, 0, 3))
    assert draw_parameters(one, draws).electrons.tolist() == pytest.approx([100] * 3)
    assert draw_parameters(sixteen, draws).electrons.tolist() == pytest.approx([1600] * 3)
    assert (draw_parameters(sixteen, draws).gaussian * 255).tolist() == pytest.approx([3] * 3)


def test_chains_are_drawn_in_proportion_to_their_weights() -> None:
    quiet, loud = Chain(weight=3), Chain(weight=1, gaussian=Gaussian(sigma=(9, 9)))
    drawn = draw_parameters(Profile(name="x", chains=(quiet, loud)), DRAWS)
    assert (drawn.gaussian > 0).mean() == pytest.approx(0.25, abs=0.01)
