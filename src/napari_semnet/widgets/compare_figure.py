"""Page of the compare widget: the compared pictures as a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.panels import (
    DIVERGING,
    colour_table,
    length_text,
    panel_grid,
    panel_pixels,
    scale_bar,
    tinted,
)
from napari_semnet.imaging.plane import Grid, Plane
from napari_semnet.widgets.advanced import ignore_wheel_in_passing
from napari_semnet.widgets.arrangement import ON_RAW, Changes, change_steps
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.compare_subject import CLASSICAL, Subject
from napari_semnet.widgets.figure_page import Figure, Panel, write_figure
from napari_semnet.widgets.layers import region_of, source_name
from napari_semnet.widgets.planes import plane_of

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["Choice", "FigurePage", "figure_steps", "grey_colours"]

RESTORED_NOTE = (
    "Restored pictures were computed by a neural network: their pixels are estimates, not "
    "measurements."
)
PARTS = {"What is in view": "view", "The whole raw image": "slice"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a figure shows."""

    planes: tuple[Plane, ...]
    difference: tuple[Plane, Plane] | None
    """Raw and restored, of which the difference is a panel of its own; or none."""
    place: Grid
    """Part of the specimen."""
    limits: tuple[float, float]
    """Grey levels of black and white, the same in all panels."""
    colours: NDArray[np.uint8]
    """``(256, 3)``."""
    columns: int
    has_network: bool
    """Whether a network computed one of the pictures, which the figure then says."""


def figure_steps(choice: Choice) -> Steps:
    """Bring pictures into the panels of a figure.

    Yields
    ------
    float
        Finished part; a `Figure` is returned.
    """
    grid = panel_grid(choice.place, list(choice.planes))
    total = len(choice.planes) + (choice.difference is not None)
    panels = []
    for number, plane in enumerate(choice.planes, 1):
        pixels = tinted(panel_pixels(plane, grid), choice.limits, choice.colours)
        size = length_text(max(plane.grid.pixel_size), plane.grid.unit)
        panels.append(Panel(plane.name, f"{size} per pixel", pixels))
        yield number / (total + 1)
    if choice.difference is not None:
        raw, restored = choice.difference
        changes: Changes = yield from _silent(change_steps(raw, restored, ON_RAW))
        ends = (-changes.limit, changes.limit)
        shown = tinted(panel_pixels(changes.plane, grid), ends, colour_table(DIVERGING))
        detail = f"blue −{changes.limit:.3g}, white 0, red +{changes.limit:.3g} grey levels"
        panels.append(Panel("restored − raw", detail, shown))
    width = grid.shape[1] * grid.pixel_size[1]
    low, high = choice.limits
    note = (
        f"Equal contrast: black {low:.4g}, white {high:.4g} grey levels in all pictures but "
        "differences."
    )
    if choice.has_network:
        note = f"{note} {RESTORED_NOTE}"
    bar = scale_bar(width, grid.unit)
    return Figure(tuple(panels), min(choice.columns, len(panels)), width, bar, note)


def _silent(work: Steps) -> Steps:
    """Do some work step by step without counting it, so that it can still be stopped."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
        yield 0.9


def grey_colours(layer: Image) -> NDArray[np.uint8]:
    """Give the 256 colours of a layer's map."""
    if layer.rgb:
        return colour_table(np.array([(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]))
    return colour_table(np.asarray(layer.colormap.map(np.linspace(0, 1, 256)))[:, :3])


class FigurePage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Choices of a figure, and a button that saves it.

    Parameters
    ----------
    subject : Subject
    task : Task
        Does what takes time.
    prepare : callable
        Computes what is missing of the compared pictures, then calls its argument.
    parent : QWidget, optional
        As Qt has it.
    """

    refused = Signal(str)
    """What stands against it."""
    saved = Signal(str)
    """Path of a figure that was written."""

    def __init__(
        self,
        subject: Subject,
        task: Task,
        prepare: Callable[[Callable[[], None]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._subject, self._task, self._prepare = subject, task, prepare
        self.part = QComboBox(self)
        ignore_wheel_in_passing(self.part)
        for text, key in PARTS.items():
            self.part.addItem(text, key)
        self.columns = QSpinBox(self)
        ignore_wheel_in_passing(self.columns)
        self.columns.setRange(1, 6)
        self.columns.setValue(2)
        self.has_difference = QCheckBox("With the difference", self)
        self.has_difference.setChecked(True)
        self.save_button = QPushButton("Save a figure (PNG, PDF)", self)
        hint = QLabel(
            "All compared pictures at the contrast of the raw image, each with its name, pixel "
            "size and a scale bar.",
            self,
        )
        hint.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Part", self.part)
        form.addRow("Columns", self.columns)
        form.addRow(self.has_difference)
        layout = QVBoxLayout(self)
        layout.addWidget(hint)
        layout.addLayout(form)
        layout.addWidget(self.save_button)
        layout.addStretch(1)
        self.save_button.clicked.connect(self.ask)

    def ask(self) -> None:
        """Ask for a file name, then write the figure."""
        name, _ = QFileDialog.getSaveFileName(
            self, "Save a figure", "comparison.png", "PNG (*.png);;PDF (*.pdf)"
        )
        if name:
            self.save(Path(name))

    def save(self, path: Path) -> None:
        """Write the figure.

        Parameters
        ----------
        path : Path
            Ends in ``.png`` or ``.pdf``.
        """
        self._prepare(partial(self._save, path))

    def _save(self, path: Path) -> None:
        try:
            choice = self.choice()
        except SemnetError as error:
            self.refused.emit(str(error))
            return

        def write(figure: Figure) -> None:
            try:
                write_figure(path, figure)
            except SemnetError as error:
                self.refused.emit(str(error))
            else:
                self.saved.emit(str(path))

        self._task.start(partial(figure_steps, choice), write)

    def choice(self) -> Choice:
        """Gather what the figure shows.

        Raises
        ------
        SemnetError
            No raw image is chosen, or nothing of it is in view.
        """
        subject = self._subject
        raw = subject.raw()
        planes = tuple(subject.planes())
        first = plane_of(raw, subject.viewer)
        rows, columns = region_of(raw, self.part.currentData(), subject.viewer).slices[-2:]
        restored = subject.restored_list.layer()
        pair = None
        if self.has_difference.isChecked() and restored is not None and restored is not raw:
            pair = (first, plane_of(restored, subject.viewer))
        limits = (float(raw.contrast_limits[0]), float(raw.contrast_limits[1]))
        return Choice(
            tuple(plane if plane.name != CLASSICAL else _named(plane, subject) for plane in planes),
            pair,
            first.grid.crop(rows, columns),
            limits,
            grey_colours(raw),
            self.columns.value(),
            any(source_name(layer) is not None for layer in subject.layers()),
        )


def _named(plane: Plane, subject: Subject) -> Plane:
    """Say in full what the classical restoration is, where no tooltip does."""
    blur = subject.sigma.value()
    return Plane(f"bicubic, Gaussian {blur:g} px", plane.pixels, plane.grid)
