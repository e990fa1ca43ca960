from __future__ import annotations

from pathlib import Path

import pytest

from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.training.soundness import Checking, Soundness, check_soundness
from tests.training.copying import write_copying_model

EXACT = Settings(device="cpu", precision="fp32")


def _checked(path: Path) -> Soundness:
    events = list(check_soundness(Restorer(path, EXACT), "it"))
    checking = [event for event in events if isinstance(event, Checking)]
    assert [event.done for event in checking] == list(range(1, checking[-1].total + 1))
    assert isinstance(events[-1], Soundness)
    return events[-1]


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Soundness:
    return _checked(write_copying_model(tmp_path_factory.mktemp("copying") / "copy.safetensors"))


def test_a_model_that_copies_keeps_noise_and_mean(copying: Soundness) -> None:
    assert copying.model == "it"
    for flat in copying.flats:
        assert flat.deviation == pytest.approx(15, rel=0.02)
        assert flat.bias == pytest.approx(0, abs=1e-6)


def test_a_model_that_copies_has_edges_of_its_pixels(copying: Soundness) -> None:
    for edge in copying.edges:
        assert 0.5 < edge.truth < 0.7
        # A doubled pixel is a box of twice the width, wherever bicubic interpolation overshoots.
        assert edge.width == pytest.approx(edge.bicubic, rel=0.5)
        assert edge.width > 1.5 * edge.truth


def test_a_model_that_copies_draws_no_pattern(copying: Soundness) -> None:
    assert [(p.restored.pitch, p.is_tile) for p in copying.patterns] == [
        (2, False),
        (8, False),
        (64, True),
    ]
    assert all(pattern.restored.peak < 8 for pattern in copying.patterns)


def test_a_model_that_darkens_and_blurs_is_found_out(tmp_path: Path, copying: Soundness) -> None:
    path = write_copying_model(tmp_path / "dim.safetensors", gain=0.9, kernel="mean")
    dim = _checked(path)
    for flat in dim.flats:
        # Zeros beyond the border darken its mean a little more.
        assert flat.bias == pytest.approx(-0.1 * flat.grey, abs=0.6)
        assert flat.deviation < 10
    for edge, sharper in zip(dim.edges, copying.edges, strict=True):
        assert edge.width > sharper.width
        assert edge.bicubic == sharper.bicubic
