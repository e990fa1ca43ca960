"""Choices that last: napari keeps them with its preferences, as the manifest declares them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from napari.settings import get_plugin_settings

from napari_semnet.widgets.choices import Choices

__all__ = ["KEPT", "load_choices", "save_choices", "stored_group"]

PLUGIN = "napari-semnet"

KEPT = tuple(field.name for field in fields(Choices) if field.name != "intensity")
"""Choices that are kept; the manifest's configuration ``restoration`` has the same keys."""


def load_choices() -> Choices:
    """Read the choices of the last session, or the manifest's defaults."""
    stored = stored_group("restoration")
    if stored is None:
        return Choices()
    return replace(Choices(), **{name: getattr(stored, name) for name in KEPT})


def save_choices(choices: Choices, before: Choices | None = None) -> None:
    """Keep choices for the next session.

    Parameters
    ----------
    choices : Choices
    before : Choices, optional
        What was chosen until now where it was chosen: only what differs is kept then. The rest
        may have been changed elsewhere meanwhile, in another window or among the preferences.
    """
    stored = stored_group("restoration")
    if stored is None:
        return
    for name in KEPT:
        value = getattr(choices, name)
        is_new = before is None or getattr(before, name) != value
        if is_new and getattr(stored, name) != value:
            setattr(stored, name, value)


def stored_group(name: str) -> Any:
    """Get a group of the manifest's configurations; None without the plugin installed."""
    try:
        return getattr(get_plugin_settings(PLUGIN), name)
    except (KeyError, AttributeError):
        return None
