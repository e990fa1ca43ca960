"""The restore widget: choose layers and a model, press one button, watch the result appear."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.widgets.advanced import AdvancedOptions, combo_of, select
from napari_semnet.widgets.catalogue import Catalogue, load_catalogue, read_entry
from napari_semnet.widgets.choices import REGIONS, Choices, KeptRestorer
from napari_semnet.widgets.databar import DatabarPanel
from napari_semnet.widgets.docked import Docked
from napari_semnet.widgets.folded import Folded
from napari_semnet.widgets.layer_list import LayerList
from napari_semnet.widgets.layers import source_shape
from napari_semnet.widgets.model_choice import ModelChoice
from napari_semnet.widgets.pixel_size import PixelSizePanel
from napari_semnet.widgets.preferences import load_choices, save_choices
from napari_semnet.widgets.results import ResultActions, latest_result
from napari_semnet.widgets.run import Outcome, Progress, Run
from napari_semnet.widgets.scrolled import Scrolled
from napari_semnet.widgets.status_text import StatusText, show_progress
from napari_semnet.widgets.trust import TrustPage, latest_pair, with_source

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["RestoreWidget"]


class RestoreWidget(Docked):
    """Restore image layers of a viewer.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer; the name of this parameter is how napari knows to pass it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._choices = load_choices()
        self._restorer = KeptRestorer()
        self._then: Callable[[], None] | None = None
        self._spoken_of: list[weakref.ref[Image]] = []
        self._outcome = ""
        self.is_ready = False
        """Whether models and devices are known, and a run can begin."""
        self.run = Run(napari_viewer, self)
        self._build()
        self._connect()
        self._update()
        # Importing PyTorch takes seconds; the window should open at once.
        loading = create_worker(load_catalogue, self._choices.model, _start_thread=False)
        loading.returned.connect(self._on_catalogue)
        loading.start()

    def sizeHint(self) -> QSize:
        """Give a width in which every line of the widget can be read."""
        return QSize(320, 560)

    def choices(self) -> Choices:
        """Gather what is chosen.

        Raises
        ------
        ImageError
            An option is not filled in.
        """
        basic = replace(
            self._choices,
            model=self.model.key,
            device=self.device.currentData(),
            region=self.region.currentData(),
        )
        return self.advanced.into(basic)

    def start(self) -> None:
        """Restore the chosen layers; what stands against it is said in a notification."""
        if not self.is_ready:
            self._then = self.start
            return
        self.databar.accept()
        question = self.databar.question()
        if question:
            self.scroll.ensureWidgetVisible(self.databar)
            self.status.setText(question)
            return
        try:
            choices = self.choices()
            self._keep(choices)
            choices.engine_settings()
            self.run.start(self.layers.chosen(), choices, partial(self._restorer.get, choices))
        except SemnetError as error:
            show_error(str(error))
        self._update()
        if self.run.is_running:
            self.status.setText("Preparing the model; its first use on a computer takes longer")

    def cancel(self) -> None:
        """Stop the run, and remove what it has not finished."""
        self.status.setText("Cancelling")
        self.cancel_button.setEnabled(False)
        self.run.cancel()

    def restore_layer(self, layer: Image) -> None:
        """Restore one layer, with whatever is chosen otherwise, as soon as that is possible."""
        if not self.is_ready:
            # What is chosen by then may be another layer, which nobody asked for.
            self._then = partial(self.restore_layer, layer)
        if layer in self._viewer.layers:
            self.layers.choose([layer])
            if self.is_ready:
                self.start()

    def use_model(self, name: str) -> None:
        """Choose one of the user's own models, which may be new."""
        self._keep(replace(self._choices, model=name))
        if self.is_ready:
            self.model.choose(read_entry(name, name))

    def _build(self) -> None:
        self.layers = LayerList(self._viewer, self)
        self.pixel_size = PixelSizePanel(self._viewer, self)
        self.databar = DatabarPanel(self._viewer, self)
        self.model = ModelChoice(self)
        self.device = combo_of({}, self)
        self.region = combo_of(REGIONS, self)
        self.advanced = AdvancedOptions(self)
        self.advanced.show_choices(self._choices)
        select(self.region, self._choices.region)
        self.folded = Folded("Advanced", self.advanced, self)
        self.trust = TrustPage(self._viewer, self._result_and_source, self)
        self.folded_trust = Folded("Trust", self.trust, self)
        self.restore_button = QPushButton("Restore (2x)", self)
        self.cancel_button = QPushButton("Cancel", self)
        self.results = ResultActions(self._viewer, self)
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 1000)
        self.progress.setValue(0)
        self.status = StatusText(self)

        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Device", self.device)
        form.addRow("Region", self.region)
        options = QWidget(self)
        column = QVBoxLayout(options)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("Layers", options))
        column.addWidget(self.layers)
        column.addWidget(self.pixel_size)
        column.addWidget(self.databar)
        column.addWidget(QLabel("Model", options))
        column.addWidget(self.model)
        column.addLayout(form)
        column.addWidget(self.folded)
        column.addWidget(self.folded_trust)
        column.addStretch(1)
        self.scroll = Scrolled(options, self)
        buttons = QHBoxLayout()
        buttons.addWidget(self.restore_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.scroll, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(self.results)

    def _connect(self) -> None:
        self.layers.chosen_changed.connect(self._on_layers)
        for combo in (self.device, self.region):
            # Only what the user chooses: which regions there are depends on the layers.
            combo.activated.connect(self._on_choice)
        for options in (self.model, self.advanced):
            options.changed.connect(self._on_choice)
        self.restore_button.clicked.connect(self.start)
        self.cancel_button.clicked.connect(self.cancel)
        self.run.progressed.connect(self._on_progress)
        self.run.ended.connect(self._on_ended)
        self.results.said.connect(self.status.setText)
        self.pixel_size.said.connect(self.status.setText)
        self.trust.warned.connect(self._on_warning)
        self._on_layers()

    def _result_and_source(self) -> tuple[Image, Image]:
        """Give the restoration that the buttons below act on, else the active or topmost one."""
        result = latest_result(self._viewer, self.layers.chosen())
        return latest_pair(self._viewer) if result is None else with_source(self._viewer, result)

    def _on_catalogue(self, catalogue: Catalogue) -> None:
        self.model.offer(catalogue.models, self._choices.model)
        self.model.follow(catalogue.folder)
        for entry in catalogue.devices:
            self.device.addItem(entry.label, entry.key)
        select(self.device, self._choices.device)
        self.is_ready = True
        self._update()
        then, self._then = self._then, None
        if then is not None:
            then()

    def _on_choice(self, _: Any = None) -> None:
        """Keep what the user chose, for the next session and for the folder widget."""
        if not self.is_ready:
            return
        with suppress(ImageError):  # of the intensity range, which is not kept
            self._keep(self.choices())

    def _keep(self, choices: Choices) -> None:
        before, self._choices = self._choices, choices
        save_choices(choices, before)

    def _on_layers(self) -> None:
        chosen = self.layers.chosen()
        before, self._spoken_of = self._spoken_of, [weakref.ref(layer) for layer in chosen]
        if self._spoken_of != before:
            self.trust.forget()
        self.pixel_size.show_layers(chosen)
        self.databar.show_layers(chosen)
        has_stack = any(len(source_shape(layer)) > 2 for layer in chosen)
        item = self.region.model().item(self.region.findData("slice"))
        item.setEnabled(has_stack or not chosen)
        if not item.isEnabled() and self.region.currentData() == "slice":
            select(self.region, "layer")
        if chosen and not chosen[0].rgb and self.advanced.intensity.currentData() == "auto":
            self.advanced.suggest_range(*chosen[0].contrast_limits)
        self._update()

    def _on_progress(self, progress: Progress) -> None:
        show_progress(self.progress, round(1000 * progress.part))
        if self.cancel_button.isEnabled():
            self.status.setText(progress.text)

    def _on_ended(self, outcome: Outcome) -> None:
        self._update()
        show_progress(self.progress, self.progress.maximum() if outcome.is_complete else 0)
        self.status.setText(outcome.text)
        self._outcome = outcome.text
        if outcome.is_complete and outcome.restored:
            self.trust.follow()
            self.trust.check(outcome.restored[-1])

    def _on_warning(self, text: str) -> None:
        """Show what the check of a restoration warns of where it is seen."""
        said = self.status.text()
        if said and said == self._outcome:
            self.status.setText(f"{said}. {text}")
        else:
            self.folded_trust.expand()

    def _update(self) -> None:
        """Make buttons and bar show what can be done now."""
        running = self.run.is_running
        chosen = self.layers.chosen()
        many = f" {len(chosen)} layers" if len(chosen) > 1 else ""
        self.restore_button.setText(f"Restore{many} (2x)")
        self.restore_button.setEnabled(self.is_ready and bool(chosen) and not running)
        self.cancel_button.setEnabled(running)
        self.trust.allow(not running)
        self.results.offer(None if running else latest_result(self._viewer, chosen))
        if running:
            return
        if not self.is_ready:
            self.status.setText("Looking for models and devices")
        elif not chosen:
            self.status.setText("Open an image, then choose it above")
        else:
            self.status.setText("")

    def let_go(self) -> None:
        """Stop the run, and follow the viewer no longer: the dock will not come back."""
        self.run.abandon()
        self.results.task.cancel()
        self.pixel_size.let_go()
        self.databar.let_go()
        self.layers.let_go()
        self.trust.let_go()
