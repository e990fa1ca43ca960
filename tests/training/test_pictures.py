from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet.errors import FileFormatError, TrainingError
from napari_semnet.training.pictures import (
    Plane,
    find_files,
    find_pairs,
    halved,
    read_planes,
    reason_of,
    refusal,
)
from tests.training.runs import as_8bit, scene, write_doubtful, write_png, write_scenes


def plane(pixels: np.ndarray) -> Plane:
    return Plane(Path("x.png"), 0, pixels)


def test_files_are_found_in_folders_patterns_and_by_name(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 2)
    write_png(tmp_path / "a" / "deep" / "c.png", scene(9))
    write_png(tmp_path / "a" / ".hidden" / "d.png", scene(9))
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    assert [p.name for p in find_files([tmp_path / "a"])] == ["c.png", "scene-0.png", "scene-1.png"]
    assert [p.name for p in find_files([tmp_path / "a" / "*-1.*"])] == ["scene-1.png"]
    one = tmp_path / "a" / "scene-0.png"
    assert find_files([one, one]) == [one]


def test_a_place_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no picture .*Name one that does\.$"):
        find_files([tmp_path])
    with pytest.raises(TrainingError, match=r"There is no file or folder .*Correct its name\.$"):
        find_files([tmp_path / "nowhere"])


def test_pairs_are_joined_by_name_before_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_png(tmp_path / "low" / f"{name}.png", scene(0))
    for name in ("A", "b", "c"):
        write_png(tmp_path / "high" / f"{name}.png", scene(0))
    pairs = find_pairs([tmp_path / "low"], [tmp_path / "high"]).pairs
    assert [(low.stem, high.stem) for low, high in pairs] == [("a", "A"), ("b", "b")]


def test_pairs_without_equal_names_are_joined_in_order_or_refused(tmp_path: Path) -> None:
    for name in ("x1", "x2"):
        write_png(tmp_path / "low" / f"{name}.png", scene(0))
        write_png(tmp_path / "high" / f"{name}_long.png", scene(0))
    found = find_pairs([tmp_path / "low"], [tmp_path / "high"])
    in_order = [("x1", "x1_long"), ("x2", "x2_long")]
    assert [(low.stem, high.stem) for low, high in found.pairs] == in_order
    assert found.in_order
    lows, highs = zip(*found.pairs, strict=True)
    named = find_pairs(lows, highs[::-1])
    assert named.pairs == tuple(zip(lows, highs[::-1], strict=True))
    assert not named.in_order, "Whoever named the files one by one knows their order."
    write_png(tmp_path / "high" / "more.png", scene(0))
    with pytest.raises(TrainingError, match="2 and 3 pictures cannot be joined"):
        find_pairs([tmp_path / "low"], [tmp_path / "high"])


def _blank(folder: Path, *names: str) -> Path:
    for name in names:
        write_png(folder / f"{name}.png", scene(0))
    return folder


def test_pairs_in_subfolders_are_joined_by_their_place(tmp_path: Path) -> None:
    low = _blank(tmp_path / "low", "f1/frame", "f2/frame", "deep/only")
    high = _blank(tmp_path / "high", "F1/Frame", "f2/frame", "only")
    partners = find_pairs([low], [high])
    assert [
        (one.relative_to(low).stem, one.parent.name, other.parent.name)
        for one, other in partners.pairs
    ] == [
        ("only", "deep", "high"),
        ("frame", "f1", "F1"),
        ("frame", "f2", "f2"),
    ]
    assert not partners.alone


def test_pictures_whose_partner_cannot_be_told_are_named(tmp_path: Path) -> None:
    low = _blank(tmp_path / "low", "a", "b", "f1/frame", "f2/frame")
    high = _blank(tmp_path / "high", "a", "c", "frame")
    partners = find_pairs([low], [high])
    assert [(one.stem, other.stem) for one, other in partners.pairs] == [("a", "a")]
    reasons = {path.relative_to(tmp_path).as_posix(): why for path, why in partners.alone.items()}
    assert sorted(reasons) == [
        "high/c.png",
        "high/frame.png",
        "low/b.png",
        "low/f1/frame.png",
        "low/f2/frame.png",
    ]
    assert "no picture in the other folder" in reasons["low/b.png"]
    assert "several pictures are called frame" in reasons["low/f1/frame.png"]


