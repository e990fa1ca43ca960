from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np

from napari_semnet.commands.events import FileBegan
from napari_semnet.commands.reporting import as_json, json_lines
from napari_semnet.restoration.events import Progress
from napari_semnet.training.events import Evaluated


def test_progress_is_a_line_only_where_there_is_some() -> None:
    stream = io.StringIO()
    with json_lines(stream) as report:
        for number in (1, 2):
            report(FileBegan(Path("a.tif"), Path("b.tif"), number, 2))
            for fraction in (0.0, 0.0, 0.25, 0.25, 1.0):
                report(Progress(fraction))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    fractions = [line["fraction"] for line in lines if line["event"] == "progress"]
    assert fractions == [0.0, 0.25, 1.0] * 2


def test_figures_that_are_not_finite_are_told_as_null() -> None:
    told = as_json(Evaluated(1, math.inf, math.nan, np.float64(math.inf), 0.5, False))
    assert [told[key] for key in ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim")] == [
        None,
        None,
        None,
        0.5,
    ]
