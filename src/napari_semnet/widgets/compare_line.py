"""Page of the compare widget: grey levels along a line that the user draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.imaging.panels import error_text, length_text
from napari_semnet.imaging.plane import refuse_mixed_units
from napari_semnet.imaging.profiles import Edge, Profile, fit_edge, line_profile
from napari_semnet.widgets.advanced import ignore_wheel_in_passing
from napari_semnet.widgets.compare_subject import Subject
from napari_semnet.widgets.drawn import Drawing
from napari_semnet.widgets.plain_label import WrappedLabel
from napari_semnet.widgets.plots import Curve, LinePlot

__all__ = ["LinePage", "describe_edges"]

HINT = "Draw a line across an edge of the specimen."


def describe_edges(profiles: Sequence[Profile]) -> tuple[dict[str, Edge], str]:
    """Fit an edge to each profile, and say what was found in a line each.

    Returns
    -------
    dict
        Edges by the name of the picture, where there is one.
    str
        Widths with their errors and unit, or that there is no single edge.
    """
    edges, lines = {}, []
    for profile in profiles:
        try:
            edge = fit_edge(profile)
        except ImageError:
            lines.append(f"{profile.name}: no single edge")
            continue
        edges[profile.name] = edge
        width = error_text(edge.width, edge.width_error, profile.unit)
        if edge.width < profile.spacing:
            width = f"below one pixel ({length_text(profile.spacing, profile.unit, 3)})"
        lines.append(f"{profile.name}: {width}")
    return edges, "\n".join(["Edge width from 20 % to 80 %", *lines])


class LinePage(QWidget):  # type: ignore[misc]  # Qt is not followed by the type checker
    """Profiles of all compared pictures along one line.

    Parameters
    ----------
    subject : Subject
    prepare : callable
        Computes what is missing of the compared pictures, then calls its argument.
    parent : QWidget, optional
        As Qt has it.
    """

    def __init__(
        self,
        subject: Subject,
        prepare: Callable[[Callable[[], None]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._subject, self._prepare = subject, prepare
        self.drawing = Drawing(subject.viewer, "compare: line", "add_line", self)
        self.draw_button = QPushButton("Draw a line", self)
        self.draw_button.setToolTip("Press, drag across an edge and release; drag its ends to move")
        self.breadth = QDoubleSpinBox(self)
        ignore_wheel_in_passing(self.breadth)
        self.breadth.setRange(0.0, 1e6)
        self.breadth.setDecimals(1)
        self.breadth.setPrefix("averaged over ")
        self.breadth.setSpecialValueText("not averaged")
        self.breadth.setToolTip("Breadth of the strip along the line that is averaged across it")
        self.plot = LinePlot("Distance", "Grey level", self)
        self.plot.show_curves((), HINT)
        self.edges = WrappedLabel(self)
        row = QHBoxLayout()
        row.addWidget(self.draw_button)
        row.addWidget(self.breadth, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.edges)
        self.draw_button.clicked.connect(self.draw)
        self.breadth.valueChanged.connect(lambda _: self.measure())
        self.drawing.changed.connect(self.measure)

    def draw(self) -> None:
        """Let the user draw, or draw again."""
        layers = self._subject.layers()
        if not layers:
            self.plot.show_curves((), "Choose the layers to compare above.")
            return
        self.drawing.draw(layers[0])
        self._prepare(self.measure)

    def measure(self) -> None:
        """Measure along the line that was drawn last."""
        lines = [outline for outline in self.drawing.outlines() if len(outline) == 2]
        if not lines:
            self.plot.show_curves((), HINT)
            self.edges.setText("")
            return
        try:
            profiles = self.profiles(lines[-1])
        except SemnetError as error:
            self.plot.show_curves((), str(error))
            self.edges.setText("")
            return
        unit = profiles[0].unit
        self.breadth.setSuffix(f" {unit}")
        self.plot.x_label, self.plot.y_label = f"Distance ({unit})", "Grey level"
        edges, text = describe_edges(profiles)
        self.plot.show_curves(
            [
                Curve(
                    profile.name,
                    profile.distance,
                    profile.values,
                    marks=_marks(edges.get(profile.name)),
                )
                for profile in profiles
            ]
        )
        self.edges.setText(text)

    def profiles(self, line: Any) -> list[Profile]:
        """Sample each compared picture along a line, given by its ends in nm or pixels."""
        start, stop = ((float(y), float(x)) for y, x in line)
        planes = self._subject.planes()
        refuse_mixed_units(planes)
        return [line_profile(plane, start, stop, self.breadth.value()) for plane in planes]

    def let_go(self) -> None:
        """Follow the viewer no longer; the line stays in it."""
        self.drawing.let_go()


def _marks(edge: Edge | None) -> tuple[float, ...]:
    """Places of the 20 % and the 80 % of an edge."""
    if edge is None:
        return ()
    return edge.position - edge.width / 2, edge.position + edge.width / 2
