"""Agreement of edge directions, a second opinion that does not use intensities.

Normalised gradient fields (Haber and Modersitzki 2006): the squared cosine between the gradients of both
images, whatever the sign of the contrast. Mutual information alone confounds turns about the axis of a limb;
edges do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from osteotrace.registration.pyramid import Floats, Level
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine


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
    counts = weight * _inside(matrix, probe.grid.shape, field.grid.shape)
    if not counts.any():
        return 0.0
    one, other = normals(probe.ranks, counts), normals(moved, counts)
    cosine = (one * other).sum(axis=0) ** 2
    lengths = [((n**2).sum(axis=0) ** 2 * counts).sum() for n in (one, other)]
    product = float(np.sqrt(lengths[0] * lengths[1]))
    return float((cosine * counts).sum()) / product if product > 0 else 0.0


def _inside(matrix: FloatArray, shape: Sequence[int], limits: Sequence[int]) -> FloatArray:
    index = apply_affine(matrix, np.moveaxis(np.indices(shape), 0, -1))
    return np.asarray(((index >= 0) & (index <= np.array(limits) - 1.0)).all(axis=-1), dtype=np.float64)


def normals(values: Floats, weight: FloatArray) -> Floats:
    """Gradient over its length, damped below the median length where the weight is large; axes first."""
    if min(values.shape) < 2:
        return np.zeros((3, *values.shape), dtype=np.float32)
    slope = np.stack([np.gradient(values, axis=axis) for axis in range(3)])
    length = np.sqrt((slope**2).sum(axis=0))
    floor = float(np.median(length[weight > 0.1 * weight.max()]))
    return np.asarray(slope / np.sqrt(length**2 + max(floor, 1e-6) ** 2), dtype=np.float32)
