"""What the site's build adds to its pages: the models' cards, read from the bundled files.

The header of a model file is JSON, so nothing of the package needs to be installed for this.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).parent.parent / "src" / "napari_semnet" / "weights"
MARK = "<!-- model cards -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the cards where a page asks for them."""
    return markdown.replace(MARK, cards()) if MARK in markdown else markdown


def cards() -> str:
    """Write the cards of all bundled models, in Markdown."""
    paths = sorted(WEIGHTS.glob("*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"There is no model in {WEIGHTS}.")
    return "\n\n".join(card(path) for path in paths)


def card(path: Path) -> str:
    """Write one card."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        values = json.loads(json.loads(file.read(length))["__metadata__"]["card"])
    training, halo = values.get("training") or {}, values.get("halo")
    rows = {
        "Status": values.get("status"),
        "File": f"`{path.name}`, {path.stat().st_size / 2**20:.1f} MiB",
        "Trained on": "; ".join(training.get("data") or ()),
        "Recipe": training.get("recipe"),
        "Steps": f"{training['steps']:,}" if training.get("steps") else "",
        "Hardware": training.get("hardware"),
        "Time": f"{training['hours']:g} h" if training.get("hours") else "",
        "Started from": training.get("started_from"),
        "Noise seen": _range(values.get("noise_range"), "grey levels of 255"),
        "Pixel sizes seen": _range(values.get("pixel_size_range_nm"), "nm"),
        "Halo": (
            f"{halo['pixels']} pixels keep tiles within {halo['bound']:g} grey levels of 255 of "
            "the whole image"
            if halo
            else ""
        ),
        "Licence": values.get("licence"),
        "Date": values.get("date"),
        **{metric["name"]: _metric(metric) for metric in values.get("metrics") or ()},
    }
    table = ["| | |", "|---|---|"]
    table += [f"| {title} | {_cell(text)} |" for title, text in rows.items() if text]
    limits = values.get("limits")
    warning = f'\n\n!!! warning "Limits"\n    {_cell(limits)}' if limits else ""
    return (
        f"### {values['name']}\n\n{values.get('description', '')}\n\n" + "\n".join(table) + warning
    )


def _metric(metric: dict[str, Any]) -> str:
    value = f"**{metric['value']:g} {metric.get('unit', '')}**".replace(" **", "**")
    details = "; ".join(part for part in (metric.get("definition"), metric.get("data")) if part)
    return f"{value} ({details})" if details else value


def _range(bounds: list[float] | None, unit: str) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g} {unit}" if bounds else ""


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())
