"""Measure whether the viewer stays alive while it restores, and the restoration fast.

The same image is restored, in turns, by a script (a process of its own, without Qt) and by the
restore widget in a real viewer, with the same model and settings. During each run in the viewer
the gaps between the turns of its event loop are recorded: as long as a gap lasts, clicks and
redraws wait. Half of these runs leave the viewer alone, the other half drag the picture about, as
an impatient user does; for comparison the same is recorded while nothing is restored.

Needs a display:  xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/viewer_responsiveness.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

TICK_MS = 5
DRAG_MS = 200
P95_BAR_MS, LONGEST_BAR_MS, THROUGHPUT_BAR = 100, 400, 0.9

SCRIPT = """
import json, sys, time
import numpy as np
from napari_semnet.widgets.choices import Choices, KeptRestorer
choices, kept = Choices(**json.loads(sys.argv[2])), KeptRestorer()
image = np.load(sys.argv[1])
for _ in sys.stdin:
    restorer = kept.get(choices)
    start = time.perf_counter()
    restorer.restore(image)
    print(time.perf_counter() - start, flush=True)
"""


@dataclass(frozen=True)
class Gaps:
    """Times between turns of the event loop, in milliseconds."""

    p95: float
    """95 of 100 gaps are shorter."""
    p95_wait: float
    """95 of 100 events that come at any moment wait less than this."""
    longest: float
    most_work: float
    """Longest time that the window's own thread computed in one gap. The rest of a gap it waited
    for a core or for Python's lock; on a machine that does other things as well, that is most."""

    @classmethod
    def of(cls, turns: list[tuple[float, float]]) -> Gaps:
        """Sum up gaps, given as (seconds, seconds of work)."""
        gaps, work = 1000 * np.asarray(turns).T
        return cls(
            float(np.percentile(gaps, 95)), _wait(gaps, 0.95), float(gaps.max()), float(work.max())
        )


def _wait(gaps: np.ndarray, share: float) -> float:
    """Wait that is exceeded by 1 - share of all moments; in a gap g, waits spread over 0 to g."""
    low, high = 0.0, float(gaps.max())
    total = gaps.sum()
    for _ in range(60):
        middle = (low + high) / 2
        if np.clip(gaps - middle, 0, None).sum() / total > 1 - share:
            low = middle
        else:
            high = middle
    return high


@contextmanager
def recorded(viewer: Any, *, drag: bool) -> Iterator[list[tuple[float, float]]]:
    """Record the gaps of the event loop, and how long its thread computed in each."""
    from qtpy.QtCore import Qt, QTimer

    gaps: list[tuple[float, float]] = []
    last = time.perf_counter(), time.thread_time()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter(), time.thread_time()
        gaps.append((now[0] - last[0], now[1] - last[1]))
        last = now

    def move() -> None:
        _, y, x = viewer.scene.camera.center
        viewer.scene.camera.center = (y + 3 * (-1) ** len(gaps), x)

    ticking, dragging = QTimer(), QTimer()
    ticking.setTimerType(Qt.TimerType.PreciseTimer)
    ticking.timeout.connect(tick)
    dragging.timeout.connect(move)
    ticking.start(TICK_MS)
    if drag:
        dragging.start(DRAG_MS)
    yield gaps
    ticking.stop()
    dragging.stop()


