"""Page of the fine-tune dialog: what to learn from, and what is found there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QRect, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.training.draft import Picked, Slot
from napari_semnet.training.pieces import shown_name
from napari_semnet.training.project import KINDS
from napari_semnet.training.survey import Found, Survey
from napari_semnet.widgets.advanced import combo_of, select
from napari_semnet.widgets.finetune_choices import FinetuneChoices
from napari_semnet.widgets.picture_picker import PicturePicker
from napari_semnet.widgets.plain_label import WrappedLabel, plain_tooltip

__all__ = ["ImagesPage"]

TITLES = {
    "hq": ("Good images: slow scans, frame averages", ""),
    "pairs": ("Poor images", "Good images of the same fields, in the same order"),
    "noise2noise": ("First frames", "Second frames of the same fields, in the same order"),
}
HINTS = {
    "hq": "Choose images that are as good as you wish all were. Poor ones are made of them by "
    "adding the noise of a fast scan.",
    "pairs": "Choose as many poor images as good ones. The first of the one list is joined to the "
    "first of the other. A good one has as many pixels, or twice as many each way.",
    "noise2noise": "Choose as many first frames as second ones. Both frames of a field have the "
    "same pixels, and nothing moved between them.",
}
PADDING = 6
"""Pixels around the text of a cell."""
COLUMNS = ("Image", "Pixels", "Pixel size", "Noise", "Use")


class ImagesPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Pick pictures, and read which of them are used for what.

    Parameters
    ----------
    viewer : Viewer
    choices : FinetuneChoices
        What was chosen last.
    parent : QWidget, optional
        As Qt has it.
    """

    changed = Signal()
    """Something else is picked."""

    def __init__(
        self, viewer: Any, choices: FinetuneChoices, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.kind = combo_of(KINDS, self)
        self.first = PicturePicker(viewer, "", self)
        self.second = PicturePicker(viewer, "", self)
        self.look_button = QPushButton("Look through the images", self)
        self.look_button.setToolTip("Reads them as training would, and tells what is of use")
        self.summary = WrappedLabel(self)
        self.table = QTableWidget(0, len(COLUMNS), self)
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().setVisible(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(True)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        layout = QVBoxLayout(self)
        layout.addWidget(self.kind)
        layout.addWidget(self.first)
        layout.addWidget(self.second)
        layout.addWidget(self.look_button)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)
        select(self.kind, choices.kind)
        self.first.folder.setText(choices.first_folder)
        self.second.folder.setText(choices.second_folder)
        self._show_kind()
        self.clear()
        self.kind.currentIndexChanged.connect(self._on_kind)
        for picker in (self.first, self.second):
            picker.changed.connect(self._on_picked)

    def picked(self) -> Picked:
        """Give what is picked; `Picked.check` says whether that suffices."""
        kind = self.kind.currentData()
        return Picked(kind, self.first.slot(), self.second.slot() if kind != "hq" else Slot())

    def show_survey(self, survey: Survey) -> None:
        """List what was found, held out and refused."""
        self.summary.setText("\n".join((survey.summary(), *survey.notices)))
        self.table.clearSpans()
        self.table.setRowCount(len(survey.found) + len(survey.rejected))
        for number, found in enumerate(survey.found):
            for column, text in enumerate(_row(found)):
                self._put(number, column, text)
        for number, refused in enumerate(survey.rejected, len(survey.found)):
            # A reason is a sentence, for which no single column is wide enough.
            self.table.setSpan(number, 0, 1, len(COLUMNS))
            self._put(number, 0, f"{shown_name(Path(refused.path))} refused: {refused.reason}")
        self._fit_rows()

    def clear(self) -> None:
        """Forget what was found; a hint stands in its place."""
        self.table.setRowCount(0)
        self.summary.setText(HINTS[self.kind.currentData()])

    def _put(self, row: int, column: int, text: str) -> None:
        item = QTableWidgetItem(text)
        item.setToolTip(plain_tooltip(text))
        if 0 < column < len(COLUMNS) - 1:
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.table.setItem(row, column, item)

    def _fit_rows(self) -> None:
        """Make each row as high as its text; of cells that span columns, Qt does not do so."""
        table = self.table
        across = QRect(0, 0, table.viewport().width() - 2 * PADDING, 0)
        for row in range(table.rowCount()):
            if table.columnSpan(row, 0) > 1:
                text, wrap = table.item(row, 0).text(), int(Qt.TextFlag.TextWordWrap)
                needed = table.fontMetrics().boundingRect(across, wrap, text).height()
                table.setRowHeight(row, needed + 2 * PADDING)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break reasons into lines anew."""
        super().resizeEvent(event)
        self._fit_rows()

    def let_go(self) -> None:
        """Follow the viewer no longer."""
        self.first.let_go()
        self.second.let_go()

    def _on_kind(self) -> None:
        self._show_kind()
        self._on_picked()

    def _show_kind(self) -> None:
        first, second = TITLES[self.kind.currentData()]
        self.first.title.setText(first)
        self.second.title.setText(second)
        self.second.setVisible(bool(second))

    def _on_picked(self) -> None:
        self.clear()
        self.changed.emit()


def _row(found: Found) -> tuple[str, ...]:
    size = "" if found.pixel_nm is None else f"{found.pixel_nm:.3g} nm"
    use = "held out" if found.is_held_out else "training"
    return found.name, f"{found.columns} × {found.rows}", size, f"{found.noise:.1f}", use
