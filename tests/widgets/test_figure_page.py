from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_semnet.errors import FileFormatError
from napari_semnet.imaging.panels import scale_bar
from napari_semnet.widgets.figure_page import Figure, Panel, write_figure

pytestmark = pytest.mark.gui

RED, GREEN = (200, 30, 40), (20, 180, 60)
WIDTH_NM = 700.0


@pytest.fixture
def figure(qtbot: Any) -> Figure:
    panels = tuple(
        Panel(name, "2 nm per pixel", np.full((240, 350, 3), colour, dtype=np.uint8))
        for name, colour in (("raw", RED), ("restored", GREEN))
    )
    return Figure(panels, 2, WIDTH_NM, scale_bar(WIDTH_NM), "Equal contrast.")


def count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(axis=-1).sum())


def test_a_png_holds_every_pixel_of_the_panels(figure: Figure, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    write_figure(path, figure)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    bar = 240 * 350 - count(pixels, RED)
    assert 0 < bar < 240 * 350 / 10
    assert count(pixels, GREEN) == 240 * 350 - bar
    assert pixels.shape[1] > 2 * 350


def test_the_scale_bar_is_as_long_as_it_says_to_a_pixel(figure: Figure, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    write_figure(path, figure)
    pixels = np.asarray(Image.open(path).convert("L")).astype(int)
    assert figure.bar.text == "200 nm"
    rows, columns = np.nonzero((np.asarray(Image.open(path).convert("RGB")) == RED).all(-1))
    panel = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    longest = max(
        (
            len(run)
            for row in panel
            for run in re.findall("w+", "".join("w" if v > 250 else "." for v in row))
        ),
        default=0,
    )
    assert abs(longest - 200 / WIDTH_NM * 350) <= 1


def test_a_pdf_keeps_pictures_without_loss_and_text_as_text(figure: Figure, tmp_path: Path) -> None:
    path = tmp_path / "figure.pdf"
    write_figure(path, figure)
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Subtype /Image") == 2
    assert b"/DCTDecode" not in content
    assert b"/Font" in content


def test_other_kinds_of_files_are_refused_and_nothing_is_written(
    figure: Figure, tmp_path: Path
) -> None:
    with pytest.raises(FileFormatError, match=r"\.png or \.pdf"):
        write_figure(tmp_path / "figure.docx", figure)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(figure: Figure, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileFormatError, match="Choose another folder"):
        write_figure(tmp_path / "file" / "figure.png", figure)
