from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_semnet.widgets.plots import ON_DARK, ON_LIGHT, Curve, LinePlot, ticks


@example(low=1.0, span=400001.0, wanted=2)
@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6), wanted=st.integers(2, 12))
def test_ticks_are_round_evenly_spaced_and_within_the_axis(
    low: float, span: float, wanted: int
) -> None:
    found = ticks(low, low + span, wanted)
    assert 1 <= len(found) <= wanted + 1
    tolerance = 1e-6 * max(span, abs(low))
    assert low - tolerance <= found[0]
    assert found[-1] <= low + span + tolerance
    steps = np.diff(found)
    if len(steps):
        mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
        assert min(abs(mantissa - round_number) for round_number in (1, 2, 5, 10)) < 1e-2


def painted(plot: LinePlot) -> np.ndarray:
    image = plot.grab().toImage()
    pixels = np.array(
        [
            [image.pixelColor(x, y).getRgb()[:3] for x in range(image.width())]
            for y in range(0, image.height(), 2)
        ]
    )
    return pixels.reshape(-1, 3)


def shows(plot: LinePlot, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(painted(plot) - wanted).max(axis=1) < 12).any())


@pytest.fixture
def plot(qtbot: Any) -> LinePlot:
    plot = LinePlot("Distance (nm)", "Grey level")
    qtbot.addWidget(plot)
    plot.resize(300, 200)
    return plot


X = np.linspace(0, 10, 50)


@pytest.mark.gui
@pytest.mark.parametrize(("ground", "colours"), [("#262930", ON_DARK), ("#ffffff", ON_LIGHT)])
def test_each_curve_is_drawn_in_a_colour_that_stands_out(
    plot: LinePlot, ground: str, colours: tuple[str, ...]
) -> None:
    plot.set_colours("#808080", ground)
    plot.show_curves([Curve("one", X, X), Curve("two", X, 10 - X)])
    assert shows(plot, colours[0])
    assert shows(plot, colours[1])
    assert not shows(plot, colours[2])
    assert shows(plot, ground)


@pytest.mark.gui
def test_a_curve_of_gaps_alone_is_left_out_and_gaps_do_no_harm(plot: LinePlot) -> None:
    broken = X.copy()
    broken[20:30] = np.nan
    plot.show_curves([Curve("none", X, np.full_like(X, np.nan)), Curve("broken", X, broken)])
    assert [curve.name for curve in plot.curves] == ["broken"]
    assert shows(plot, ON_DARK[0])


@pytest.mark.gui
def test_flat_curves_and_a_message_can_be_drawn(plot: LinePlot) -> None:
    plot.show_curves([Curve("flat", X, np.full_like(X, 7.0), marks=(3.0,))])
    assert shows(plot, ON_DARK[0])
    plot.show_curves((), "Draw a line.")
    assert not shows(plot, ON_DARK[0])
    plot.set_colours("#ff00ff", "#262930")
    red, green, blue = painted(plot).T
    assert ((red > 120) & (blue > 120) & (green < 60)).any()


@pytest.mark.gui
def test_the_values_under_the_mouse_are_read(plot: LinePlot, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint

    plot.show_curves([Curve("one", X, 3 * X)])
    plot.show()
    before = painted(plot)
    qtbot.mouseMove(plot, QPoint(150, 100))
    qtbot.waitUntil(lambda: not np.array_equal(painted(plot), before), timeout=30_000)
