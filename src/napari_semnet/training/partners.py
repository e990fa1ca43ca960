"""Which of two folders' pictures belong together, told by their names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Partners", "end_named", "ends_of", "join_by_name", "name_within"]


@dataclass(frozen=True, slots=True)
class Partners:
    """Pictures of two folders, joined.

    Attributes
    ----------
    pairs : tuple of (Path, Path)
        One of the first folder and one of the second, in order of the first.
    alone : mapping
        From each picture without a partner to the reason, those of the first folder first.
    share_names : bool
        Whether a picture of one folder is called as one of the other, though perhaps not alone.
    in_order : bool
        Whether no names agreed, so that the first was joined to the first, and so on, though nobody
        had put them in this order.
    """

    pairs: tuple[tuple[Path, Path], ...]
    alone: Mapping[Path, str]
    share_names: bool
    in_order: bool = False


def name_within(place: Path, path: Path) -> str:
    """Name a picture by its path within a folder, without suffix, whatever the case."""
    inside = path.relative_to(place) if place in path.parents else Path(path.name)
    return _composed(inside.with_suffix("").as_posix()).lower()


def ends_of(path: Path) -> Iterator[str]:
    """List the ends of a path with forward slashes, as tables name pictures: the longest first."""
    parts = path.parts
    return (_composed(Path(*parts[start:]).as_posix()) for start in range(len(parts)))


def end_named(text: str) -> str:
    """Turn a path as a table has it into one that `ends_of` lists."""
    return _composed(PurePosixPath(text.replace("\\", "/")).as_posix())


def _composed(text: str) -> str:
    """Write letters with accents in one way: macOS and some programs take them apart."""
    return unicodedata.normalize("NFC", text)


def join_by_name(ones: Mapping[Path, str], others: Mapping[Path, str]) -> Partners:
    """Join the pictures of two folders.

    Parameters
    ----------
    ones, others : mapping
        From the pictures of each folder to their names; see `name_within`.

    Returns
    -------
    Partners
        Joined are those of the same path within the folder, then those of the same name alone,
        where no other picture on either side has it.
    """
    last_ones, last_others = _last(ones), _last(others)
    found: dict[Path, Path] = {}
    joined: set[Path] = set()
    for names in ((ones, others), (last_ones, last_others)):
        first, second = (_of_one_picture(side) for side in names)
        for name, one in first.items():
            other = second.get(name)
            if other is not None and not joined & {one, other}:
                found[one] = other
                joined |= {one, other}
    shared = set(last_ones.values()) & set(last_others.values())
    alone = {
        path: f"several pictures are called {path.stem}, and none has the same place in its folder"
        if name in shared
        else "no picture in the other folder has this name"
        for path, name in (*last_ones.items(), *last_others.items())
        if path not in joined
    }
    pairs = tuple((one, found[one]) for one in ones if one in found)
    return Partners(pairs, alone, bool(shared))


def _last(names: Mapping[Path, str]) -> dict[Path, str]:
    """Names without the folders that they lie in."""
    return {path: name.rpartition("/")[2] for path, name in names.items()}


def _of_one_picture(names: Mapping[Path, str]) -> dict[str, Path]:
    """Pictures by their names, without the names that several have."""
    counts = Counter(names.values())
    return {name: path for path, name in names.items() if counts[name] == 1}
