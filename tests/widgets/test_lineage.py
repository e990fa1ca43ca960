from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_semnet.errors import ImageError
from napari_semnet.imaging.geometry import whole
from napari_semnet.widgets.layers import add_restored_layer, source_name
from napari_semnet.widgets.lineage import (
    MADE_BY_COMPARISON,
    is_ours,
    refuse_one_acquisition,
    source_of,
)


def layer(name: str, source: str | None = None) -> Image:
    metadata = {} if source is None else {"semnet": {"source": source}}
    return Image(np.zeros((4, 4)), name=name, metadata=metadata)


RAW, SECOND = layer("raw"), layer("second")
RESTORED, ALSO_RESTORED = layer("restored", "raw"), layer("restored [1]", "raw")


def test_a_restoration_knows_its_source() -> None:
    assert source_name(RESTORED) == "raw"
    assert source_name(RAW) is None
    assert source_of(RESTORED, [SECOND, RAW, RESTORED]) is RAW
    assert source_of(RESTORED, [SECOND]) is None
    assert source_of(RAW, [SECOND, RAW]) is None


def test_the_layer_that_was_restored_is_known_by_more_than_its_name() -> None:
    viewer = ViewerModel()
    raw = viewer.add_image(np.zeros((4, 4)), name="raw")
    result = add_restored_layer(viewer, raw, np.zeros((8, 8)), whole((4, 4)), {"source": "raw"})
    raw.name = "gold"
    assert source_of(result, viewer.layers) is raw
    with pytest.raises(ImageError, match="two separate acquisitions"):
        refuse_one_acquisition(raw, result)
    further = add_restored_layer(viewer, raw, np.zeros((8, 8)), whole((4, 4)), {"source": "gold"})
    assert list(viewer.layers) == [raw, result, further]
    viewer.layers.remove(raw)
    unrelated = viewer.add_image(np.ones((4, 4)), name="raw")
    assert source_of(result, viewer.layers) is None
    refuse_one_acquisition(unrelated, result)


def test_a_restoration_from_a_file_takes_no_layer_of_another_shape_for_its_source() -> None:
    record = {"source": "raw", "source_shape": [1, 4, 6]}
    reopened = Image(np.zeros((8, 12)), name="reopened", metadata={"semnet": record})
    assert source_of(reopened, [RAW]) is None
    raw = Image(np.zeros((4, 6)), name="raw")
    assert source_of(reopened, [RAW, raw]) is raw


def test_layers_of_a_comparison_are_told_from_others() -> None:
    assert is_ours(Image(np.zeros((4, 4)), metadata={MADE_BY_COMPARISON: "difference"}))
    assert not is_ours(RESTORED)


@pytest.mark.parametrize(
    ("first", "second"),
    [(RAW, None), (RAW, RAW), (RAW, RESTORED), (RESTORED, RAW), (RESTORED, ALSO_RESTORED)],
    ids=["one layer", "twice the same", "raw, restored", "restored, raw", "two restorations"],
)
def test_what_comes_from_one_acquisition_is_refused_with_the_reason(
    first: Image, second: Image | None
) -> None:
    with pytest.raises(ImageError, match="two separate acquisitions"):
        refuse_one_acquisition(first, second)


@pytest.mark.parametrize("first", [RAW, RESTORED])
def test_two_acquisitions_are_not_refused(first: Image) -> None:
    refuse_one_acquisition(first, SECOND)
