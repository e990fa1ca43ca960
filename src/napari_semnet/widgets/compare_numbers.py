"""Page of the compare widget: regions, and figures against a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.agreement import Agreement, agreement, data_range
from napari_semnet.imaging.panels import length_text
from napari_semnet.imaging.plane import Plane, refuse_mixed_units
from napari_semnet.imaging.regions import contrast_to_noise, region_statistics
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.compare_subject import Subject
from napari_semnet.widgets.drawn import Drawing
from napari_semnet.widgets.plain_label import WrappedLabel, plain_tooltip
from napari_semnet.widgets.planes import plane_of

__all__ = [
    "NumbersPage",
    "Table",
    "agreement_steps",
    "agreement_table",
    "describe_drift",
    "region_table",
]

Row = tuple[str, ...]
Table = tuple[Row, list[Row]]
"""Headings with their units, and rows of text."""


def region_table(planes: Sequence[Plane], outlines: Sequence[NDArray[np.float64]]) -> Table:
    """Measure every picture in every region.

    Parameters
    ----------
    planes : sequence of Plane
    outlines : sequence of ndarray, (N, 2)
        Corners in the unit of the planes; the contrast-to-noise ratio is that of the first two.

    Returns
    -------
    Table

    Raises
    ------
    ImageError
        A region holds hardly a pixel of a picture.
    """
    rows: list[Row] = []
    found = [[region_statistics(plane, outline) for outline in outlines] for plane in planes]
    for number in range(len(outlines)):
        for plane, regions in zip(planes, found, strict=True):
            region = regions[number]
            rows.append(
                (
                    f"{number + 1}",
                    plane.name,
                    f"{region.mean:.2f}",
                    f"{region.deviation:.2f}",
                    f"{region.count}",
                )
            )
    if len(outlines) >= 2:
        rows += [
            ("1 : 2", plane.name, f"CNR {contrast_to_noise(regions[0], regions[1]):.2f}", "", "")
            for plane, regions in zip(planes, found, strict=True)
        ]
    return ("#", "Picture", "Mean (grey)", "SD (grey)", "Pixels"), rows


def agreement_steps(planes: Sequence[Plane], reference: Plane) -> Steps:
    """Measure pictures against a reference one by one.

    Yields
    ------
    float
        Finished part; a list of `Agreement` is returned.
    """
    found = []
    for number, plane in enumerate(planes, 1):
        found.append(agreement(plane, reference))
        yield number / len(planes)
    return found


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Lay figures against a reference out in rows."""
    rows: list[Row] = []
    for one in found:
        rows.append((one.name, "as it is", f"{one.psnr_db:.2f}", f"{one.ssim:.4f}"))
        rows.append((one.name, "fitted", f"{one.fitted_psnr_db:.2f}", f"{one.fitted_ssim:.4f}"))
    return ("Picture", "Contrast", "PSNR (dB)", "SSIM"), rows


def describe_drift(found: Sequence[Agreement]) -> str:
    """Say by how much each picture lay beside the reference."""
    drifts = (
        f"{one.name} {length_text(float(np.hypot(*one.shift)), one.unit, 2)}" for one in found
    )
    return "Drift taken out: " + ", ".join(drifts) + "."


class NumbersPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """A table of figures.

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

    def __init__(
        self,
        subject: Subject,
        task: Task,
        prepare: Callable[[Callable[[], None]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._subject, self._task, self._prepare = subject, task, prepare
        self._shows_regions = False
        self.drawing = Drawing(subject.viewer, "compare: regions", "add_rectangle", self)
        self.drawing.is_numbered = True
        self.draw_button = QPushButton("Draw regions", self)
        self.draw_button.setToolTip(
            "The first two regions, such as specimen and ground, also give the contrast-to-noise "
            "ratio (CNR)"
        )
        self.reference_button = QPushButton("PSNR, SSIM", self)
        self.reference_button.setToolTip(
            "Of each picture against “Other” as the reference, registered to a fraction of a pixel"
        )
        self.copy_button = QPushButton("Copy", self)
        self.copy_button.setToolTip("Copy the table, for a spreadsheet")
        self.table = QTableWidget(self)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.verticalHeader().setVisible(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setWordWrap(False)
        self.note = WrappedLabel(self)
        row = QHBoxLayout()
        for button in (self.draw_button, self.reference_button, self.copy_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.note)
        self.draw_button.clicked.connect(self.draw)
        self.reference_button.clicked.connect(lambda: self._prepare(self.measure_agreement))
        self.copy_button.clicked.connect(self.copy)
        self.drawing.changed.connect(self.measure_regions)

    def draw(self) -> None:
        """Let the user draw regions."""
        layers = self._subject.layers()
        if not layers:
            self._refuse("Choose the layers to compare above.")
            return
        self.drawing.draw(layers[0])
        self._prepare(self.measure_regions)

    def measure_regions(self) -> None:
        """Measure within the drawn regions."""
        outlines = [outline for outline in self.drawing.outlines() if len(outline) > 2]
        if not outlines:
            if self._shows_regions:
                self.clear()
            return
        try:
            planes = self._subject.planes()
            refuse_mixed_units(planes)
            self.show_table(region_table(planes, outlines))
        except SemnetError as error:
            self._refuse(str(error))
            return
        self._shows_regions = True
        self.note.setText(
            "Grey levels of the raw image. Smoothing alone lowers deviations and raises the CNR."
        )

    def measure_agreement(self) -> None:
        """Measure all pictures against the other layer."""
        subject = self._subject
        other = subject.other()
        try:
            if other is None:
                raise SemnetError(
                    "PSNR and SSIM need a reference: choose a slow scan of the same place as "
                    "“Other”."
                )
            reference = plane_of(other, subject.viewer)
            planes = [plane for plane in subject.planes() if plane.name != reference.name]
            if not planes:
                raise SemnetError(
                    f"There is nothing to compare with “{reference.name}”. Choose the raw image "
                    "and its restoration above."
                )
        except SemnetError as error:
            self._refuse(str(error))
            return

        def show(found: list[Agreement]) -> None:
            self.show_table(agreement_table(found))
            self._shows_regions = False
            self.note.setText(
                f"Against “{reference.name}”, on its pixels, over a range of "
                f"{data_range(reference):.4g} grey levels. “Fitted”: with brightness and contrast "
                f"fitted to the reference. {describe_drift(found)}"
            )

        self._task.start(partial(agreement_steps, planes, reference), show)

    def show_table(self, table: Table) -> None:
        """Show headings and rows."""
        headings, rows = table
        self.table.setColumnCount(len(headings))
        self.table.setRowCount(len(rows))
        self.table.setHorizontalHeaderLabels(headings)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        # Names may be long; figures must be read whole.
        header.setSectionResizeMode(headings.index("Picture"), QHeaderView.ResizeMode.Stretch)
        for line, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tooltip(text))
                if _is_figure(text):
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(line, column, item)

    def clear(self) -> None:
        """Show nothing, as what was measured is compared no more."""
        self._shows_regions = False
        self.table.setRowCount(0)
        self.note.setText("")

    def copy(self) -> None:
        """Copy the table, tabs between columns."""
        headings = range(self.table.columnCount())
        lines = ["\t".join(self.table.horizontalHeaderItem(c).text() for c in headings)]
        lines += [
            "\t".join(self.table.item(row, column).text() for column in headings)
            for row in range(self.table.rowCount())
        ]
        QGuiApplication.clipboard().setText("\n".join(lines))

    def let_go(self) -> None:
        """Follow the viewer no longer; the regions stay in it."""
        self.drawing.let_go()

    def _refuse(self, reason: str) -> None:
        self.clear()
        self.refused.emit(reason)


def _is_figure(text: str) -> bool:
    return text.replace(".", "").replace("-", "").isdigit()
