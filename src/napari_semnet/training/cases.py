"""The pairs of pictures that an evaluation measures on: found, read, degraded or registered.

All pictures are turned to 8 bits once, so that every method sees and gives the same grey scale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_semnet.errors import SemnetError
from napari_semnet.files.reader import PICTURE_SUFFIXES, TIFF_SUFFIXES
from napari_semnet.imaging.intensity import IntensityRange, measure_range
from napari_semnet.training.case_pictures import (
    SMALLEST,
    Grey,
    cut,
    even_pair,
    read_even,
    read_levels,
    read_plane,
    to_levels,
)
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.folders import files_below
from napari_semnet.training.own_results import without_results
from napari_semnet.training.partners import end_named, ends_of, join_by_name, name_within
from napari_semnet.training.profile import Profile
from napari_semnet.training.tables import read_rows

__all__ = [
    "POSTER_SHAPE",
    "Case",
    "Plan",
    "Skipped",
    "find_cases",
    "without_noise",
]

POSTER_SHAPE = (960, 1280)
"""Pixels of a reference in the poster's comparison, (Y, X); the input has 480 x 640."""

_OF_DEGRADATION = {
    "profile": "--profile",
    "draws": "--draws",
    "seed": "--seed",
    "reference_shape": "--poster",
}
"""Fields of a plan that say how references are degraded, and what the command calls them."""

_NOISE_STAGES = ("shot", "correlation", "row_noise", "gaussian")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and on what."""

    hq: Path
    """Folder (searched through) or file of good pictures, the references."""
    lq: Path | None = None
    """Folder of real poor pictures of the same names; without it the references are degraded."""
    profile: Profile = PROFILES["poster"]
    """How references are degraded."""
    draws: int = 2
    """Degradations of each reference."""
    seed: int = 0
    reference_shape: tuple[int, int] | None = None
    """Cut the references to this shape around their middle, (Y, X); smaller ones are skipped."""
    baselines: tuple[str, ...] = ("bicubic", "gaussian", "nlm", "bm3d")
    """See `napari_semnet.training.baselines.choose_baselines`."""
    pairing: Literal["registered", "as is"] = "registered"
    """Whether real pairs are laid over one another and matched in grey levels first."""
    table: Path | None = None
    """CSV file with a column ``file``; ``sources.csv`` beside the pictures by default."""
    column: str = "source"
    """Column of the table by which results are also told apart."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise SemnetError(f"At least one draw a picture is needed, not {self.draws}.")
        unused = [
            field.name
            for field in fields(self)
            if field.name in _OF_DEGRADATION and getattr(self, field.name) != field.default
        ]
        if self.lq is not None and unused:
            words = ", ".join(_OF_DEGRADATION[name] for name in unused)
            raise SemnetError(
                "Real pairs (--lq) are neither degraded nor cut, so leave out what would say how: "
                f"{words}."
            )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture is not measured on, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """One poor picture, its reference, and the same without noise where that is known."""

    picture: str
    """Name of the reference's file, within the folder that was given."""
    source: str
    """What the table says in its column; empty when it says nothing."""
    draw: int
    low: Grey
    """``(Y, X)``."""
    high: Grey
    """``(2Y, 2X)``."""
    quiet: Grey | None
    """As `low`, from the same degradation without its noise."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A reference that can be measured on; its pixels are read when they are needed."""

    path: Path
    low_path: Path | None
    source: str
    plan: Plan

    @property
    def name(self) -> str:
        """Path within the folder that was given, with forward slashes."""
        if self.path == self.plan.hq:
            return self.path.name
        return self.path.relative_to(self.plan.hq).as_posix()

    @property
    def draws(self) -> int:
        """Cases that it gives."""
        return 1 if self.low_path is not None else self.plan.draws

    def cases(self) -> Iterator[Case]:
        """Read it and make its poor pictures, always the same ones.

        Raises
        ------
        SemnetError
            It cannot be read or is of no use.
        """
        if self.low_path is not None:
            take = _as_they_are if self.plan.pairing == "as is" else _registered
            yield take(self, self.low_path)
            return
        high, notes = read_even(self.path)
        high = cut(high, self.plan.reference_shape)
        for draw in range(self.plan.draws):
            make = partial(_degraded, high, self.plan.seed, draw, _number(self.path))
            quiet = make(without_noise(self.plan.profile))
            low = make(self.plan.profile)
            yield Case(self.name, self.source, draw, low, high, quiet, notes)


def find_cases(plan: Plan) -> list[Found | Skipped]:
    """Find the references that a plan names, in order of their names.

    Returns
    -------
    list
        Found pictures, and for those that have no partner the reason.

    Raises
    ------
    SemnetError
        A folder or the table does not exist, or there is no picture.
    """
    paths = _pictures(plan.hq)
    table = _table(plan)
    if plan.lq is None:
        return [Found(path, None, _about(path, table), plan) for path in paths]
    lows = _pictures(plan.lq)
    if paths == [plan.hq] and lows == [plan.lq] and plan.hq != plan.lq:
        return [Found(plan.hq, plan.lq, _about(plan.hq, table), plan)]
    # One folder may lie within the other.
    inner, outer = (lows, paths) if plan.hq in (plan.lq, *plan.lq.parents) else (paths, lows)
    outer[:] = [path for path in outer if path not in set(inner)]
    partners = join_by_name(
        {path: name_within(plan.hq, path) for path in paths},
        {path: name_within(plan.lq, path) for path in lows},
    )
    low_of = dict(partners.pairs)
    found: list[Found | Skipped] = [
        Found(path, low_of[path], _about(path, table), plan)
        if path in low_of
        else Skipped(path, partners.alone[path])
        for path in paths
    ]
    return found + [Skipped(path, partners.alone[path]) for path in lows if path in partners.alone]


