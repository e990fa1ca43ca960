from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

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


@pytest.mark.parametrize("blank", [{"images": ""}, {"images": [""]}, {"images": "a", "table": ""}])
def test_a_blank_is_no_folder(blank: dict[str, Any]) -> None:
    # It would mean the folder of the configuration, with all that is in it.
    with pytest.raises(ValidationError, match="a blank names no file or folder"):
        Source.model_validate(blank)
    assert Source.model_validate({"images": "."}).images == (Path(),)
