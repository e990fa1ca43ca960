"""What a lab has at hand without a network: denoise, then enlarge twice.

Every method takes an 8-bit picture and gives one of twice the pixels, denoised at the size it was
taken and then enlarged by bicubic interpolation. Results are rounded to 8 bits, as a restored
picture is. Lengths are in pixels of the input.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.interpolate import CubicSpline

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.quality import noise_sigma, psnr, ssim

__all__ = [
    "BASELINES",
    "BICUBIC_DEFINITION",
    "FIXED_SIGMAS",
    "GAUSSIAN",
    "SIGMA_GRID",
    "Baseline",
    "bicubic",
    "bm3d",
    "bm3d_is_installed",
    "choose_baselines",
    "gaussian",
    "non_local_means",
    "peak_of",
    "psnr_of_sigmas",
    "sigma_for_ssim",
]

Grey = NDArray[np.uint8]

FIXED_SIGMAS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Standard deviations of a fixed Gaussian, in pixels of the input. Twice these numbers are the
widths in pixels of the result, for readers who blur after enlarging."""

SIGMA_GRID = (0.0, *(round(0.25 * 1.12**k, 4) for k in range(26)))
"""Standard deviations that a search tries first, from none to 4.25 pixels of the input."""

BICUBIC_DEFINITION = (
    "bicubic interpolation (Keys, a = -0.5) to twice the pixels, pixel areas upon pixel areas"
)


def bicubic(image: Grey) -> Grey:
    """Enlarge twice by bicubic interpolation.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)

    Returns
    -------
    ndarray of uint8, shape (2Y, 2X)
        Output pixel ``i`` lies at ``(i + 1/2) / 2 - 1/2`` of the input: the two pictures cover
        the same area, without a shift.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. Acoust.
    Speech Signal Process. 29 (1981) 1153-1160.
    """
    return _enlarged(image)


def gaussian(image: Grey, sigma: float) -> Grey:
    """Blur by a Gaussian, then enlarge twice.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)
    sigma : float
        Standard deviation in pixels of the input; 0 leaves the picture as it is.

    Returns
    -------
    ndarray of uint8, shape (2Y, 2X)
    """
    return _enlarged(ndimage.gaussian_filter(image.astype(np.float32), sigma, mode="nearest"))


def non_local_means(image: Grey) -> Grey:
    """Denoise by non-local means with the noise estimated from the picture, then enlarge twice.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)

    Returns
    -------
    ndarray of uint8, shape (2Y, 2X)

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005.
    """
    from skimage.restoration import denoise_nl_means

    sigma = noise_sigma(image)
    if sigma <= 0:
        return bicubic(image)
    values = image.astype(np.float64) / 255
    denoised = denoise_nl_means(
        values,
        patch_size=5,
        patch_distance=6,
        h=0.8 * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
    )
    return _enlarged(255 * denoised)


def bm3d(image: Grey) -> Grey:
    """Denoise by BM3D with the noise estimated from the picture, then enlarge twice.

    Needs the package ``bm3d``, whose licence allows non-commercial use only; it is never
    installed with this one.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)

    Returns
    -------
    ndarray of uint8, shape (2Y, 2X)

    References
    ----------
    K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, "Image denoising by sparse 3-D transform-domain
    collaborative filtering", IEEE Trans. Image Process. 16 (2007) 2080-2095.
    """
    from bm3d import bm3d as denoise

    sigma = noise_sigma(image)
    if sigma <= 0:
        return bicubic(image)
    return _enlarged(255 * np.asarray(denoise(image.astype(np.float64) / 255, sigma / 255)))


def bm3d_is_installed() -> bool:
    """Whether the optional package ``bm3d`` can be imported."""
    return importlib.util.find_spec("bm3d") is not None


