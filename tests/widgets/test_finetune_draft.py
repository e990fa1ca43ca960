"""What the fine-tune dialog writes before there is a run does not outlast it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

pytestmark = pytest.mark.gui


def test_work_that_writes_after_the_dialog_went_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_semnet.widgets.finetune_draft import Draft

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def writing(place: Path) -> Generator[float, None, None]:
        yield 0.0
        place.mkdir(parents=True, exist_ok=True)
        (place / "picture").write_bytes(b"pixels")
        yield 0.5

    draft = Draft()
    work = draft.begin(writing)()
    next(work)
    draft.leave()
    next(work)  # it had not heard yet that it was cancelled
    work.close()
    assert list(tmp_path.iterdir()) == []


def test_each_work_has_a_place_after_those_before_it() -> None:
    from napari_semnet.widgets.finetune_draft import Draft

    draft = Draft()
    places: list[Path] = []

    def noting(place: Path) -> Generator[float, None, None]:
        places.append(place)
        yield 0.0

    for begin in [draft.begin(noting) for _ in range(12)]:
        next(begin())
    assert places == sorted(set(places))
    assert not any(place.exists() for place in places)
    draft.leave()
    assert not draft.folder.exists()
