"""``napari-semnet demo``: a specimen with known truth, its noisy picture and the restoration."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values
from napari_semnet.commands.engine import add_engine_options, restorer_from
from napari_semnet.files.atomic import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_semnet.commands.events import BatchEvent
    from napari_semnet.imaging.phantom import Specimen
    from napari_semnet.restoration.restorer import Restorer

__all__ = ["DemoFiles", "add_parser", "run", "why_no_viewer", "write_demo"]

SHAPE = (480, 640)
"""Pixels of the sample, (Y, X); with `SEED`, that of napari's File > Open Sample."""
SEED = 0
_CROP = 440


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What `write_demo` wrote, and how well the restoration matches the truth."""

    sample: Path
    restored: Path
    figure: Path
    psnr_bicubic: float
    """Of the bicubically enlarged sample against the truth, in dB."""
    psnr_restored: float
    """Of the restoration against the truth, in dB."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``demo`` to the command line."""
    parser = commands.add_parser(
        "demo",
        help="restore a sample and show it",
        description=(
            "Restore a synthetic specimen whose truth is known and show both side by side in "
            "napari; without a screen, write them as files."
        ),
    )
    parser.add_argument("--no-viewer", action="store_true", help="write files, open no window")
    parser.add_argument(
        "--specimen",
        default="particles",
        choices=("particles", "fibres", "grating", "step_edge"),
        help="what to look at (default: particles)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=values.path,
        default="semnet-demo",
        help="where the files go when there is no window (default: %(default)s)",
    )
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the demo in napari, or write it as files where no window can open."""
    from napari_semnet.commands import reporting
    from napari_semnet.imaging.phantom import SPECIMENS

    specimen = SPECIMENS[arguments.specimen](SHAPE, SEED)
    restorer = restorer_from(arguments)
    obstacle = "it was not asked for" if arguments.no_viewer else why_no_viewer()
    if not obstacle:
        _show_in_napari(specimen, restorer)
        return 0
    _say(f"No viewer, because {obstacle}: writing files instead.")
    with reporting.progress_display() as report:
        for event in write_demo(specimen, restorer, arguments.output):
            if isinstance(event, DemoFiles):
                files = event
            else:
                report(event)
    _say(
        f"Sample (noisy):           {files.sample}\n"
        f"Restored, calibrated:     {files.restored}\n"
        f"Side by side with truth:  {files.figure}\n"
        f"PSNR against the truth:   bicubic {files.psnr_bicubic:.2f} dB, "
        f"restored {files.psnr_restored:.2f} dB"
    )
    return 0


def why_no_viewer() -> str:
    """Say what keeps napari from opening a window here; empty if nothing does."""
    if importlib.util.find_spec("napari") is None or importlib.util.find_spec("qtpy") is None:
        return "napari is not installed"
    if os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] in ("offscreen", "minimal", "vnc"):
        return f"QT_QPA_PLATFORM is {os.environ['QT_QPA_PLATFORM']}"
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not has_display:
        return "there is no screen"
    # Qt ends the whole process when a display is named but cannot be used, or when one of its
    # libraries is missing: so it is tried in a process of its own.
    attempt = [sys.executable, "-c", "from qtpy.QtWidgets import QApplication; QApplication([])"]
    try:
        tried = subprocess.run(attempt, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "Qt does not answer"
    if tried.returncode == 0:
        return ""
    lines = [line for line in tried.stderr.splitlines() if line.strip()]
    return f"Qt cannot open a window ({lines[-1].strip() if lines else 'it says no reason'})"


def write_demo(
    specimen: Specimen, restorer: Restorer, folder: Path
) -> Iterator[BatchEvent | DemoFiles]:
    """Restore a sample of a specimen by way of files, as any picture would be.

    Parameters
    ----------
    specimen : Specimen
    restorer : Restorer
    folder : Path
        Made if missing; files of an earlier demo are replaced.

    Yields
    ------
    the events of the restoration, at last DemoFiles
    """
    from napari_semnet.commands import batch, events, figure, jobs
    from napari_semnet.files.writer import write_tiff
    from napari_semnet.imaging.phantom import acquire
    from napari_semnet.imaging.quality import psnr
    from napari_semnet.restoration.events import Finished

    sample = acquire(specimen, seed=SEED)
    source = folder / f"{specimen.name}.tif"
    pixel_size = 2 * specimen.pixel_size_nm
    write_tiff(source, sample, pixel_size_nm=(pixel_size, pixel_size))
    job = jobs.Job(source, folder / jobs.result_name(source))
    yield events.FileBegan(job.source, job.target, 1, 1)
    restored: NDArray[np.uint8] | None = None
    for event in batch.restore_file(job, restorer):
        if isinstance(event, Finished):
            restored = event.restored.pixels
        yield event
    assert restored is not None, "A run ends with Finished."

    truth = _eight_bits(specimen)
    enlarged = figure.bicubic(sample)
    before, after = psnr(enlarged, truth, 255), psnr(restored, truth, 255)
    coarse, fine = f"{pixel_size:g} nm pixels", f"{specimen.pixel_size_nm:g} nm pixels"
    panels = [
        figure.Panel("acquired", coarse, _middle(figure.nearest(sample))),
        figure.Panel("bicubic", f"{fine}, PSNR {before:.2f} dB", _middle(enlarged)),
        figure.Panel(restorer.model.name, f"{fine}, PSNR {after:.2f} dB", _middle(restored)),
        figure.Panel("truth", fine, _middle(truth)),
    ]
    path = folder / f"{specimen.name}_side-by-side.png"
    with replacing(path) as temporary:
        figure.side_by_side(panels, specimen.pixel_size_nm).save(temporary)
    yield DemoFiles(source, job.target, path, before, after)


def _show_in_napari(specimen: Specimen, restorer: Restorer) -> None:
    """Open a viewer with the sample, its restoration and, hidden, the truth; return at its end."""
    import napari

    from napari_semnet.commands import reporting
    from napari_semnet.imaging.geometry import Placement, restored_placement
    from napari_semnet.restoration.events import Finished
    from napari_semnet.widgets.samples import sample_layers
    from napari_semnet.widgets.side_by_side import show_side_by_side

    truth_data, sample_data = sample_layers(specimen.name, SHAPE, SEED)
    restored = None
    with reporting.progress_display() as report:
        for event in restorer.run(sample_data[0]):
            report(event)
            if isinstance(event, Finished):
                restored = event.restored.pixels
    viewer = napari.Viewer(title="napari-semnet demo")
    viewer.add_image(truth_data[0], **truth_data[1])
    sample = viewer.add_image(sample_data[0], **sample_data[1])
    place = restored_placement(Placement.of(sample))
    result = viewer.add_image(
        restored, name=f"{specimen.name} (restored)", **place.as_layer_kwargs()
    )
    show_side_by_side(viewer, [sample, result])
    _say("Close the viewer to end the demo. Hidden in its layer list: the truth.")
    napari.run()


def _eight_bits(specimen: Specimen) -> NDArray[np.uint8]:
    import numpy as np

    return np.rint(255 * specimen.truth).astype(np.uint8)


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut out the middle: pictures are compared at full size, not shrunk to fit."""
    top, left = (max(0, (n - _CROP) // 2) for n in image.shape)
    return image[top : top + _CROP, left : left + _CROP]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
