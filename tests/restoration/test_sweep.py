"""Pieces of a sweep: they cover an image once, and each is handed on what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_semnet.network import Architecture
from napari_semnet.restoration.sweep import (
    Stages,
    Sweep,
    SweptTile,
    choose_piece,
    edges,
    handed_on_bytes,
    stages_of,
)
from napari_semnet.restoration.tile_size import WidthCost, choose_tile, time_of
from napari_semnet.restoration.tiles import Box, Surround

SEMNET = stages_of(Architecture())
SMALL = Stages((6, 3), 3)


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """Pieces have as many rows on every machine, and whatever ran before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


stages = st.sampled_from((SEMNET, SMALL, Stages((4, 4, 3), 2)))
lengths = st.integers(1, 700)


@st.composite
def sweeps(draw) -> Sweep:
    """Sweep over an image, or over a part of one with what is read around it."""
    height, width = draw(lengths), draw(lengths)
    halos = draw(st.tuples(*[st.sampled_from((0, 29, 94))] * 4))
    top, bottom, left, right = halos
    read = Box(-top, height + bottom, -left, width + right)
    piece = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    return Sweep(read, Box(0, height, 0, width), draw(stages), piece)


@given(sweep=sweeps())
def test_what_pieces_give_covers_each_pixel_once_in_reading_order(sweep) -> None:
    count = np.zeros(sweep.core.shape, int)
    for piece in sweep:
        part = piece.given.shared_with(sweep.core)
        assert min(part.shape) > 0
        count[part.slices] += 1
    assert (count == 1).all()
    pieces = list(sweep)
    assert [piece.number for piece in pieces] == list(range(len(sweep)))
    assert [(p.row, p.column) for p in pieces] == sorted((p.row, p.column) for p in pieces)


@given(sweep=sweeps())
def test_at_each_stage_new_maps_cover_what_is_read_once(sweep) -> None:
    for axis in (sweep.rows, sweep.columns):
        begin_and_end = {(row[0], row[-1]) for row in axis}
        assert len(begin_and_end) == 1
        assert all(a < b for row in axis for a, b in pairwise(row))
        assert len({len(row) for row in axis}) == 1


@given(sweep=sweeps())
def test_a_piece_sees_all_around_what_it_gives_and_its_neighbours_have_handed_it_on(sweep) -> None:
    pieces = {(p.row, p.column): p for p in sweep}
    lowest, last = max(pieces)
    for (row, column), piece in pieces.items():
        gives = (*piece.new[1:], piece.given)
        for stage, (new, part, gave) in enumerate(
            zip(piece.new, piece.kind.parts, gives, strict=True)
        ):
            reach = sweep.stages.reaches[stage]
            seen = Box(new.top - part.above, new.bottom, new.left - part.before, new.right)
            assert part.seen == seen.shape
            assert part.given == gave.within(seen)
            # All that the stage looks at, as far as there is an image.
            around = Box(
                gave.top - reach, gave.bottom + reach, gave.left - reach, gave.right + reach
            )
            looked_at = around.shared_with(sweep.read)
            assert looked_at.shared_with(seen) == looked_at
            if part.above:
                assert pieces[row - 1, column].new[stage].shape[0] >= part.above
                assert pieces[row - 1, column].kind.parts[stage].below == part.above
            if part.before:
                assert pieces[row, column - 1].new[stage].shape[1] >= part.before
                assert pieces[row, column - 1].kind.parts[stage].after == part.before
            assert bool(part.below) == (row < lowest)
            assert bool(part.after) == (column < last)


@given(sweep=sweeps())
def test_the_image_is_read_wherever_a_piece_begins_and_ends(sweep) -> None:
    for piece in sweep:
        kind = piece.kind
        assert kind.window == piece.window.shape
        assert kind.first.shape == piece.new[0].shape
        assert kind.skipping.shape == kind.parts[-1].seen
        for box in (kind.first, kind.skipping):
            assert box.shared_with(Box(0, kind.window[0], 0, kind.window[1])) == box
            beyond = Box(box.top - 1, box.bottom + 1, box.left - 1, box.right + 1)
            around = beyond.moved(piece.window.top, piece.window.left).shared_with(sweep.read)
            assert around.shared_with(piece.window) == around


@given(sweep=sweeps())
def test_a_large_sweep_has_at_most_nine_kinds_of_pieces(sweep) -> None:
    assert len({piece.kind for piece in sweep}) <= 9