def test_pairs_that_share_an_ambiguous_name_are_not_joined_in_order(tmp_path: Path) -> None:
    low = _blank(tmp_path / "low", "f1/frame", "f2/frame")
    high = _blank(tmp_path / "high", "g1/frame", "g2/frame")
    with pytest.raises(TrainingError, match="several of each have the same name"):
        find_pairs([low], [high])


def test_8_bit_grey_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = as_8bit(scene(1))
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    (read,) = read_planes(tmp_path / "grey.png")
    assert read.pixels.dtype == np.uint8
    assert np.array_equal(read.pixels, pixels)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    colour = np.zeros((40, 40, 3), np.uint8)
    colour[...] = (10, 200, 90)
    colour[:20] = (200, 10, 30)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    (read,) = read_planes(tmp_path / "colour.png")
    assert np.unique(read.pixels).tolist() == [
        round(0.299 * 200 + 0.587 * 10 + 0.114 * 30),
        round(0.299 * 10 + 0.587 * 200 + 0.114 * 90),
    ]


def test_planes_of_a_stack_share_one_range(tmp_path: Path) -> None:
    stack = np.stack([scene(0) * 1000, scene(1) * 4000]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    first, second = read_planes(tmp_path / "stack.tif")
    assert (first.page, second.page) == (0, 1)
    assert first.pixels.dtype == np.uint16
    assert first.unit.max() == pytest.approx(0.25, abs=0.05)
    assert second.unit.max() == pytest.approx(1.0, abs=0.05)


def test_useless_pictures_are_told_from_useful_ones() -> None:
    good = as_8bit(scene(0))
    assert refusal(plane(good)) is None
    assert "too small" in str(refusal(plane(good[:31])))
    assert "constant" in str(refusal(plane(np.full_like(good, 7))))
    mostly_white = good.copy()
    mostly_white[:60] = 255
    assert "saturated" in str(refusal(plane(mostly_white)))
    both = np.clip((good - np.median(good)) * 20 + 125, 30, 220).astype(np.uint8)
    assert max(np.mean(both == end) for end in (30, 220)) < 0.5
    assert "least or greatest value" in str(refusal(plane(both)))


def test_halving_keeps_the_mean_and_drops_odd_edges() -> None:
    pixels = as_8bit(scene(0, 41, 50))
    small = halved(pixels)
    assert small.shape == (20, 25)
    assert small.dtype == np.uint16
    assert small.mean() / 257 == pytest.approx(pixels[:40].mean(), abs=0.01)


def test_a_reason_ends_without_a_full_stop() -> None:
    assert reason_of(TrainingError("It is damaged.")) == "It is damaged"


def test_a_picture_some_of_whose_pixels_are_lost_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, as_8bit(scene(0)), rowsperstrip=16, compression="zlib")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FileFormatError, match=r"cut\.tif is damaged: some of its pixels"):
        list(read_planes(path))


def test_a_picture_that_may_have_a_databar_is_read_and_says_so(tmp_path: Path) -> None:
    plain = write_png(tmp_path / "plain.png", scene(0, 200, 256))
    doubtful = write_doubtful(tmp_path / "doubtful.png")
    read = [plane for path in (plain, doubtful) for plane in read_planes(path)]
    assert [plane.may_have_databar for plane in read] == [False, True]
    assert read[1].pixels.shape == (224, 256)


def test_pairs_are_joined_whichever_way_their_accents_are_written(tmp_path: Path) -> None:
    low = _blank(tmp_path / "low", "Mu\u0308ller", "b")
    high = _blank(tmp_path / "high", "M\u00fcller", "c")
    ((one, other),) = find_pairs([low], [high]).pairs
    assert (one.parent.name, other.parent.name) == ("low", "high")


def test_a_label_image_is_refused(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (96, 96))
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    with pytest.raises(TrainingError, match=r"integers of 64 bits \(int64\), as label images"):
        list(read_planes(tmp_path / "labels.tif"))
