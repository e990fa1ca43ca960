from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.errors import ImageError, ModelFileError
from napari_semnet.widgets.choices import Choices, KeptRestorer


def test_defaults_leave_everything_to_the_engine() -> None:
    from napari_semnet.restoration.restorer import Settings

    assert Choices().engine_settings() == Settings()


def test_a_tile_is_the_engines_choice_until_somebody_gives_one() -> None:
    assert Choices().engine_settings().tile == "auto"
    assert Choices(tile=96).engine_settings().tile == 96


def test_a_halo_is_a_word_or_a_number() -> None:
    assert Choices(halo="exact").engine_settings().halo == "exact"
    assert Choices(halo="24").engine_settings().halo == 24
    with pytest.raises(ImageError, match="halo 'wide'"):
        Choices(halo="wide").engine_settings()


def test_an_empty_intensity_range_is_refused() -> None:
    assert Choices(intensity=(3.0, 9.5)).engine_settings().intensity == (3.0, 9.5)
    with pytest.raises(ImageError, match="empty"):
        Choices(intensity=(5.0, 5.0)).engine_settings()


def test_the_same_choices_keep_the_restorer(reduced_model: Path) -> None:
    kept = KeptRestorer()
    choices = Choices(model=str(reduced_model), precision="fp32")
    first = kept.get(choices)
    assert kept.get(choices) is first
    other = kept.get(Choices(model=str(reduced_model), precision="fp32", tile=64))
    assert other is not first
    assert other.settings.tile == 64


def test_a_missing_model_is_said_in_words() -> None:
    with pytest.raises(ModelFileError, match="no model 'nowhere'"):
        KeptRestorer().get(Choices(model="nowhere"))
