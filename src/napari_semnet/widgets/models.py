"""The models widget: which models there are, what their cards say, and what to do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSplitter,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from napari_semnet.errors import SemnetError
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.card_view import card_html
from napari_semnet.widgets.commands import restore_with
from napari_semnet.widgets.docked import Docked
from napari_semnet.widgets.model_export import ModelExport
from napari_semnet.widgets.model_files import ask_for_model
from napari_semnet.widgets.model_folder import ModelFolder
from napari_semnet.widgets.preferences import load_choices, save_choices

if TYPE_CHECKING:
    from napari_semnet.library import Listed

__all__ = ["ModelsWidget"]

NAME, ORIGIN = range(2)


class ModelsWidget(Docked):
    """List, look at, import, rename, delete and export models.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer; the name of this parameter is how napari knows to pass it.
    """

    listed = Signal()
    """The list is up to date."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._entries: tuple[Listed, ...] = ()
        self._watch: ModelFolder | None = None
        self._wanted = ""
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(lambda: self._refresh(self._wanted))
        self.task = Task(self)
        self._build()
        self._connect()
        self._update()
        self.status.setText("Looking for models")
        # Reading cards imports PyTorch, which takes seconds; the window should open at once.
        self.task.start(_find_models, self._on_found)

    def sizeHint(self) -> QSize:
        """Give a width in which a card can be read."""
        return QSize(360, 620)

    @property
    def chosen(self) -> Listed | None:
        """The model that is selected in the list."""
        item = self.list.currentItem()
        row = self.list.indexOfTopLevelItem(item) if item is not None else -1
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def choose(self, name: str) -> None:
        """Select a model by its name."""
        for row, entry in enumerate(self._entries):
            if entry.name == name:
                self.list.setCurrentItem(self.list.topLevelItem(row))

    def import_file(self, path: Path) -> None:
        """Check a model file and copy it among the user's models."""

        def show(entry: Listed) -> None:
            is_known = entry in self._entries
            self._refresh(entry.name)
            self._say(f"{'Already there' if is_known else 'Imported'} as '{entry.name}'")

        self._work(partial(_import, path), show)

    def delete_chosen(self) -> None:
        """Set the chosen model aside; `undo` puts it back."""
        from napari_semnet.library import KEPT_DAYS, delete_model

        entry = self.chosen
        if entry is not None and self._done(lambda: delete_model(entry.name)):
            self._refresh()
            self._say(f"'{entry.name}' is deleted. It can be put back for {KEPT_DAYS} days")

    def undo(self) -> None:
        """Put back the model that was deleted last."""
        from napari_semnet.library import deleted_models, put_back

        names = deleted_models()
        if names and self._done(lambda: put_back(names[0])):
            self._refresh(names[0])
            self._say(f"'{names[0]}' is back")

    def use_chosen(self) -> None:
        """Choose the model in the restore widget, and for the next sessions."""
        entry = self.chosen
        if entry is not None:
            restore_with(self._viewer, entry.name)
            self._say(f"'{entry.name}' is chosen in the restore widget")

    def let_go(self) -> None:
        """Stop all work."""
        self.task.cancel()

    def _build(self) -> None:
        self.list = QTreeWidget(self)
        self.list.setHeaderLabels(["Model", "From"])
        self.list.setRootIsDecorated(False)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.list.setToolTip("F2 renames one of your own models, Del deletes it")
        self.list.installEventFilter(self)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(ORIGIN, QHeaderView.ResizeMode.ResizeToContents)
        self.card = QTextBrowser(self)
        self.card.setOpenLinks(False)
        self.use_button = QPushButton("Use for restoring", self)
        self.use_button.setToolTip("Opens the restore widget with this model chosen")
        self.import_button = QPushButton("Import...", self)
        self.import_button.setToolTip("Check a .safetensors file, and copy it to your own models")
        self.rename_button = QPushButton("Rename", self)
        self.delete_button = QPushButton("Delete", self)
        self.undo_button = QPushButton("Undo", self)
        self.undo_button.setToolTip("Put back the model that was deleted last")
        self.export = ModelExport(self.task, self)
        self.status = QLabel(self)
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setMinimumHeight(2 * self.fontMetrics().height() + 2)
        rows = [QHBoxLayout(), QHBoxLayout()]
        rows[0].addWidget(self.use_button, 1)
        rows[0].addWidget(self.import_button, 1)
        for button in (self.rename_button, self.delete_button, self.undo_button):
            rows[1].addWidget(button, 1)
        split = QSplitter(Qt.Orientation.Vertical, self)
        split.addWidget(self.list)
        split.addWidget(self.card)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 3)
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.addWidget(split, 1)
        for row in rows:
            layout.addLayout(row)
        layout.addWidget(self.export)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.list.currentItemChanged.connect(lambda *_: self._update())
        self.list.itemChanged.connect(self._on_edited)
        self.use_button.clicked.connect(lambda: self.use_chosen())
        self.import_button.clicked.connect(lambda: self._ask())
        self.rename_button.clicked.connect(lambda: self._edit())
        self.delete_button.clicked.connect(lambda: self.delete_chosen())
        self.undo_button.clicked.connect(lambda: self.undo())
        self.export.told.connect(self._say)
        self.task.failed.connect(self._say)
        self.task.began.connect(self._update)
        self.task.ended.connect(self._update)

    def _on_found(self, found: tuple[tuple[Listed, ...], Path]) -> None:
        entries, folder = found
        self._watch = ModelFolder(folder, self)
        self._watch.changed.connect(lambda: self._refresh())
        self._say("")
        self._show(entries, "")

    def _refresh(self, name: str = "") -> None:
        """Read the list anew, and keep or change what is chosen in it."""
        from napari_semnet.library import list_models

        if self.list.state() == QAbstractItemView.State.EditingState:
            return
        self._show(list_models(), name)

    def _show(self, entries: tuple[Listed, ...], name: str) -> None:
        name = name or (self.chosen.name if self.chosen is not None else "")
        row = max(0, self.list.indexOfTopLevelItem(self.list.currentItem()))
        self._entries = entries
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addTopLevelItems([_item(entry) for entry in entries])
        names = [entry.name for entry in entries]
        row = names.index(name) if name in names else min(row, len(entries) - 1)
        self.list.setCurrentItem(self.list.topLevelItem(row))
        self.list.blockSignals(False)
        self._update()
        self.listed.emit()

    def _update(self) -> None:
        """Show the chosen model's card, and what can be done with it."""
        entry, busy = self.chosen, self.task.is_running
        self.card.setHtml(card_html(entry) if entry is not None else "")
        usable = entry is not None and entry.card is not None
        own = entry is not None and entry.is_own
        self.use_button.setEnabled(usable and not busy)
        self.import_button.setEnabled(bool(self._entries) and not busy)
        self.rename_button.setEnabled(own and not busy)
        self.delete_button.setEnabled(own and not busy)
        self.undo_button.setEnabled(not busy and self._has_deleted())
        self.export.offer(entry if usable else None)

    def _has_deleted(self) -> bool:
        if not self._entries:
            return False
        from napari_semnet.library import deleted_models

        return bool(deleted_models())

    def _edit(self) -> None:
        self.list.setFocus()
        self.list.editItem(self.list.currentItem(), NAME)

    def _on_edited(self, item: QTreeWidgetItem, column: int) -> None:
        from napari_semnet.library import rename_model

        entry = self._entries[self.list.indexOfTopLevelItem(item)]
        new = item.text(NAME).strip()
        if column != NAME or new == entry.name:
            return
        if self._done(lambda: rename_model(entry.name, new)):
            choices = load_choices()
            if choices.model == entry.name:
                save_choices(replace(choices, model=new))
            self._show_later(new, f"'{entry.name}' is called '{new}' now")
        else:
            self._show_later(entry.name, self.status.text())

    def _show_later(self, name: str, text: str) -> None:
        """List anew once the editor is closed, which it is not yet."""
        self._say(text)
        self._wanted = name
        self._later.start()

    def _done(self, act: Callable[[], Any]) -> bool:
        try:
            act()
        except SemnetError as error:
            self._say(str(error))
            return False
        return True

    def _work(self, steps: Callable[[], Steps], then: Callable[[Any], None]) -> None:
        self._say("Checking the file")
        self.task.start(steps, then)

    def _ask(self) -> None:
        path = ask_for_model(self)
        if path is not None:
            self.import_file(path)

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Delete the chosen model on Del in the list, as file managers do, and nowhere else."""
        if (
            watched is self.list
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Delete
            and self.delete_button.isEnabled()
        ):
            self.delete_chosen()
            return True
        handled: bool = super().eventFilter(watched, event)
        return handled


def _find_models() -> Steps:
    from napari_semnet.library import list_models
    from napari_semnet.model import user_models_folder

    yield 0.0
    return list_models(), user_models_folder()


def _import(path: Path) -> Steps:
    from napari_semnet.library import import_model

    yield 0.0
    return import_model(path)


def _item(entry: Listed) -> QTreeWidgetItem:
    origin = "yours" if entry.is_own else "from the package"
    item = QTreeWidgetItem([entry.name, origin if entry.card is not None else "cannot be used"])
    item.setToolTip(NAME, entry.name)
    if entry.is_own:
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
    return item
