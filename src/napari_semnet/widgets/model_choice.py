"""Choice of a model, with its card at a glance."""

from __future__ import annotations

from html import escape
from pathlib import Path
from textwrap import shorten

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_semnet.widgets.advanced import ignore_wheel_in_passing
from napari_semnet.widgets.catalogue import ModelEntry, model_entries, read_entry
from napari_semnet.widgets.model_files import ask_for_model
from napari_semnet.widgets.model_folder import ModelFolder
from napari_semnet.widgets.wording import card_details, card_summary

__all__ = ["ModelChoice"]

_OTHER_FILE = "Choose a file..."
LIMITS_SHOWN = 150
"""Characters of a card's limits that are shown at once; all of them would push the options away."""
READ_ON = " … (point here to read on)"


class ModelChoice(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Models by name, a file as a last resort, and what the chosen one's card says."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: list[ModelEntry] = []
        self.combo = QComboBox(self)
        ignore_wheel_in_passing(self.combo)
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(12)
        self.summary = QLabel(self)
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)  # cards come from anywhere
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        layout.addWidget(self.summary)
        self.combo.activated.connect(self._on_activated)

    @property
    def key(self) -> str:
        """What `Choices.model` takes."""
        entry = self.entry
        return entry.key if entry is not None else ""

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model; None before any is known."""
        row = self.combo.currentIndex()
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def offer(self, entries: tuple[ModelEntry, ...], key: str) -> None:
        """List models and choose one.

        Parameters
        ----------
        entries : tuple of ModelEntry
            All that can be chosen.
        key : str
            Which one is; the first if it is not among them.
        """
        self._entries = list(entries)
        keys = [entry.key for entry in entries]
        self._list(keys.index(key) if key in keys else 0)

    def follow(self, folder: Path) -> None:
        """List anew whenever something changes in the user's models folder.

        A chosen model that goes stays chosen, and the summary says that it is gone: another one
        must not take its place unseen.
        """
        watch = ModelFolder(folder, self)
        watch.changed.connect(lambda: self.offer(model_entries(self.key), self.key))

    def choose_file(self, path: Path) -> None:
        """Choose a model file that lies anywhere."""
        self.choose(read_entry(str(path)))

    def choose(self, entry: ModelEntry) -> None:
        """Choose a model, which is listed from now on if it was not."""
        self._entries = [known for known in self._entries if known.key != entry.key] + [entry]
        self._list(len(self._entries) - 1)
        self.changed.emit()

    def _list(self, row: int) -> None:
        self.combo.blockSignals(True)
        self.combo.clear()
        self.combo.addItems([entry.label for entry in self._entries])
        self.combo.insertSeparator(len(self._entries))
        self.combo.addItem(_OTHER_FILE)
        self.combo.setCurrentIndex(row)
        self.combo.blockSignals(False)
        self._shown = row
        self._show()

    def _on_activated(self, row: int) -> None:
        if row < len(self._entries):
            self._shown = row
            self._show()
            self.changed.emit()
            return
        self.combo.setCurrentIndex(self._shown)
        path = ask_for_model(self)
        if path is not None:
            self.choose_file(path)

    def _show(self) -> None:
        entry = self.entry
        if entry is None or entry.card is None:
            self.summary.setText(entry.problem if entry is not None else "")
            self.setToolTip("")
            return
        lines = [*card_summary(entry.card)]
        if entry.card.limits:
            lines.append(shorten(entry.card.limits, LIMITS_SHOWN, placeholder=READ_ON))
        self.summary.setText("\n".join(lines))
        details = escape(card_details(entry.card)).replace("\n", "<br>")
        self.setToolTip(f"<p>{details}</p>")  # else Qt takes what looks like HTML for it