def without_noise(profile: Profile) -> Profile:
    """Take the noise out of a profile; everything else is drawn as before.

    Parameters
    ----------
    profile : Profile

    Returns
    -------
    Profile
        Shot noise, its correlation, row noise and Gaussian noise are gone; blur, scan errors,
        shading, streaks, contrast and rounding stay.
    """
    quiet = dict.fromkeys(_NOISE_STAGES)
    chains = tuple(chain.model_copy(update=quiet) for chain in profile.chains)
    return profile.model_copy(update={"chains": chains})


def _pictures(place: Path) -> list[Path]:
    suffixes = {*PICTURE_SUFFIXES, *TIFF_SUFFIXES}
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SemnetError(f"There is no file or folder {place}. Give the folder of the pictures.")
    inside = (path for path in files_below(place) if path.suffix.lower() in suffixes)
    found = sorted(without_results(place, inside))
    if not found:
        raise SemnetError(
            f"There is no picture in {place}. Give a folder with TIFF, PNG, JPEG or BMP files."
        )
    return found


def _table(plan: Plan) -> Mapping[str, str]:
    """Read the table: what it says in its column, by the file's path."""
    beside = [plan.hq / "sources.csv", plan.hq.parent / "sources.csv"]
    path = plan.table or next((p for p in beside if p.is_file()), None)
    if path is None:
        return {}
    table = read_rows(path)
    missing = [name for name in ("file", plan.column) if name not in table.columns]
    if not missing:
        return {end_named(row["file"]): row[plan.column] for row in table.rows if row["file"]}
    if plan.table is None:
        return {}
    raise SemnetError(
        f"The table {path.name} has no column '{missing[0]}'. It has: {', '.join(table.columns)}."
    )


def _about(path: Path, table: Mapping[str, str]) -> str:
    """Row whose path is the end of the picture's path; the longest such end wins."""
    return next((table[end] for end in ends_of(path) if end in table), "")


def _number(path: Path) -> int:
    """Sample number of a picture: of its name, so that other pictures do not change its draws."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(path.stem), digest_size=4).digest(), "big")


def _degraded(high: Grey, seed: int, draw: int, number: int, profile: Profile) -> Grey:
    picture = torch.from_numpy(high.astype(np.float32) / 255)[None, None]
    low = degrade(picture, profile, seed=seed, step=draw, first_sample=number)
    return _eight_bits(low[0, 0].numpy())


def _eight_bits(values: NDArray[np.floating]) -> Grey:
    levels: Grey = np.clip(np.rint(255 * values), 0, 255).astype(np.uint8)
    return levels


@contextmanager
def _named(low_path: Path) -> Iterator[None]:
    """Say of what stands against a poor picture that it is of that file: cases have the good one's.

    Raises
    ------
    SemnetError
        What was raised, with the name.
    """
    try:
        yield
    except SemnetError as error:
        raise SemnetError(f"its poor picture {low_path.name} is of no use: {error}") from error


def _as_they_are(found: Found, low_path: Path) -> Case:
    """Take a real pair with one range for both, so that equal grey levels stay equal."""
    raw_high, notes = read_plane(found.path)
    with _named(low_path):
        raw_low, low_notes = read_plane(low_path)
    if raw_high.dtype != raw_low.dtype:
        raise SemnetError(
            f"its pixels are {raw_high.dtype} and its partner's {raw_low.dtype}, which have no "
            "grey scale in common; let the pair be registered"
        )
    ranges = [measure_range(raw_high), measure_range(raw_low)]
    both = IntensityRange(
        min(one.low for one in ranges), max(one.high for one in ranges), ranges[0].source
    )
    high, more = to_levels(raw_high, both)
    with _named(low_path):
        low, low_more = to_levels(raw_low, both)
    high, low, left_out = even_pair(high, low)
    if high.shape != (2 * low.shape[0], 2 * low.shape[1]):
        raise SemnetError(
            f"its partner has {low.shape[1]} x {low.shape[0]} pixels, not half of its "
            f"{high.shape[1]} x {high.shape[0]}"
        )
    said = (
        *notes,
        *more,
        *left_out,
        *(f"poor picture: {note}" for note in (*low_notes, *low_more)),
    )
    return Case(found.name, found.source, 0, low, high, None, said)


def _registered(found: Found, low_path: Path) -> Case:
    from napari_semnet.training.pairs import join_pair, seems_swapped

    high, notes = read_levels(found.path)
    with _named(low_path):
        low, low_notes = read_levels(low_path)
    high, low, left_out = even_pair(high, low)
    pair = join_pair(low / np.float32(255), high / np.float32(255))
    y, x = pair.shift
    registered = (
        f"registered: the good picture lay {y:+.2f} px down and {x:+.2f} px right, and its grey "
        f"levels were multiplied by {pair.gain:.3f} and shifted by {255 * pair.offset:+.1f}"
    )
    if seems_swapped(pair.low, pair.high):
        registered += "; it is noisier than the poor one, so look whether the two are swapped"
    low, high = _eight_bits(pair.low), _eight_bits(pair.high)
    if min(high.shape) < SMALLEST:
        raise SemnetError("too little of it overlaps with its partner")
    said = (*notes, *left_out, *(f"poor picture: {note}" for note in low_notes), registered)
    return Case(found.name, found.source, 0, low, high, None, said)
