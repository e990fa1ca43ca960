"""Numbers and cards in words, as the restore widget shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_semnet.model import Card

__all__ = ["card_details", "card_summary", "describe_duration", "time_left"]


def time_left(done: float, seconds: float) -> float | None:
    """Estimate how much longer a job takes.

    Parameters
    ----------
    done : float
        Finished part, from 0 to 1.
    seconds : float
        Time that it took.

    Returns
    -------
    float or None
        Seconds; None before anything is finished.
    """
    if done <= 0:
        return None
    return max(0.0, seconds * (1 - done) / done)


def describe_duration(seconds: float) -> str:
    """Say a duration as a person would: ``8 s``, ``2 min 10 s``, ``1 h 05 min``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} min {10 * (rest // 10):d} s" if rest >= 10 else f"{minutes} min"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def card_summary(card: Card) -> tuple[str, ...]:
    """Say what to know of a model before pressing the button, in a few short lines."""
    lines = []
    if card.status:
        lines.append(f"Status: {card.status}")
    trained = ", ".join(
        part
        for part in (
            card.training.steps_text,
            card.date,
        )
        if part
    )
    if trained:
        lines.append(f"Trained: {trained}")
    if card.noise_range is not None:
        low, high = card.noise_range
        lines.append(f"Noise seen: {low:g} to {high:g} grey levels of 255")
    if card.pixel_size_range_nm is not None:
        low, high = card.pixel_size_range_nm
        seen = f"{low:g} to {high:g}" if high > low else f"{low:g}"
        lines.append(f"Pixel sizes seen: {seen} nm")
    figures = [f"{m.name} {m.value:.4g} {m.unit}".strip() for m in card.metrics[:2]]
    if figures:
        lines.append("Measured: " + ", ".join(figures))
    return tuple(lines)


def card_details(card: Card) -> str:
    """Describe a model as its card does, for a tooltip."""
    paragraphs = [card.description, f"Limits: {card.limits}" if card.limits else ""]
    paragraphs += [f"Trained on {source}" for source in card.training.data]
    paragraphs += [f"Recipe: {card.training.recipe}"] if card.training.recipe else []
    paragraphs += [
        f"{m.name}: {m.value:.4g} {m.unit}".strip()
        + (f" ({m.definition})" if m.definition else "")
        + (f", on {m.data}" if m.data else "")
        for m in card.metrics
    ]
    if card.halo is not None:
        paragraphs.append(
            f"Halo: {card.halo.pixels} pixels keep tiles within {card.halo.bound:g} grey levels "
            "of the whole image"
        )
    paragraphs += [f"Licence: {card.licence}"] if card.licence else []
    return "\n".join(part for part in paragraphs if part)
