"""What a bioimage.io package says in words: its README, from the model's own card."""

from __future__ import annotations

from napari_semnet.card import Card, Metric

__all__ = ["HOW_TO_VALIDATE", "LIMITS", "readme"]

KIND = (
    "A SEMNet: it denoises grey pictures of a scanning electron microscope and doubles their "
    "pixels each way."
)

GREY_LEVELS = (
    "Grey levels from 0 (black) to 255 (white), as an 8-bit picture has them; scale others to "
    "that range, one range for the whole picture or stack. The result has the same range. Cut the "
    "databar off first. A pixel of the result is half as wide as one of the input, and the outer "
    "borders of both pictures coincide."
)

LIMITS = (
    "Restored pixels are estimates from their surroundings and from pictures seen in training, "
    "not measurements. Noise that looks like a structure may come out as one."
)

HOW_TO_VALIDATE = (
    "Take a fast scan and a slow scan of the same place, restore the fast one, and compare the "
    "result with the slow one, which stands for the truth: PSNR and SSIM after registration, edge "
    "widths along lines, and the difference picture, which must show noise and no outlines. Do so "
    "for each kind of specimen and each setting of the microscope that the model is used for."
)


def readme(card: Card) -> str:
    """Write the documentation of a package, in Markdown."""
    parts = [
        f"# {card.name}",
        card.description,
        f"Status: {card.status}." if card.status else "",
        KIND,
        "## Input and output",
        GREY_LEVELS,
        "## Training",
        _list([*card.training.data, card.training.recipe, *_seen(card)]),
        "## Measured",
        _list([_metric(metric) for metric in card.metrics]) or "The card states no figures.",
        "## Validation",
        HOW_TO_VALIDATE,
        "## Limits",
        LIMITS,
        card.limits,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _seen(card: Card) -> list[str]:
    lines = []
    if card.noise_range is not None:
        low, high = card.noise_range
        lines.append(f"noise seen: standard deviation of {low:g} to {high:g} grey levels of 255")
    if card.pixel_size_range_nm is not None:
        low, high = card.pixel_size_range_nm
        lines.append(f"pixel sizes seen: {low:g} to {high:g} nm")
    if card.training.steps_text:
        lines.append(card.training.steps_text)
    return lines


def _metric(metric: Metric) -> str:
    value = f"{metric.name}: {metric.value:g} {metric.unit}".rstrip()
    details = "; ".join(part for part in (metric.definition, metric.data) if part)
    return f"{value} ({details})" if details else value


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines if line)
