from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_semnet.cli import main

app = QApplication([])
begin = time.monotonic()

def look():
    import napari
    viewer = napari.current_viewer()
    if viewer is None or not viewer.canvas.grid.enabled:
        if time.monotonic() - begin > 200:
            app.quit()
        return
    timer.stop()
    print("shown:", [layer.name for layer in viewer.layers if layer.visible])
    print("hidden:", [layer.name for layer in viewer.layers if not layer.visible])
    print("extents:", [layer.extent.world.shape for layer in viewer.layers])
    viewer.close()

timer = QTimer()
timer.timeout.connect(look)
timer.start(100)
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.gui
def test_the_demo_opens_a_viewer_with_sample_and_restoration_side_by_side(
    reduced_model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, "demo", "--model", str(reduced_model)]
    command += ["--device", "cpu", "--precision", "fp32"]
    answer = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=280, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "shown: ['particles (noisy)', 'particles (restored)']" in answer.stdout
    assert "hidden: ['particles (truth)']" in answer.stdout
    assert not list(tmp_path.iterdir())
