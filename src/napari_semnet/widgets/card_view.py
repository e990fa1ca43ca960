"""A model's card, laid out to be read as HTML. No Qt here."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.widgets.wording import card_summary

if TYPE_CHECKING:
    from napari_semnet.card import Card
    from napari_semnet.library import Listed

__all__ = ["card_html"]


def card_html(entry: Listed) -> str:
    """Lay out what there is to know of a model before it is used.

    Parameters
    ----------
    entry : Listed

    Returns
    -------
    str
        HTML. Cards come from files that anyone may have written: nothing of them is taken for
        markup.
    """
    whose = "yours" if entry.is_own else "comes with the package"
    default = ", used when none is chosen" if entry.is_default else ""
    head = f"<p><b>{escape(entry.name)}</b> ({whose}{default})</p>"
    where = f"<p>File: {escape(_short(entry.path))}</p>"
    if entry.card is None:
        return f"{head}<p><b>Cannot be used.</b> {escape(entry.refused)}</p>{where}"
    card = entry.card
    parts = [head]
    if card.name != entry.name:
        parts.append(_paragraph("Name on its card", card.name))
    parts.append(_paragraph("", card.description))
    parts.append("<p>" + "<br>".join(escape(line) for line in card_summary(card)) + "</p>")
    parts.append(_paragraph("Limits", card.limits))
    parts += [_list(title, lines) for title, lines in _details(card)]
    parts.append(_paragraph("Licence", card.licence or "not stated"))
    return "".join(parts) + where


def _details(card: Card) -> list[tuple[str, list[str]]]:
    training = card.training
    made = [
        *(f"on {source}" for source in training.data),
        training.recipe,
        f"started from {training.started_from}" if training.started_from else "",
        f"{training.hours:g} h on {training.hardware}"
        if training.hours is not None and training.hardware
        else "",
    ]
    measured = [
        f"{m.name} {m.value:.4g} {m.unit}".strip()
        + (f" ({m.definition})" if m.definition else "")
        + (f", on {m.data}" if m.data else "")
        for m in card.metrics
    ]
    tiles = "the halo is not measured, so the exact one is used, which takes longer"
    if card.halo is not None:
        tiles = (
            f"a halo of {card.halo.pixels} pixels keeps tiles within {card.halo.bound:g} grey "
            "levels of 255 of the whole image"
        )
    return [("Trained", made), ("Measured", measured), ("Tiles", [tiles])]


def _short(path: Path) -> str:
    """Write a path as people do, with ~ for their own folder."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _paragraph(title: str, text: str) -> str:
    if not text:
        return ""
    return f"<p><b>{title}:</b> {escape(text)}</p>" if title else f"<p>{escape(text)}</p>"


def _list(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines if line)
    return f"<p><b>{title}</b></p><ul>{items}</ul>" if items else ""
