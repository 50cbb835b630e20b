"""Agreement of edge directions, a second opinion that does not use intensities.

Normalised gradient fields (Haber and Modersitzki 2006): the squared cosine between the gradients of both
images, whatever the sign of the contrast. Mutual information alone confounds turns about the axis of a limb;
edges do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.registration.pyramid import Floats, Level
from osteotrace.space import FloatArray


def edge_agreement(probe: Level, weight: FloatArray, field: Level, pose: FloatArray) -> float:
    """Weighted correlation of the gradient direction tensors of two images.

    Parameters
    ----------
    probe, field : Level
    weight : ndarray, shape probe.grid.shape
        Where it counts.
    pose : ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm.

    Returns
    -------
    float
        0 (no edge coincides) to 1.
    """
    matrix = np.linalg.inv(field.grid.affine) @ pose @ probe.grid.affine
    moved = ndimage.affine_transform(
        field.ranks, matrix[:3, :3], matrix[:3, 3], output_shape=probe.grid.shape, order=1, mode="nearest"
    )
    counts = weight * reached(matrix, probe.grid.shape, field.grid.shape, 0.0)
    if not counts.any():
        return 0.0
    one, other = normals(probe.ranks, counts), normals(moved, counts)
    cosine = (one * other).sum(axis=0) ** 2
    lengths = [((n**2).sum(axis=0) ** 2 * counts).sum() for n in (one, other)]
    product = float(np.sqrt(lengths[0] * lengths[1]))
    return float((cosine * counts).sum()) / product if product > 0 else 0.0


def reached(
    matrix: FloatArray, shape: Sequence[int], limits: Sequence[int], beyond: float
) -> NDArray[np.bool_]:
    """Voxels of an array that a matrix takes into another array.

    Parameters
    ----------
    matrix : ndarray, shape (4, 4)
        Index to index.
    shape, limits : sequence of int
        Of the two arrays.
    beyond : float
        How far outside of the outermost centres of the other array is still inside, voxels.
    """
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    inside = np.ones(tuple(shape), dtype=bool)
    for (a, b, c, start), count in zip(matrix[:3], limits, strict=True):
        index = (i * a + j * b) + k * c + start
        inside &= index >= -beyond
        inside &= index <= count - 1.0 + beyond
    return inside


def normals(values: Floats, weight: FloatArray) -> Floats:
    """Gradient over its length, damped below the median length where the weight is large; axes first."""
    if min(values.shape) < 2:
        return np.zeros((3, *values.shape), dtype=np.float32)
    slope = np.stack([np.gradient(values, axis=axis) for axis in range(3)])
    length = np.sqrt((slope**2).sum(axis=0))
    floor = float(np.median(length[weight > 0.1 * weight.max()]))
    return np.asarray(slope / np.sqrt(length**2 + max(floor, 1e-6) ** 2), dtype=np.float32)
