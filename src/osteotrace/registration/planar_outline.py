"""The projected skeleton as lines, and a footprint as an ellipse: what figures draw."""

from __future__ import annotations

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.model.bone_scan import Point, RegionOutline
from osteotrace.model.planar import PlanarFit, Skeleton
from osteotrace.registration.planar_maps import project
from osteotrace.space import FloatArray

_BLUR = 0.8  # bins
_LEVEL = 0.35  # of full bins
_MARGIN = 4  # bins
_SHORTEST = 8  # points of a line that is kept


def outlines_of(fit: PlanarFit, skeleton: Skeleton, bin_mm: float) -> tuple[RegionOutline, ...]:
    """Outlines of the regions of a fitted skeleton in the front plane.

    Parameters
    ----------
    bin_mm : float
        Pixel of the picture that is outlined; the distance of the skeleton's points or more.
    """
    plane = project(fit, skeleton, skeleton.points)
    out = []
    for number, name in enumerate(skeleton.regions):
        own = plane[np.asarray(skeleton.region) == number]
        if len(own):
            out.append(RegionOutline(name, _lines(own, bin_mm)))
    return tuple(out)


def _lines(points: FloatArray, bin_mm: float) -> tuple[tuple[Point, ...], ...]:
    """Lines around points, shape (n, 2), mm."""
    low = points.min(axis=0) - _MARGIN * bin_mm
    index = np.rint((points - low) / bin_mm).astype(int)
    filled = np.zeros(index.max(axis=0) + _MARGIN + 1, dtype=np.float32)
    filled[tuple(index.T)] = 1.0
    closed = ndimage.binary_closing(filled > 0, structure=np.ones((3, 3))).astype(np.float32)
    smooth = ndimage.gaussian_filter(closed, _BLUR)
    found = contour_generator(z=smooth.T).lines(_LEVEL)
    return tuple(_line(low + np.asarray(line) * bin_mm) for line in found if len(line) >= _SHORTEST)


def _line(points: FloatArray) -> tuple[Point, ...]:
    """Every second point, to the tenth of a millimetre, closed again."""
    kept = np.concatenate([points[:-1:2], points[-1:]])
    return tuple((round(float(left), 1), round(float(down), 1)) for left, down in kept)


def ellipse_of(
    pixels: NDArray[np.bool_], step_mm: tuple[float, float]
) -> tuple[tuple[float, float] | None, float]:
    """Half axes (mm, the longer first) of the ellipse with the moments of a footprint, and its turn.

    Parameters
    ----------
    pixels : ndarray of bool, shape (columns, rows)
    step_mm : tuple of float
        Distance of its columns and rows.

    Returns
    -------
    half_axes : tuple of float or None
        None for an empty footprint.
    turn : float
        Radians, from the direction of the columns to that of the rows, -pi/2 to pi/2.
    """
    where = np.argwhere(pixels) * np.asarray(step_mm)
    if not len(where):
        return None, 0.0
    # A pixel is a rectangle, not a point: its own second moment is step² / 12.
    spread = np.cov(where.T, bias=True).reshape(2, 2) + np.diag(np.square(step_mm)) / 12.0
    values, vectors = np.linalg.eigh(spread)
    axis = vectors[:, 1] * (1.0 if vectors[0, 1] >= 0 else -1.0)
    short, long = 2.0 * np.sqrt(values)
    return (round(float(long), 2), round(float(short), 2)), round(float(np.arctan2(axis[1], axis[0])), 4)
