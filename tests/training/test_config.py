from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.errors import TrainingError
from napari_semnet.training import sections
from napari_semnet.training.config import (
    PRESETS,
    TrainingConfig,
    config_from,
    load_config,
    preset,
    write_config,
)
from napari_semnet.training.profile import Profile
from napari_semnet.training.toml_text import to_toml

DATA = [{"images": "scans"}]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    texts
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(st.integers(-9, 9), max_size=3)
)
tables = st.recursive(
    st.dictionaries(texts, scalars, max_size=3),
    lambda inner: st.dictionaries(
        texts, scalars | inner | st.lists(inner, min_size=1, max_size=2), max_size=3
    ),
    max_leaves=8,
)


@given(tables)
def test_toml_is_read_back_as_it_was(values: dict) -> None:
    assert tomllib.loads(to_toml(values)) == values


def test_settings_without_a_value_are_left_out() -> None:
    assert to_toml({"a": None, "b": {"c": None}}) == "[b]\n"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_needs_nothing_but_data(name: str) -> None:
    config = config_from({"preset": name, "data": DATA})
    for key, value in preset(name).items():
        written = config.model_dump(mode="json")[key]
        if isinstance(value, dict):
            assert {inner: written[inner] for inner in value} == value
        else:
            assert written == value


def test_the_poster_preset_is_the_poster() -> None:
    config = config_from({"preset": "poster", "data": DATA})
    assert (config.steps, config.batch) == (544_000, 4)
    assert (config.optimiser.learning_rate, config.schedule.halve_every) == (1e-4, 200_000)
    assert config.schedule.kind == "halving"
    losses = config.losses
    assert (losses.l1, losses.histogram, losses.total_variation) == (1.0, 0.1, 0.01)


def test_what_is_said_wins_over_the_preset_key_by_key() -> None:
    config = config_from({"preset": "poster", "data": DATA, "losses": {"histogram": 0.2}})
    assert config.losses.histogram == 0.2
    assert config.losses.total_variation == 0.01


@pytest.mark.parametrize("name", PRESETS)
def test_a_written_configuration_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    config = config_from({"preset": name, "data": DATA, "model": {"name": "a"}}, tmp_path)
    path = tmp_path / "elsewhere" / "config.toml"
    path.parent.mkdir()
    path.write_text(write_config(config), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize(
    "settings", [{"start_from": None}, {"optimiser": {"largest_gradient": None}}]
)
def test_nothing_in_place_of_what_a_preset_says_is_written_too(settings: dict) -> None:
    asked = config_from({"preset": "finetune", "data": DATA, **settings})
    read = config_from(tomllib.loads(write_config(asked)))
    assert read.model_dump(exclude={"preset"}) == asked.model_dump(exclude={"preset"})


def test_a_file_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('steps = 7\n[[data]]\nimages = "a"', encoding="utf-8-sig")
    assert load_config(path).steps == 7


def test_a_folder_of_somebody_unknown_is_refused_with_a_sentence() -> None:
    with pytest.raises(TrainingError, match=r"'data\[1\].images.*folder of ~nobody-at-all is not"):
        config_from({"data": [{"images": "~nobody-at-all/scans"}]})


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'start_from = "old.safetensors"\n[[data]]\nlow = "a"\nhigh = ["b", "/c"]\nkind = "pairs"'
    )
    config = load_config(path)
    assert config.data[0].low == (tmp_path / "a",)
    assert config.data[0].high == (tmp_path / "b", Path("/c"))
    assert config.start_from == str(tmp_path / "old.safetensors")


