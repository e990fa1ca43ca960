"""A little of the fuzzing that ``python -m tests.fuzz`` does at length, and all it ever found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_semnet
from tests.files.fuzzing import Fuzzer
from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"
SECONDS = 1.0
"""Time box of each target."""
LONGEST = 20.0
"""Seconds of computing after which an input counts as one that hangs."""
PACKAGE = str(Path(napari_semnet.__file__).parent)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_damaged_inputs(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)

    def feed(_: str, content: bytes) -> None:
        began = time.process_time()
        target.feed(content, tmp_path)
        assert time.process_time() - began < LONGEST

    Fuzzer(seeds, PACKAGE, seed=3).run(feed, 150, SECONDS)


@pytest.mark.parametrize("name", ["card", "config", "record", "jeol", "hitachi", "fei", "tescan"])
@settings(max_examples=25)
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_at_all(name: str, content: bytes, tmp_path_factory: object) -> None:
    folder = Path(tmp_path_factory.getbasetemp()) / f"any-{name}"  # type: ignore[attr-defined]
    folder.mkdir(exist_ok=True)
    TARGETS[name].feed(content, folder)


FOUND_INPUTS = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FOUND_INPUTS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_what_was_found_once_stays_mended(path: Path, tmp_path: Path) -> None:
    if path.parent.name not in TARGETS:
        pytest.skip("The package that reads such files is not installed.")
    began = time.process_time()
    TARGETS[path.parent.name].feed(path.read_bytes(), tmp_path)
    assert time.process_time() - began < LONGEST


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_sound_inputs_are_sound(name: str, tmp_path: Path) -> None:
    """A target whose seeds are refused at the door would try nothing."""
    import tests.fuzz.targets as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SemnetError", NeverError)
        for content in TARGETS[name].seeds(tmp_path).values():
            TARGETS[name].feed(content, tmp_path)


class NeverError(Exception):
    """Nothing raises this, so nothing is let pass."""
