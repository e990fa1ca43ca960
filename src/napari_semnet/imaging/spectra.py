"""How much structure of which size a picture holds, in units that other pictures share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Plane
from napari_semnet.imaging.quality import radial_power_spectrum

__all__ = ["Spectrum", "power_spectrum"]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Power spectral density, averaged over directions.

    Attributes
    ----------
    name : str
        The picture.
    frequency : ndarray of float64, (N,)
        Cycles per `unit`, up to the picture's own Nyquist frequency.
    density : ndarray of float64, (N,)
        In grey levels squared times `unit` squared: pictures of one specimen with pixels of
        different size agree in it wherever both resolve the specimen.
    unit : str
        ``"nm"`` or ``"px"``.
    """

    name: str
    frequency: NDArray[np.float64]
    density: NDArray[np.float64]
    unit: str

    @property
    def decibels(self) -> NDArray[np.float64]:
        """Ten times the decimal logarithm of the density."""
        tiny = np.finfo(np.float64).tiny
        return np.asarray(10 * np.log10(np.maximum(self.density, tiny)), dtype=np.float64)


def power_spectrum(plane: Plane) -> Spectrum:
    """Measure the power spectral density of a picture.

    Parameters
    ----------
    plane : Plane
        With square pixels.

    Returns
    -------
    Spectrum

    Raises
    ------
    ImageError
        The pixels are not square, or the picture is smaller than 8 pixels or has pixels that are
        not numbers.
    """
    y, x = plane.grid.pixel_size
    if abs(y - x) > 0.01 * max(y, x):
        raise ImageError(
            f"The pixels of “{plane.name}” are {y:g} by {x:g} {plane.grid.unit}. "
            "A spectrum over all directions needs square ones."
        )
    pixels = np.asarray(plane.pixels)
    if not np.isfinite(pixels).all():
        raise ImageError(
            f"“{plane.name}” has pixels that are not numbers. Crop it to a part without them."
        )
    frequency, power = radial_power_spectrum(pixels)
    return Spectrum(plane.name, frequency / y, power * y * x, plane.grid.unit)
