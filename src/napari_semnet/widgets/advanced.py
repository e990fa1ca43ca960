"""Options that few need, folded away in the restore widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_semnet.errors import ImageError
from napari_semnet.widgets.choices import HALOS, NON_FINITE, PRECISIONS, Choices
from napari_semnet.widgets.folder_choice import FolderChoice

__all__ = ["AdvancedOptions", "combo_of", "ignore_wheel_in_passing", "select"]

_LARGEST_TILE = 16384


def combo_of(options: Mapping[str, str], parent: QWidget) -> QComboBox:
    """Make a box that shows the words of a mapping and holds its keys."""
    combo = QComboBox(parent)
    ignore_wheel_in_passing(combo)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(10)
    for key, words in options.items():
        combo.addItem(words, key)
    return combo


def select(combo: QComboBox, key: str) -> None:
    """Choose by key; the first option when there is none of that key."""
    combo.setCurrentIndex(max(0, combo.findData(key)))


class _WheelInPassing(QObject):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Keeps the mouse wheel from a box that is not in use; the page around it gets it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore the wheel over a box without the focus."""
        is_in_passing = event.type() == QEvent.Type.Wheel and not watched.hasFocus()
        if is_in_passing:
            event.ignore()
        return bool(is_in_passing)


def ignore_wheel_in_passing(box: QWidget) -> None:
    """Let the wheel change a box only once it was clicked: scrolling would change it else."""
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.installEventFilter(_WheelInPassing(box))


class AdvancedOptions(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Precision, tile, halo, intensity range and what to do with missing pixels."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.precision = combo_of(PRECISIONS, self)
        self.tile = QSpinBox(self)
        ignore_wheel_in_passing(self.tile)
        self.tile.setRange(0, _LARGEST_TILE)
        self.tile.setSingleStep(64)
        self.tile.setSpecialValueText("Automatic")
        self.tile.setSuffix(" px")
        self.tile.setToolTip("Side of a tile, in pixels of the source")
        self.halo = combo_of(HALOS, self)
        self.halo.setEditable(True)
        self.halo.setToolTip(
            "Pixels of the source that are read around each tile, or\n"
            "Automatic: as many as the model was measured to need\n"
            "Exact: as far as the network can reach, which is slow"
        )
        self.intensity = combo_of({"auto": "Automatic", "given": "From ... to ..."}, self)
        self.intensity.setToolTip("Grey levels that the network sees as black and white")
        self.low, self.high = _number(self, "0"), _number(self, "255")
        self._range = QWidget(self)
        limits = QHBoxLayout(self._range)
        limits.setContentsMargins(0, 0, 0, 0)
        for part in (self.low, QLabel("to", self._range), self.high):
            limits.addWidget(part)
        self._range.setVisible(False)
        self.non_finite = combo_of(NON_FINITE, self)
        self.folder = FolderChoice("Folder for results on disk", self)
        self.folder.line.setPlaceholderText("Automatic")
        self.folder.setToolTip(
            "Folder for results that are larger than the free memory,\n"
            "or are restored as they are viewed.\n"
            "Automatic: the source's, where that can be written to"
        )

        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Precision", self.precision)
        form.addRow("Tile", self.tile)
        form.addRow("Halo", self.halo)
        form.addRow("Intensity", self.intensity)
        form.addRow("", self._range)
        form.addRow("NaN pixels", self.non_finite)
        form.addRow("On disk in", self.folder)

        self.intensity.currentIndexChanged.connect(self._on_intensity)
        for combo in (self.precision, self.intensity, self.non_finite):
            combo.currentIndexChanged.connect(self.changed)
        self.halo.currentTextChanged.connect(self.changed)
        self.tile.valueChanged.connect(self.changed)
        self.folder.changed.connect(self.changed)

    def show_choices(self, choices: Choices) -> None:
        """Set all options."""
        select(self.precision, choices.precision)
        self.tile.setValue(choices.tile)
        if choices.halo in HALOS:
            select(self.halo, choices.halo)
        else:
            self.halo.setEditText(choices.halo)
        select(self.non_finite, choices.non_finite)
        self.folder.line.setText(choices.folder)
        select(self.intensity, "auto" if choices.intensity is None else "given")
        if choices.intensity is not None:
            self.suggest_range(*choices.intensity)

    def into(self, choices: Choices) -> Choices:
        """Put the options into choices.

        Raises
        ------
        ImageError
            An end of the intensity range is no number.
        """
        return replace(
            choices,
            precision=self.precision.currentData(),
            tile=self.tile.value(),
            halo=self._halo(),
            intensity=self._intensity(),
            non_finite=self.non_finite.currentData(),
            folder=self.folder.line.text().strip(),
        )

    def suggest_range(self, low: float, high: float) -> None:
        """Fill in an intensity range, which acts only once a given range is chosen."""
        self.low.setText(f"{low:g}")
        self.high.setText(f"{high:g}")

    def _halo(self) -> str:
        text = str(self.halo.currentText()).strip()
        by_words = {words: key for key, words in HALOS.items()}
        return by_words.get(text, text.removesuffix("px").strip())

    def _intensity(self) -> tuple[float, float] | None:
        if self.intensity.currentData() == "auto":
            return None
        try:
            return _value(self.low), _value(self.high)
        except ValueError as error:
            raise ImageError(
                "The intensity range needs two numbers. Fill in both under Advanced, or choose "
                "the automatic range."
            ) from error

    def _on_intensity(self, _row: Any = None) -> None:
        self._range.setVisible(self.intensity.currentData() == "given")


def _number(parent: QWidget, text: str) -> QLineEdit:
    edit = QLineEdit(text, parent)
    edit.setMinimumWidth(50)
    return edit


def _value(edit: QLineEdit) -> float:
    """Read a number, with a decimal point or a comma, whatever the language of the system."""
    return float(edit.text().replace(",", "."))
