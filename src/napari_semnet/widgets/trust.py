"""Where a restoration can be believed: the page in the restore and compare widgets."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.imaging.geometry import Placement
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.layer_watch import PIXELS, LayerWatch
from napari_semnet.widgets.layers import (
    METADATA_KEY,
    SOURCE_KEY,
    UNFINISHED_KEY,
    identity,
    image_layers,
)
from napari_semnet.widgets.lineage import MADE_BY_COMPARISON, OVER_KEY, source_of
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.planes import add_picture, part_placement, slice_origin
from napari_semnet.widgets.record import record_of_part
from napari_semnet.widgets.strength import StrengthSlider
from napari_semnet.widgets.trust_work import (
    Judged,
    Pair,
    consistent_steps,
    judge_steps,
    pair_of,
    sensitivity_steps,
    warnings_of,
)

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["TrustPage", "latest_pair", "with_source"]

RESIDUAL_LIMIT = 4.0
"""Units of the noise at which the colours of a residual end."""


def latest_pair(viewer: Any) -> tuple[Image, Image]:
    """Find a restoration and its source: the active layer's if it is one, else the topmost.

    What a run has not finished is none yet.

    Raises
    ------
    ImageError
        There is none, or its source is not open.
    """
    restored = [
        layer
        for layer in image_layers(viewer.layers)
        if METADATA_KEY in layer.metadata and UNFINISHED_KEY not in layer.metadata
    ]
    if not restored:
        raise ImageError("There is no restored layer yet. Restore an image first.")
    active = viewer.layers.selection.active
    # napari gives a plugin the active layer in a wrapper, which does not live as long as it.
    return with_source(viewer, next((one for one in restored if one == active), restored[0]))


def with_source(viewer: Any, restored: Image) -> tuple[Image, Image]:
    """Give the source of a restoration, and the restoration.

    Raises
    ------
    ImageError
        The source is not open.
    """
    raw = source_of(restored, viewer.layers)
    if raw is None:
        raise ImageError(f"The source of “{restored.name}” is not open. Open it first.")
    return raw, restored


class TrustPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Buttons that check a restoration, and what they found in words.

    Parameters
    ----------
    viewer : Viewer
    pair : callable
        Gives the raw layer and its restoration, or raises what stands against it.
    parent : QWidget, optional
        As Qt has it.
    """

    warned = Signal(str)
    """That a check warns, in a line: more would push buttons away from under the mouse."""

    def __init__(
        self,
        viewer: Any,
        pair: Callable[[], tuple[Image, Image]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._pair = viewer, pair
        self._about: tuple[weakref.ref[Image], ...] = ()
        self._pixels = LayerWatch(PIXELS, self._on_pixels)
        self.task = Task(self)
        self.check_button = QPushButton("Check", self)
        self.check_button.setToolTip(
            "Is what was taken away only noise, and was the image fit for the model?"
        )
        self.residual_button = QPushButton("Residual", self)
        self.residual_button.setToolTip("Add what was taken away as a layer, in units of the noise")
        self.sensitivity_button = QPushButton("Sensitivity (8x)", self)
        self.sensitivity_button.setToolTip(
            "Add a map, in grey levels, of how much the result changes when the image is turned, "
            "flipped, and gets fresh noise. It takes eight restorations. It is no probability."
        )
        self.consistent_button = QPushButton("Make consistent", self)
        self.consistent_button.setToolTip(
            "Add a result whose 2 x 2 means are the denoised image: what was taken away and is no "
            "noise comes back"
        )
        self._buttons = (
            self.check_button,
            self.residual_button,
            self.sensitivity_button,
            self.consistent_button,
        )
        self.strength = StrengthSlider(viewer, pair, self)
        self.words = WrappedLabel(self)
        self.progress = QProgressBar(self)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel", self)
        self._lay_out()
        self._connect()
        self._on_ended()

    def check(
        self, layers: tuple[Image, Image] | None = None, *, wants_layer: bool = False
    ) -> None:
        """Run the cheap checks.

        Parameters
        ----------
        layers : (Image, Image), optional
            The raw layer and its restoration; by default the chosen ones.
        wants_layer : bool
            Add the residual as a layer.
        """
        chosen = self._chosen(layers)
        if chosen is None:
            return
        raw, restored, pair = chosen
        # The user may look at another slice by the time that the work is done.
        origin = (*slice_origin(raw, self._viewer), pair.rows.start, pair.columns.start)

        def show(judged: Judged) -> None:
            from napari_semnet.restoration.trust import describe_input, sentences

            if not self._are_there((raw, restored)):
                return
            said = sentences(judged.judgement)
            self._say_of((raw, restored), "\n\n".join(said))
            many = len(warnings_of(judged.judgement))
            if many:
                text = f"{many} warning{'s' if many > 1 else ''} under Trust"
                self.warned.emit(_of(restored, text))
            self.words.setToolTip(f"Input: {describe_input(judged.judgement.input)}")
            if wants_layer:
                self._add_residual(raw, origin, judged.residual)

        self._begin(partial(judge_steps, pair), show, raw, restored)

    def map_sensitivity(self) -> None:
        """Restore eight times and add the map."""
        chosen = self._chosen()
        if chosen is None:
            return
        raw, restored, pair = chosen
        origin = (*slice_origin(restored, self._viewer), *pair.corner)

        def show(spread: NDArray[np.float32]) -> None:
            from napari_semnet.restoration.trust import describe_sensitivity

            self._say_of((raw, restored), describe_sensitivity(spread))
            if restored in self._viewer.layers:
                high = float(np.nanpercentile(spread, 99.5)) or 1.0
                self._add(
                    restored,
                    origin,
                    spread,
                    f"{restored.name}: sensitivity (grey levels)",
                    colormap="inferno",
                    contrast_limits=(0.0, high),
                )

        self._begin(partial(sensitivity_steps, pair), show, raw)  # whatever the strength is

    def make_consistent(self) -> None:
        """Add a result that agrees with the denoised image."""
        chosen = self._chosen()
        if chosen is None:
            return
        raw, restored, pair = chosen
        index = slice_origin(restored, self._viewer)
        origin = (*index, *pair.corner)

        def show(pixels: NDArray[Any]) -> None:
            if restored not in self._viewer.layers:
                return
            self._say_of(
                (raw, restored),
                "The 2 x 2 means of the new layer are the denoised image to half a level.",
            )
            layer = self._add(
                restored,
                origin,
                pixels,
                f"{restored.name} consistent",
                colormap=restored.colormap,
                contrast_limits=tuple(restored.contrast_limits),
            )
            record = restored.metadata.get(METADATA_KEY)
            del layer.metadata[MADE_BY_COMPARISON]
            if isinstance(record, dict):
                operation = (
                    f"{record.get('operation', '')}; made consistent with the denoised input"
                )
                part = record_of_part(record, index, pair.corner, pair.raw.grid.shape)
                layer.metadata[METADATA_KEY] = part | {"operation": operation}
                if SOURCE_KEY in restored.metadata:
                    layer.metadata[SOURCE_KEY] = restored.metadata[SOURCE_KEY]

        self._begin(partial(consistent_steps, pair), show, raw, restored)

    def follow(self) -> None:
        """Show what belongs to the layers that are chosen now."""
        self.task.cancel()
        self.forget()

    def forget(self) -> None:
        """Say no more of what was found; work that is under way goes on."""
        self._say("")
        self.words.setToolTip("")
        self.strength.follow()

    def allow(self, is_allowed: bool) -> None:
        """Let the user check restorations, or not while they are being made."""
        for part in (*self._buttons, self.strength):
            part.setEnabled(is_allowed)

    def let_go(self) -> None:
        """Stop all work and follow the viewer no longer."""
        self.task.cancel()
        self._pixels.follow(())
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)

    def _chosen(
        self, layers: tuple[Image, Image] | None = None
    ) -> tuple[Image, Image, Pair] | None:
        try:
            raw, restored = layers or self._pair()
            return raw, restored, pair_of(raw, restored, self._viewer)
        except SemnetError as error:
            self._say(str(error))
            return None

    def _begin(self, steps: Callable[[], Steps], show: Callable[[Any], None], *of: Image) -> None:
        """Work, as long as these layers keep the pixels that they have."""
        self.task.start(steps, show)
        self._pixels.follow(of)

    def _add_residual(
        self, raw: Image, origin: tuple[int, ...], residual: NDArray[np.float32]
    ) -> None:
        add_picture(
            self._viewer,
            residual,
            f"{raw.name}: residual (units of noise)",
            part_placement(Placement.of(raw), origin),
            colormap="PiYG",
            contrast_limits=(-RESIDUAL_LIMIT, RESIDUAL_LIMIT),
            metadata={MADE_BY_COMPARISON: "residual", OVER_KEY: identity(raw)},
        )

    def _add(
        self,
        restored: Image,
        origin: tuple[int, ...],
        pixels: NDArray[Any],
        name: str,
        **look: Any,
    ) -> Image:
        """Add a picture over a slice of the restoration."""
        return add_picture(
            self._viewer,
            pixels,
            name,
            part_placement(Placement.of(restored), origin),
            metadata={MADE_BY_COMPARISON: "trust", OVER_KEY: identity(restored)},
            **look,
        )

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.check_button)
        buttons.addWidget(self.residual_button)
        more = QHBoxLayout()
        more.addWidget(self.sensitivity_button)
        more.addWidget(self.consistent_button)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Strength", self.strength)
        self.bar = QWidget(self)
        bar = QHBoxLayout(self.bar)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addLayout(more)
        layout.addLayout(form)
        layout.addWidget(self.bar)
        layout.addWidget(self.words)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.check_button.clicked.connect(lambda: self.check())
        self.residual_button.clicked.connect(lambda: self.check(wants_layer=True))
        self.sensitivity_button.clicked.connect(lambda: self.map_sensitivity())
        self.consistent_button.clicked.connect(lambda: self.make_consistent())
        self.cancel_button.clicked.connect(self._on_cancel)
        self.strength.refused.connect(self._say)
        self.task.began.connect(self._on_began)
        self.task.progressed.connect(lambda part: self.progress.setValue(round(1000 * part)))
        self.task.failed.connect(self._say)
        self.task.ended.connect(self._on_ended)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def _on_cancel(self) -> None:
        self.task.cancel()
        self._say("Cancelled")

    def _on_began(self) -> None:
        self.words.setText("")
        self.progress.setValue(0)
        self.bar.setVisible(True)

    def _on_ended(self) -> None:
        self.bar.setVisible(False)

    def _on_removed(self, event: Any) -> None:
        if any(event.value is layer() for layer in self._about):
            self.forget()

    def _on_pixels(self, event: Any = None) -> None:
        """Take back what was said of other pixels, or is about to be."""
        was_at_work = self.task.is_running
        self.task.cancel()
        self._say("Stopped: the pixels are others now" if was_at_work else "")
        self.words.setToolTip("")

    def _on_active(self, event: Any = None) -> None:
        """Show the strength of what the slider would change now."""
        self.strength.follow()

    def _say(self, text: str) -> None:
        self._about = ()
        if not self.task.is_running:
            self._pixels.follow(())
        self.words.setText(text)

    def _say_of(self, layers: tuple[Image, Image], text: str) -> None:
        """Say something of a raw layer and its restoration, as long as both are there."""
        if self._are_there(layers):
            self._say(_of(layers[1], text))
            self._about = tuple(weakref.ref(layer) for layer in layers)
            self._pixels.follow(layers)

    def _are_there(self, layers: tuple[Image, Image]) -> bool:
        return all(layer in self._viewer.layers for layer in layers)


def _of(layer: Image, text: str) -> str:
    return f"“{layer.name}”: {text}"
