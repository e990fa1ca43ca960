from __future__ import annotations

import numpy as np
import pytest

from napari_semnet import restore
from napari_semnet.errors import SemnetError
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import bicubic_double
from napari_semnet.model import Model
from napari_semnet.restoration.restorer import Settings

IMAGE = acquire(particles((40, 56), 1))


def with_strength(model: Model, image: np.ndarray, strength: float, **how: object) -> np.ndarray:
    return restore(
        image,
        model,
        device="cpu",
        precision="fp32",
        strength=strength,
        **how,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("tile", ["auto", 16])
def test_no_strength_is_bicubic_enlargement(model: Model, tile: object) -> None:
    plain = np.clip(np.rint(bicubic_double(IMAGE)), 0, 255)
    found = with_strength(model, IMAGE, 0, tile=tile)
    # Halves may be rounded either way.
    assert np.abs(found - plain).max() <= 1
    assert (found == plain).mean() > 0.999


def test_full_strength_is_the_model(model: Model) -> None:
    np.testing.assert_array_equal(
        with_strength(model, IMAGE, 1), restore(IMAGE, model, device="cpu", precision="fp32")
    )


def test_in_between_it_is_a_blend(model: Model) -> None:
    image = IMAGE.astype(np.float32)
    none, half, full = (with_strength(model, image, part) for part in (0, 0.5, 1))
    np.testing.assert_allclose(half, (none + full) / 2, atol=1e-3)


def test_a_strength_beyond_the_scale_is_refused() -> None:
    with pytest.raises(SemnetError, match="between 0"):
        Settings(strength=1.5)