@dataclass(frozen=True, slots=True)
class Baseline:
    """A classical method that needs nothing but the picture."""

    name: str
    """As in tables."""
    definition: str
    restore: Callable[[Grey], Grey]
    is_installed: Callable[[], bool] = lambda: True
    unavailable: str = ""
    """What to say when it is not installed."""


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "bicubic": Baseline("bicubic", BICUBIC_DEFINITION, bicubic),
        "nlm": Baseline(
            "NLM + bicubic",
            "scikit-image's non-local means (5 x 5 patches, 13 x 13 search, fast mode), noise "
            "sigma estimated from the picture, h = 0.8 sigma; then bicubic",
            non_local_means,
        ),
        "bm3d": Baseline(
            "BM3D + bicubic",
            "the package bm3d with its normal profile, noise sigma estimated from the picture; "
            "then bicubic",
            bm3d,
            bm3d_is_installed,
            "BM3D is left out, because the package bm3d is not installed. Its licence allows "
            "non-commercial use only; where that holds: pip install bm3d.",
        ),
    }
)
"""Methods by the word that chooses them; Gaussians, which take a sigma, are `gaussian`."""

GAUSSIAN = "gaussian"
"""The word that chooses Gaussians, fixed and searched for."""


def choose_baselines(words: Iterable[str]) -> tuple[str, ...]:
    """Check the words that choose baselines.

    Parameters
    ----------
    words : iterable of str
        Keys of `BASELINES`, ``gaussian``, ``all``.

    Returns
    -------
    tuple of str
        Without repetitions, in the order of a table; ``bicubic`` is always among them.

    Raises
    ------
    SemnetError
        There is no such baseline; the text lists those there are.
    """
    known = ("bicubic", GAUSSIAN, *(word for word in BASELINES if word != "bicubic"))
    asked = {word.strip().lower() for word in words if word.strip()}
    unknown = sorted(asked - {*known, "all"})
    if unknown:
        raise SemnetError(
            f"There is no baseline '{unknown[0]}'. Known are {', '.join(known)} and all."
        )
    return tuple(word for word in known if word in asked | {"bicubic"} or "all" in asked)


def psnr_of_sigmas(
    image: Grey, reference: Grey, sigmas: Iterable[float] = SIGMA_GRID
) -> NDArray[np.float64]:
    """PSNR of Gaussian and bicubic for each sigma.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)
    reference : ndarray of uint8, shape (2Y, 2X)
    sigmas : iterable of float
        Standard deviations in pixels of the input.

    Returns
    -------
    ndarray of float64
        In dB at a data range of 255.
    """
    return np.array([psnr(gaussian(image, sigma), reference, 255) for sigma in sigmas])


def peak_of(figures: NDArray[np.float64], sigmas: tuple[float, ...] = SIGMA_GRID) -> float:
    """Find the sigma at which a curve is highest, between the grid's sigmas as well.

    Parameters
    ----------
    figures : ndarray
        One value for each of `sigmas`; means over many pictures as well as those of one.
    sigmas : tuple of float

    Returns
    -------
    float
        Highest place of the cubic spline through the curve, next to its highest point; the first
        infinite one where there is any.
    """
    best = int(np.argmax(figures))
    if np.isinf(figures[best]):
        # Equal to the reference, to the last bit: no spline goes through that, and none is needed.
        return sigmas[best]
    low, high = sigmas[max(0, best - 1)], sigmas[min(len(sigmas) - 1, best + 1)]
    fine = np.linspace(low, high, 201)
    refined = float(fine[int(np.argmax(CubicSpline(sigmas, figures)(fine)))])
    return round(refined, 4)


def sigma_for_ssim(image: Grey, reference: Grey) -> float:
    """Sigma of the Gaussian that gives one picture its highest SSIM.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)
    reference : ndarray of uint8, shape (2Y, 2X)

    Returns
    -------
    float
        In pixels of the input, by every third sigma of `SIGMA_GRID` and a spline between them.
    """
    coarse = SIGMA_GRID[::3]
    figures = [ssim(gaussian(image, sigma), reference, 255) for sigma in coarse]
    return peak_of(np.array(figures), coarse)


def _enlarged(values: NDArray[np.generic]) -> Grey:
    rows, columns = values.shape
    enlarged = Image.fromarray(values.astype(np.float32)).resize(
        (2 * columns, 2 * rows), Image.Resampling.BICUBIC
    )
    levels: Grey = np.clip(np.rint(np.asarray(enlarged)), 0, 255).astype(np.uint8)
    return levels
