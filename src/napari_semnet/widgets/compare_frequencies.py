"""Page of the compare widget: power spectra, and Fourier rings of two acquisitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.fourier_ring import (
    ONE_SEVENTH,
    RingCorrelation,
    fourier_ring_correlation,
)
from napari_semnet.imaging.panels import length_text
from napari_semnet.imaging.plane import Plane, refuse_mixed_units
from napari_semnet.imaging.spectra import Spectrum, power_spectrum
from napari_semnet.widgets.background import Steps, Task
from napari_semnet.widgets.compare_subject import Subject
from napari_semnet.widgets.lineage import refuse_one_acquisition
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.planes import plane_of, refuse_unfinished
from napari_semnet.widgets.plots import Curve, LinePlot

__all__ = ["FrequenciesPage", "NamedRings", "describe_rings", "ring_steps", "spectrum_steps"]

HINT = "Power by size of structure, or down to which size two acquisitions agree."


@dataclass(frozen=True, slots=True)
class NamedRings:
    """A correlation and the two pictures that it compares."""

    name: str
    rings: RingCorrelation


def spectrum_steps(planes: Sequence[Plane]) -> Steps:
    """Measure spectra one by one.

    Yields
    ------
    float
        Finished part; a list of `Spectrum` is returned.
    """
    spectra = []
    for number, plane in enumerate(planes, 1):
        spectra.append(power_spectrum(plane))
        yield number / len(planes)
    return spectra


def ring_steps(pairs: Sequence[tuple[Plane, Plane]]) -> Steps:
    """Correlate pairs one by one.

    Yields
    ------
    float
        Finished part; a list of `NamedRings` is returned.
    """
    found = []
    for number, (first, second) in enumerate(pairs, 1):
        rings = fourier_ring_correlation(first, second)
        found.append(NamedRings(f"{first.name} and {second.name}", rings))
        yield number / len(pairs)
    return found


def describe_rings(found: Sequence[NamedRings]) -> str:
    """Say down to which size each pair agrees, and the drift that was taken out."""
    lines = []
    for pair in found:
        rings = pair.rings
        size = (
            f"agree down to {length_text(rings.finest, rings.unit, 3)} (1/7)"
            if rings.finest is not None
            else "agree in every size that their pixels can hold"
        )
        drift = length_text(float(np.hypot(*rings.shift)), rings.unit, 2)
        lines.append(f"{pair.name}: {size}; drift of {drift} taken out")
    return "\n".join(lines)


class FrequenciesPage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Plot over spatial frequency.

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
        self.spectrum_button = QPushButton("Power spectrum", self)
        self.spectrum_button.setToolTip("Of all compared pictures, averaged over directions")
        self.rings_button = QPushButton("Fourier rings", self)
        self.rings_button.setToolTip(
            "Correlation of the raw image and its restoration with “Other”, which must be a second "
            "acquisition of the same place"
        )
        self.plot = LinePlot("Spatial frequency", "", self)
        self.plot.show_curves((), HINT)
        self.figures = WrappedLabel(self)
        row = QHBoxLayout()
        row.addWidget(self.spectrum_button)
        row.addWidget(self.rings_button)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.figures)
        self.spectrum_button.clicked.connect(lambda: self._prepare(self.show_spectrum))
        self.rings_button.clicked.connect(self.show_rings)

    def show_spectrum(self) -> None:
        """Plot the power spectra of all compared pictures."""
        try:
            planes = self._subject.planes()
            refuse_mixed_units(planes)
        except SemnetError as error:
            self._refuse(str(error))
            return
        self._task.start(partial(spectrum_steps, planes), self._plot_spectra)

    def show_rings(self) -> None:
        """Plot the correlation of raw and restored with another acquisition."""
        subject = self._subject
        try:
            raw, other = subject.raw(), subject.other()
            refuse_one_acquisition(raw, other)
            assert other is not None
            first = [raw]
            restored = subject.restored_list.layer()
            if restored is not None and restored is not raw:
                refuse_unfinished(restored)
                refuse_one_acquisition(restored, other)
                first.append(restored)
            against = plane_of(other, subject.viewer)
            pairs = [(plane_of(layer, subject.viewer), against) for layer in first]
        except SemnetError as error:
            self._refuse(str(error))
            return
        self._task.start(partial(ring_steps, pairs), self._plot_rings)

    def clear(self) -> None:
        """Show nothing, as other pictures are compared now."""
        self.plot.show_curves((), HINT)
        self.figures.setText("")

    def _plot_spectra(self, spectra: list[Spectrum]) -> None:
        unit = spectra[0].unit
        self.plot.x_label = f"Spatial frequency (1/{unit})"
        self.plot.y_label = f"Power (dB re 1 grey level² {unit}²)"
        self.plot.show_curves([Curve(s.name, s.frequency, s.decibels) for s in spectra])
        ends = [f"{s.name} {length_text(1 / s.frequency[-1], s.unit, 3)}" for s in spectra]
        self.figures.setText("Smallest period that the pixels hold: " + ", ".join(ends))

    def _plot_rings(self, found: list[NamedRings]) -> None:
        unit = found[0].rings.unit
        self.plot.x_label = f"Spatial frequency (1/{unit})"
        self.plot.y_label = "Fourier ring correlation"
        curves = [
            Curve(
                pair.name,
                pair.rings.frequency,
                pair.rings.correlation,
                marks=() if pair.rings.finest is None else (1 / pair.rings.finest,),
            )
            for pair in found
        ]
        rings = found[0].rings
        curves.append(Curve("half bit", rings.frequency, rings.half_bit, "dashed"))
        level = np.full_like(rings.frequency, ONE_SEVENTH)
        curves.append(Curve("1/7", rings.frequency, level, "dashed"))
        self.plot.show_curves(curves)
        self.figures.setText(describe_rings(found))

    def _refuse(self, reason: str) -> None:
        self.plot.show_curves((), reason)
        self.figures.setText("")
        self.refused.emit(reason)
