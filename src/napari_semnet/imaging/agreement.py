"""How close a picture comes to a reference of the same place, by figures with a definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import measure_range
from napari_semnet.imaging.plane import Plane
from napari_semnet.imaging.quality import psnr, ssim
from napari_semnet.imaging.registration import fit_intensity, registered_pair

__all__ = ["Agreement", "agreement", "data_range"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Figures of a picture against a reference.

    Attributes
    ----------
    name : str
        The picture.
    psnr_db, ssim : float
        On the reference's pixel grid, over the part that both show, after registration.
    fitted_psnr_db, fitted_ssim : float
        The same after the picture's brightness and contrast were fitted to the reference.
    shift : (float, float)
        By how much the picture lay beside the reference (y, x), in `unit`.
    pixels : int
        That were compared.
    unit : str
        ``"nm"`` or ``"px"``.
    """

    name: str
    psnr_db: float
    ssim: float
    fitted_psnr_db: float
    fitted_ssim: float
    shift: tuple[float, float]
    pixels: int
    unit: str


def data_range(reference: Plane) -> float:
    """Grey levels from black to white that figures refer to.

    That is 255 for 8-bit pictures. Wider ones seldom use their whole range, so it is measured.
    """
    span = measure_range(reference.pixels)
    return span.high - span.low


def agreement(image: Plane, reference: Plane) -> Agreement:
    """Measure a picture against a reference.

    Parameters
    ----------
    image : Plane
        Brought onto the reference's grid (see `onto_grid`) and registered to it.
    reference : Plane
        Never moved nor interpolated.

    Returns
    -------
    Agreement

    Raises
    ------
    ImageError
        The two are one picture, do not show the same place, or overlap in too few pixels.
    """
    if image.pixels is reference.pixels:
        raise ImageError(
            f"“{image.name}” is the reference itself. Choose another picture as the reference."
        )
    pair = registered_pair(image, reference, reference.grid)
    fitted = fit_intensity(pair.image, pair.reference)
    span = data_range(reference)
    return Agreement(
        image.name,
        psnr(pair.image, pair.reference, span),
        ssim(pair.image, pair.reference, span),
        psnr(fitted, pair.reference, span),
        ssim(fitted, pair.reference, span),
        pair.shift,
        int(np.prod(pair.image.shape)),
        pair.grid.unit,
    )
