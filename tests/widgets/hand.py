"""A user's hand: mouse and keys of the X server, whose events go their usual way."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QRadioButton,
    QScrollArea,
    QWidget,
)

__all__ = ["APT", "Hand", "is_there"]

APT = "apt-get install -y --no-install-recommends xdotool"
PAUSE = 0.005
"""Seconds between two looks."""
GLIDE = 12
"""Places at which a dragging mouse is seen on its way."""


def is_there() -> bool:
    """Whether the X server's mouse can be moved from here."""
    return shutil.which("xdotool") is not None


class Hand:
    """Moves the mouse and presses keys, letting the program run in between."""

    def wait(self, done: Callable[[], bool], seconds: float = 60) -> None:
        """Let the program run until something is so.

        Looks are counted, not the clock: on a busy machine everything takes longer.
        """
        for _ in range(round(seconds / PAUSE)):
            if done():
                return
            QApplication.processEvents()
            time.sleep(PAUSE)
        seen = Path(tempfile.gettempdir()) / "session-stuck.png"
        QApplication.primaryScreen().grabWindow(0).save(str(seen))
        raise AssertionError(f"The program did not get there; the screen is in {seen}.")

    def rest(self, seconds: float = 0.15) -> None:
        """Let the program run for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, 10 * seconds)

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        """Press and release the left button over a widget."""
        assert widget.isEnabled()
        assert widget.isVisible()
        self._scroll_to(widget)
        self._move(widget.mapToGlobal(widget.rect().center() if at is None else at))
        self._do("click", "1")

    def click_rows(self, rows: Any, texts: Sequence[str]) -> None:
        """Choose rows of a list: the first with a click, the others with Ctrl held."""
        for number, text in enumerate(texts):
            (item,) = rows.findItems(text, Qt.MatchFlag.MatchExactly)
            rows.scrollToItem(item)
            if number:
                self._do("keydown", "ctrl")
            self.click(rows.viewport(), rows.visualItemRect(item).center())
            if number:
                self._do("keyup", "ctrl")

    def fill(self, field: QWidget, text: str) -> None:
        """Put the mouse into a field and type over what is there."""
        self.click(field)
        self.press("ctrl+a")
        self.type(text)
        self.press("Tab")

    def click_tab(self, tabs: Any, title: str) -> None:
        """Open a page of a tabbed widget."""
        bar = tabs.tabBar()
        number = next(i for i in range(bar.count()) if bar.tabText(i).endswith(title))
        self.click(bar, bar.tabRect(number).center())

    def drag(self, start: QPoint, stop: QPoint) -> None:
        """Press the left button at one place of the screen and release it at another."""
        self._move(start)
        self._do("mousedown", "1")
        for step in range(1, GLIDE + 1):
            self._move(start + (stop - start) * step / GLIDE)
        self._do("mouseup", "1")

    def press(self, keys: str) -> None:
        """Press a key, such as ``Return`` or ``ctrl+o``."""
        self._do("key", keys)

    def type(self, text: str) -> None:
        """Type some text."""
        self._do("type", "--delay", "5", text)

    def press_for_a_file(self, keys: str, path: Path, *, reader: str = "") -> None:
        """Press keys that open a file dialog, and answer it as `name_a_file` does."""
        self.name_a_file(lambda: self.press(keys), path, reader=reader)

    def name_a_file(self, ask: Callable[[], None], path: Path, *, reader: str = "") -> None:
        """Do what opens a file dialog, type a path there and press Return.

        napari asks which reader is to open a file that more than one can; `reader` is the answer.
        Dialogs run event loops of their own, so the hand moves from a timer meanwhile.
        """
        answers: list[Callable[[QWidget], bool]] = [lambda dialog: self._name_file(dialog, path)]
        if reader:
            answers.append(lambda dialog: self._choose_reader(dialog, reader))
        busy: list[bool] = []

        def answer() -> None:
            dialog = QApplication.activeModalWidget()
            # Moving the mouse lets the program run, and this timer with it.
            if busy or not answers or dialog is None:
                return
            busy.append(True)
            if answers[0](dialog):
                del answers[0]
            busy.clear()

        timer = QTimer()
        timer.setInterval(100)
        timer.timeout.connect(answer)
        timer.start()
        ask()
        self.wait(lambda: not answers)
        self.rest()
        timer.stop()

    def _name_file(self, dialog: QWidget, path: Path) -> bool:
        """Type a path into napari's file dialog; tell whether it was there."""
        if not isinstance(dialog, QFileDialog):
            return False
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        if field is None or not field.isVisible():
            return False
        field.selectAll()
        field.setFocus()
        self.click(field)
        self.press("ctrl+a")
        self.type(str(path))
        self.press("Return")
        return True

    def _choose_reader(self, dialog: QWidget, reader: str) -> bool:
        """Answer napari's question which reader is to open a file; tell whether it was asked."""
        buttons = [one for one in dialog.findChildren(QRadioButton) if one.text() == reader]
        accept = dialog.findChild(QDialogButtonBox)
        if not buttons or accept is None or not buttons[0].isVisible():
            return False
        self.click(buttons[0])
        self.click(accept.button(QDialogButtonBox.StandardButton.Ok))
        return True

    def _scroll_to(self, widget: QWidget) -> None:
        above = widget.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if above is not None:
            above.ensureWidgetVisible(widget, 0, 20)
            self.rest(0.05)

    def _move(self, place: QPoint) -> None:
        self._do("mousemove", str(place.x()), str(place.y()))

    def _do(self, *command: str) -> None:
        subprocess.run(["xdotool", *command], check=True, timeout=30)
        self.rest(0.06)
