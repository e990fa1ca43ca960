from __future__ import annotations

import io
import json
from pathlib import Path

from napari_semnet.commands.events import FileBegan
from napari_semnet.commands.reporting import json_lines
from napari_semnet.restoration.events import Progress


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