def test_a_profile_file_becomes_part_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text('name = "ours"\n[[chains]]\nbits = [8]')
    config = config_from({"data": DATA, "degradation": "ours.toml"}, tmp_path)
    assert isinstance(config.degradation, Profile)
    assert config.degradation.name == "ours"
    assert config_from(tomllib.loads(write_config(config))) == config


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data": DATA, "stepps": 5}, "There is no setting 'stepps'; did you mean 'steps'?"),
        (
            {"data": [{"image": "x"}]},
            "There is no setting 'image' in 'data[1]'; did you mean 'images'?",
        ),
        (
            {"data": DATA, "validation": {"sources": [{"images": "x", "wight": 2}]}},
            "There is no setting 'wight' in 'validation.sources[1]'; did you mean 'weight'?",
        ),
        (
            {"data": DATA, "degradation": {"name": "a", "chain": []}},
            "There is no setting 'chain' in 'degradation'; did you mean 'chains'?",
        ),
        (
            {"data": DATA, "degradation": {"name": "a", "chains": [{"blur": {"sigma": [3, 1]}}]}},
            "'degradation.chains[1].blur.sigma': the low end 3 lies above",
        ),
        ({"data": DATA, "degradation": {"chains": [{}]}}, "'degradation.name' is missing."),
        ({"data": DATA, "degradation": 5}, "'degradation': input should be a valid string."),
        (
            {"data": DATA, "losses": {"xyz": 1}},
            "Known there: brightness, halo, histogram, l1, power, psnr, reach, total_variation.",
        ),
        ({}, "'data' is missing."),
        ({"data": {"images": "x"}}, "write [[data]] in place of [data]."),
        ({"data": "pictures"}, "'data' is a list of tables"),
        ({"data": DATA, "augmentation": {"gamma": 2}}, "'augmentation.gamma' is a list: write"),
        ({"data": DATA, "augmentation": {"gamma": {}}}, "'augmentation.gamma' is a list: write"),
        (
            {"data": DATA, "validation": {"sources": {"images": "x"}}},
            "'validation.sources' is a list of tables: write two brackets each way, [[valid",
        ),
        ({"data": ["pictures"]}, "'data[1]' is a table: write [[data]], and its settings in the"),
        ({"data": DATA, "validation": [{}]}, "'validation' is a table: write [validation], and"),
        ({"data": []}, "'data' is a list of at least 1, and 0 are given."),
        (
            {"data": DATA, "augmentation": {"gamma": [1, 1, 2]}},
            "'augmentation.gamma' is a list of at most 2, and 3 are given.",
        ),
        ({"data": DATA, "steps": 0}, "'steps': input should be greater than or equal to 1."),
        ({"data": DATA, "batch": 3, "hardware": {"devices": 2}}, "cannot be split over 2"),
        ({"data": [{"kind": "pairs", "images": "x"}]}, 'needs "low" and "high"'),
        ({"data": [{"kind": "hq", "low": "x", "high": "y"}]}, 'needs "images"'),
        (
            {"data": [{"kind": "noise2noise", "low": "x", "high": "y", "reference": "binned"}]},
            'for kind "hq" only',
        ),
        ({"data": DATA, "losses": dict.fromkeys(("l1", "histogram", "total_variation"), 0)}, "0"),
        ({"data": DATA, "augmentation": {"gamma": [2, 1]}}, "the low end 2 lies above"),
        (
            {"data": DATA, "model": {"name": "../x"}},
            "'model.name': it names a file, so use A to Z,",
        ),
        ({"data": DATA, "preset": "postr"}, "There is no preset 'postr'. Use one of: poster,"),
        (
            {
                "data": DATA,
                "validation": {"sources": [{"kind": "noise2noise", "low": "x", "high": "y"}]},
            },
            "Validation needs good references",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(settings: dict, said: str) -> None:
    with pytest.raises(TrainingError) as caught:
        config_from(settings)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"missing\.toml cannot be read"):
        load_config(tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("steps = ")
    with pytest.raises(TrainingError, match=r"broken\.toml is not valid TOML"):
        load_config(broken)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("data = 1")
    with pytest.raises(TrainingError, match=r"^wrong\.toml: 'data'"):
        load_config(wrong)


@pytest.mark.parametrize("folder", [r"D:\scans", r"C:\Users\me"])
def test_a_path_of_windows_in_double_quotes_is_told_how_to_be_written(
    folder: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'[[data]]\nimages = "{folder}"')
    with pytest.raises(TrainingError, match="Write paths with / or in single quotes"):
        load_config(path)
    path.write_text(f"[[data]]\nimages = '{folder}'")
    assert str(load_config(path).data[0].images[0]).endswith(folder)


def test_every_setting_stands_in_the_reference() -> None:
    page = Path(__file__).parents[2] / "docs" / "train.md"
    if not page.is_file():
        pytest.skip("The documentation is not beside the tests.")
    text = page.read_text(encoding="utf-8")
    tables = [model for model in vars(sections).values() if isinstance(model, type)]
    models = [m for m in tables if issubclass(m, sections.Section)]
    assert len(models) > 10
    for model in (TrainingConfig, *models):
        for name in model.model_fields:
            assert any(f"{a}{name}{z}" in text for a, z in ("``", "[]")), name


def test_a_configuration_cannot_be_changed() -> None:
    config = config_from({"data": DATA})
    assert isinstance(config, TrainingConfig)
    with pytest.raises(ValueError, match="frozen"):
        config.steps = 5  # type: ignore[misc]
