"""What ``napari-semnet models`` prints of a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_semnet.library import Listed
    from napari_semnet.model import Card

__all__ = ["card_lines", "glance"]


def glance(entry: Listed) -> list[str]:
    """Write the few lines of a card by which one chooses a model."""
    notes = ["yours"] if entry.is_own else ["comes with the package"]
    notes += ["used when none is named"] if entry.is_default else []
    title = f"{entry.name} ({', '.join(notes)})"
    if entry.card is None:
        return [title, f"  refused: {entry.refused}"]
    card = entry.card
    facts = [f"on its card: {card.name}"] if card.name != entry.name else []
    facts.append(card.description)
    if card.status:
        facts.append(f"status: {card.status}")
    facts += [_metric_line(metric) for metric in card.metrics[:2]]
    if card.noise_range is not None:
        facts.append(f"noise seen in training: {_range(card.noise_range)} grey levels of 255")
    if card.pixel_size_range_nm is not None:
        facts.append(f"pixel sizes seen in training: {_range(card.pixel_size_range_nm)} nm")
    facts.append(f"licence: {card.licence or 'not stated'}")
    return [title, *(f"  {fact}" for fact in facts if fact)]


def card_lines(card: Card, path: Path) -> list[str]:
    """Write out a whole card.

    Parameters
    ----------
    card : Card
    path : Path
        The model's file.

    Returns
    -------
    list of str
        Lines of plain text; what the card leaves open is left out.
    """
    shape, training = card.architecture, card.training
    structure = (
        f"{shape.blocks} RRDBs of {shape.rdb_per_block} RDBs of {shape.conv_per_rdb} convolutions, "
        f"{shape.features} features, growth {shape.growth}, {shape.scale}x pixels each way"
    )
    lines = [
        card.name,
        f"  file: {path} ({path.stat().st_size / 2**20:.1f} MiB)",
        f"  description: {card.description}",
        f"  status: {card.status}",
        f"  architecture: {structure}",
        *(f"  training data: {source}" for source in training.data),
        f"  recipe: {training.recipe}",
        f"  trained: {training.steps_text}",
        f"  trained on: {training.hardware}",
        f"  training time: {'' if training.hours is None else f'{training.hours:g} h'}",
        f"  started from: {training.started_from}",
        *(f"  {_metric_line(metric)}" for metric in card.metrics),
    ]
    if card.noise_range is not None:
        lines.append(f"  noise seen in training: {_range(card.noise_range)} grey levels of 255")
    if card.pixel_size_range_nm is not None:
        lines.append(f"  pixel sizes seen in training: {_range(card.pixel_size_range_nm)} nm")
    if card.halo is not None:
        lines.append(
            f"  halo: {card.halo.pixels} pixels keep tiles within {card.halo.bound:g} grey levels "
            "of 255 of the whole image"
        )
    lines += [
        f"  limits: {card.limits}",
        f"  licence: {card.licence}",
        f"  date: {card.date}",
        f"  written by: {f'napari-semnet {card.package_version}' if card.package_version else ''}",
    ]
    return [line for line in lines if not line.endswith(": ")]


def _metric_line(metric: Any) -> str:
    value = f"{metric.value:g} {metric.unit}".rstrip()
    details = "; ".join(part for part in (metric.definition, metric.data) if part)
    return f"{metric.name}: {value}" + (f" ({details})" if details else "")


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"
