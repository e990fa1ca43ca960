"""An evaluation's figures: the methods' PSNR and SSIM with intervals, and crops to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from napari_semnet.training.scores import CROP, SHOWN, Kind

if TYPE_CHECKING:
    from napari_semnet.training.report import Report
    from napari_semnet.training.summary import Interval

__all__ = ["draw_examples", "draw_figure"]

_PAPER, _INK, _GRID = "white", "#222222", "#dddddd"
_COLOURS: dict[Kind, str] = {
    # Distinct for colour-blind readers too; the kind also stands in words beside the name.
    "model": "#0072b2",
    "baseline": "#444444",
    "oracle": "#d55e00",
    "mark": "#999999",
}
_KINDS: dict[Kind, str] = {
    "model": "model",
    "baseline": "classical",
    "oracle": "classical, told the reference",
    "mark": "mark, no method",
}
_ROW = 30
_NAMES, _PLOT, _GAP, _TOP, _BOTTOM = 360, 420, 60, 70, 90


def draw_figure(report: Report) -> Image.Image:
    """Draw PSNR and SSIM of every method, each with its 95 % interval.

    Parameters
    ----------
    report : Report

    Returns
    -------
    PIL.Image.Image
        Colour; methods from the worst to the best PSNR.
    """
    summaries = sorted(
        ((report.summary(method.name), method) for method in report.methods),
        key=lambda entry: entry[0].psnr.mean,
    )
    size = (_NAMES + 2 * _PLOT + 2 * _GAP, _TOP + _ROW * len(summaries) + _BOTTOM)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    title = f"{report.counts}, {_how(report)}"
    draw.text((16, 12), title, _INK, ImageFont.load_default(18))
    for row, (_, method) in enumerate(summaries):
        colour = _COLOURS[method.kind]
        place = (_NAMES - 12, _TOP + _ROW * row + _ROW // 2)
        draw.text(place, method.name, colour, ImageFont.load_default(15), anchor="rm")
    colours = [_COLOURS[method.kind] for _, method in summaries]
    panels = (
        ("PSNR, dB", [summary.psnr for summary, _ in summaries], 2),
        ("SSIM", [summary.ssim for summary, _ in summaries], 3),
    )
    for number, (label, intervals, digits) in enumerate(panels):
        left = _NAMES + number * (_PLOT + _GAP)
        _draw_panel(draw, left, label, intervals, colours, digits)
    shown = {method.kind for _, method in summaries}
    legend = [(kind, text) for kind, text in _KINDS.items() if kind in shown]
    _draw_legend(draw, 16, size[1] - 24, legend)
    return sheet


def _draw_panel(
    draw: ImageDraw.ImageDraw,
    left: int,
    label: str,
    intervals: Sequence[Interval],
    colours: Sequence[str],
    digits: int,
) -> None:
    known = [i for i in intervals if math.isfinite(i.mean)]
    ticks = _ticks(min(i.low for i in known), max(i.high for i in known)) if known else [0.0, 1.0]
    bottom = _TOP + _ROW * len(intervals)

    def across(value: float) -> float:
        part = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return left + _PLOT * min(max(part, 0.0), 1.0)

    for tick in ticks:
        draw.line((across(tick), _TOP - 6, across(tick), bottom), _GRID)
        font = ImageFont.load_default(13)
        draw.text((across(tick), bottom + 6), f"{tick:g}", _INK, font, anchor="ma")
    centre = (left + _PLOT / 2, bottom + 26)
    draw.text(centre, f"{label}, mean and 95 % interval", _INK, ImageFont.load_default(14), "ma")
    for row, (interval, colour) in enumerate(zip(intervals, colours, strict=True)):
        y = _TOP + _ROW * row + _ROW / 2
        if not math.isfinite(interval.mean):
            draw.text((left + _PLOT, y), "equal", colour, ImageFont.load_default(12), anchor="rm")
            continue
        draw.line((across(interval.low), y, across(interval.high), y), colour, 2)
        x = across(interval.mean)
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), colour)
        text = f"{interval.mean:.{digits}f}"
        draw.text((x, y - 6), text, colour, ImageFont.load_default(11), anchor="mb")


def _ticks(low: float, high: float) -> list[float]:
    """Give four to eight round numbers that enclose a range."""
    span = max(high - low, 1e-3)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (s * power) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * k, 10) for k in range(first, max(last, first + 1) + 1)]


def _draw_legend(
    draw: ImageDraw.ImageDraw, x: float, y: float, entries: Sequence[tuple[Kind, str]]
) -> None:
    font = ImageFont.load_default(14)
    for kind, text in entries:
        draw.ellipse((x, y - 5, x + 10, y + 5), _COLOURS[kind])
        draw.text((x + 16, y), text, _INK, font, anchor="lm")
        x += 16 + draw.textlength(text, font) + 28


def draw_examples(report: Report) -> Image.Image:
    """Lay crops of the examples side by side, one row a case.

    Parameters
    ----------
    report : Report
        With examples.

    Returns
    -------
    PIL.Image.Image
        Grey; no pixel is resampled and all panels have the same contrast.
    """
    models = [model.name for model in report.models]
    names = [
        name
        for name in ("input", *SHOWN, *models, "reference")
        if all(name in example.panels for example in report.examples)
    ]
    gap, strip = 8, 46
    tallest = max(example.panels["reference"].shape[0] for example in report.examples)
    height = tallest + strip + gap
    size = (gap + len(names) * (CROP + gap), len(report.examples) * height + gap)
    sheet = Image.new("L", size, 255)
    draw = ImageDraw.Draw(sheet)
    figures = {(s.picture, s.draw, s.method): s for s in report.scores}
    for row, example in enumerate(report.examples):
        top = gap + row * height
        for column, name in enumerate(names):
            left = gap + column * (CROP + gap)
            draw.text((left, top), name, 0, ImageFont.load_default(15))
            score = figures.get((example.picture, example.draw, name))
            detail = "" if score is None else f"{score.psnr:.2f} dB, {score.ssim:.3f}"
            if column == 0:
                detail = _shortened(example.picture, draw, CROP)
            draw.text((left, top + 22), detail, 80, ImageFont.load_default(13))
            sheet.paste(Image.fromarray(example.panels[name]), (left, top + strip))
    return sheet


def _shortened(text: str, draw: ImageDraw.ImageDraw, width: int) -> str:
    font = ImageFont.load_default(13)
    short = text
    while draw.textlength(short, font) > width and len(text) > 4:
        text = text[:-1]
        short = f"{text}…"
    return short


def _how(report: Report) -> str:
    plan = report.plan
    return "real pairs" if plan.lq is not None else f"degradation profile '{plan.profile.name}'"
