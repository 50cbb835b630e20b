"""Removal of the smooth multiplicative field of an MR coil (N4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from osteotrace.errors import SpaceError
from osteotrace.space.grid import Grid


@dataclass(frozen=True, slots=True)
class BiasSettings:
    """Settings of N4 (Tustison 2010).

    Attributes
    ----------
    iterations : tuple of int
        At most so many at each fitting level; each level halves the distance of the spline's knots. With
        four levels in a field of view of 200 to 300 mm the spline follows bones and lesions and takes
        them for the coil: two levels are safe there (see the tests).
    """

    shrink: int
    iterations: tuple[int, ...]
    convergence: float
    spline_order: int
    histogram_bins: int
    bias_fwhm: float
    wiener_noise: float


def bias_field(
    values: NDArray[Any], grid: Grid, foreground: NDArray[np.bool_], settings: BiasSettings
) -> NDArray[np.float32]:
    """Estimate the field by which an MR image is multiplied.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        Signal, not negative.
    foreground : ndarray of bool, shape grid.shape
        Tissue to fit on; N4 needs it.

    Returns
    -------
    ndarray of float32, shape grid.shape
        Divide the image by it. Its mean over the foreground is 1.

    Raises
    ------
    SpaceError
        When the foreground is empty, signal there is not finite, or the image is a single slice.
    """
    if min(values.shape) < 2:
        raise SpaceError(
            f"an image of shape {values.shape} has no field in space", expected="two slices or more"
        )
    if not foreground.any() or not np.isfinite(values[foreground]).all():
        raise SpaceError("no finite foreground for the bias field", expected="a mask with tissue")
    image = _image(values.astype(np.float32), grid)
    mask = _image(foreground.astype(np.uint8), grid)
    factor = [max(1, min(settings.shrink, n // 4)) for n in values.shape]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(settings.iterations))
    n4.SetConvergenceThreshold(settings.convergence)
    n4.SetSplineOrder(settings.spline_order)
    n4.SetNumberOfHistogramBins(settings.histogram_bins)
    n4.SetBiasFieldFullWidthAtHalfMaximum(settings.bias_fwhm)
    n4.SetWienerFilterNoise(settings.wiener_noise)
    n4.Execute(sitk.Shrink(image, factor), sitk.Shrink(mask, factor))
    field = np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T)
    return np.asarray(field / field[foreground].mean(), dtype=np.float32)


def _image(values: NDArray[Any], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing([float(s) for s in grid.spacing])
    return image
