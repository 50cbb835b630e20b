"""Size of a mask in space."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from osteotrace.space import FloatArray, Mask


def surface_points(mask: Mask) -> FloatArray:
    """Points where the outer surface crosses the voxel axes: half a step beyond each end voxel.

    Only ends of runs along i, j and k are taken; the farthest two points of a mask are among them.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        LPS, mm.
    """
    padded = np.pad(mask.values, 1)
    points = []
    for axis in range(3):
        for step in (-1, 1):
            is_end = padded & ~np.roll(padded, -step, axis=axis)
            index = np.argwhere(is_end).astype(np.float64) - 1
            index[:, axis] += step / 2
            points.append(index)
    return mask.grid.points(np.concatenate(points))


def longest_diameter_mm(mask: Mask) -> float:
    """Largest distance between two points of the surface, in 3D; mm (IBSI L0JK)."""
    points = surface_points(mask)
    return float(pdist(points[ConvexHull(points).vertices]).max())


def equivalent_diameter_mm(volume_ml: float) -> float:
    """Diameter of the sphere of that volume, mm; 12.407 for 1 mL."""
    return float((6000.0 * volume_ml / np.pi) ** (1 / 3))
