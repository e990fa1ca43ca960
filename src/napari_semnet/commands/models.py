"""``napari-semnet models``: which models there are, what their cards say, and your own ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_semnet.commands import values

if TYPE_CHECKING:
    from napari_semnet.library import Listed

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``models`` to the command line."""
    parser = commands.add_parser(
        "models",
        help="list the models, show a card, import, rename or delete your own",
        description="List the bundled models and those in your own models folder.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run, act=_list)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    show = _action(actions, "show", _show, "print a model's card")
    show.add_argument("name", metavar="NAME", help="a model's name, or the path of its file")
    add = _action(actions, "import", _import, "check a model file and put it among your models")
    add.add_argument(
        "file", metavar="FILE", type=values.name, help="a .safetensors file of a SEMNet"
    )
    add.add_argument("--name", help="name for it; by default the file's")
    rename = _action(actions, "rename", _rename, "give one of your models another name")
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("new", metavar="NEW")
    delete = _action(actions, "delete", _delete, "set one of your models aside")
    delete.add_argument("name", metavar="NAME")
    undelete = _action(actions, "undelete", _undelete, "put a deleted model back")
    undelete.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """List the models, or do to one of them what is asked."""
    arguments.act(arguments)
    return 0


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    act: Callable[[argparse.Namespace], None],
    what: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.set_defaults(act=act)
    # Suppressed, or the default here would undo a --json given before the action.
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
    return parser


def _list(arguments: argparse.Namespace) -> None:
    from napari_semnet.commands.card_text import glance
    from napari_semnet.library import deleted_models, list_models
    from napari_semnet.model import user_models_folder

    for entry in list_models():
        lines = [json.dumps(_as_json("model", entry))] if arguments.json else [*glance(entry), ""]
        _print(lines)
    if arguments.json:
        return
    _print([f"Your own models go into {user_models_folder()}"])
    deleted = deleted_models()
    if deleted:
        _print([f"Deleted, can be put back with 'models undelete': {', '.join(deleted)}"])


def _show(arguments: argparse.Namespace) -> None:
    from napari_semnet.commands.card_text import card_lines
    from napari_semnet.model import read_card, resolve_model

    card = read_card(arguments.name)
    as_json = [json.dumps(card.model_dump(mode="json"))]
    _print(as_json if arguments.json else card_lines(card, resolve_model(arguments.name)))


def _import(arguments: argparse.Namespace) -> None:
    from napari_semnet.library import import_model

    entry = import_model(arguments.file, arguments.name)
    _tell(arguments, "model_imported", entry, f"{arguments.file} is your model '{entry.name}' now.")


def _rename(arguments: argparse.Namespace) -> None:
    from napari_semnet.library import rename_model

    entry = rename_model(arguments.name, arguments.new)
    _tell(arguments, "model_renamed", entry, f"'{arguments.name}' is called '{entry.name}' now.")


def _delete(arguments: argparse.Namespace) -> None:
    from napari_semnet.library import KEPT_DAYS, delete_model

    aside = delete_model(arguments.name)
    if arguments.json:
        _print([json.dumps({"event": "model_deleted", "name": aside.stem, "path": str(aside)})])
        return
    how = f"For {KEPT_DAYS} days it can be put back: napari-semnet models undelete {aside.stem}"
    _print([f"'{arguments.name}' is deleted. {how}"])


def _undelete(arguments: argparse.Namespace) -> None:
    from napari_semnet.library import put_back

    entry = put_back(arguments.name)
    _tell(arguments, "model_put_back", entry, f"'{entry.name}' is back.")


def _tell(arguments: argparse.Namespace, event: str, entry: Listed, sentence: str) -> None:
    _print([json.dumps(_as_json(event, entry)) if arguments.json else sentence])


def _as_json(event: str, entry: Listed) -> dict[str, Any]:
    return {
        "event": event,
        "name": entry.name,
        "path": str(entry.path),
        "own": entry.is_own,
        "default": entry.is_default,
        "card": None if entry.card is None else entry.card.model_dump(mode="json"),
        "refused": entry.refused or None,
    }


def _print(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
