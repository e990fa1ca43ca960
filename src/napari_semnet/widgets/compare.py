"""The compare widget: see, measure and print what a restoration changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QTabWidget, QVBoxLayout

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.plane import Plane
from napari_semnet.widgets.background import Task
from napari_semnet.widgets.commands import open_dock
from napari_semnet.widgets.compare_figure import FigurePage
from napari_semnet.widgets.compare_frequencies import FrequenciesPage
from napari_semnet.widgets.compare_line import LinePage
from napari_semnet.widgets.compare_numbers import NumbersPage
from napari_semnet.widgets.compare_subject import Subject
from napari_semnet.widgets.compare_view import ViewPage
from napari_semnet.widgets.docked import Docked
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.scrolled import Scrolled
from napari_semnet.widgets.trust import TrustPage

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["CompareWidget", "open_comparison"]


class CompareWidget(Docked):
    """Compare a raw layer, its restoration and more, by eye and by figures.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer; the name of this parameter is how napari knows to pass it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.task = Task(self)
        self.subject = Subject(napari_viewer, self)
        self.view = ViewPage(self.subject, self.task, self)
        self.line = LinePage(self.subject, self.prepare, self)
        self.frequencies = FrequenciesPage(self.subject, self.task, self.prepare, self)
        self.numbers = NumbersPage(self.subject, self.task, self.prepare, self)
        self.trust = TrustPage(napari_viewer, self.subject.pair, self)
        self.figure = FigurePage(self.subject, self.task, self.prepare, self)
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel", self)
        self.status = WrappedLabel(self)
        self._lay_out()
        self._connect()
        self._on_theme()
        self._on_ended()

    def sizeHint(self) -> QSize:
        """Give a width in which every line of the widget can be read."""
        return QSize(360, 620)

    def prepare(self, then: Callable[[], None]) -> None:
        """Compute the classical restoration if it is missing, then go on.

        Parameters
        ----------
        then : callable
            Called at once where nothing is missing, or where no picture can be had of the raw
            layer, which it then says itself.
        """
        self.status.setText("")
        try:
            steps = self.subject.missing_classical()
        except SemnetError as error:
            self._say(str(error))
            steps = None
        if steps is None:
            then()
            return

        def keep(plane: Plane) -> None:
            self.subject.keep_classical(plane)
            then()

        self.task.start(steps, keep)

    def let_go(self) -> None:
        """Put the viewer back as it was, stop all work and follow the viewer no longer."""
        self.task.cancel()
        self.view.let_go()
        self.line.let_go()
        self.numbers.let_go()
        self.trust.let_go()
        self.subject.let_go()
        self._viewer.events.theme.disconnect(self._on_theme)

    def _lay_out(self) -> None:
        self.tabs = QTabWidget(self)
        self.tabs.setUsesScrollButtons(False)  # a dock is then never so narrow that pages hide
        pages = {
            "View": self.view,
            "Line": self.line,
            "Frequencies": self.frequencies,
            "Numbers": self.numbers,
            "Trust": self.trust,
            "Figure": self.figure,
        }
        for title, page in pages.items():
            self.tabs.addTab(Scrolled(page, self.tabs), title)
        row = QHBoxLayout()
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.subject)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(row)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.task.began.connect(self._on_began)
        self.task.progressed.connect(self._on_progress)
        self.task.ended.connect(self._on_ended)
        self.task.failed.connect(self._say)
        for page in (self.view, self.frequencies, self.numbers, self.figure):
            page.refused.connect(self._say)
        self.figure.saved.connect(lambda path: self._say(f"Saved {path}"))
        self.cancel_button.clicked.connect(self._on_cancel)
        self.subject.changed.connect(self._on_subject)
        self.subject.layers_changed.connect(self._on_layers)
        # What the arrangement added would stay behind, and so would its camera.
        self.subject.moving.connect(self.view.leave)
        self._viewer.events.theme.connect(self._on_theme)

    def _on_layers(self) -> None:
        """Show other layers in the way that the former ones were shown."""
        arrangement = self.view.arrangement
        if arrangement.swipe is not None:
            self.view.show_swipe()
        elif arrangement.blink is not None:
            self.view.show_blink()

    def _on_subject(self) -> None:
        """Measure other pictures, and forget what is known of the former ones."""
        was_at_work, wants_grid = self.task.is_running, self.view.is_grid_wanted
        self.task.cancel()
        self.status.setText("Stopped: other pictures are compared now" if was_at_work else "")
        self.view.clear()
        self.frequencies.clear()
        self.numbers.clear()
        self.trust.follow()
        drawn = [page for page in (self.line, self.numbers) if page.drawing.layer is not None]
        if wants_grid or drawn:
            self.prepare(self._show_anew)
            if wants_grid and self.task.is_running:
                self.view.expect_grid()

    def _show_anew(self) -> None:
        """Bring up to date what is shown: the grid last, as its work would be cancelled else."""
        self.line.measure()
        self.numbers.measure_regions()
        if self.view.is_grid_wanted:
            self.view.show_grid()

    def _on_progress(self, part: float) -> None:
        self.progress.setValue(round(1000 * part))

    def _on_began(self) -> None:
        self.progress.setVisible(True)
        self.cancel_button.setVisible(True)
        self.status.setText("")

    def _on_ended(self) -> None:
        self.progress.setValue(0)
        self.progress.setVisible(False)
        self.cancel_button.setVisible(False)

    def _on_cancel(self) -> None:
        self.task.cancel()
        self.view.press_shown()
        self._say("Cancelled")

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def _on_theme(self, event: Any = None) -> None:
        theme = get_theme(self._viewer.theme)
        for plot in (self.line.plot, self.frequencies.plot):
            plot.set_colours(theme.text.as_hex(), theme.background.as_hex())


def open_comparison(viewer: Any, restored: Image) -> CompareWidget | None:
    """Compare a restored layer with its source, side by side, in one click.

    Parameters
    ----------
    viewer : Viewer
    restored : Image
        A layer that the restore widget added.

    Returns
    -------
    CompareWidget or None
        None, with a notification, where the source layer is gone.
    """
    widget = open_dock(viewer, "Compare")
    widget.subject.guess(restored)
    if widget.subject.raw_list.layer() is None:
        show_info(f"The source of “{restored.name}” is not open. Choose a layer to compare with.")
        return None
    widget.view.show_grid()
    compare: CompareWidget = widget
    return compare
