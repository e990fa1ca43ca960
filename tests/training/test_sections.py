from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.training.sections import Source


@pytest.mark.parametrize(
    ("place", "title"),
    [
        ("x/scans", "scans"),
        ("x/scans/*.tif", "scans"),
        ("x/scans/day-?.tif", "scans"),
        ("x/good.2024", "good.2024"),
        ("x/field.tif", "field"),
    ],
)
def test_a_source_is_called_as_its_folder_or_file(place: str, title: str) -> None:
    assert Source.model_validate({"images": Path(place)}).title == title
