"""Which patch is learnt from at which step: a pure function of (seed, step, sample)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import TrainingError
from napari_semnet.training.config import Augmentation, Source, TrainingConfig
from napari_semnet.training.events import Notice, Preparing
from napari_semnet.training.pairs import seems_swapped
from napari_semnet.training.pictures import Rejected, find_pairs
from napari_semnet.training.randomness import Draws, Keys, sample_keys
from napari_semnet.training.split import (
    SMALLEST_SIDE,
    Split,
    change_of,
    choose_held_out,
    specimens_of,
    specimens_with,
    why_unusable,
)
from napari_semnet.training.store import Field, Store, prepare_source, store_root

__all__ = ["Data", "Patches", "Pool", "not_used", "prepare_data"]

Floats = NDArray[np.float32]

_SHOWN = 5
_MEASURED = 12
"""Pairs, at most, whose noise is compared."""


@dataclass(frozen=True, slots=True)
class Patches:
    """A batch before degradation.

    Attributes
    ----------
    targets : ndarray of float32, (N, 1, 2Y, 2X)
        Values in 0 ... 1.
    lows : ndarray of float32, (N, 1, Y, X)
        What was really measured; zero where `has_low` is False.
    has_low : ndarray of bool, (N,)
        Whether a sample comes from pictures that were taken twice, and is not to be degraded.
    """

    targets: Floats
    lows: Floats
    has_low: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pool:
    """The usable fields of one source.

    Attributes
    ----------
    source : Source
    store : Store
    fields : tuple of Field
    weights : tuple of float
        How often each field is drawn, relative to the others.
    """

    source: Source
    store: Store
    fields: tuple[Field, ...]
    weights: tuple[float, ...]

    def patch(self, field: Field, row: int, column: int, side: int) -> tuple[Floats, Floats | None]:
        """Cut a patch of `side` poor pixels whose corner is at (row, column) of the poor grid."""
        target = _unit(self.store.pixels(field.target), 2 * row, 2 * column, 2 * side)
        if field.low is None:
            return target, None
        return target, _unit(self.store.pixels(field.low), row, column, side)


@dataclass(frozen=True, slots=True)
class Data:
    """All that a run learns from, and what it is measured on."""

    training: tuple[Pool, ...]
    validation: tuple[Pool, ...]
    rejected: tuple[Rejected, ...]
    augmentation: Augmentation

    @property
    def images(self) -> int:
        """Number of fields to train on."""
        return sum(len(pool.fields) for pool in self.training)

    @property
    def split(self) -> Split:
        """What is held out, and what is trained on."""
        held_out, trained_on = (
            frozenset(digest for pool in pools for f in pool.fields for digest in f.digests)
            for pools in (self.validation, self.training)
        )
        return Split(held_out, trained_on)

    @property
    def megapixels(self) -> float:
        """Of the references to train on, in millions."""
        places = [field.target for pool in self.training for field in pool.fields]
        return sum(place.rows * place.columns for place in places) / 1e6

    def patches(self, *, seed: int, step: int, first_sample: int, count: int, side: int) -> Patches:
        """Draw part of the batch of a step.

        Parameters
        ----------
        seed, step : int
            Of the run.
        first_sample : int
            Place of the first sample in the whole batch.
        count : int
            Samples.
        side : int
            Of the poor patch, in pixels.

        Returns
        -------
        Patches
            The same for the same arguments, whatever was drawn before.
        """
        keys = sample_keys(seed, step, first_sample, count)
        draws = Draws(keys)
        sources = draws.choose("patch source", [pool.source.weight for pool in self.training])
        row, column = draws.uniform("patch row"), draws.uniform("patch column")
        symmetry = (draws.uniform("patch symmetry") * 8).astype(int)
        tones = _Tones(draws, self.augmentation)
        targets = np.empty((count, 1, 2 * side, 2 * side), np.float32)
        lows = np.zeros((count, 1, side, side), np.float32)
        has_low = np.zeros(count, bool)
        for n in range(count):
            pool = self.training[sources[n]]
            field = pool.fields[_choose(keys[n : n + 1], pool.weights)]
            rows, columns = field.target.rows // 2, field.target.columns // 2
            corner = int(row[n] * (rows - side + 1)), int(column[n] * (columns - side + 1))
            target, low = pool.patch(field, *corner, side)
            # Scan lines are horizontal in what was really measured, and must stay so; what is
            # made by degradation gets its lines afterwards.
            turn = symmetry[n] if low is None else symmetry[n] % 4
            targets[n, 0] = _turned(target if low is not None else tones.change(target, n), turn)
            if low is not None:
                lows[n, 0] = _turned(low, turn)
                has_low[n] = True
        return Patches(targets, lows, has_low)


def prepare_data(
    config: TrainingConfig, before: Split | None = None
) -> Generator[Preparing | Notice, None, Data]:
    """Decode, select and split what a configuration names.

    Parameters
    ----------
    config : TrainingConfig
    before : Split, optional
        Of the run that goes on with these pictures: what it held out stays held out, and what it
        was trained on is not measured on.

    Yields
    ------
    Preparing or Notice
        Progress, and what was left out and why.

    Raises
    ------
    TrainingError
        A source has no picture that can be used.
    """
    root = store_root(config.store)
    seen = before or Split()
    rejected: list[Rejected] = []
    training: list[Pool] = []
    validation: list[Pool] = []
    wanted = config.validation.crops > 0
    for source in config.validation.sources if wanted else ():
        store = yield from _prepared(source, root)
        rejected += store.rejected
        new, known = _parted(store.fields, lambda f: seen.trained_on.isdisjoint(f.digests))
        own = [Rejected(field.path, "it was trained on before") for field in known]
        validation.append(_pool(source, store, new, SMALLEST_SIDE, own))
        rejected += own
    stores: list[Store] = []
    for source in config.data:
        stores.append((yield from _prepared(source, root)))
        rejected += stores[-1].rejected
    parts: list[Pool | Store] = [*validation, *stores]
    fields = [field for part in parts for field in part.fields]
    opened = [*(pool.store for pool in validation), *stores]
    specimens = specimens_of([*fields, *(copy for store in opened for copy in store.copies)])
    measured_on = {digest for pool in validation for f in pool.fields for digest in f.digests}
    apart = {specimens[field.group] for pool in validation for field in pool.fields}
    splits = wanted and not validation
    if seen.held_out is not None:
        # Also where nothing is split off any more: what was measured on must not be learnt from.
        apart |= specimens_with(seen.held_out, fields, specimens)
    elif splits:
        those = [store.fields for store in stores]
        apart = choose_held_out(config, those, specimens, by_place=before is not None)
    for source, store in zip(config.data, stores, strict=True):
        own = []
        rest, kept = _parted(store.fields, lambda f: specimens[f.group] in apart)
        if splits and source.kind != "noise2noise":
            held, rest = _parted(rest, lambda f: seen.held_out is None or f.digest in seen.held_out)
            usable = _usable(source, held, SMALLEST_SIDE, own)
            validation += [_pool_of(source, store, usable)] if usable else []
        own += [Rejected(field.path, _why_apart(field, measured_on, seen)) for field in rest]
        training.append(_pool(source, store, kept, config.patch, own))
        rejected += own
    data = Data(tuple(training), tuple(validation), tuple(rejected), config.augmentation)
    yield from _notices(config, data, before)
    return data


def _parted(
    fields: Iterable[Field], is_first: Callable[[Field], bool]
) -> tuple[list[Field], list[Field]]:
    """Part fields into those of which something is true and the others."""
    parts: tuple[list[Field], list[Field]] = ([], [])
    for field in fields:
        parts[0 if is_first(field) else 1].append(field)
    return parts


def _prepared(source: Source, root: Path) -> Generator[Preparing | Notice, None, Store]:
    """Decode a source, and say what a person would not expect of its files."""
    store = yield from prepare_source(source, root)
    if source.kind != "hq" and find_pairs(source.low, source.high).in_order:
        yield Notice(
            f"No names of the two folders of '{source.title}' agree, so their pictures were joined "
            "in order, the first to the first. Give the two of a field the same name to be sure."
        )
    if source.table is not None and store.named == 0:
        yield Notice(
            f"The table {source.table.name} names none of the pictures of the source "
            f"'{source.title}', so it tells neither their groups nor their licences. Its column "
            f"'{source.file_column}' must hold the pictures' paths, or their ends."
        )
    if source.kind == "pairs":
        yield from _swapped(source, store)
    if store.databars:
        yield Notice(
            f"There may be a databar or a label in {_listed(store.databars)}, which is then learnt "
            "from as well. Look at these pictures, and cut it off where there is one."
        )
    return store


def _swapped(source: Source, store: Store) -> Iterator[Notice]:
    """Say when the two pictures of most pairs may be swapped, by a few spread over all of them."""
    fields = store.fields[:: max(1, len(store.fields) // _MEASURED)][:_MEASURED]
    pixels = ((store.pixels(f.low), store.pixels(f.target)) for f in fields if f.low is not None)
    swapped = sum(seems_swapped(*pair) for pair in pixels)
    if 2 * swapped > len(fields):
        yield Notice(
            f"In {swapped} of {len(fields)} measured pairs of '{source.title}' the good picture is "
            "noisier than the poor one. If the two were given the wrong way round, swap them."
        )


def _listed(entries: Sequence[str], between: str = ", ") -> str:
    """Name the first few of many."""
    more = f"{between}and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return between.join(entries[:_SHOWN]) + more


def _notices(config: TrainingConfig, data: Data, before: Split | None) -> Iterator[Notice]:
    """Say what a person would not expect of the pictures."""
    if config.preset == "poster" and all(s.content != "natural" for s in config.data):
        yield Notice(
            "The poster learns from SEM and natural images, half and half; this configuration "
            'names no source with content = "natural", so the recipe is followed without them.'
        )
    if before is not None and (changed := change_of(before, data.split)):
        yield Notice(changed)
    if config.validation.crops > 0 and not data.validation:
        yield Notice(f"{_why_none_held_out(config, data, before)}, so progress is not measured.")
    if data.rejected:
        yield Notice(not_used(data.rejected))


def not_used(rejected: Sequence[Rejected]) -> str:
    """Say how many pictures are not used, and why the first of them are not."""
    shown = _listed([f"{Path(r.path).name}: {r.reason}" for r in rejected], "; ")
    verb = "picture is" if len(rejected) == 1 else "pictures are"
    return f"{len(rejected)} {verb} not used ({shown})."


def _why_none_held_out(config: TrainingConfig, data: Data, before: Split | None) -> str:
    if all(source.kind == "noise2noise" for source in config.data):
        return "Frames that are all noisy give no good picture to measure on"
    if before is not None:
        return "No picture is here that the run held out before"
    if config.validation.share == 0:
        return "No share of the pictures is to be held out (validation.share is 0)"
    good = [pool for pool in data.training if pool.source.kind != "noise2noise"]
    if all(why_unusable(pool.source, f, SMALLEST_SIDE) for pool in good for f in pool.fields):
        side = 2 * SMALLEST_SIDE
        return f"No picture has the {side} pixels each way that progress is measured on"
    return "There are too few groups to hold any out"


class _Tones:
    """Changes of grey values, drawn for each sample of a batch."""

    def __init__(self, draws: Draws, wanted: Augmentation) -> None:
        self._gamma = draws.log_uniform("patch gamma", *wanted.gamma)
        self._contrast = draws.log_uniform("patch contrast", *wanted.contrast)
        self._inverted = draws.chance("patch inversion", wanted.invert)

    def change(self, patch: Floats, sample: int) -> Floats:
        gamma, contrast = float(self._gamma[sample]), float(self._contrast[sample])
        if gamma != 1:
            patch = np.power(patch, np.float32(gamma))
        if contrast != 1:
            mean = patch.mean()
            patch = np.clip(mean + np.float32(contrast) * (patch - mean), 0.0, 1.0)
        return 1 - patch if self._inverted[sample] else patch


def _pool(
    source: Source, store: Store, fields: Sequence[Field], side: int, rejected: list[Rejected]
) -> Pool:
    usable = _usable(source, fields, side, rejected)
    if not usable:
        # Not of another source, which was read meanwhile.
        last = [*store.rejected, *rejected][-1:]
        why = "".join(f" The last one: {Path(r.path).name}: {r.reason}." for r in last)
        raise TrainingError(f"The source '{source.title}' has no picture that can be used.{why}")
    return _pool_of(source, store, usable)


def _pool_of(source: Source, store: Store, usable: Sequence[Field]) -> Pool:
    return Pool(source, store, tuple(usable), _weights(source, usable))


def _usable(
    source: Source, fields: Sequence[Field], side: int, rejected: list[Rejected]
) -> list[Field]:
    reasons = [(field, why_unusable(source, field, side)) for field in fields]
    rejected += [Rejected(field.path, reason) for field, reason in reasons if reason]
    return [field for field, reason in reasons if not reason]


def _weights(source: Source, fields: Sequence[Field]) -> tuple[float, ...]:
    match source.draw_by:
        case "area":
            return tuple(float(f.target.rows * f.target.columns) for f in fields)
        case "group":
            groups = [f.group for f in fields]
            return tuple(1.0 / groups.count(group) for group in groups)
        case "image":
            return (1.0,) * len(fields)


def _why_apart(field: Field, measured_on: set[str], seen: Split) -> str:
    if not measured_on.isdisjoint(field.digests):
        return "it is a validation picture"
    if not (seen.held_out or frozenset()).isdisjoint(field.digests):
        return "the run held it out before, to be measured on"
    return f"it shows a specimen that is held out for validation ({Path(field.group).name})"


def _choose(keys: Keys, weights: Sequence[float]) -> int:
    return int(Draws(keys).choose("patch image", weights)[0])


def _unit(pixels: NDArray[Any], row: int, column: int, side: int) -> Floats:
    part = pixels[row : row + side, column : column + side]
    return part.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _turned(patch: Floats, turn: int) -> Floats:
    """One of the 8 symmetries of a square; the first 4 keep rows rows."""
    if turn & 1:
        patch = patch[:, ::-1]
    if turn & 2:
        patch = patch[::-1]
    return patch.T if turn & 4 else patch
