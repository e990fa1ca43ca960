"""How much of a tile's halo is still needed further into the network.

What an RRDB has looked at once, those after it need not have around them again. By the
architecture each RRDB needs 15 pixels less than the one before it; a trained model needs less from
the start, and how much is measured (`napari_semnet.restoration.halo`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_semnet.network import Architecture
from napari_semnet.restoration.tiles import Surround

if TYPE_CHECKING:
    from napari_semnet.card import Card

__all__ = ["TAIL", "narrowest", "reaches", "surround_of"]

TAIL = 3
"""Input pixels that what comes after the RRDBs can reach."""


def reaches(architecture: Architecture) -> tuple[int, ...]:
    """Say how far the network can look at most, from the image on and after each RRDB.

    Returns
    -------
    tuple of int
        Input pixels; for SEMNet 94, 78, 63, 48, 33, 18 and 3.
    """
    a = architecture
    each = a.rdb_per_block * a.conv_per_rdb
    later = (TAIL + each * left for left in reversed(range(a.blocks)))
    return a.exact_halo, *later


def surround_of(card: Card, plane: tuple[int, int], halo: int) -> Surround:
    """Say what tiles of an image read, and what they keep of it on the way.

    Parameters
    ----------
    card : Card
        Of the model. Its measured figures count where `halo` is the measured one; else all is kept
        that could change anything.
    plane : tuple of int
        (Y, X) of the image.
    halo : int
        Pixels that tiles read around their cores.
    """
    measured, enough = card.halo, reaches(card.architecture)[1:]
    counts = measured is not None and measured.pixels == halo and len(measured.later) == len(enough)
    wanted = measured.later if measured is not None and counts else enough
    return Surround(plane, halo, tuple(_falling(halo, wanted, enough)))


def _falling(first: int, wanted: Sequence[int], enough: Sequence[int]) -> list[int]:
    """Give what is wanted, but never more than could change anything or than is there."""
    kept = []
    for pixels, most in zip(wanted, enough, strict=True):
        first = min(first, pixels, most)
        kept.append(first)
    return kept


def narrowest(
    pictures: Sequence[Sequence[Sequence[float]]], bound: float, most: Sequence[int]
) -> tuple[int, ...]:
    """Choose how much to keep at each place, so that all cuts together stay within a bound.

    What a cut changes is small, so what several change adds up, in each picture by itself. Pixel
    by pixel that is let go with which the worst picture comes off best, until no pixel can be.

    Parameters
    ----------
    pictures : sequence of sequence of sequence of float
        For each picture and each place, and for each number of pixels from 0 on, what keeping no
        more there changes at most, falling. Small pictures tell of few pixels: further out it is
        taken to be as much as at the furthest, up to what can be reached.
    bound : float
        Largest sum of the changes in a picture.
    most : sequence of int
        Pixels that are kept at each place at most, never rising.

    Returns
    -------
    tuple of int
        Never rising.
    """
    kept = list(most)

    def worst_with(kept: Sequence[int]) -> float:
        return max(sum(map(_change, differences, kept, most)) for differences in pictures)

    while True:
        without = {
            place: worst_with([*kept[:place], pixels - 1, *kept[place + 1 :]])
            for place, pixels in enumerate(kept)
            if pixels > 0
        }
        cheapest = min(without, key=lambda place: without[place], default=None)
        if cheapest is None or without[cheapest] >= bound:
            break
        kept[cheapest] -= 1
    for place in reversed(range(len(kept) - 1)):
        kept[place] = max(kept[place], kept[place + 1])
    return tuple(kept)


def _change(known: Sequence[float], pixels: int, most: int) -> float:
    """Say what keeping so many pixels changes."""
    return 0.0 if pixels >= most else known[min(pixels, len(known) - 1)]