@given(sweep=sweeps())
def test_what_is_let_go_early_is_never_given(sweep) -> None:
    for piece in sweep:
        for reach, part in zip(sweep.stages.reaches[:-1], piece.kind.parts, strict=False):
            if part.spoilt:
                let_go = part.spoilt * (reach // sweep.stages.block - 1)
                inside = Box(let_go, part.seen[0] - let_go, let_go, part.seen[1] - let_go)
                assert part.given.shared_with(inside) == part.given


@given(length=lengths, side=st.integers(1, 400), stages=stages)
def test_no_piece_but_the_first_and_last_is_of_another_length(length, side, stages) -> None:
    for row in edges((0, length), (0, length), stages, side):
        inner = {b - a for a, b in list(pairwise(row))[1:-1]}
        assert inner <= {side}


def test_pieces_lie_as_the_page_on_the_engine_says() -> None:
    columns = edges((0, 1024), (0, 1024), SEMNET, 224)
    assert columns[0] == (0, 254, 478, 702, 926, 1024)
    assert columns[-1] == (0, 161, 385, 609, 833, 1024)


def test_an_image_that_is_hardly_larger_than_a_piece_is_one_piece() -> None:
    assert edges((0, 254), (0, 254), SEMNET, 224)[0] == (0, 254)
    assert len(edges((0, 255), (0, 255), SEMNET, 224)[0]) == 3


def test_pieces_too_short_to_hand_on_what_others_need_are_not_made() -> None:
    assert edges((0, 500), (0, 500), SEMNET, 29)[0] == (0, 500)
    assert len(edges((0, 500), (0, 500), SEMNET, 100)[0]) == 6


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), halo=st.sampled_from((0, 29, 94)))
def test_a_chosen_piece_sees_no_more_columns_than_are_fast_where_that_can_be(
    height, width, halo
) -> None:
    assume(width + 2 * halo > 700)
    core, read = Box(0, height, 0, width), Box(-halo, height + halo, -halo, width + halo)
    cost = WidthCost((160, 248, 256, 384), (1.0, 1.0, 1.5, 1.5))
    piece = choose_piece(read, core, SEMNET, cost)
    assume(piece is not None)
    sweep = Sweep(read, core, SEMNET, piece)
    assert len(sweep) > 1
    inner = [p.kind.parts[0].seen[1] for p in sweep if 0 < p.column < len(sweep.columns[0]) - 2]
    assert max(inner) <= 248
    assert all(p.kind.parts[0].seen[0] <= 640 for p in sweep)


COST = WidthCost((160, 222, 224, 255, 256, 384), (4.4, 3.9, 3.5, 3.5, 4.4, 5.0))


def by_tiles(plane: tuple[int, int], halo: int, later: tuple[int, ...]) -> float:
    surround = Surround(plane, halo, later)
    return time_of(surround, choose_tile(surround, 130_000, COST), COST)


def test_what_hardly_gains_by_it_is_not_swept() -> None:
    image = Box(0, 480, 0, 640)
    piece = choose_piece(image, image, SEMNET, COST)
    assert piece is not None
    time = Sweep(image, image, SEMNET, piece).time(COST)
    assert choose_piece(image, image, SEMNET, COST, 1.02 * time) is None
    assert choose_piece(image, image, SEMNET, COST, 1.08 * time) == piece


def test_a_large_picture_is_swept_and_a_frame_where_the_model_looks_far() -> None:
    near, far = (29, (28, 26, 23, 19, 12, 2)), (44, (40, 34, 30, 23, 15, 2))
    frame, large = (480, 640), (2048, 2048)
    swept = {
        (plane, halo): choose_piece(box, box, SEMNET, COST, by_tiles(plane, halo, later))
        for plane in (frame, large)
        for halo, later in (near, far)
        for box in [Box(0, plane[0], 0, plane[1])]
    }
    assert {key for key, piece in swept.items() if piece is None} == {(frame, 29)}


def test_an_image_of_one_piece_is_not_swept() -> None:
    image = Box(0, 300, 0, 200)
    assert choose_piece(image, image, SEMNET, COST) is None


@given(height=lengths, width=lengths, rows=st.integers(96, 300), columns=st.integers(96, 300))
def test_the_time_of_a_sweep_is_that_of_all_pixels_and_of_what_is_computed_again(
    height, width, rows, columns
) -> None:
    image = Box(0, height, 0, width)
    sweep = Sweep(image, image, SEMNET, (rows, columns))
    time = sweep.time(WidthCost((1, 2), (1.0, 1.0)))
    least = 6 * height * width
    assert time == least if len(sweep) == 1 else least < time < 2 * least


def test_tiles_of_a_sweep_read_what_they_need_with_their_neighbours_and_alone() -> None:
    surround = Surround((600, 700), 29, (28, 26, 23, 19, 12, 2))
    whole = Box(0, 600, 0, 700)
    sweep = Sweep(whole, whole, SEMNET, (300, 224))
    tiles = list(sweep.tiles((3,), surround))
    assert len(tiles) == len(sweep)
    for tile in tiles:
        assert isinstance(tile, SweptTile)
        assert tile.index == (3,)
        assert tile.kind == tile.piece.kind
        assert tile.alone == surround.tile((3,), tile.core)
        for read in (tile.piece.window, tile.alone.read):
            assert read.shared_with(tile.read) == read


def test_a_sweep_of_one_piece_is_a_tile_like_others() -> None:
    surround = Surround((200, 210), 29, (28, 26, 23, 19, 12, 2))
    whole = Box(0, 200, 0, 210)
    (tile,) = Sweep(whole, whole, SEMNET, (200, 224)).tiles((), surround)
    assert tile == surround.tile((), whole)


def test_what_is_handed_down_takes_48_kilobytes_a_column() -> None:
    assert handed_on_bytes(Architecture(), "bf16", 1) == 4 * 93 * 64 * 2
    assert handed_on_bytes(Architecture(), "fp32", 1000) == 4 * 93 * 64 * 4 * 1000
