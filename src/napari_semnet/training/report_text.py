"""An evaluation's tables in plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_semnet.imaging.patterns import Pattern
from napari_semnet.training.soundness import FLAT_NOISE, Soundness

if TYPE_CHECKING:
    from napari_semnet.training.report import Report
    from napari_semnet.training.summary import Interval

__all__ = ["render"]

_SHOWN_PER_SOURCE = ("Gaussian best PSNR + bicubic", "BM3D + bicubic", "bicubic")


def render(report: Report) -> str:
    """Write a report's tables and definitions.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        Lines of at most some 110 characters, each number with its unit in the heading.
    """
    blocks = [
        _heading(report),
        _methods(report),
        _gains(report),
        *_sources(report),
        *(_soundness(check, report) for check in report.soundness),
        _remarks(report),
        _definitions(report),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _heading(report: Report) -> list[str]:
    plan = report.plan
    if plan.lq is None:
        how = (
            f"degraded by profile '{plan.profile.name}', {plan.draws} fixed draws a picture, "
            f"seed {plan.seed}"
        )
    else:
        how = f"real pairs, {plan.pairing}"
    lines = [f"{report.counts}: {how}."]
    if plan.reference_shape is not None:
        rows, columns = plan.reference_shape
        lines.append(
            f"References cut to {columns} x {rows} pixels; inputs {columns // 2} x {rows // 2}."
        )
    lines += [
        f"{model.name}: {model.device}, {model.precision}, sha256 {model.sha256[:12]}"
        for model in report.models
    ]
    return [*lines, f"Time: {report.seconds:.0f} s."]


def _methods(report: Report) -> list[str]:
    rows = []
    for method in report.methods:
        summary = report.summary(method.name)
        rows.append(
            [
                method.name,
                {"oracle": "told the reference", "mark": "mark, no method"}.get(method.kind, ""),
                _interval(summary.psnr, 2),
                _interval(summary.ssim, 4),
                f"{summary.bias:+.2f}",
                f"{summary.largest_bias:.2f}",
                f"{summary.seconds:.2f}",
            ]
        )
    heading = ["method", "", "PSNR, dB [95 %]", "SSIM [95 %]", "bias", "largest", "s/case"]
    return _table(heading, rows)


def _gains(report: Report) -> list[str]:
    rows = [
        [
            gain.method,
            gain.over,
            _interval(gain.psnr, 2, sign="+"),
            f"{gain.better_psnr} of {gain.pictures}",
            _interval(gain.ssim, 4, sign="+"),
            f"{gain.better_ssim} of {gain.pictures}",
        ]
        for gain in report.gains()
    ]
    if not rows:
        return []
    heading = ["gain of", "over", "PSNR, dB [95 %]", "better in", "SSIM [95 %]", "better in"]
    return _table(heading, rows)


def _sources(report: Report) -> Iterator[list[str]]:
    """One table a model: its gain for each source."""
    sources = report.sources()
    names = {method.name for method in report.methods}
    shown = [name for name in _SHOWN_PER_SOURCE if name in names]
    if len(sources) < 2:
        return
    for model in report.models:
        rows = []
        for source in sources:
            part = report.of_source(source)
            summary = part.summary(model.name)
            gains = [part.gain(model.name, over) for over in shown]
            rows.append(
                [
                    source or "(none)",
                    str(summary.pictures),
                    f"{summary.psnr.mean:.2f} / {summary.ssim.mean:.4f}",
                    *(f"{gain.psnr.mean:+.2f} / {gain.ssim.mean:+.4f}" for gain in gains),
                ]
            )
        heading = [
            f"{model.name} by {report.plan.column}",
            "pictures",
            "PSNR, dB / SSIM",
            *(f"over {name}" for name in shown),
        ]
        yield _table(heading, rows)


def _soundness(check: Soundness, report: Report) -> list[str]:
    lines = [f"Checks of {check.model} on synthetic specimens:"]
    lines += [
        f"  flat field of {flat.grey} with noise of {FLAT_NOISE:g} grey levels: deviation "
        f"{flat.deviation:.2f}, mean {flat.bias:+.2f} grey levels"
        for flat in check.flats
    ]
    lines += [
        f"  straight edge at {edge.electrons:g} electrons/px: 20-80 % width {_width(edge.width)} "
        f"(bicubic {edge.bicubic:.2f}, truth {edge.truth:.2f})"
        for edge in check.edges
    ]
    lines += [
        f"  pattern of {pattern.restored.pitch} px in flat fields"
        f"{' (tile pitch)' if pattern.is_tile else ''}: {_pattern(pattern.restored)}; bicubic "
        f"{_pattern(pattern.bicubic)}"
        for pattern in check.patterns
    ]
    for pitch in (2, 8):
        ours, theirs = (_median(report, name, pitch) for name in (check.model, "bicubic"))
        if ours is not None and theirs is not None:
            lines.append(
                f"  pattern of {pitch} px in the pictures, medians: {_pattern(ours)}; bicubic "
                f"{_pattern(theirs)}"
            )
    return lines


def _width(pixels: float) -> str:
    return f"{pixels:.2f} px" if math.isfinite(pixels) else "not measurable"


def _pattern(pattern: Pattern) -> str:
    return f"{pattern.amplitude:.3f} grey levels, peak {pattern.peak:.1f}"


def _median(report: Report, method: str, pitch: int) -> Pattern | None:
    found = [
        pattern
        for score in report.scores
        if score.method == method
        for pattern in score.patterns
        if pattern.pitch == pitch
    ]
    if not found:
        return None
    peaks, amplitudes = ([getattr(p, name) for p in found] for name in ("peak", "amplitude"))
    return Pattern(pitch, float(np.median(peaks)), float(np.median(amplitudes)))


def _remarks(report: Report) -> list[str]:
    lines = list(report.notices)
    lines += [f"Skipped {skip.path.name}: {skip.reason}." for skip in report.skipped]
    lines += [f"{picture}: {note}." for picture, notes in report.notes.items() for note in notes]
    return lines


def _definitions(report: Report) -> list[str]:
    from napari_semnet.training.report import DEFINITIONS

    lines = [f"{name}: {text}." for name, text in DEFINITIONS.items() if name != "bicubic"]
    return lines + [f"{method.name}: {method.definition}." for method in report.methods]


def _interval(interval: Interval, digits: int, sign: str = "") -> str:
    mean, low, high = (
        f"{value:{sign}.{digits}f}" for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} [{low}, {high}]"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    empty = [i for i, width in enumerate(widths) if width == 0]
    lines = [
        "  ".join(
            cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            if i not in empty
        ).rstrip()
        for row in (heading, *rows)
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
