"""Page of the compare widget: grid, swipe, blink and the difference."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.plane import Plane
from napari_semnet.widgets.advanced import ignore_wheel_in_passing
from napari_semnet.widgets.arrangement import (
    ON_RAW,
    ON_RESTORED,
    Arrangement,
    Changes,
    add_difference,
    change_steps,
)
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.blink import FASTEST, KEY
from napari_semnet.widgets.compare_subject import Subject, classical_steps
from napari_semnet.widgets.planes import plane_of

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["ViewPage", "grid_steps"]

SLIDER_STEPS = 1000
GRIDS = {
    "raw pixels (mean)": ON_RAW,
    "restored pixels (bicubic)": ON_RESTORED,
}


def grid_steps(raw: Plane, restored: Plane, sigma: float | None, on: str) -> Steps:
    """Compute what a grid shows beside the two layers.

    Parameters
    ----------
    raw, restored : Plane
    sigma : float, optional
        Blur of the classical restoration; none is computed without.
    on : str
        Grid of the difference.

    Yields
    ------
    float
        Finished part; the classical `Plane` (or None) and the `Changes` are returned.
    """
    computed = None
    if sigma is not None:
        work = classical_steps(raw, sigma)
        computed = yield from (_scaled(work, 0.0, 0.5))
    changes = yield from (_scaled(change_steps(raw, restored, on), 0.5, 0.5))
    return computed, changes


def _scaled(work: Steps, first: float, share: float) -> Steps:
    """Count some work as a part of a larger one."""
    while True:
        try:
            part = next(work)
        except StopIteration as end:
            return end.value
        yield first + share * part


class ViewPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Buttons that arrange the viewer.

    Parameters
    ----------
    subject : Subject
    task : Task
        Does what takes time.
    parent : QWidget, optional
        As Qt has it.
    """

    refused = Signal(str)
    """What stands against it."""

    def __init__(self, subject: Subject, task: Task, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._subject, self._task = subject, task
        self._in_grid: tuple[object, ...] = ()
        self._is_computing = False
        self.arrangement = Arrangement(subject.viewer, self)
        self.grid_button = _toggle("Grid", "Raw, classical, restored and difference side by side")
        self.swipe_button = _toggle("Swipe", "A divider that is dragged over the picture")
        self.blink_button = _toggle("Blink", f"Raw and restored in turn; {KEY} changes by hand")
        self.modes = QButtonGroup(self)
        self.modes.setExclusive(False)
        self.divider = QSlider(Qt.Orientation.Horizontal, self)
        ignore_wheel_in_passing(self.divider)
        self.divider.setRange(0, SLIDER_STEPS)
        self.rate = QDoubleSpinBox(self)
        ignore_wheel_in_passing(self.rate)
        self.rate.setRange(0.0, FASTEST)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(1.5)
        self.rate.setSuffix(" changes per s")
        self.rate.setSpecialValueText(f"by the key {KEY} only")
        self.on = QComboBox(self)
        ignore_wheel_in_passing(self.on)
        for text, key in GRIDS.items():
            self.on.addItem(text, key)
        self.difference_button = QPushButton("Add the difference as a layer", self)
        self.on.setToolTip(
            "Restored pixels are averaged over each raw one, or raw ones are interpolated"
        )
        self.figures = QLabel(self)
        self.figures.setWordWrap(True)
        self._lay_out()
        self._connect()
        self._on_left()

    @property
    def is_grid_wanted(self) -> bool:
        """Whether the grid is shown, or will be once it is computed."""
        return bool(self.grid_button.isChecked())

    def show_grid(self) -> None:
        """Compute what is missing, then show all side by side."""
        subject = self._subject
        try:
            raw, restored = subject.raw(), subject.restored()
            planes = plane_of(raw, subject.viewer), plane_of(restored, subject.viewer)
        except SemnetError as error:
            self._refuse(str(error))
            return
        wanted = subject.missing_classical() is not None
        sigma = subject.sigma.value() if wanted else None
        steps = partial(grid_steps, *planes, sigma, self.on.currentData())

        def show(result: tuple[Plane | None, Changes]) -> None:
            computed, changes = result
            if computed is not None:
                subject.keep_classical(computed)
            if any(layer not in subject.viewer.layers for layer in (raw, restored)):
                self.leave()
                return
            self._describe(changes)
            self._fill_grid(raw, restored, changes)

        self._task.start(steps, show)
        self._is_computing = True
        self.expect_grid()

    def expect_grid(self) -> None:
        """Say that a grid will be shown once it is computed."""
        self._press(self.grid_button)

    def press_shown(self) -> None:
        """Press the button of what is seen: a grid that was waited for will not come."""
        arrangement = self.arrangement
        if not arrangement.is_active:
            self._on_left()
        elif arrangement.swipe is not None:
            self._press(self.swipe_button)
        else:
            self._press(self.grid_button if arrangement.blink is None else self.blink_button)

    def show_swipe(self) -> None:
        """Show the restoration at the right of a divider."""
        self._stop_computing()
        try:
            swipe = self.arrangement.show_swipe(self._subject.raw(), self._subject.restored())
        except SemnetError as error:
            self._refuse(str(error))
            return
        self._press(self.swipe_button)
        self._set_divider(swipe.part)
        swipe.moved.connect(self._set_divider)

    def show_blink(self) -> None:
        """Show raw, restored and other in turn."""
        self._stop_computing()
        try:
            layers = [self._subject.raw(), self._subject.restored()]
        except SemnetError as error:
            self._refuse(str(error))
            return
        other = self._subject.other()
        blink = self.arrangement.show_blink(layers if other is None else [*layers, other])
        blink.run(self.rate.value())
        self._press(self.blink_button)

    def leave(self) -> None:
        """Put the viewer back as it was."""
        self._stop_computing()
        self.arrangement.leave()
        self._on_left()

    def add_difference(self) -> None:
        """Add the difference as a layer that stays."""
        subject = self._subject
        try:
            raw, restored = subject.raw(), subject.restored()
            planes = plane_of(raw, subject.viewer), plane_of(restored, subject.viewer)
        except SemnetError as error:
            self.refused.emit(str(error))
            return

        def show(changes: Changes) -> None:
            self._describe(changes)
            add_difference(subject.viewer, raw, restored, changes)

        self._task.start(partial(change_steps, *planes, self.on.currentData()), show)

    def clear(self) -> None:
        """Say nothing, as other pictures are compared now."""
        self.figures.setText("")

    def let_go(self) -> None:
        """Put the viewer back and follow it no longer."""
        self.arrangement.let_go()

    def _fill_grid(self, raw: Image, restored: Image, changes: Changes) -> None:
        """Show the grid, from the same place where the same cells only get other pictures."""
        classical = self._subject.classical()
        cells = (weakref.ref(raw), weakref.ref(restored), classical is not None)
        stays, camera = cells == self._in_grid, self._subject.viewer.scene.camera
        centre, zoom = tuple(camera.center), float(camera.zoom)
        self.arrangement.show_grid(raw, restored, classical, changes)
        if stays:
            camera.center, camera.zoom = centre, zoom
        self._in_grid = cells
        self._press(self.grid_button)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.grid_button, self.swipe_button, self.blink_button):
            buttons.addWidget(button)
            self.modes.addButton(button)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Divider", self.divider)
        form.addRow("Blinking", self.rate)
        form.addRow("Difference on", self.on)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addLayout(form)
        layout.addWidget(self.difference_button)
        layout.addWidget(self.figures)
        layout.addStretch(1)

    def _connect(self) -> None:
        shows = {
            self.grid_button: self.show_grid,
            self.swipe_button: self.show_swipe,
            self.blink_button: self.show_blink,
        }
        for button, show in shows.items():
            # A partial that is connected as it is gets an argument from one binding of Qt only.
            button.clicked.connect(lambda _=False, b=button, s=show: self._on_mode(b, s))
        self.divider.valueChanged.connect(self._on_divider)
        self.rate.valueChanged.connect(self._on_rate)
        self.difference_button.clicked.connect(self.add_difference)
        self.arrangement.left.connect(self._on_left)
        # All pages share one task: what another one begins takes the turn of a grid.
        self._task.began.connect(self.press_shown)
        self._task.failed.connect(self.press_shown)
        self._task.ended.connect(self._on_ended)

    def _on_mode(self, button: QPushButton, show: Callable[[], None]) -> None:
        if button.isChecked():
            show()
        else:
            self.leave()

    def _on_ended(self) -> None:
        self._is_computing = False

    def _stop_computing(self) -> None:
        """Let no grid come after what is asked for now; other work goes on."""
        if self._is_computing:
            self._task.cancel()

    def _on_divider(self, value: int) -> None:
        if self.arrangement.swipe is not None:
            self.arrangement.swipe.move_to(value / SLIDER_STEPS)

    def _set_divider(self, part: float) -> None:
        self.divider.blockSignals(True)
        self.divider.setValue(round(SLIDER_STEPS * part))
        self.divider.blockSignals(False)

    def _on_rate(self, rate: float) -> None:
        if self.arrangement.blink is not None:
            self.arrangement.blink.run(rate)

    def _press(self, pressed: QPushButton) -> None:
        for button in self.modes.buttons():
            button.setChecked(button is pressed)
        self.divider.setEnabled(pressed is self.swipe_button)

    def _on_left(self) -> None:
        self._in_grid = ()
        for button in self.modes.buttons():
            button.setChecked(False)
        self.divider.setEnabled(False)

    def _refuse(self, reason: str) -> None:
        self.leave()
        self.refused.emit(reason)

    def _describe(self, changes: Changes) -> None:
        where = "raw" if changes.on == ON_RAW else "restored"
        mean = f"{changes.mean:+.2f}".replace("-", "−")
        self.figures.setText(
            f"Restored − raw on the {where} pixels: mean {mean}, standard deviation "
            f"{changes.deviation:.2f} grey levels. Structure in it was lost or invented."
        )


def _toggle(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(tip)
    return button
