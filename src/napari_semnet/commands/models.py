"""``napari-semnet models``: which models there are, and what their cards say."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semnet.errors import ModelFileError

if TYPE_CHECKING:
    from napari_semnet.model import Card

__all__ = ["add_parser", "card_lines", "run"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A model file and its card, or the reason why it is refused."""

    name: str
    path: Path
    is_default: bool
    card: Card | None
    refused: str = ""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``models`` to the command line."""
    parser = commands.add_parser(
        "models",
        help="list the models, or show the card of one",
        description="List the bundled models and those in your own models folder.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run, name=None)
    actions = parser.add_subparsers(metavar="show")
    show = actions.add_parser("show", help="print a model's card", description="Print a card.")
    show.add_argument("name", metavar="NAME", help="a model's name, or the path of its file")
    # Suppressed, or the default here would undo a --json given before "show".
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the models, or print one card."""
    from napari_semnet.model import read_card, resolve_model, user_models_folder

    if arguments.name is not None:
        card = read_card(arguments.name)
        path = resolve_model(arguments.name)
        as_json = [json.dumps(card.model_dump(mode="json"))]
        _print(as_json if arguments.json else card_lines(card, path))
        return 0
    entries = _entries()
    if arguments.json:
        _print([json.dumps(_as_json(entry)) for entry in entries])
        return 0
    for entry in entries:
        _print([*_glance(entry), ""])
    _print([f"Your own models go into {user_models_folder()}"])
    return 0


def _entries() -> list[_Entry]:
    from napari_semnet.model import DEFAULT_MODEL, model_paths, read_card

    entries = []
    for name, path in model_paths().items():
        try:
            entries.append(_Entry(name, path, name == DEFAULT_MODEL, read_card(path)))
        except ModelFileError as error:
            entries.append(_Entry(name, path, name == DEFAULT_MODEL, None, str(error)))
    return entries


def _glance(entry: _Entry) -> list[str]:
    """Write the few lines of a card by which one chooses a model."""
    title = entry.name + (" (used when none is named)" if entry.is_default else "")
    if entry.card is None:
        return [title, f"  refused: {entry.refused}"]
    card = entry.card
    facts = [card.description]
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
        f"  steps: {'' if training.steps is None else f'{training.steps:,}'}",
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


def _as_json(entry: _Entry) -> dict[str, Any]:
    return {
        "event": "model",
        "name": entry.name,
        "path": str(entry.path),
        "default": entry.is_default,
        "card": None if entry.card is None else entry.card.model_dump(mode="json"),
        "refused": entry.refused or None,
    }


def _print(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
