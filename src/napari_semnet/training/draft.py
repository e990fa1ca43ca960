"""What somebody picked to train on, written where a run can read it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_semnet.errors import TrainingError
from napari_semnet.training.pieces import Opened, write_pieces
from napari_semnet.training.project import Kind, Pictures

__all__ = ["Picked", "Slot", "write_pictures"]

_FOLDERS = ("pictures", "second")
_HELD_OUT = ("held-out", "held-out-second")
_LONGEST = 28
"""Letters of each of two names, so that both are read in the name of a file."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Pictures of one role: open ones, and files or folders."""

    opened: tuple[Opened, ...] = ()
    places: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.places)


@dataclass(frozen=True, slots=True)
class Picked:
    """What to learn from.

    Attributes
    ----------
    kind : str
        A key of `napari_semnet.training.project.KINDS`.
    first, second : Slot
        Good images and none; or poor and good ones; or first and second frames.
    """

    kind: Kind
    first: Slot
    second: Slot = Slot()

    def check(self) -> None:
        """Refuse what cannot be trained on at a glance.

        Raises
        ------
        TrainingError
            Nothing is picked, or what should be pairs is not.
        """
        if self.kind == "hq":
            if not self.first:
                raise TrainingError("Choose at least one good image: a layer, or a folder.")
            return
        if not self.first or not self.second:
            raise TrainingError("Choose the two pictures of each field: layers, or two folders.")
        counts = len(self.first.opened), len(self.second.opened)
        if counts[0] != counts[1]:
            raise TrainingError(
                f"{counts[0]} and {counts[1]} layers cannot be joined to pairs. Choose as many in "
                "both lists; they belong together from top to bottom."
            )
        for one, other in zip(self.first.opened, self.second.opened, strict=True):
            if one.slices != other.slices:
                raise TrainingError(
                    f"'{one.name}' and '{other.name}' have {one.slices} and {other.slices} "
                    "slices, so they are no pair. Lists belong together from top to bottom."
                )
        if bool(self.first.places) != bool(self.second.places):
            raise TrainingError("Choose a folder for both pictures of each field, or for neither.")


def write_pictures(picked: Picked, folder: Path) -> Generator[float, None, Pictures]:
    """Write open pictures into a folder, and say where all of them lie.

    Parameters
    ----------
    picked : Picked
    folder : Path
        Of the run; paths of what is written into it are relative to it.

    Yields
    ------
    float
        Finished part, 0 to 1.

    Raises
    ------
    SemnetError
        `Picked.check` refuses, or a picture cannot be written.
    """
    picked.check()
    slots = [picked.first] if picked.kind == "hq" else [picked.first, picked.second]
    is_only = all(len(slot.opened) == 1 and not slot.places for slot in slots)
    cuts = is_only and picked.kind != "noise2noise"
    total = sum(len(slot.opened) for slot in slots)
    names = _names(slots)
    used: list[tuple[Path, ...]] = []
    apart: list[tuple[Path, ...]] = []
    done = 0
    for number, slot in enumerate(slots):
        held_out = False
        for piece in write_pieces(
            slot.opened,
            names,
            folder / _FOLDERS[number],
            folder / _HELD_OUT[number] if cuts else None,
            factor=_factor(slots, number),
        ):
            held_out |= piece.is_held_out
            done += 1
            yield min(done / (2 * max(total, 1)), 1.0)
        written = (Path(_FOLDERS[number]),) if slot.opened else ()
        used.append((*written, *(place.absolute() for place in slot.places)))
        apart.append((Path(_HELD_OUT[number]),) if held_out else ())
    second = ((), ()) if len(slots) == 1 else (used[1], apart[1])
    return Pictures(picked.kind, used[0], second[0], (apart[0], second[1]))


def _names(slots: list[Slot]) -> list[str]:
    """Name files: those of one field alike, so that they are joined and nothing else is."""
    if len(slots) == 1:
        return [one.name for one in slots[0].opened]
    together = zip(*(slot.opened for slot in slots), strict=True)
    return [" - ".join(dict.fromkeys(one.name[:_LONGEST] for one in field)) for field in together]


def _factor(slots: list[Slot], number: int) -> int:
    """How many times the rows of the other picture this one has, where that is twice."""
    if number == 0 or not slots[0].opened or not slots[1].opened:
        return 1
    rows = [slot.opened[0].shape[-2] for slot in slots]
    return 2 if rows[1] == 2 * rows[0] else 1