def process_events_until(done: Any, seconds: float = 3600) -> None:
    """Run the event loop as napari does."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    watch = QTimer()
    end = time.perf_counter() + seconds
    watch.timeout.connect(lambda: loop.quit() if done() or time.perf_counter() > end else None)
    watch.start(20)
    loop.exec()


def ask(script: subprocess.Popen[str]) -> float:
    """Let the script restore once."""
    assert script.stdin is not None
    assert script.stdout is not None
    _write(script.stdin, "run\n")
    return float(script.stdout.readline())


def _write(stream: IO[str], text: str) -> None:
    stream.write(text)
    stream.flush()


def restore_in_viewer(viewer: Any, widget: Any) -> float:
    """Press the button, wait for the end, take the result away."""
    start = time.perf_counter()
    widget.restore_button.click()
    process_events_until(lambda: not widget.run.is_running)
    seconds = time.perf_counter() - start
    del viewer.layers[-1]
    return seconds


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="an 8-bit grey picture; else a sample is made")
    parser.add_argument("--shape", type=int, nargs=2, default=(480, 640), metavar=("Y", "X"))
    parser.add_argument("--model", default="", help="name or path; else the bundled one")
    parser.add_argument("--tile", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()

    import napari
    import torch

    from napari_semnet.imaging.phantom import acquire, particles
    from napari_semnet.restoration.runtime import describe_device
    from napari_semnet.widgets.choices import Choices
    from napari_semnet.widgets.preferences import load_choices, save_choices

    image = _read(options.image) if options.image else acquire(particles(options.shape, 0))
    image = np.ascontiguousarray(image[: options.shape[0], : options.shape[1]])
    choices = replace(Choices(), model=options.model, tile=options.tile)
    file = Path(tempfile.gettempdir()) / f"responsiveness-{os.getpid()}.npy"
    np.save(file, image)
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file), json.dumps(asdict(choices))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    before = load_choices()
    save_choices(choices)
    viewer = napari.Viewer()
    viewer.window.resize(1400, 950)
    viewer.add_image(image, name="source")
    _, widget = viewer.window.add_plugin_dock_widget("napari-semnet", "Restore")
    process_events_until(lambda: widget.is_ready)

    ask(script)
    restore_in_viewer(viewer, widget)
    idle: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    busy: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    times: dict[str, list[float]] = {"script": [], "viewer": [], "viewer, dragged": []}
    loads = []
    for _ in range(options.repeats):
        for drag in (False, True):
            times["script"].append(ask(script))
            with recorded(viewer, drag=drag) as gaps:
                seconds = restore_in_viewer(viewer, widget)
            times["viewer, dragged" if drag else "viewer"].append(seconds)
            busy[drag] += gaps
            with recorded(viewer, drag=drag) as gaps:
                process_events_until(lambda: False, seconds=3)
            idle[drag] += gaps
            loads.append(os.getloadavg()[0])
    assert script.stdin is not None
    script.stdin.close()
    script.wait()
    file.unlink()
    save_choices(before)

    figures = {
        "device": describe_device().name,
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": [round(load, 2) for load in loads],
        "image": image.shape,
        "seconds": times,
        "gaps": {
            name: asdict(Gaps.of(gaps))
            for name, gaps in (
                ("restoring", busy[False]),
                ("restoring, dragged", busy[True]),
                ("idle", idle[False]),
                ("idle, dragged", idle[True]),
            )
        },
        # Neighbours in time are compared, since other work on the machine comes and goes.
        "throughput": {
            "viewer": _ratio(times["script"][::2], times["viewer"]),
            "viewer, dragged": _ratio(times["script"][1::2], times["viewer, dragged"]),
        },
    }
    _report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    viewer.close()
    return 0


def _read(path: Path) -> np.ndarray:
    import imageio.v3

    image: np.ndarray = imageio.v3.imread(path)
    return image if image.ndim == 2 else image[..., 0]


def _ratio(script: list[float], viewer: list[float]) -> float:
    return float(np.median(np.asarray(script) / np.asarray(viewer)))


def _report(figures: dict[str, Any]) -> None:
    print(
        f"{figures['device']}, {figures['threads']} threads on {figures['cores']} cores, "
        f"load {min(figures['load'])} to {max(figures['load'])}; image {figures['image']}\n"
    )
    print(f"{'event loop':24}{'p95 gap':>12}{'p95 wait':>12}{'longest':>12}{'own work':>12}")
    for name, gaps in figures["gaps"].items():
        cells = (f"{gaps[key]:.0f} ms" for key in ("p95", "p95_wait", "longest", "most_work"))
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))
    print(
        f"{'bar while restoring':24}{f'< {P95_BAR_MS} ms':>12}{'':12}{f'< {LONGEST_BAR_MS} ms':>12}"
    )
    print(f"\n{'seconds a run':24}{'median':>12}{'fastest':>12}{'slowest':>12}")
    for name, seconds in figures["seconds"].items():
        cells = (f"{value:.1f} s" for value in (np.median(seconds), min(seconds), max(seconds)))
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))
    for name, ratio in figures["throughput"].items():
        print(f"throughput, {name} / script: {ratio:.2f} (bar: {THROUGHPUT_BAR})")


if __name__ == "__main__":
    raise SystemExit(main())
