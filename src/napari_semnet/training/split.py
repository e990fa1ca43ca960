"""Which pictures are held out to measure on, and that they stay so when a run goes on.

A specimen's place in the order in which they are held out is a function of the seed and of its
own name, so that pictures that come or go move no other. What was held out, and what was trained
on, is kept beside the weights (`napari_semnet.training.checkpoint.Progress`): no run that goes on
measures on a picture that its weights have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_semnet.training.config import Source, TrainingConfig
from napari_semnet.training.randomness import sample_keys, stream_keys
from napari_semnet.training.store import Copy, Field

__all__ = [
    "SMALLEST_SIDE",
    "Split",
    "change_of",
    "choose_held_out",
    "joined",
    "specimens_of",
    "specimens_with",
    "why_unusable",
]

SMALLEST_SIDE = 32
"""Of a poor crop, in pixels, that is worth measuring on."""

_AT = 2
"""Parts at the end of a picture's path that name it, wherever its folder was moved to."""


@dataclass(frozen=True, slots=True)
class Split:
    """Digests of the pictures that a run was measured on and of those that it has learnt from.

    Attributes
    ----------
    held_out : frozenset of str, or None
        None where nobody wrote it down, as earlier releases did not.
    trained_on : frozenset of str
    """

    held_out: frozenset[str] | None = None
    trained_on: frozenset[str] = frozenset()


def joined(before: Split | None, now: Split) -> Split:
    """Add what is seen now to what was seen before, as what was seen once stays seen.

    A picture that is gone stays held out, should it come back; one that is trained on does not.
    """
    if before is None:
        return now
    trained_on = before.trained_on | now.trained_on
    held_out = (before.held_out or frozenset()) | (now.held_out or frozenset())
    return Split(held_out - trained_on, trained_on)


def change_of(before: Split, now: Split) -> str:
    """Say in a sentence how the pictures differ from those of before; empty when they do not."""
    if before.held_out is None or now.held_out is None:
        return ""
    sets = ((before.trained_on, now.trained_on), (before.held_out, now.held_out))
    if all(one == other for one, other in sets):
        return ""
    to_train_on, held_out = (
        f"{len(other - one)} more and {len(one - other)} fewer" for one, other in sets
    )
    return (
        f"The pictures differ from those of before: to train on, {to_train_on}; held out, "
        f"{held_out}. None that was trained on is measured on."
    )


def why_unusable(source: Source, field: Field, side: int) -> str:
    """Say why patches of a side in poor pixels are not cut from a field; empty when they are."""
    rows, columns = field.target.rows, field.target.columns
    if min(rows, columns) < 2 * side:
        return f"too small: {columns} x {rows} pixels for a patch of {2 * side}"
    if source.largest_noise is not None and field.noise > source.largest_noise:
        return f"too noisy: {field.noise:.1f} grey levels of 255"
    return ""


def specimens_of(fields: Iterable[Field | Copy]) -> Mapping[str, str]:
    """Name the specimen of each group: groups that have a picture in common are of one."""
    specimens: dict[str, str] = {}
    group_of: dict[str, str] = {}
    for field in fields:
        specimens.setdefault(field.group, field.group)
        for digest in field.digests:
            known = group_of.setdefault(digest, field.group)
            first, second = sorted((specimens[known], specimens[field.group]))
            if first != second:
                specimens.update(
                    (group, first) for group in specimens if specimens[group] == second
                )
    return specimens


def specimens_with(
    digests: frozenset[str], fields: Iterable[Field], specimens: Mapping[str, str]
) -> set[str]:
    """List the specimens that show one of some pictures."""
    return {specimens[f.group] for f in fields if not digests.isdisjoint(f.digests)}


def choose_held_out(
    config: TrainingConfig,
    fields: Sequence[Sequence[Field]],
    specimens: Mapping[str, str],
    *,
    by_place: bool = False,
) -> set[str]:
    """Choose the specimens to hold out: their share of each source, and of no source all.

    Parameters
    ----------
    config : TrainingConfig
    fields : sequence of sequences of Field
        Those of each source.
    specimens : mapping
        See `specimens_of`.
    by_place : bool
        As earlier releases chose, whose runs have not written down what they held out.

    Returns
    -------
    set of str
        Of specimens that have a field which can be measured on.
    """

    def usable(source: Source, those: Sequence[Field], side: int) -> set[str]:
        return {
            specimens[field.group]
            for field in those
            if by_place or not why_unusable(source, field, side)
        }

    sources = list(zip(config.data, fields, strict=True))
    to_train_on = [usable(source, those, config.patch) for source, those in sources]
    order = _order_by_place if by_place else _order_by_name
    apart: set[str] = set()
    for source, those in sources:
        names = usable(source, those, SMALLEST_SIDE)
        share = 0.0 if source.kind == "noise2noise" else config.validation.share
        count = max(round(share * len(names)), 1 if share > 0 else 0)
        for name in order(config.seed, names):
            if len(apart & names) >= count:
                break
            if all(there - apart - {name} for there in to_train_on if there):
                apart.add(name)
    return apart


def _order_by_name(seed: int, names: set[str]) -> list[str]:
    """Shuffle names, each by a key of its own."""

    def key(name: str) -> tuple[bytes, str]:
        # Not the whole path: a run whose folder was moved holds out the same pictures.
        end = "/".join(Path(name).parts[-_AT:])
        content = f"{seed} {end}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(content, digest_size=8).digest(), name

    return sorted(names, key=key)


def _order_by_place(seed: int, names: set[str]) -> list[str]:
    """Shuffle names by keys of their places in the alphabet, which others than they can change."""
    keys = stream_keys(sample_keys(seed, 0, 0, len(names)), "held out groups")
    in_order = sorted(names)
    return [in_order[index] for index in np.argsort(keys)]
