"""The measured halo: one pair of runs tells what tiles with any halo would give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semnet.errors import ImageError, SemnetError
from napari_semnet.model import load_model
from napari_semnet.network import Architecture
from napari_semnet.restoration.events import Progress
from napari_semnet.restoration.halo import (
    BOUND,
    HaloMeasured,
    Picture,
    PictureMeasured,
    measure_halo,
    smallest_halo,
)
from napari_semnet.restoration.restorer import Restorer, Settings
from tests.restoration.conftest import REDUCED, reduced_model

GREY = np.random.default_rng(0).integers(0, 256, (70, 90), np.uint8)
UNIT = {"precision": "fp32", "intensity": (0.0, 255.0)}


def measured(
    model, pictures: list[Picture], **options
) -> tuple[list[PictureMeasured], HaloMeasured]:
    *before, last = measure_halo(model, pictures, **options)
    assert isinstance(last, HaloMeasured)
    return [event for event in before if isinstance(event, PictureMeasured)], last


def difference(model, image: NDArray, halo: int, tile: tuple[int, int]) -> float:
    """Largest difference of tiles to the whole image, in grey levels, before rounding."""
    floats = image.astype(np.float32)
    whole = Restorer(model, Settings(**UNIT, halo="exact")).restore(floats).pixels
    tiled = Restorer(model, Settings(**UNIT, halo=halo, tile=tile)).restore(floats).pixels
    return float(np.abs(tiled - whole).max())


def test_what_is_measured_is_what_tiles_with_that_halo_give(model) -> None:
    (event,), _ = measured(model, [Picture("grey", GREY)])
    # Cuts where the measurement has them, each tile with the halo in question.
    for halo in (0, 4):
        found = difference(model, GREY, halo, (24, 23))
        assert found <= 2 * event.differences[halo]
        assert found > 0.2 * event.differences[halo]


def test_beyond_the_reach_there_is_no_difference(model) -> None:
    (event,), last = measured(model, [Picture("grey", GREY)])
    assert len(event.differences) > REDUCED.exact_halo
    assert event.differences[REDUCED.exact_halo] < 1e-3
    assert event.differences[REDUCED.exact_halo - 4] > 1e-3
    assert list(event.differences) == sorted(event.differences, reverse=True)
    assert last.halo.pixels <= REDUCED.exact_halo


def test_the_chosen_halo_keeps_tiles_within_the_bound(model) -> None:
    _, last = measured(model, [Picture("grey", GREY)], bound=2.0)
    assert 0 < last.halo.pixels < REDUCED.exact_halo
    assert difference(model, GREY, last.halo.pixels, (16, 16)) < 2.0
    assert last.halo.bound == 2.0
    assert last.halo.differences[last.halo.pixels] < 1.0


def test_the_worst_picture_decides(model) -> None:
    pictures = [Picture("flat", np.full((64, 64), 7, np.uint8)), Picture("grey", GREY)]
    events, last = measured(model, pictures, bound=2.0)
    assert [event.name for event in events] == ["flat", "grey"]
    assert last.halo.pixels == max(event.halo for event in events)
    assert last.halo.measured_on == "flat, grey"


def test_a_picture_smaller_than_the_reach_serves_where_the_network_looks_less_far() -> None:
    far = reduced_model(Architecture(features=4, growth=2, blocks=3, rdb_per_block=3))
    (event,), last = measured(far, [Picture("small", GREY[:64, :64])], bound=4.0)
    assert len(event.differences) < far.card.architecture.exact_halo
    assert last.halo.pixels < len(event.differences)


def test_the_middle_of_a_picture_is_used(model) -> None:
    large = np.zeros((300, 200), np.uint8)
    large[110:190, 60:140] = np.random.default_rng(1).integers(0, 256, (80, 80), np.uint8)
    (one,), _ = measured(model, [Picture("large", large)], side=80)
    (other,), _ = measured(model, [Picture("crop", large[110:190, 60:140])])
    assert one.differences == other.differences


def test_progress_goes_on_to_the_end(model) -> None:
    events = list(measure_halo(model, [Picture("a", GREY), Picture("b", GREY)]))
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.5 < fractions[-1] <= 1


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([9, 5, 0.024, 0.001], 2), ([9, 5, 0.026, 0.001], 3), ([0.0], 0), ([9, 8, 7], 94), ([], 94)],
)
def test_the_smallest_halo_within_half_the_bound_is_chosen(differences, expected) -> None:
    assert smallest_halo(differences, BOUND, 94) == expected


@pytest.mark.parametrize("image", [GREY[:63], GREY[:, :10], GREY > 3])
def test_pictures_that_cannot_serve_are_refused(model, image) -> None:
    with pytest.raises(ImageError):
        next(iter(measure_halo(model, [Picture("bad", image)])))


def test_nothing_to_measure_on_or_no_bound_is_refused(model) -> None:
    with pytest.raises(ImageError, match="at least one"):
        next(iter(measure_halo(model, [])))
    with pytest.raises(SemnetError, match="more than 0"):
        next(iter(measure_halo(model, [Picture("grey", GREY)], bound=0.0)))


def test_the_bundled_models_halo_holds_on_a_real_picture(shared) -> None:
    from skimage.io import imread

    picture = imread(shared / "sem-images" / "val" / "powder_ampis_Sc2Tile_003-001-000_0-000.png")
    model = load_model()
    assert model.card.halo is not None
    crop = picture[400:440, 400:445]
    assert difference(model, crop, model.card.halo.pixels, (20, 45)) < BOUND
