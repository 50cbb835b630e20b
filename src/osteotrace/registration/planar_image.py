"""Counts ready to be compared, and the counts that a skeleton would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from osteotrace.model.imaging import PlanarImage
from osteotrace.model.planar import Skeleton
from osteotrace.model.values import View
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.space import FloatArray

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
_PLUS = 0.375  # Anscombe: the square root of counts + 3/8 has an SD near 1/2


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """One view, turned so that columns run to the patient's left, in larger pixels.

    Attributes
    ----------
    values : ndarray of float64, shape (left, down)
        Counts per pixel.
    background : ndarray, same shape
        What is left of them where everything narrower than a body is taken away.
    step : ndarray, shape (2,)
        Pixel, mm.
    view : View
        Anterior or posterior.
    image : PlanarImage
        What it was made of.
    """

    values: FloatArray
    background: FloatArray
    step: FloatArray
    view: View
    image: PlanarImage


def counts_of(image: PlanarImage, view: View, settings: PlanarSettings, *, mirrored: bool = False) -> Counts:
    """A view ready to be compared.

    Parameters
    ----------
    view : View
        What it is taken for.
    mirrored : bool
        Taken for the mirror image of what a viewer should show.
    """
    if image.pixel_mm is None:
        raise ValueError("the pixel size is not known")
    factors = [max(1, round(settings.pixel_mm / size)) for size in image.pixel_mm]
    values = np.asarray(image.counts, dtype=np.float64)
    if (view is View.POSTERIOR) != mirrored:
        values = values[::-1]
    binned = _binned(values, factors)
    step = np.array(image.pixel_mm) * factors
    width = [max(3, round(settings.background_mm / s)) for s in step]
    soft = ndimage.gaussian_filter(binned, settings.smooth_mm[0] / step)
    return Counts(binned, ndimage.grey_opening(soft, size=width), step, view, image)


def _binned(values: FloatArray, factors: Sequence[int]) -> FloatArray:
    """Sums of blocks; the last columns and rows are filled up with nothing."""
    pad = [(0, -n % f) for n, f in zip(values.shape, factors, strict=True)]
    padded = np.pad(values, pad)
    shape = (padded.shape[0] // factors[0], factors[0], padded.shape[1] // factors[1], factors[1])
    return np.asarray(padded.reshape(shape).sum(axis=(1, 3)))


def stabilised(counts: FloatArray) -> FloatArray:
    """Square root of counts, whose noise does not depend on them."""
    return np.asarray(np.sqrt(np.maximum(counts, 0.0) + _PLUS))


def narrow(values: FloatArray, step: FloatArray, settings: PlanarSettings) -> FloatArray:
    """Values without their broad part."""
    return np.asarray(values - ndimage.gaussian_filter(values, settings.broad_mm / step))


def reach(skeleton: Skeleton, view: View, settings: PlanarSettings) -> FloatArray:
    """Counts of each point that arrive at a head, shape (n,), arbitrary units."""
    depth = skeleton.front_mm if view is View.ANTERIOR else skeleton.back_mm
    return np.asarray(skeleton.weight * np.exp(-settings.mu_per_mm * depth), dtype=np.float64)


def splat(plane: FloatArray, step: FloatArray, shape: tuple[int, ...]) -> sparse.csr_matrix:
    """Matrix (pixels, points) that spreads each point over its four pixels; outside is left out."""
    place = plane / step - 0.5
    low = np.floor(place).astype(np.int64)
    share = place - low
    rows, columns, values = [], [], []
    number = np.arange(len(plane))
    for a in (0, 1):
        for b in (0, 1):
            i, j = low[:, 0] + a, low[:, 1] + b
            inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
            weight = np.abs(1 - a - share[:, 0]) * np.abs(1 - b - share[:, 1])
            rows.append((i * shape[1] + j)[inside])
            columns.append(number[inside])
            values.append(weight[inside])
    data = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(data, shape=(shape[0] * shape[1], len(plane)))


def blur_sigma(step: FloatArray, smooth_mm: float, settings: PlanarSettings) -> FloatArray:
    """Standard deviation of a point in the compared counts, in pixels."""
    return np.asarray(np.hypot(settings.fwhm_mm / FWHM, smooth_mm) / step)


def blurred(stack: FloatArray, sigma: FloatArray) -> FloatArray:
    """Images (n, left, down) blurred one by one."""
    return np.asarray(ndimage.gaussian_filter(stack, (0.0, sigma[0], sigma[1]), mode="constant"))


def per_region(
    skeleton: Skeleton, region: NDArray[np.int16], amount: FloatArray, matrix: sparse.csr_matrix, count: int
) -> FloatArray:
    """Unblurred images of the regions, shape (count, pixels); region -1 comes first."""
    picked = np.zeros((len(skeleton.points), count))
    picked[np.arange(len(skeleton.points)), region + 1] = amount
    return np.asarray((matrix @ picked).T)
