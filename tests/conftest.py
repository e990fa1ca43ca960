"""Fixtures that several rooms of the test suite share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes depends on who else uses the machine, which is no property of the code.
settings.register_profile("project", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="session")
def own_measurements(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests measure of this machine apart from what its user has measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real pictures and vendor files, which the repository does not carry."""
    folder = Path(os.environ.get("NAPARI_SEMNET_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("The folder of real pictures is not beside this checkout.")
    return folder
